"""Matrix products: split-K, groups of experts, tile choice, narrow and pruned operands."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest

from simulator.errors import HardwareError
from simulator.gpu.mapping import tiles
from simulator.gpu.mapping.tiles import Problem


def test_split_k_pays_with_partial_sums(lab: SimpleNamespace) -> None:
    """Few tiles and a long K: parts of K in parallel, then their sum."""
    work = lab.gemm(64, 64, 16384)
    played = lab.play(work)
    product, reduction = played.kernels
    split = int(product.rsplit(maxsplit=1)[1])
    assert split > 1 and reduction == "elementwise"
    partial = 4 * work.m * work.n * split
    assert played.stored == partial + work.bytes_written
    assert played.loaded >= work.bytes_read + partial


def test_the_kernel_that_adds_the_parts_has_its_own_ramp(lab: SimpleNamespace) -> None:
    """Split products pay it once, others never."""
    slower = lab.platform("a100-sxm-80gb", "launch.reduction_ramp=1.8us")
    base = lab.platform("a100-sxm-80gb", "launch.reduction_ramp=0.8us")
    for work, paid in ((lab.gemm(64, 64, 65536), 1e-6), (lab.gemm(64, 4096, 256), 0.0)):
        times = [lab.Bench(platform).play(work).seconds for platform in (base, slower)]
        assert times[1] - times[0] == pytest.approx(paid, abs=1e-12)


@pytest.mark.parametrize("pitch", [4096, 6144, 8192, 12288])
def test_no_pitch_of_rows_meets_a_few_channels(lab: SimpleNamespace, pitch: int) -> None:
    """A skinny product whose rows lie a round number of bytes apart streams them as fast as one
    whose rows do not, but for what its blocks have at their ends."""
    rate = []
    for k in (pitch, pitch - 64):
        work = lab.gemm(64, 4096, k)
        rate.append(2 * 4096 * k / lab.Bench(lab.platform("l40s")).play(work).seconds)
    assert rate[0] == pytest.approx(rate[1], rel=0.12)


def test_split_k_is_worth_it(lab: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    work = lab.gemm(64, 64, 16384)
    with_split = lab.play(work)
    monkeypatch.setattr(tiles, "SPLITS", (1,))
    whole = lab.play(work)
    assert len(whole.kernels) == 1
    assert with_split.seconds < 0.5 * whole.seconds


def test_time_grows_with_every_extent(lab: SimpleNamespace) -> None:
    base = (256, 256, 1024, 2)
    seconds = lab.play(lab.gemm(*base)).seconds
    for axis in range(4):
        larger = [8 * size if i == axis else size for i, size in enumerate(base)]
        assert lab.play(lab.gemm(*larger)).seconds > seconds, larger


def test_tile_quantization(lab: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row more than a whole wave of tiles costs a wave, not one row."""
    tile = tiles.choose(
        lab.a100.spec, Problem(1, 4096, 4096, 4096, 2, 2, 2, lab.a100.spec.matrix_peak("bfloat16"))
    )
    assert tiles.resident(lab.a100.spec, tile) == 1
    monkeypatch.setattr(tiles, "choose", lambda *_, **__: tile)
    columns, rows = 12 * tile.n, 9 * tile.m  # 108 tiles, one per SM
    full = lab.play(lab.gemm(rows, columns, 2048)).seconds
    more = lab.play(lab.gemm(rows + 1, columns, 2048)).seconds
    assert more > 1.6 * full


def test_a_chosen_tile_fits_its_sm(lab: SimpleNamespace) -> None:
    spec = lab.a100.spec
    for m in (1, 17, 300, 5000):
        for n in (1, 48, 4096):
            for k in (3, 128, 5000):
                tile = tiles.choose(spec, Problem(1, m, n, k, 2, 2, 2, 3e14))
                assert tile.shared <= spec.chip.sm.shared_memory
                assert tile.registers <= spec.chip.sm.registers
                assert tiles.resident(spec, tile) * tile.threads <= spec.chip.sm.threads


def test_smaller_shared_memory_means_smaller_tiles(lab: SimpleNamespace) -> None:
    small = lab.platform("a100-sxm-80gb", "chip.sm.shared_memory=48 KiB")
    problem = Problem(1, 4096, 4096, 4096, 2, 2, 2, 3e14)
    ours, theirs = (tiles.choose(p.spec, problem) for p in (lab.a100, small))
    assert theirs.shared <= 48 << 10 < ours.shared


