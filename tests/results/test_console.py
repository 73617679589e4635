"""What stands on a terminal: the facts, at any width, in any encoding."""

import io
import json

import pytest
from rich.console import Console

from simulator.results import Result, console
from simulator.results.compare import compare


@pytest.fixture(scope="module")
def result(synthetic):
    return Result(synthetic.decode_step())


def text_of(show, *arguments, width=100, encoding="utf-8", terminal=False):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    show(*arguments, Console(file=file, width=width, force_terminal=terminal))
    return raw.getvalue().decode(encoding)


def test_the_summary_says_what_a_person_needs(result):
    text = text_of(console.print_summary, result)
    for said in (
        "toy-7b decode (batch 1, context 2048) on toy-gpu",
        "tokens/s",
        "× the lower bound",
        "(dram)",
        "J/token",
        "event by event",
        "estimated error",
        "gemm",
        "outside kernels",
        "warning: the last wave is 12 % full",
        "guess: gather indices",
        "hardware numbers: datasheet 12",
    ):
        assert said in text
    for component in result.utilization:
        assert f"\n  {component} " in text


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(result, width):
    for show, argument in (
        (console.print_summary, result),
        (console.print_operation, result),
        (console.print_comparison, compare([result, result])),
    ):
        assert all(len(line) <= width for line in text_of(show, argument, width=width).splitlines())


def test_colour_is_for_terminals_only(result):
    assert "\x1b[" not in text_of(console.print_summary, result)
    assert "\x1b[" in text_of(console.print_summary, result, terminal=True)


def test_an_ascii_terminal_gets_ascii(result):
    text = text_of(console.print_summary, result, encoding="ascii")
    assert "1.26 x the lower bound" in text or "x the lower bound" in text
    assert "####" in text


def test_brackets_are_text_not_markup(synthetic):
    record = synthetic.run(
        [synthetic.kernel(kind="[bold]gemm[/]")], warnings=("layers[red] is odd",)
    )
    text = text_of(console.print_summary, Result(record))
    assert "[bold]gemm[/]" in text
    assert "layers[red] is odd" in text


def test_an_operation_names_its_kernel(synthetic):
    result = Result(synthetic.run([synthetic.kernel()]))
    show = lambda result, terminal: console.print_operation(result, terminal, "tile [0]: 3 waves")  # noqa: E731
    text = text_of(show, result)
    assert "gemm 64x64x64" in text
    assert "tile [0]: 3 waves" in text
    content = console.operation_document(result)
    assert content["kernel"] == "gemm 64x64x64"
    demanded = {"latency_s", "bound_latency_s", "energy_j", "kernel", "utilization"}
    assert content.keys() >= demanded
    json.dumps(content, allow_nan=False)


def test_a_comparison_shows_each_device_and_its_notes(synthetic, result):
    other = Result(synthetic.run([synthetic.kernel()], hardware="pim", workload="toy-1b"))
    text = text_of(console.print_comparison, compare([result, other]))
    assert "toy-gpu" in text
    assert "speed-up" in text
    assert "note: pim ran toy-1b" in text


def test_an_empty_run_has_a_summary(synthetic):
    assert "no work" in text_of(console.print_summary, Result(synthetic.run([])))
