"""The command line's manners: exit codes, one line for errors, quiet on closed pipes."""

import os
import subprocess
import sys

import pytest

import simulator
from simulator import cli


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and error of one command."""
    code = cli.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("hardware",), "unknown command 'hardware'"),
        (("hw", "shw"), "'shw'"),
        (("hw", "show"), "Missing argument"),
        (("hw", "show", "--jsn", "a100-sxm-80gb"), "--jsn"),
        (("hw", "show", "a100-80gb"), "did you mean 'a100-sxm-80gb'?"),
        (("hw", "show", "a100-sxm-80gb", "extra"), "extra"),
        (("hw", "show", "none.yaml"), "none.yaml: cannot read"),
        (("hw", "show", "a100-sxm-80gb", "--set", "chip.sms"), "KEY=VALUE"),
        (("hw", "show", "a100-sxm-80gb", "--set", "chip.sms=x"), "chip.sms"),
        (("--verbose",), "--verbose"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, arguments, says):
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("accsim: error: ")
    assert says in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_without_arguments_help_is_shown(capsys):
    code, out, err = run(capsys)
    assert code == 2
    assert "Usage" in out
    assert err == ""


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"accsim {simulator.__version__}\n", "")


def test_help_names_every_command(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "hw" in out


def test_an_interrupt_gives_130(capsys, monkeypatch):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("simulator.commands.hw.catalogue", interrupt)
    code, _, err = run(capsys, "hw", "list")
    assert code == 130
    assert err == "accsim: interrupted\n"


def test_a_defect_is_not_swallowed(monkeypatch):
    def defect() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("simulator.commands.hw.catalogue", defect)
    with pytest.raises(ZeroDivisionError):
        cli.main(["hw", "list"])


def test_a_closed_pipe_is_silent():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "simulator.cli", "hw", "show", "a100-sxm-80gb"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert done.stderr == ""
    assert done.returncode in (0, 1)
