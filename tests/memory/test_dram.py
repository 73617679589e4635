"""One DRAM channel against closed forms: latencies, caps, refresh, scheduling, macros."""

import itertools

import numpy as np
import pytest
from dram_bench import BUFFER, MACRO, WRITE, Channels, Request, timing

from simulator.hardware import catalogue, resolve, validate
from simulator.memory import dram
from simulator.memory.channel import timing_row
from simulator.memory.spec import MemorySpec

FAR = 10_000
"""A time by which a lone request has left no trace but its open row."""


def random_requests(count: int, seed: int = 0, rows: int = 1 << 20, **fixed) -> list[Request]:
    generator = np.random.default_rng(seed)
    banks, chosen = generator.integers(16, size=count), generator.integers(rows, size=count)
    return [Request(int(b), int(r), **fixed) for b, r in zip(banks, chosen, strict=True)]


def rotating(count: int, groups: int, bursts: int = 8) -> list[Request]:
    """Requests over the first banks of some groups, always the same row."""
    return [Request(bank=i % groups, bursts=bursts) for i in range(count)]


class TestLoneRequest:
    def test_closed_row_takes_activate_column_and_burst(self):
        assert Channels(timing()).play([Request()]) == [14 + 14 + 2]

    def test_open_row_takes_column_and_burst(self):
        _, hit = Channels(timing()).play([Request(), Request(at=FAR)])
        assert hit - FAR == 14 + 2

    def test_other_row_takes_a_precharge_more(self):
        _, conflict = Channels(timing()).play([Request(row=0), Request(row=1, at=FAR)])
        assert conflict - FAR == 13 + 14 + 14 + 2

    def test_write_has_its_own_latencies(self):
        assert Channels(timing()).play([Request(kind=WRITE)]) == [12 + 10 + 2]

    def test_bursts_of_one_bank_are_a_long_column_interval_apart(self):
        assert Channels(timing()).play([Request(bursts=8)]) == [14 + 14 + 2 + 7 * 4]

    def test_buffer_transfer_uses_the_bus_without_a_bank(self):
        bench = Channels(timing())
        assert bench.play([Request(kind=BUFFER, bursts=10)]) == [10 * 2 + 14]
        assert bench.count(dram.N_ACT) == 0


class TestRowCycle:
    def test_a_bank_opens_rows_a_row_cycle_apart(self):
        first, second = Channels(timing()).play([Request(row=0), Request(row=1)])
        assert second - first == 45

    def test_a_written_row_closes_only_after_write_recovery(self):
        write, read = Channels(timing(wr=200)).play(
            [Request(row=0, kind=WRITE), Request(row=1, at=30)]
        )
        assert read >= write + 200 + 13 + 14 + 14 + 2

    def test_a_read_row_closes_only_after_read_to_precharge(self):
        first, second = Channels(timing(rtp=300)).play([Request(row=0), Request(row=1)])
        column = first - 14 - 2
        assert second == column + 300 + 13 + 14 + 14 + 2


class TestActivateCaps:
    def test_no_five_activates_in_one_window(self):
        bench = Channels(timing(window=4))
        bench.play(random_requests(400))
        times = np.array(bench.activates)
        assert len(times) == bench.count(dram.N_ACT)
        assert (times[4:] - times[:-4]).min() == 20

    @pytest.mark.parametrize("faw", [20, 40, 80])
    def test_random_bandwidth_is_four_bursts_a_window(self, faw):
        bench = Channels(timing(faw=faw))
        time = bench.makespan(random_requests(800))
        floor = (bench.count(dram.N_ACT) / 4 - 1) * faw
        assert floor <= time
        if faw == 80:  # then nothing else binds
            assert time < 1.1 * floor

    def test_activates_keep_their_distance(self):
        for banks, distance in (((0, 1), 40), ((0, 4), 60)):
            bench = Channels(timing(rrd_s=40, rrd_l=60))
            bench.play([Request(bank=bank) for bank in banks])
            assert np.diff(bench.activates).tolist() == [distance]


class TestColumnCaps:
    def test_one_bank_group_is_limited_by_the_long_interval(self):
        time = Channels(timing()).makespan(rotating(200, groups=1))
        assert 1600 * 4 <= time < 1600 * 4 * 1.01

    def test_four_bank_groups_fill_the_pins(self):
        time = Channels(timing()).makespan(rotating(200, groups=4))
        assert 1600 * 2 <= time < 1600 * 2 * 1.02

    @pytest.mark.parametrize("entry", catalogue("memory"), ids=lambda entry: entry.name)
    def test_shipped_memories_stream_near_but_not_above_their_pins(self, entry):
        spec = validate(resolve(entry.name, ["timing.refresh.mode=none"]), MemorySpec)
        row = timing_row(spec)
        bursts = int(row[dram.M_BANK_BYTES]) // spec.organization.access
        groups = spec.organization.bank_groups
        requests = [Request(bank=i % groups, bursts=bursts) for i in range(400)]
        seconds = Channels(row).makespan(requests) * 1e-9
        rate = 400 * bursts * spec.organization.access / seconds
        # tCCD_S is whole clocks, so bursts match the pins to a percent only.
        assert 0.93 < rate / spec.channel_bytes_per_s < 1.01


