"""Files are read as documented; a mistake in one is one line that says where."""

import math

import pytest

from simulator.errors import MeasurementError
from simulator.validate.rows import SIZE_RANGES, TABLES, UNTIMED, read_file, read_folder


@pytest.mark.parametrize("name", TABLES)
def test_a_row_holds_what_the_file_says(name, write_file, usual):
    extra = {"flag": "x", "time_us": 12.5, "time_us_min": 12, "time_us_max": ""}
    (row,) = read_file(write_file(name, extra))
    sizes = {key: value for key, value in usual[name].items() if isinstance(value, int)}
    assert dict(row.sizes) == sizes
    assert (row.file, row.line, row.gpu, row.source) == (name, 2, "A100-SXM-80GB", "here")
    assert (row.seconds, row.lowest) == pytest.approx((12.5e-6, 12e-6))
    assert row.highest is None
    assert row.op == usual[name]["op"]


def test_rows_with_watts_are_of_every_kind(write_file, powered):
    path = write_file("power.csv", *powered.values(), {**powered["gemm"], "time_us": ""})
    rows = list(read_file(path))
    assert {row.op for row in rows} == {f"{name}+power" for name in powered}
    by_op = {row.op: row for row in rows if row.timed}
    assert {row.operator for row in rows} == set(powered)
    assert [row.line for row in sorted(rows, key=lambda row: row.line)] == [2, 3, 4, 5, 6, 7]
    assert all(row.watts == 300 and row.words["impl"] == "stack-1.0" for row in rows)
    assert by_op["gemm+power"].sizes == {"m": 1024, "n": 2048, "k": 4096, "batch": 1}
    decode, prefill = by_op["attention_decode+power"], by_op["attention_prefill+power"]
    assert (decode.sizes["q_len"], decode.sizes["kv_len"], decode.sizes["causal"]) == (1, 32, 0)
    assert (prefill.sizes["q_len"], prefill.sizes["kv_len"], prefill.sizes["causal"]) == (
        512,
        512,
        1,
    )
    assert by_op["amax_scale+power"].sizes == {"rows": 8, "cols": 64}
    (blind,) = (row for row in rows if not row.timed)
    assert (blind.line, blind.size_range) == (7, UNTIMED)


def test_a_family_is_in_one_half_with_watts_and_without(write_file, powered):
    (watts,) = read_file(write_file("power.csv", powered["gemm"]))
    (time,) = read_file(write_file("gemm.csv", {"m": 7, "n": 2048, "k": 4096}))
    assert (watts.family, watts.half) == (time.family, time.half)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"power_w": ""}, "power_w '' is not a positive number"),
        ({"k": ""}, "k '' is not a whole number"),
        ({"time_us": "soon"}, "time_us 'soon'"),
    ],
)
def test_an_impossible_row_with_watts_is_named_by_its_line(change, said, write_file, powered):
    usual = powered["gemm"]
    path = write_file("power.csv", usual, powered["amax_scale"], {**usual, **change})
    with pytest.raises(MeasurementError) as caught:
        list(read_file(path))
    assert said in str(caught.value)
    assert "power.csv:4" in str(caught.value)


def test_sizes_a_file_may_lack_have_their_usual_value(write_file):
    path = write_file("gemm.csv")
    path.write_text(path.read_text().replace("batch", "something else"))
    (row,) = read_file(path)
    assert row.sizes["batch"] == 1


@pytest.mark.parametrize("name", TABLES)
def test_a_missing_column_is_named(name, write_file):
    table = TABLES[name]
    for column in ("time_us", "gpu", "op", "timing_method", *table.sizes, *table.words):
        path = write_file(name)
        header, rest = path.read_text().split("\n", 1)
        cells = ["other" if cell == column else cell for cell in header.split(",")]
        path.write_text(",".join(cells) + "\n" + rest)
        with pytest.raises(MeasurementError, match=f"column '{column}' is missing"):
            list(read_file(path))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"m": "-3"}, "m '-3' is not a whole number"),
        ({"m": "1.5"}, "m '1.5' is not"),
        ({"m": ""}, "m '' is not"),
        ({"m": "9" * 30}, "is not a whole number"),
        ({"time_us": "0"}, "time_us '0' is not a positive number"),
        ({"time_us": "nan"}, "time_us 'nan'"),
        ({"time_us": "inf"}, "time_us 'inf'"),
        ({"time_us": "soon"}, "time_us 'soon'"),
        ({"time_us_min": "x"}, "time_us_min 'x'"),
        ({"batch": "0"}, "batch '0'"),
    ],
)
def test_an_impossible_value_is_one_line_with_its_place(change, said, write_file):
    path = write_file("gemm.csv", {}, change)
    with pytest.raises(MeasurementError) as caught:
        list(read_file(path))
    assert said in str(caught.value)
    assert f"{path}:3" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'a,b\n"1,2\n'])
def test_what_is_no_csv_is_one_line(content, tmp_path):
    path = tmp_path / "gemm.csv"
    path.write_bytes(content)
    with pytest.raises(MeasurementError) as caught:
        list(read_file(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_may_be_absent_but_not_all(write_file, tmp_path):
    with pytest.raises(MeasurementError, match="no such folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(MeasurementError, match=r"gemm\.csv"):
        read_folder(tmp_path)
    write_file("moe.csv", {}, {})
    assert len(read_folder(tmp_path).rows) == 2


def test_files_that_are_not_simulated_are_counted(write_file, tmp_path):
    write_file("gemm.csv")
    (tmp_path / "collectives.csv").write_text("op,bytes\na,1\nb,2\n")
    assert read_folder(tmp_path).unread == {"collectives.csv": 2}


def test_ranges_cover_every_time(one_row):
    assert [one_row("gemm.csv", time_us=time).size_range for time in (9.9, 10, 100, 1000)] == [
        name for name, _ in SIZE_RANGES
    ]
    assert SIZE_RANGES[-1][1] == math.inf


def test_a_family_is_in_one_half_whatever_the_input(one_row):
    halves = {}
    for n in range(32, 64):
        rows = [one_row("gemm.csv", m=m, n=n) for m in (1, 7, 64)]
        assert len({row.half for row in rows}) == 1
        halves[n] = rows[0].half
    assert 8 <= sum(halves.values()) <= 24
