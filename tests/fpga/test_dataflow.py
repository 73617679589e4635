"""Pipelines of stages: the slowest sets the pace, fills add up, FIFOs push back."""

import numpy as np
import pytest

from simulator.engine.device import Device
from simulator.errors import HardwareError, UnmappedOperatorError
from simulator.fpga.dataflow.arrange import Group, Member
from simulator.fpga.dataflow.platform import DataflowPlatform
from simulator.fpga.dataflow.spec import DataflowSpec
from simulator.system.specs import load_hardware
from simulator.trace.schema import Operator
from simulator.trace.work import Elementwise, Gemm, Operand, RowWise, Scatter

END = 1 << 62
CYCLE = 10**15 / 250e6
STAGES = ("qkv", "projection", "expand")


def spec(*overrides: str) -> DataflowSpec:
    free = [f"stages.{name}.delay_cycles=0" for name in STAGES]
    found = load_hardware(
        "streaming-u55c",
        [*free, *[f"stages.{n}.rate=100" for n in STAGES], "setup.group_cycles=0", *overrides],
    ).spec
    assert isinstance(found, DataflowSpec)
    return found


def cycles(design: DataflowSpec, *members: Member) -> float:
    device = Device(DataflowPlatform(design).assemble(True))
    group = Group((), (), members)
    for kernel in DataflowPlatform(design).kernels(group, lambda one: 0):
        device.launch(kernel, device.now)
        assert device.advance(END).reason == "finished"
    return device.now / CYCLE


def member(stage: str, each: int, tokens: int = 64) -> Member:
    """A stage that takes ``each`` clocks a token."""
    return Member(stage, tokens, 100 * each * tokens, 0, 0)


def test_throughput_is_the_slowest_stage_and_latency_the_sum_of_the_fills():
    found = cycles(spec(), member("qkv", 160), member("projection", 320), member("expand", 160))
    assert found == pytest.approx(160 + 64 * 320 + 160, rel=0.01)


def test_one_token_takes_all_stages_in_turn():
    found = cycles(spec(), member("qkv", 160, 1), member("projection", 320, 1))
    assert found == pytest.approx(480, rel=0.02)


def test_an_initial_delay_is_paid_once():
    plain = cycles(spec(), member("qkv", 160), member("projection", 160))
    late = cycles(
        spec("stages.projection.delay_cycles=1000"), member("qkv", 160), member("projection", 160)
    )
    assert late - plain == pytest.approx(1000, rel=0.02)


def test_a_deeper_fifo_lets_the_first_stage_run_ahead_and_ends_no_later():
    members = (member("qkv", 160), member("projection", 320))
    shallow, deep = (cycles(spec(f"fifo_tokens={n}"), *members) for n in (1, 64))
    assert deep <= shallow


def test_a_full_fifo_holds_the_stage_before_it():
    design = spec("fifo_tokens=1")
    platform = DataflowPlatform(design)
    device = Device(platform.assemble(True))
    group = Group((), (), (member("qkv", 16), member("projection", 1600)))
    (kernel,) = platform.kernels(group, lambda one: 0)
    device.launch(kernel, 0)
    device.advance(round(4 * 1600 * CYCLE))
    served = dict(zip(device.names.owners, device.snapshot().units, strict=True))
    tokens = served["qkv"] / (100 * 16)
    # Four at the second stage, one in the FIFO, one that waits for room.
    assert tokens <= 4 + 1 + 2


def test_streamed_weights_cost_what_the_memory_takes():
    weight = Operand(0, 0, 8 << 20, 4, "int4", "weight", 8 << 20)
    one = Member("qkv", 1, 100, 8 << 20, 0)
    design = spec()
    device = Device(DataflowPlatform(design).assemble(True))
    group = Group((weight,), (), (one,))
    for kernel in DataflowPlatform(design).kernels(group, lambda operand: 0):
        device.launch(kernel, 0)
        device.advance(END)
    assert device.now / 1e15 > (8 << 20) / design.port_bytes_per_s


def operand(role: str, elements: int) -> Operand:
    return Operand(hash(role) % 97, 0, 2 * elements, 16, "float16", role, 2 * elements)


def gemm(module_rows: int = 8) -> Gemm:
    left, right = operand("activation", 64), operand("weight", 64)
    return Gemm((left, right), (operand("out", 64),), 1, module_rows, 8, 8)


def test_operators_of_one_block_form_a_group_and_the_rest_their_own():
    design = spec()
    modules = ["wte", "transformer.h.0.attn.c_attn", "transformer.h.1.attn.c_attn", "lm_head"]
    works = [Elementwise((), (), elements=8), gemm(), gemm(), gemm()]
    operators = [Operator(i, "op", (), (), module=module) for i, module in enumerate(modules)]
    arranged = DataflowPlatform(design).arrange(works, operators)
    assert [getattr(work, "members", None) is not None for work in arranged] == [True] * 4
    assert [one.stage for work in arranged for one in work.members] == ["qkv", "qkv", "head"]


def test_messages_wait_for_the_unit_that_owns_most_targets():
    design = load_hardware("flowgnn-u50").spec
    values, table = operand("activation", 100 * 8), operand("out", 100 * 8)
    units = []
    for index in (np.arange(8), np.zeros(8, dtype=np.int64)):
        work = Scatter((values,), (table,), 8, 200, 8, True, index)
        operators = [Operator(0, "op", (), (), module="layers.0")]
        (group,) = DataflowPlatform(design).arrange([work], operators)
        units.append(group.members[0].units)
    assert units[1] == 4 * units[0]


def test_work_that_no_stage_takes_is_named():
    design = load_hardware("flowgnn-u50").spec
    platform = DataflowPlatform(design)
    operators = [Operator(0, "op", (), (), module="layers.0.other")]
    with pytest.raises(UnmappedOperatorError, match=r"no stage.*layers.0.other"):
        platform.arrange([gemm()], operators)
    assert platform.arrange([RowWise((), ())], operators)[0].members == ()
    with pytest.raises(UnmappedOperatorError, match=r"layers.#.*elsewhere"):
        platform.arrange([gemm()], [Operator(0, "op", (), (), module="elsewhere")])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.expand.rate=40000", "DSPs"),
        ("channels=40", "memory channels"),
        ("memory=hbm2-u280", "no memory 'hbm2-u280'"),
        ("groups=#.#", "groups"),
    ],
)
def test_what_does_not_fit_is_named(override, words):
    with pytest.raises(HardwareError, match=words):
        load_hardware("streaming-u55c", [override])