def test_product_of_columns_and_rows_reads_no_padding(lab: SimpleNamespace) -> None:
    """Rows shorter than a line lie side by side: k = 1 moves one element per row."""
    work = lab.gemm(4096, 64, 1)
    played = lab.play(work)
    assert played.dram_read <= work.bytes_read + 2 * lab.SECTOR


@pytest.mark.parametrize("bits", [8, 4])
def test_narrow_weights_move_fewer_bytes(lab: SimpleNamespace, bits: int) -> None:
    work = lab.gemm(1, 4096, 4096)
    a, b = work.reads
    narrow = replace(b, bytes=b.bytes * bits // 16, span=b.bytes * bits // 16, bits=bits)
    quantized = replace(work, reads=(a, replace(narrow, dtype=f"int{bits}")))
    full, thin = lab.play(work), lab.play(quantized)
    assert thin.dram_read == pytest.approx(full.dram_read * bits / 16, rel=0.02)
    assert thin.seconds < full.seconds


def test_pruned_weights_save_traffic_and_no_products(lab: SimpleNamespace) -> None:
    thin_row = lab.gemm(1, 4096, 4096)
    square = lab.gemm(4096, 4096, 512)

    def pruned(work: SimpleNamespace) -> SimpleNamespace:
        a, b = work.reads
        half = replace(b, bytes=b.bytes // 2, span=b.bytes // 2)
        return replace(work, reads=(a, half), density=0.5)

    assert lab.play(pruned(thin_row)).dram_read < 0.6 * lab.play(thin_row).dram_read
    assert lab.play(pruned(square)).seconds > 0.85 * lab.play(square).seconds


def test_products_without_a_matrix_pipe_use_the_lanes(lab: SimpleNamespace) -> None:
    work = lab.gemm(512, 512, 512)
    wide = tuple(replace(o, bytes=2 * o.bytes, span=2 * o.span, bits=32, dtype="float32")
                 for o in work.reads)  # fmt: skip
    assert lab.play(replace(work, reads=wide)).seconds > 2 * lab.play(work).seconds


def test_every_product_of_a_batch_has_its_own_place(lab: SimpleNamespace) -> None:
    (kernel,) = lab.a100.kernels(lab.gemm(16, 16, 16, 1000), lab.address)
    assert kernel.count == 1000
    step = 2 * 16 * 16
    for column, stride in ((1, step), (2, step), (3, 16 * 16)):
        assert set(kernel.tasks[1:, column] - kernel.tasks[:-1, column]) == {stride}


class TestGroups:
    def test_time_grows_with_rows(self, lab: SimpleNamespace) -> None:
        seconds = [lab.play(lab.grouped((r,) * 8, 1024, 1024)).seconds for r in (1, 64, 512)]
        assert seconds == sorted(seconds)
        assert seconds[2] > 2 * seconds[0]

    def test_experts_without_rows_cost_nothing(self, lab: SimpleNamespace) -> None:
        two = lab.play(lab.grouped((4, 4), 1024, 1024))
        of_eight = lab.play(lab.grouped((4, 0, 0, 0, 4, 0, 0, 0), 1024, 1024))
        all_eight = lab.play(lab.grouped((1,) * 8, 1024, 1024))
        assert of_eight.dram_read == two.dram_read
        # Its weights lie in other banks.
        assert of_eight.seconds == pytest.approx(two.seconds, rel=0.03)
        assert all_eight.dram_read > 3.9 * of_eight.dram_read

    def test_one_launch(self, lab: SimpleNamespace) -> None:
        assert len(lab.play(lab.grouped((3, 9, 0, 1), 256, 256)).kernels) == 1

    def test_skew_is_slower_than_balance(self, lab: SimpleNamespace) -> None:
        """The same rows on one expert reread nothing, but fill fewer SMs per weight byte."""
        even = lab.play(lab.grouped((64,) * 8, 256, 2048))
        skewed = lab.play(lab.grouped((505, 1, 1, 1, 1, 1, 1, 1), 256, 2048))
        assert skewed.dram_read == even.dram_read
        assert skewed.stored == even.stored


def test_an_sm_without_room_for_a_tile_is_a_hardware_error(lab: SimpleNamespace) -> None:
    """Descriptions this small are refused; a caller may still build one."""
    spec = lab.a100.spec
    sm = spec.chip.sm.model_copy(update={"shared_memory": 1024})
    tiny = spec.model_copy(update={"chip": spec.chip.model_copy(update={"sm": sm})})
    with pytest.raises(HardwareError, match=r"no tile .* 1024 B of shared memory.*raise"):
        tiles.choose(tiny, Problem(1, 64, 64, 64, 2, 2, 2, 3e14))


@pytest.mark.parametrize("name", ["h100-sxm", "a100-sxm-80gb"])
def test_tiles_are_whole_instructions_either_way_round(lab: SimpleNamespace, name: str) -> None:
    platform = lab.platform(name)
    rows, columns = platform.spec.chip.sm.tile_rows, platform.spec.chip.sm.tile_columns
    for m, n, k in itertools.product((2, 17, 64, 300, 2048), (8, 96, 1000, 4096), (32, 1024)):
        label = platform.kernels(lab.gemm(m, n, k), lab.address)[0].name.split()[1]
        sides = tuple(int(side) for side in label.split("x"))
        assert any(
            one % rows == 0 and other % columns == 0 for one, other in (sides, sides[::-1])
        ), label


def test_a_lone_step_lasts_as_long_as_its_instructions(lab: SimpleNamespace) -> None:
    """64 elements of bf16 are four instructions of wgmma in a row, and a barrier."""
    times = []
    for k in (256, 512):
        bench = lab.Bench(lab.platform("h100-sxm"))
        bench.play(lab.gemm(16, 64, k))
        played = bench.play(lab.gemm(16, 64, k))
        assert played.dram_read == 0 and len(played.kernels) == 1
        times.append(played.seconds)
    sm, clock = bench.platform.spec.chip.sm, bench.platform.spec.chip.clock
    step = (4 * sm.instruction_cycles + sm.barrier_cycles) / clock
    assert times[1] - times[0] == pytest.approx(4 * step, rel=0.02)


def test_warpgroups_hide_each_others_latency(lab: SimpleNamespace) -> None:
    def seconds(groups: int) -> float:
        platform = lab.platform("h100-sxm", f"chip.sm.warpgroups={groups}")
        return float(lab.Bench(platform).play(lab.gemm(2048, 2048, 2048)).seconds)

    assert seconds(2) < seconds(1)


def test_outputs_that_stay_in_the_cache_take_its_slices_longer_than_inputs(
    lab: SimpleNamespace,
) -> None:
    """All SMs store at once: the time is that of the slices."""
    size, times = 16 << 20, []
    for cost in ("2.0", "4.0"):
        bench = lab.Bench(lab.platform("h100-sxm", f"l2.write_cost={cost}"))
        bench.play(lab.elementwise(size // 2, inputs=0))
        played = bench.play(lab.elementwise(size // 2, inputs=0))
        assert played.stored == size
        times.append(played.seconds)
    more = 2 * size / bench.platform.spec.l2_bytes_per_s
    assert times[1] - times[0] == pytest.approx(more, rel=0.15)


def test_tiles_have_the_sides_that_the_library_has(lab: SimpleNamespace) -> None:
    """A row of A fills a tile of 64 with ``mma.sync``; narrower ones would need other kernels."""
    for name, least in (("a100-sxm-80gb", 64), ("l40s", 64), ("h100-sxm", 16), ("h200-sxm", 8)):
        spec = lab.platform(name).spec
        assert min(spec.chip.sm.tile_sides) == least
        for m, n, k in ((1, 4096, 512), (200, 320, 8192), (4096, 4096, 4096)):
            tile = tiles.choose(spec, Problem(1, m, n, k, 2, 2, 2, 3e14))
            assert {tile.m, tile.n} <= set(spec.chip.sm.tile_sides)


def test_instructions_of_which_no_tile_is_made_are_a_hardware_error(lab: SimpleNamespace) -> None:
    platform = lab.platform("h100-sxm", "chip.sm.tile_rows=1000", "chip.sm.tile_columns=1000")
    for m in (8, 512):
        with pytest.raises(HardwareError, match=r"chip\.sm\.tile_rows.*multiple of 1000"):
            platform.kernels(lab.gemm(m, 512, 512), lab.address)
