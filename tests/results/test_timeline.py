"""The timeline: valid against its schema, exact, and free of impossible overlaps."""

import json
from dataclasses import replace
from importlib.resources import files
from itertools import pairwise

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.results import timeline

SCHEMA = json.loads(files("simulator.results").joinpath("timeline.schema.json").read_text())


@pytest.fixture(scope="module")
def record(synthetic):
    return synthetic.decode_step()


def slices(events, pid):
    return [event for event in events if event["ph"] == "X" and event["pid"] == pid]


def counters(events, name):
    return [event for event in events if event["ph"] == "C" and event["name"] == name]


def assert_no_track_overlaps(events):
    tracks: dict[tuple[int, int], list[dict]] = {}
    for event in events:
        if event["ph"] == "X":
            tracks.setdefault((event["pid"], event["tid"]), []).append(event["args"])
    for track in tracks.values():
        assert all(before["end_fs"] <= after["start_fs"] for before, after in pairwise(track))


def test_the_file_obeys_its_schema(record):
    jsonschema.validate(json.loads(timeline.dumps(record)), SCHEMA)


def test_the_schema_refuses_what_viewers_would(record):
    content = json.loads(timeline.dumps(record))
    content["traceEvents"][-1].pop("pid")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, SCHEMA)


def test_every_kernel_and_host_span_is_a_slice(record):
    events = timeline.events(record)
    kernels = slices(events, timeline.STREAMS)
    assert len(kernels) == len(record.kernels)
    assert len(slices(events, timeline.HOST)) == len(record.host)
    assert [k["args"]["start_fs"] for k in kernels] == [k.start_fs for k in record.kernels]
    assert all(k["ts"] == k["args"]["start_fs"] / 1e9 for k in kernels)


def test_events_are_in_time_order_and_tracks_do_not_overlap(record):
    timed = [event for event in timeline.events(record) if event["ph"] != "M"]
    assert all(before["ts"] <= after["ts"] for before, after in pairwise(timed))
    assert_no_track_overlaps(timed)


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 20), st.integers(0, 2)),
        min_size=1,
        max_size=15,
    )
)
def test_tracks_never_overlap_however_streams_do(synthetic, drawn):
    kernels = [
        synthetic.kernel(i, start, end_fs=start + length, bound_fs=0, stream=stream, busy_fs={})
        for i, (start, length, stream) in enumerate(drawn)
    ]
    events = timeline.events(synthetic.run(kernels))
    assert_no_track_overlaps(events)
    assert len(slices(events, timeline.STREAMS)) == len(kernels)
    named = {event["tid"] for event in events if event["name"] == "thread_name"}
    assert {event["tid"] for event in slices(events, timeline.STREAMS)} <= named


def test_two_streams_add_their_utilization_and_bandwidth(synthetic):
    us = synthetic.US
    one = synthetic.kernel(0, 0, end_fs=100 * us, dram_bytes_written=0, busy_fs={"dram": 40 * us})
    two = synthetic.kernel(
        1, 50 * us, end_fs=150 * us, stream=1, dram_bytes_written=0, busy_fs={"dram": 30 * us}
    )
    events = timeline.events(synthetic.run([one, two]))
    steps = [(event["ts"], event["args"]["percent"]) for event in counters(events, "dram")]
    assert steps == [(0.0, 40.0), (50.0, 70.0), (100.0, 30.0), (150.0, 0.0)]
    bandwidth = counters(events, "DRAM bandwidth (GB/s)")
    assert [event["args"]["read"] for event in bandwidth] == [1000.0, 2000.0, 1000.0, 0.0]


def test_counters_return_to_zero(record):
    events = timeline.events(record)
    for component in record.components:
        assert counters(events, component.name)[-1]["args"] == {"percent": 0.0}


def test_a_run_without_kernels_is_a_valid_timeline(synthetic):
    jsonschema.validate(json.loads(timeline.dumps(synthetic.run([]))), SCHEMA)


def test_the_same_record_gives_the_same_bytes(record, synthetic):
    assert timeline.dumps(record) == timeline.dumps(synthetic.decode_step())


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(1, 20), st.integers(0, 2), st.integers(0, 9)),
        min_size=1,
        max_size=15,
    ),
    st.integers(0, 30),
)
def test_power_integrates_to_the_energy_of_the_run(synthetic, drawn, idle):
    us = 10**9
    kernels = [
        synthetic.kernel(
            i,
            start * us,
            end_fs=(start + length) * us,
            bound_fs=0,
            stream=stream,
            busy_fs={},
            energy_j={"matrix": joules, "dram": 1.0},
        )
        for i, (start, length, stream, joules) in enumerate(drawn)
    ]
    record = synthetic.run(kernels)
    latency_fs = record.latency_fs + idle * us
    energy = {**record.energy_j, "dram": record.energy_j["dram"] + idle}
    record = replace(record, latency_fs=latency_fs, energy_j=energy)
    steps = counters(timeline.events(record), timeline.POWER_TRACK)
    ends = [step["ts"] for step in steps[1:]] + [latency_fs / us]
    joules = sum(
        sum(step["args"].values()) * (end - step["ts"]) * 1e-6
        for step, end in zip(steps, ends, strict=True)
    )
    assert steps[0]["ts"] == 0
    assert joules == pytest.approx(sum(energy.values()), rel=1e-6)
    assert all(value >= 0 for step in steps for value in step["args"].values())
