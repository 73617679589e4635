"""Locality of graphs: the same model and graph, its nodes numbered by community or at random."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from simulator.api import load_trace
from simulator.engine.device import Device
from simulator.gpu.platform import GpuPlatform
from simulator.system.kernels import Runner
from simulator.system.specs import load_hardware
from simulator.trace.lowering import lower_all
from simulator.trace.work import Operand, SparseDense

MODELS = ("gcn-csr", "gcn")
"""Aggregation as a sparse product, and as gather and scatter along edges."""


def widest_aggregation(graph: str) -> SparseDense:
    works = lower_all(load_trace(f"gcn-csr:{graph}", phase="forward"))
    products = [work for work in works if isinstance(work, SparseDense)]
    return max(products, key=lambda work: work.row_bytes)


def address(operand: Operand) -> int:
    return (operand.storage % 64) << 30


def test_one_aggregation_misses_more_on_shuffled_nodes() -> None:
    spec = load_hardware("a100-sxm-80gb").spec
    assert spec.kind == "gpu"
    platform = GpuPlatform(spec)

    def play(graph: str) -> tuple[float, int]:
        work = widest_aggregation(graph)
        runner = Runner(Device(platform.assemble(True)), platform.cache_bytes, exact=True)
        (kernel,) = platform.kernels(work, address)
        run = runner.run(kernel, 0)
        return run.dram_read, run.duration_fs

    ordered, shuffled = play("synthetic-arxiv"), play("synthetic-arxiv-permuted")
    assert shuffled[0] > 1.1 * ordered[0]
    assert shuffled[1] > 1.1 * ordered[1]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_shuffled_nodes_move_more_and_take_longer(lab: SimpleNamespace, model: str) -> None:
    ordered = lab.recorded(f"{model}:synthetic-arxiv", "forward")
    shuffled = lab.recorded(f"{model}:synthetic-arxiv-permuted", "forward")
    assert lab.dram_bytes(shuffled) > 1.03 * lab.dram_bytes(ordered)
    assert shuffled.latency_fs > 1.01 * ordered.latency_fs


@pytest.mark.parametrize("model", MODELS)
def test_a_graph_that_fits_in_the_cache_does_not_care(lab: SimpleNamespace, model: str) -> None:
    ordered = lab.recorded(f"{model}:synthetic-cora", "forward")
    shuffled = lab.recorded(f"{model}:synthetic-cora-permuted", "forward")
    assert lab.dram_bytes(shuffled) == pytest.approx(lab.dram_bytes(ordered), rel=0.01)
    assert shuffled.latency_fs == pytest.approx(ordered.latency_fs, rel=0.02)
