"""The shared measurements, where they are at hand: every row is mapped or has a known reason."""

from collections import Counter
from pathlib import Path

import pytest

from simulator.validate.run import compare, prepare

FOLDER = Path(__file__).parents[3] / "shared" / "measured"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the measurements are not here")

EXPECTED = (
    "no description of this GPU",
    "known bad",
    "expert parallelism",
    "below 100 us",
    "several GPUs",
    "the file ",
    "watts",
    "bandwidths",
    "whole models",
    "hardware counters",
    "query heads are not a multiple",
)


@pytest.fixture(scope="module")
def prepared():
    return prepare(FOLDER)


def test_no_row_is_left_out_for_want_of_a_mapping(prepared):
    reasons = {reason for *_, reason in prepared.skipped}
    assert [reason for reason in reasons if not reason.startswith(EXPECTED)] == []


def test_data_sheet_rooflines_are_of_the_measured_times_order(prepared):
    """Rows served by L2 beat DRAM, but a unit or a size that is off would put most rows far
    beyond a roof."""
    groups: Counter[tuple[str, str]] = Counter()
    possible: Counter[tuple[str, str]] = Counter()
    for job in (job for job in prepared.jobs if job.row.timed):
        group = (job.row.gpu, job.row.op)
        groups[group] += 1
        possible[group] += job.row.seconds > 0.5 * job.roof.seconds
    for group, count in groups.items():
        # The L2 of an L40S, 96 MB, serves a tenth of its attention rows.
        in_cache = group[0] == "L40S" and group[1].startswith("attention")
        assert possible[group] > (0.9 if in_cache else 0.95) * count, group


def test_a_few_short_rows_can_be_simulated(prepared):
    short = [job for job in prepared.jobs if job.row.seconds < 20e-6]
    few = compare(type(prepared)(prepared.hardware, tuple(short), prepared.skipped), 12)
    assert len(few.compared) == 12
    assert all(0.05 < one.call.seconds / one.row.seconds < 20 for one in few.compared)
