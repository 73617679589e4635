"""Figures by their structure: axes, labels, series; pixels are for eyes."""

import math

import pytest

from simulator.results import Result, figures, style
from simulator.results.compare import compare


@pytest.fixture(scope="module")
def content(synthetic):
    return Result(synthetic.decode_step()).to_json()


def labels(axis_labels):
    return [label.get_text() for label in axis_labels]


def test_the_breakdown_stacks_to_the_totals(content):
    figure = figures.breakdown(content)
    time, energy = figure.axes
    kinds = [row["name"] for row in content["kinds"]]
    assert labels(time.get_yticklabels()) == [*kinds, "outside kernels"]
    for axes, total in ((time, content["latency_s"]), (energy, content["energy_j"])):
        drawn = math.fsum(bar.get_width() for group in axes.containers for bar in group)
        assert drawn == pytest.approx(total)
    assert time.get_title(loc="left").startswith("Time:") or time.get_title().startswith("Time:")
    parts = {group.get_label() for group in energy.containers}
    assert parts == {part for part, joules in content["energy_by_part_j"].items() if joules}


def test_no_kernel_stands_above_the_roofs(content):
    figure = figures.roofline(content)
    (axes,) = figure.axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    bandwidth = next(c["peak"] for c in content["components"] if c["name"] == "dram")
    peak = max(c["peak"] for c in content["components"] if c["unit"] == "op/s")
    points = [point for series in axes.collections for point in series.get_offsets()]
    computing = [row for row in content["kernels"] if row["operations"]]
    assert len(points) == len(computing)
    for intensity, rate in points:
        assert rate <= min(peak, bandwidth * intensity)


def test_kernels_without_dram_traffic_stay_on_the_roofline(synthetic):
    cached = synthetic.kernel(dram_bytes_read=0, dram_bytes_written=0)
    (axes,) = figures.roofline(Result(synthetic.run([cached])).to_json()).axes
    ((intensity, _),) = (p for series in axes.collections for p in series.get_offsets())
    assert intensity == axes.get_xlim()[1]


def test_the_strip_has_a_row_per_component(content):
    axes = figures.utilization(content).axes[0]
    assert labels(axes.get_yticklabels()) == list(content["utilization"])
    shape = axes.images[0].get_array().shape
    assert shape == (len(content["utilization"]), len(content["utilization_over_time"]["dram"]))


def test_the_comparison_has_a_bar_per_device(synthetic):
    us = synthetic.US
    slow, fast = (
        Result(synthetic.run([synthetic.kernel(end_fs=end * us)], hardware=name, tokens=2))
        for name, end in (("slow", 90), ("fast", 60))
    )
    figure = figures.comparison(compare([slow, fast]).to_json())
    time, energy = figure.axes
    assert labels(time.get_yticklabels()) == ["slow", "fast"]
    assert [bar.get_width() for bar in time.containers[0]] == [90e-6, 60e-6]
    drawn = math.fsum(bar.get_width() for group in energy.containers for bar in group)
    assert drawn == pytest.approx((slow.energy_j + fast.energy_j) / 2)
    assert any("1.50× faster" in text.get_text() for text in time.texts)


def test_a_slower_device_is_called_slower(synthetic):
    us = synthetic.US
    runs = [
        Result(synthetic.run([synthetic.kernel(end_fs=end * us)], hardware=str(end)))
        for end in (60, 240)
    ]
    time = figures.comparison(compare(runs).to_json()).axes[0]
    assert "4.00× slower" in time.texts[1].get_text()


def test_every_series_has_its_own_colour():
    parts = [
        "dram",
        "l2",
        "matrix",
        "vector",
        "special",
        "static",
        "bank",
        "asic",
        "buffer",
        "link",
        "host",
        "sram",
    ]
    assert len(set(style.colours(parts).values())) == len(parts)


def test_colours_are_stable_and_distinct():
    few = style.colours(["dram", "bank", "asic", "buffer"])
    assert len(set(few.values())) == 4
    assert few["dram"] == style.colours(["matrix", "dram"])["dram"]


@pytest.mark.parametrize("name", ["breakdown", "roofline", "utilization"])
def test_files_are_the_same_bytes_each_time(content, name):
    draw = getattr(figures, name)
    assert style.svg(lambda: draw(content)) == style.svg(lambda: draw(content))
    picture = style.png(lambda: draw(content))
    assert picture == style.png(lambda: draw(content))
    assert picture.startswith(b"\x89PNG")