class TestTurnaround:
    def test_write_to_read(self):
        bench = Channels(timing())
        bench.play([Request(bank=0), Request(bank=1)])
        write, read = bench.play([Request(bank=0, kind=WRITE, at=FAR), Request(bank=1, at=FAR + 1)])
        column = write - 10 - 2
        assert read - 14 - 2 == column + 2 + 10 + 8

    def test_read_to_write(self):
        bench = Channels(timing())
        bench.play([Request(bank=0), Request(bank=1)])
        read, write = bench.play([Request(bank=0, at=FAR), Request(bank=1, kind=WRITE, at=FAR + 1)])
        assert (write - 10 - 2) - (read - 14 - 2) == 10

    def test_switching_costs_more_than_grouping(self):
        def span(kinds: list[int]) -> float:
            bench = Channels(timing(window=1, write_high=1, write_low=0))
            return bench.makespan(
                Request(bank=i % 4, kind=kind, bursts=4, at=10 * i) for i, kind in enumerate(kinds)
            )

        assert span([0, WRITE] * 64) > 1.25 * span([0] * 64 + [WRITE] * 64)


class TestScheduling:
    def test_a_row_hit_overtakes_an_older_conflict(self):
        requests = [Request(row=0), Request(row=1), Request(row=0)]
        _, conflict, hit = Channels(timing()).play(requests)
        assert hit < conflict

    def test_a_window_of_one_is_first_come_first_served(self):
        done = Channels(timing(window=1)).play(random_requests(100, rows=2))
        assert done == sorted(done)

    def test_a_larger_window_never_loses_on_random_reads(self):
        spans = [
            Channels(timing(window=window)).makespan(random_requests(400, rows=4))
            for window in (1, 4, 16, 64)
        ]
        assert spans == sorted(spans, reverse=True)
        assert spans[0] > 1.5 * spans[-1]

    def test_reads_go_first_until_writes_pile_up(self):
        writes = [Request(bank=i % 4, kind=WRITE, at=1) for i in range(8)]
        reads = [Request(bank=i % 4) for i in range(40)]
        few = Channels(timing(write_high=24)).play(reads + writes)
        many = Channels(timing(write_high=6, write_low=2)).play(reads + writes)
        assert min(few[40:]) > max(few[:40])
        assert min(many[40:]) < max(many[:40])


class TestRefresh:
    def stream(self, **mode: float) -> tuple[float, int]:
        bench = Channels(timing(**mode))
        return bench.makespan(
            [Request(bank=i % 16, row=i // 64, bursts=8) for i in range(4000)]
        ), bench.count(dram.N_REFRESH)

    def test_all_banks_cost_more_than_one_at_a_time_and_that_more_than_none(self):
        none, _ = self.stream()
        per_bank, _ = self.stream(refi=3900, per_bank_refresh=1)
        all_bank, count = self.stream(refi=3900)
        assert none < per_bank < all_bank
        assert count == int(all_bank // 3900) or count == int(all_bank // 3900) + 1
        share = 300 / 3900
        assert all_bank / none - 1 == pytest.approx(share / (1 - share), rel=0.35)

    def test_per_bank_refreshes_each_bank_in_its_turn(self):
        time, count = self.stream(refi=3900, per_bank_refresh=1)
        assert count == pytest.approx((time - 3900) / 3900 * 16, abs=2)  # the first after tREFI

    def test_a_read_waits_for_the_refresh_it_meets(self):
        (done,) = Channels(timing(refi=3900)).play([Request(at=3901)])
        assert done == 3900 + 300 + 14 + 14 + 2

    def test_an_idle_channel_has_refreshed_in_the_meantime(self):
        bench = Channels(timing(refi=3900))
        _, late = bench.play([Request(), Request(at=20 * 3900 + 1000)])
        assert late - 20 * 3900 - 1000 == 14 + 14 + 2
        assert bench.count(dram.N_REFRESH) == 20


class TestMacro:
    @pytest.mark.parametrize("columns", [1, 16, 64])
    def test_a_row_costs_activate_columns_and_precharge(self, columns):
        bench = Channels(timing())
        done = bench.play([Request(kind=MACRO, row=i, bursts=columns) for i in range(20)])
        column, rcd, rtp, rp, ras, rc = 2, 14, 6, 13, 32, 45
        period = max(rc, max(ras, rcd + (columns - 1) * column + rtp) + rp)
        assert np.diff(done).tolist() == [period] * 19
        assert bench.count(dram.N_ACT) == 20 * 16

    def test_an_open_row_is_not_opened_again(self):
        bench = Channels(timing())
        done = bench.play([Request(kind=MACRO, row=3, bursts=10) for _ in range(5)])
        assert np.diff(done).tolist() == [20] * 4
        assert bench.count(dram.N_ACT) == 16

    def test_a_refresh_splits_a_long_macro_and_loses_no_column(self):
        columns = 10_000
        plain = Channels(timing()).play([Request(kind=MACRO, bursts=columns)])[0]
        bench = Channels(timing(refi=3900))
        split = bench.play([Request(kind=MACRO, bursts=columns)])[0]
        refreshes = bench.count(dram.N_REFRESH)
        assert refreshes == int(split // 3900)
        assert bench.count(dram.N_MACRO_COLUMNS) == columns
        # Each refresh closes the row, which is then opened again.
        assert split - plain >= refreshes * (300 + 14)
        assert split - plain <= refreshes * (300 + 14 + 13 + 6 + 2)

    def test_reads_and_macros_keep_their_order(self):
        requests = [Request(row=0), Request(kind=MACRO, row=9, bursts=4), Request(row=0)]
        done = Channels(timing()).play(requests)
        assert done == sorted(done)


def test_requests_of_one_channel_do_not_disturb_another():
    pairs = itertools.product(range(50), range(2))
    both = [Request(bank=i % 16, row=i, channel=channel) for i, channel in pairs]
    alone = [request for request in both if request.channel == 0]
    together = Channels(timing(), 2).play(both)
    assert together[::2] == Channels(timing()).play(alone)
