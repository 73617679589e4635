"""A GPU and a PIM device that share a workload: placement, transfers, sums."""

import pytest

from simulator.api import load_trace
from simulator.errors import HardwareError
from simulator.hybrid import GPU, PIM, crossings, load_hybrid, placed, run_works
from simulator.trace.lowering import lower_all
from simulator.trace.work import Attention, Gemm, Operand, View

ONE = "nodes=1"


def operand(storage: int, size: int, role: str = "activation") -> Operand:
    return Operand(storage, 0, size, 16, "bfloat16", role, size)


def layer(batch: int = 1, heads: int = 8, tokens: int = 1024, hidden: int = 1024) -> list:
    """A product, attention on a cache, and a product of what it gives."""
    row, cache = 2 * batch * hidden, 2 * batch * heads * tokens * 128
    first = Gemm(
        (operand(0, row), operand(1, 2 * hidden * hidden, "weight")),
        (operand(2, row),),
        m=batch,
        n=hidden,
        k=hidden,
    )
    attend = Attention(
        (operand(2, row), operand(3, cache, "kv_cache"), operand(4, cache, "kv_cache")),
        (operand(5, row),),
        batch=batch,
        heads=heads,
        kv_heads=heads,
        kv_len=tokens,
        head_dim=128,
        value_dim=128,
    )
    last = Gemm(
        (operand(5, row), operand(6, 2 * hidden * hidden, "weight")),
        (operand(7, row),),
        m=batch,
        n=hidden,
        k=hidden,
    )
    return [first, attend, last]


def test_attention_and_its_cache_go_to_the_banks_and_the_rest_stays():
    spec = load_hybrid("a100-attacc").spec
    trace = load_trace("gpt2", {"context": 100}, phase="decode")
    places = {GPU: set(), PIM: set()}
    for work in lower_all(trace):
        if not isinstance(work, View):
            places[placed(spec, work)].add(work.kind)
    assert places == {
        GPU: {"gemm", "elementwise", "rowwise", "gather"},
        PIM: {"attention", "elementwise"},  # copies that append to the cache
    }


def test_prompts_stay_on_the_gpu_and_few_rows_may_leave_it():
    prefill = lower_all(load_trace("gpt2", {"prompt": 64}, phase="prefill"))
    spec = load_hybrid("a100-attacc").spec
    assert all(placed(spec, w) == GPU for w in prefill if isinstance(w, Attention))
    few = load_hybrid("a100-attacc", ["place.product_rows=2"]).spec
    first, _, _ = layer(batch=2)
    assert (placed(spec, first), placed(few, first)) == (GPU, PIM)
    assert placed(few, layer(batch=3)[0]) == GPU


def test_only_what_the_other_device_made_passes_the_link():
    spec = load_hybrid("a100-attacc").spec
    passed = crossings(spec, layer(batch=4))
    # Queries there, results back; neither weights nor cache.
    assert (passed.count, passed.bytes) == (2, 2 * 2 * 4 * 1024)
    assert crossings(load_hybrid("a100-attacc", ["place.product_rows=4"]).spec, layer(4)).count == 0
    twice = [*layer(), layer()[2]]
    assert crossings(spec, twice).count == 2


def test_times_and_energies_add_up():
    system = load_hybrid("a100-attacc", [ONE])
    result = run_works(layer(), system, "layer")
    both = result.results[GPU].latency_s + result.results[PIM].latency_s
    assert result.latency_s == pytest.approx(both + result.seconds["link"])
    assert result.seconds["collective"] == 0
    assert result.energy["gpu"] == pytest.approx(result.results[GPU].energy_j)
    assert result.energy["gpu waiting"] > 0
    assert result.energy_j == pytest.approx(sum(result.energy.values()))


def test_nodes_pay_for_their_reductions_and_not_otherwise():
    alone, eight = load_hybrid("a100-attacc", [ONE]), load_hybrid("a100-attacc")
    size = 1 << 20
    seconds = [
        run_works(layer(), system, "layer", [size]).seconds["collective"]
        for system in (alone, eight)
    ]
    spec = eight.spec.collective
    assert seconds[0] == 0
    assert seconds[1] == pytest.approx(spec.latency + 2 * 7 / 8 * size / spec.bandwidth)


def test_the_more_cache_the_more_the_banks_help():
    """Batches share weights, not caches: attention is what grows."""

    def gain(batch: int) -> float:
        works = layer(batch, heads=8, tokens=2048)
        apart = run_works(works, load_hybrid("a100-attacc", [ONE]), "layer").latency_s
        settings = [ONE, "place.attention=false"]
        return run_works(works, load_hybrid("a100-attacc", settings), "layer").latency_s / apart

    assert gain(4) > gain(1)


def test_another_description_is_no_hybrid_system():
    with pytest.raises(HardwareError, match="not a hybrid system"):
        load_hybrid("pim-gpt")
