"""Which request a channel serves first, when it writes, and what refresh costs."""

import pytest
from pool_bench import WRITE, Bench, Request, model
from test_channel_timing import COLUMN_READ, GROUP, SEEN, T, random_requests

from simulator.memory.controller import layout

INTERVAL, REFRESH = T["refresh_interval"], T["rfc"]


@pytest.mark.parametrize("scheduler", ["fr-fcfs", "row-hit-first"])
def test_a_row_hit_overtakes_an_older_conflict(scheduler):
    requests = [Request(row=0), Request(row=1), Request(row=0)]
    _, conflict, hit = Bench(model(scheduler=scheduler), requests).play()
    assert hit < conflict


def test_first_come_first_served_keeps_the_order_of_a_bank():
    requests = [Request(row=row) for row in (0, 1, 0, 2, 2, 1)]
    done = Bench(model(scheduler="fcfs"), requests).play()
    assert done == sorted(done)


def test_first_come_first_served_is_the_slowest():
    """Rows are opened ahead for the oldest request only."""
    spans = {
        scheduler: Bench(model(scheduler=scheduler), random_requests(400, rows=2)).makespan()
        for scheduler in ("fcfs", "fr-fcfs", "row-hit-first")
    }
    assert spans["fcfs"] > 1.5 * max(spans["fr-fcfs"], spans["row-hit-first"])


def test_rows_stay_open_for_older_hits_only_if_hits_go_first():
    """Otherwise the precharge for a younger request goes out between two columns."""
    changes = ("timing.read_to_precharge=2 ck",)
    requests = [*(Request() for _ in range(20)), Request(row=1)]
    opened = {}
    for scheduler in ("fr-fcfs", "row-hit-first"):
        bench = Bench(model(scheduler=scheduler, changes=changes), requests)
        bench.play()
        opened[scheduler] = bench.issued("ACT")
    assert opened["row-hit-first"] == 2 < opened["fr-fcfs"]


def test_a_longer_queue_never_loses_on_random_reads():
    spans = [
        Bench(model(queue=queue), random_requests(400, rows=4)).makespan()
        for queue in (1, 4, 16, 64)
    ]
    assert spans == sorted(spans, reverse=True)
    assert spans[0] > 1.5 * spans[-1]


def test_reads_go_first_until_writes_pile_up():
    reads = [Request(bank=GROUP * (i % 4)) for i in range(40)]
    writes = [Request(at=1, bank=GROUP * (i % 4), kind=WRITE) for i in range(8)]
    few = Bench(model(), reads + writes).play()
    eager = ("controller.write_high=0.1", "controller.write_low=0.03")
    many = Bench(model(changes=eager), reads + writes).play()
    assert min(few[40:]) > max(few[:40]) - COLUMN_READ
    assert min(many[40:]) < max(many[:40]) - COLUMN_READ


def test_writes_are_drained_from_one_mark_down_to_the_other():
    """Reads without end; 60 writes come at once. With 64 places the marks are 51 and 13."""
    reads = [Request(at=2 * i, bank=GROUP * (i % 4)) for i in range(2000)]
    writes = [Request(at=100, bank=GROUP * (i % 4), kind=WRITE) for i in range(60)]
    bench = Bench(model(), reads + writes)
    bench.play()
    columns = bench.log[:, 1]
    written, read = bench.ticks("WR"), bench.ticks("RD")
    burst = written[(written < read[-1])]
    assert len(burst) == 60 - 12
    assert set(columns[(bench.log[:, 0] > burst[0]) & (bench.log[:, 0] < burst[-1])]) == {layout.WR}


class TestRefresh:
    def stream(self, refresh: str) -> Bench:
        requests = [
            Request(bank=GROUP * (i % 4) + i // 4 % 4, row=i // 64, accesses=8) for i in range(4000)
        ]
        return Bench(model(refresh=refresh), requests)

    def test_all_banks_cost_more_than_one_at_a_time(self):
        """That may be postponed until its bank has no requests, and then costs nothing."""
        none, per_bank, all_bank = (
            self.stream(mode).makespan() for mode in ("none", "per_bank", "all_bank")
        )
        assert none <= per_bank < all_bank
        # Banks close before a refresh and open after it.
        lost = REFRESH + T["read_to_precharge"] + T["precharge"] + T["rcd_read"]
        assert all_bank / none == pytest.approx(1 / (1 - lost / INTERVAL), rel=0.02)

    @pytest.mark.parametrize(
        ("mode", "command", "each"), [("all_bank", "REFab", 1), ("per_bank", "REFpb", 16)]
    )
    def test_a_busy_channel_refreshes_on_time(self, mode, command, each):
        bench = self.stream(mode)
        due = bench.makespan() * each / INTERVAL
        postponed = 8 * each if mode == "per_bank" else 1
        assert due - each - postponed <= bench.issued(command) <= due + 1

    def test_a_read_waits_for_the_refresh_it_meets(self):
        bench = Bench(model(refresh="all_bank"), [Request(at=INTERVAL + 1)])
        (done,) = bench.play()
        (refresh,) = bench.ticks("REFab")
        assert INTERVAL <= refresh <= INTERVAL + SEEN
        assert done == refresh + REFRESH + T["rcd_read"] + COLUMN_READ

    def test_an_idle_channel_has_refreshed_in_the_meantime(self):
        late = 20 * INTERVAL + INTERVAL // 2
        bench = Bench(model(refresh="all_bank"), [Request(), Request(at=late)])
        _, done = bench.play()
        assert done - late == SEEN + T["rcd_read"] + COLUMN_READ
        assert bench.counted(layout.N_COMMAND + layout.REFAB) == 20
