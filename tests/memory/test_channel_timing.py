"""One channel against closed forms: latencies, distances, caps of activates and columns.

A request that arrives at a tick is seen at the next one. Reads end with their last data, writes
with their last command.
"""

import numpy as np
import pytest
from pool_bench import BUFFER, WRITE, Bench, Request, model, units

from simulator.hardware import catalogue, resolve, validate
from simulator.memory.model import channel_of
from simulator.memory.spec import MemorySpec

SEEN = 1
FAR = 10_000
"""A tick by which a lone request has left no trace but its open row."""
GROUP = 4
"""Banks of a bank group, which are neighbours."""
CHANNEL = model()
T = CHANNEL.device.ticks
COLUMN_READ = T["read_latency"] + T["burst"]
"""From a read command to its last data."""


def random_requests(count: int, rows: int = 1 << 14) -> list[Request]:
    generator = np.random.default_rng(0)
    banks, chosen = generator.integers(16, size=count), generator.integers(rows, size=count)
    return [Request(bank=int(b), row=int(r)) for b, r in zip(banks, chosen, strict=True)]


def ends(*requests: Request, changes: tuple[str, ...] = ()) -> list[int]:
    return Bench(model(changes=changes), requests).play()


class TestLoneRequest:
    def test_closed_row_takes_activate_column_and_burst(self):
        assert ends(Request()) == [SEEN + T["rcd_read"] + COLUMN_READ]

    def test_open_row_takes_column_and_burst(self):
        _, hit = ends(Request(), Request(at=FAR))
        assert hit - FAR == SEEN + COLUMN_READ

    def test_other_row_takes_a_precharge_more(self):
        _, conflict = ends(Request(row=0), Request(row=1, at=FAR))
        assert conflict - FAR == SEEN + T["precharge"] + T["rcd_read"] + COLUMN_READ

    def test_write_ends_with_its_command(self):
        closed, hit = ends(Request(kind=WRITE), Request(kind=WRITE, at=FAR))
        assert (closed, hit - FAR) == (SEEN + T["rcd_write"], SEEN)

    def test_accesses_of_one_request_are_a_long_column_interval_apart(self):
        assert ends(Request(accesses=8)) == [SEEN + T["rcd_read"] + COLUMN_READ + 7 * T["ccd_l"]]

    def test_buffer_transfer_uses_the_pins_without_a_bank(self):
        bench = Bench(model(lockstep=units(16)), [Request(kind=BUFFER, accesses=10)])
        assert bench.play() == [SEEN + 10 * T["ccd_s"] + T["read_latency"]]
        assert (bench.issued("BUF"), bench.issued("ACT")) == (10, 0)

    def test_a_wide_activate_takes_its_clocks(self):
        """Of HBM2, two: a read counts from the second."""
        channel = model("hbm2-2.0")
        t = channel.device.ticks
        latency = SEEN + 1 + t["rcd_read"] + t["read_latency"] + t["burst"]
        assert Bench(channel, [Request()]).play() == [latency]


@pytest.mark.parametrize(
    ("changes", "cycle"),
    [
        ((), T["ras"] + T["precharge"]),
        (("timing.rc=200 ck",), 200),
        (("timing.read_to_precharge=300 ck",), T["rcd_read"] + 300 + T["precharge"]),
    ],
)
def test_a_bank_opens_rows_a_row_cycle_apart(changes, cycle):
    first, second = ends(Request(row=0), Request(row=1), changes=changes)
    assert second - first == cycle


def test_a_written_row_closes_only_after_write_recovery():
    requests = [Request(kind=WRITE), Request(row=1, at=100)]
    write, read = ends(*requests, changes=("timing.write_recovery=200 ck",))
    recovered = write + T["write_latency"] + T["burst"] + 200
    assert read == recovered + T["precharge"] + T["rcd_read"] + COLUMN_READ


class TestActivates:
    @pytest.mark.parametrize(("banks", "distance"), [((0, GROUP), 40), ((0, 1), 60)])
    def test_of_one_group_are_further_apart(self, banks, distance):
        changes = ("timing.rrd_s=40 ck", "timing.rrd_l=60 ck", "timing.faw=160 ck")
        bench = Bench(model(changes=changes), [Request(bank=bank) for bank in banks])
        bench.play()
        assert np.diff(bench.ticks("ACT")).tolist() == [distance]

    @pytest.mark.parametrize("faw", [60, 100, 160])
    def test_of_random_reads_are_four_a_window(self, faw):
        bench = Bench(model(changes=(f"timing.faw={faw} ck",)), random_requests(800))
        time, activates = bench.makespan(), bench.ticks("ACT")
        assert (activates[4:] - activates[:-4]).min() == faw
        floor = (len(activates) / 4 - 1) * faw
        assert floor <= time
        if faw == 160:  # then nothing else binds
            assert time < 1.1 * floor


class TestColumns:
    def rotating(self, groups: int) -> int:
        """Ticks of requests over the first banks of some groups, always the same row; without
        the latency of the first."""
        requests = [Request(bank=GROUP * (i % groups), accesses=8) for i in range(200)]
        return Bench(CHANNEL, requests).makespan() - SEEN - T["rcd_read"] - COLUMN_READ

    def test_one_bank_group_is_limited_by_the_long_interval(self):
        assert self.rotating(groups=1) == 1599 * T["ccd_l"]

    def test_four_bank_groups_fill_the_pins(self):
        assert 1599 * T["ccd_s"] <= self.rotating(groups=4) < 1600 * T["ccd_s"] * 1.02

    @pytest.mark.parametrize("entry", catalogue("memory"), ids=lambda entry: entry.name)
    def test_shipped_memories_stream_near_but_not_above_their_pins(self, entry):
        spec = validate(resolve(entry.name, ["timing.refresh.mode=none"]), MemorySpec)
        channel, block = channel_of(spec), spec.mapping.bank_interleave
        order = channel.bank_order()
        accesses = block // spec.organization.access
        stripe = len(order) * spec.organization.row // block
        requests = [
            Request(bank=int(order[i % len(order)]), row=i // stripe, accesses=accesses)
            for i in range(400)
        ]
        seconds = Bench(channel, requests).makespan() * channel.device.tick_fs * 1e-15
        rate = 400 * accesses * spec.organization.access / seconds
        # tCCD_S is whole clocks, so bursts match the pins to a percent only.
        assert 0.93 < rate / spec.channel_bytes_per_s < 1.01


class TestTurnaround:
    @pytest.mark.parametrize(("bank", "wait"), [(1, "wtr_l"), (GROUP, "wtr_s")])
    def test_write_to_read(self, bank, wait):
        opened = [Request(bank=0), Request(bank=bank)]
        *_, write, read = ends(*opened, Request(at=FAR, kind=WRITE), Request(at=FAR + 1, bank=bank))
        assert read - COLUMN_READ - write == T["write_latency"] + T["burst"] + T[wait]

    def test_read_to_write(self):
        opened = [Request(bank=0), Request(bank=GROUP)]
        *_, read, write = ends(
            *opened, Request(at=FAR), Request(at=FAR + 1, bank=GROUP, kind=WRITE)
        )
        assert write - (read - COLUMN_READ) == T["rtw"]

    def test_switching_costs_more_than_grouping(self):
        def span(kinds: list[int]) -> int:
            requests = [
                Request(at=20 * i, bank=GROUP * (i % 4), kind=kind, accesses=4)
                for i, kind in enumerate(kinds)
            ]
            return Bench(model(queue=1), requests).makespan()

        assert span([0, WRITE] * 64) > 1.25 * span([0] * 64 + [WRITE] * 64)
