"""The overlay as a whole: determinism, contention, errors, and a published decode step."""

import pytest
from fpga_bench import END, FEMTO, Bench, linear, operand

from simulator import api
from simulator.engine.device import Device
from simulator.errors import UnmappedOperatorError
from simulator.system.specs import load_hardware
from simulator.trace.catalogue import open_recorded
from simulator.trace.lowering import lower
from simulator.trace.parametric import bind
from simulator.trace.placement import Placement
from simulator.trace.transforms import quantize
from simulator.trace.work import Unmapped, View, Work

BOARD_DECODE_S = 17.50e-3
"""LLaMA2-7B, one decode step at 128 tokens of context, FlightLLM bitstream on a U280: a
third party's run of the public artifact. The bursts in flight are fitted to it."""


def lowered(model: str, phase: str, quantization: str | None = "w4a8kv8", **sizes: int):
    trace = bind(open_recorded(model, phase, sizes), sizes)
    if quantization:
        trace = quantize(trace, quantization)
    return trace


def simulate(bench: Bench, trace) -> float:
    """Seconds of all operators, one after another; equal ones are simulated once."""
    place = Placement(trace)
    known: dict[tuple[object, ...], float] = {}
    total = 0.0
    for operator in trace.operators:
        work = lower(operator, trace)
        key = (type(work), *_shape(work))
        if key not in known:
            start = bench.device.now
            for kernel in bench.platform.kernels(
                work, lambda x: place.address(x.storage) + x.offset
            ):
                gap = round(bench.platform.gap_s("graph") * FEMTO)
                bench.device.launch(kernel, bench.device.now + gap)
                assert bench.device.advance(END).reason == "finished"
            known[key] = (bench.device.now - start) / FEMTO
            moved = work.bytes_read + work.bytes_written
            limits = bench.platform.limits(work, moved)
            assert known[key] >= max((limit.seconds for limit in limits), default=0.0), key
        total += known[key]
    return total


def _shape(work: Work) -> tuple[object, ...]:
    operands = tuple((x.role, x.bits, x.bytes) for x in (*work.reads, *work.writes))
    sizes = tuple(
        value
        for name in type(work).__slots__
        if isinstance(value := getattr(work, name), int | float | tuple)
    )
    return (operands, sizes)


def latency(hardware: str, phase: str, *overrides: str, model: str = "llama2-7b", **sizes: int):
    """Seconds of a run as the command line makes it."""
    trace = bind(open_recorded(model, phase, sizes), sizes)
    return api.simulate(trace, load_hardware(hardware, overrides)).latency_s


def test_the_fitted_decode_step_of_the_board():
    assert latency("flightllm-u280", "decode", context=128) == pytest.approx(
        BOARD_DECODE_S, rel=0.05
    )


@pytest.mark.parametrize(
    ("context", "published_s"),
    [(144, 9.282e-3), (512, 9.810e-3), (1536, 11.421e-3)],
)
def test_decode_of_the_other_board_against_its_authors_simulator(context, published_s):
    seconds = latency("flightllm-vhk158", "decode", context=context)
    assert seconds == pytest.approx(published_s, rel=0.05)


def test_prefill_of_the_other_board_with_its_authors_array_efficiency():
    # Their simulator divides every time by 3.2 where it has four cores.
    seconds = latency("flightllm-vhk158", "prefill", "clock=180 MHz", prompt=128)
    assert seconds == pytest.approx(289.88e-3, rel=0.05)


def test_the_two_boards_share_the_design():
    first, second = (load_hardware(f"flightllm-{board}").spec for board in ("u280", "vhk158"))
    assert first.core == second.core
    assert first.axi.outstanding == second.axi.outstanding
    assert first.clock == second.clock


def test_prefill_keeps_the_array_busy_most_of_the_time():
    macs = 128 * 6.48e9
    seconds = simulate(Bench(), lowered("llama2-7b", "prefill", prompt=128))
    spec = Bench().spec
    utilization = 2 * macs / seconds / spec.gemm_peak
    # 79 % in the artifact's own simulator, for the same core.
    assert utilization == pytest.approx(0.79, abs=0.12)


@pytest.mark.parametrize(
    ("model", "phase"),
    [
        ("mixtral-8x7b", "decode"),
        ("gpt2", "prefill"),
        ("bert-base", "prefill"),
        ("vit-b16", "prefill"),
    ],
)
def test_every_operator_of_recorded_models_runs_above_its_roof(model, phase):
    assert simulate(Bench(), lowered(model, phase)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("model", ["gpt2", "bert-base", "vit-b16"])
def test_training_steps_run_too(model):
    assert simulate(Bench(), lowered(model, "train", None)) > 0


def test_the_same_work_takes_the_same_time_on_a_fresh_machine():
    assert Bench().run(linear(1, 4096, 4096)) == Bench().run(linear(1, 4096, 4096))


def test_booking_ports_ahead_changes_little():
    fast, exact = (Bench(exact=e).run(linear(1, 4096, 4096)).seconds for e in (False, True))
    assert fast == pytest.approx(exact, rel=0.01)


def test_two_streams_share_queues_and_channels():
    bench = Bench()
    alone = bench.run(linear(1, 4096, 4096)).seconds
    device = Device(bench.platform.assemble(False))
    for _ in range(2):
        for kernel in bench.kernels(linear(1, 4096, 4096)):
            device.launch(kernel, 0)
    first = device.advance(END)
    last = device.advance(END)
    assert (first.reason, last.reason) == ("finished", "finished")
    assert first.time / FEMTO > 1.2 * alone
    assert 1.4 * alone < last.time / FEMTO < 2.05 * alone


def test_views_cost_nothing_and_unknown_operators_are_named():
    assert Bench().kernels(View((), ())) == []
    with pytest.raises(UnmappedOperatorError, match=r"aten\.mystery.*mapping"):
        Bench().kernels(Unmapped((), (), "aten.mystery"))


def test_energy_is_dominated_by_the_board_and_counts_wide_products_more():
    platform = Bench().platform
    narrow = platform.energy_rates(linear(1, 64, 64)).per_operation["matrix"][1]
    wide = platform.energy_rates(linear(1, 64, 64, bits=16)).per_operation["matrix"][1]
    assert wide == 2 * narrow
    assert platform.energy_rates(None).static_w == {"board": 36.6}
    names = platform.assemble(False).agents[0].components
    known = {component.name for component in names}
    assert set(platform.energy_rates(None).per_unit) <= known
    assert {part.component for part in platform.parts()} <= known | {"dram"}


def test_the_idle_board_draws_what_a_card_log_says():
    rates = Bench().platform.energy_rates(None)
    memory = Bench().spec.memory
    background = memory.channels * memory.energy.background
    assert sum(rates.static_w.values()) + background == pytest.approx(37.4, abs=0.3)


def test_an_operand_stays_on_chip_only_if_it_passes_between_operators():
    bench = Bench()
    passing = bench.run(linear(1, 1024, 1024))
    kept = linear(1, 1024, 1024)
    kept = type(kept)((operand(0, 1024, 8, "input"), kept.reads[1]), kept.writes, 1, 1, 1024, 1024)
    assert bench.run(kept).written == 0 < passing.written
