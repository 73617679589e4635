"""Matrix products: bounds, traffic, modes, division among the cores."""

import pytest
from fpga_bench import Bench, linear, operand
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fpga.mapping.gemm import metadata
from simulator.trace.work import Gemm, GroupedGemm

DECODE = linear(1, 4096, 4096)


def grouped(*rows: int, n: int = 1024, k: int = 1024) -> GroupedGemm:
    used = sum(1 for count in rows if count)
    return GroupedGemm(
        (operand(0, sum(rows) * k), operand(1, used * n * k, 4, "weight")),
        (operand(2, sum(rows) * n),),
        rows,
        n,
        k,
    )


@settings(max_examples=15, deadline=None)
@given(
    m=st.sampled_from([1, 3, 33, 130, 300]),
    n=st.integers(1, 3000),
    k=st.integers(1, 3000),
    batch=st.sampled_from([1, 2, 5]),
    bits=st.sampled_from([4, 8, 16]),
)
def test_never_faster_than_the_roofs_and_every_weight_is_read(m, n, k, batch, bits):
    work = linear(m, n, k, bits=bits, batch=batch)
    run = Bench().run(work)
    assert run.seconds >= run.bound
    weights = work.reads[1].bytes
    assert run.read >= weights - 64 * batch * (n // 16 + 4)


def test_a_vector_product_moves_its_weights_once():
    run = Bench().run(DECODE)
    weights = DECODE.reads[1].bytes
    vector = DECODE.reads[0].bytes
    assert run.read == pytest.approx(weights + 3 * vector, rel=0.01)
    assert run.written == pytest.approx(vector, abs=3)


def test_a_block_of_rows_reads_the_weights_again():
    one, four = (Bench().run(linear(m, 1024, 2048)) for m in (128, 512))
    weights = 1024 * 2048 // 2
    assert four.read - one.read >= 3 * weights
    assert one.seconds * 3 < four.seconds < one.seconds * 5


def test_short_blocks_of_rows_cost_as_much_as_full_ones():
    spec = Bench().spec
    deep = "axi.outstanding=16"
    seconds = {m: Bench(deep).run(linear(m, 2048, 2048)).seconds for m in (65, 128, 129)}
    assert seconds[65] == pytest.approx(seconds[128], rel=0.05)
    assert seconds[129] > 1.6 * seconds[128]
    assert spec.core.gemm.m == 128


def busy(work: Gemm) -> dict[str, int]:
    """Units each kind of component served."""
    bench = Bench()
    before = bench.device.snapshot()
    bench.run(work)
    served = bench.device.snapshot().since(before).units
    owners = bench.device.names.owners
    return {
        name: sum(int(u) for u, owner in zip(served, owners, strict=True) if owner == name)
        for name in ("gemm", "gemv", "special")
    }


def test_the_array_multiplies_padded_tiles():
    units = busy(linear(1, 512, 4096))
    assert units["gemv"] == 3 * 512 * 4096
    assert busy(linear(128, 1536, 1024))["gemm"] == 128 * 1536 * 1024


def test_few_rows_use_the_vectors_and_many_the_matrix_mode():
    names = [
        {step for program in kernel.programs for step in str(program).split("'")}
        for kernel in (
            *Bench().kernels(linear(4, 512, 512)),
            *Bench().kernels(linear(200, 512, 512)),
        )
    ]
    assert "gemv" in names[0] and "gemm" not in names[0]
    assert "gemm" in names[1] and "gemv" not in names[1]


def test_latency_grows_with_every_size():
    runs = [
        Bench().run(linear(*size)).seconds
        for size in ((1, 2048, 2048), (1, 4096, 2048), (1, 4096, 8192))
    ]
    assert runs == sorted(runs) and runs[0] < runs[-1]
    rows = [Bench().run(linear(m, 1024, 1024)).seconds for m in (1, 4, 16, 64, 256)]
    assert rows == sorted(rows)


def test_columns_that_do_not_divide_leave_cores_waiting():
    balanced = Bench().run(linear(1, 3 * 512, 4096)).seconds
    uneven = Bench().run(linear(1, 3 * 512 + 16, 4096)).seconds
    assert uneven > 1.2 * balanced


def test_density_changes_time_and_traffic():
    dense, half = Bench().run(DECODE), Bench().run(linear(1, 4096, 4096, density=0.5))
    spec = Bench().spec
    extra = metadata(spec, 4096, 4096, linear(1, 4096, 4096, density=0.5))
    weights = 4096 * 4096 // 2
    assert half.read - dense.read == pytest.approx(extra - weights / 2, rel=0.02)
    assert half.seconds < dense.seconds


def test_metadata_follows_the_blocks_that_are_not_dense():
    spec = Bench().spec
    blocks = (4096 // 16) ** 2

    def size(density: float) -> float:
        return metadata(spec, 4096, 4096, linear(1, 4096, 4096, density=density))

    assert size(1.0) == 0
    assert size(0.5) == blocks + 4096 * 4096 * 0.5 * 4 / 8
    assert size(0.25) == blocks + 4096 * 4096 * 0.25 * 4 / 8
    assert size(0.75) == size(0.25)


def test_more_channels_a_wider_port_or_a_faster_clock_never_slow_it_down():
    base = Bench().run(DECODE).seconds
    for worse in ("channels.per_core=4", "axi.port_bits=256", "clock=112.5 MHz", "cores=2"):
        assert Bench(worse).run(DECODE).seconds > base


def test_half_the_channels_make_loading_the_bottleneck():
    half = Bench("channels.per_core=4").run(DECODE)
    bandwidth = 3 * 4 * 14.375e9
    assert half.seconds > DECODE.reads[1].bytes / bandwidth


def test_a_small_weight_buffer_splits_the_depth_and_still_reads_each_weight_once():
    small = Bench("core.buffers.weights=256 KiB")
    assert small.run(DECODE).read == pytest.approx(Bench().run(DECODE).read, rel=0.01)


def test_a_small_activation_buffer_forces_matrix_mode_to_load_in_parts():
    work = linear(128, 512, 8192)
    small = Bench("core.buffers.activations=16 KiB").run(work)
    assert small.seconds > Bench().run(work).seconds


def test_a_depth_beyond_the_buffers_carries_partial_sums():
    work = linear(200, 1000, 2048)
    whole, bench = Bench(), Bench("core.buffers.weights=64 KiB")
    assert len(whole.kernels(work)) == 1
    assert len(bench.kernels(work)) == 2048 // 512
    run = bench.run(work)
    sums = 200 * 1000 * 4
    assert run.written == pytest.approx(3 * sums + 200 * 1000, rel=0.02)
    assert run.read - whole.run(work).read == pytest.approx(3 * sums, rel=0.1)
    assert run.seconds >= run.bound


def test_wide_operands_pass_the_array_several_times():
    def product(bits: int) -> Gemm:
        return Gemm(
            (operand(0, 128 * 1024, bits, "input"), operand(1, 1024 * 1024, bits, "weight")),
            (operand(2, 128 * 1024, bits),),
            1,
            128,
            1024,
            1024,
        )

    narrow, wide = (Bench().run(product(bits)) for bits in (8, 16))
    assert wide.seconds > 3 * narrow.seconds
    assert wide.bound == pytest.approx(4 * narrow.bound, rel=0.01)


def test_a_batch_is_divided_by_product():
    run = Bench().run(linear(1, 512, 512, batch=3))
    lone = Bench().run(linear(1, 512, 512))
    assert run.seconds < 2.5 * lone.seconds


def test_only_experts_with_rows_are_visited():
    bench = Bench()
    two = bench.run(grouped(0, 1, 0, 0, 1, 0, 0, 0))
    full = bench.run(grouped(1, 1, 1, 1, 1, 1, 1, 1))
    expert = 1024 * 1024 // 2
    assert full.read - two.read == pytest.approx(6 * expert, rel=0.05)
    assert two.seconds < 0.5 * full.seconds
    assert bench.kernels(grouped(0, 0, 0)) == []


def test_the_next_expert_loads_while_the_last_one_computes():
    bench = Bench()
    both = bench.run(grouped(1, 1)).seconds
    assert both < 2 * bench.run(grouped(1)).seconds
