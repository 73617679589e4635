"""The ``accsim`` command line: finds subcommands, turns errors into one line.

Exit codes: 0 done, 1 the reader of a pipe went away (in silence), 2 the user's input
is wrong (one line on stderr, nothing left behind), 3 a sweep is finished but some of its
points have no result, 130 interrupted.
"""

from __future__ import annotations

import gc
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from simulator import __version__, commands
from simulator.errors import AccsimError, suggest

_ClickException: type[Exception] = typer.BadParameter.__mro__[2]
"""Base of usage errors, wherever this version of typer keeps click."""

_NAMES = tuple(
    sorted(
        module.name
        for module in pkgutil.iter_modules(commands.__path__)
        if not module.name.startswith("_")
    )
)


INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of the signal."""
_COMPLETION = ("install_completion", "show_completion")
"""Options typer adds to an app of its own; a subcommand has none."""


class _LazyCommands(TyperGroup):
    """A group whose subcommands are imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_NAMES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _NAMES:
            return None
        command = typer.main.get_command(import_module(f"simulator.commands.{cmd_name}").app)
        command.name = cmd_name
        command.params = [one for one in command.params if one.name not in _COMPLETION]
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in _NAMES:
            raise AccsimError(f"unknown command '{args[0]}'", remedy=suggest(args[0], _NAMES))
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="accsim",
    cls=_LazyCommands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"accsim {__version__}")
        raise typer.Exit


@app.callback()
def _accsim(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Cycle-level simulation of GPU, PIM and FPGA accelerators for PyTorch workloads."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    command = typer.main.get_command(app)
    try:
        result = command.main(
            args=None if arguments is None else list(arguments),
            prog_name="accsim",
            standalone_mode=False,
        )
        sys.stdout.flush()
    except AccsimError as error:
        return _fail(str(error))
    except _ClickException as error:
        # Without a message, help has been printed because nothing was asked for.
        return _fail(_usage(error)) if _message(error) else 2
    except typer.Exit as stop:
        return stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError:
        # Keep the interpreter from flushing into the closed pipe on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if result == INTERRUPTED:  # Typer makes this of Ctrl-C, without a word.
        return _interrupted()
    return result if isinstance(result, int) else 0


def _interrupted() -> int:
    print("accsim: interrupted", file=sys.stderr)
    return INTERRUPTED


def _message(error: Exception) -> str:
    return " ".join(str(getattr(error, "format_message", error.__str__)()).split())


def _usage(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "accsim"
    return f"{_message(error).rstrip('.')}; see '{path} --help'"


def _fail(message: str) -> int:
    print(f"accsim: error: {message}", file=sys.stderr)
    return 2


def script() -> None:
    """Console entry point."""
    # Nothing here needs a threaded BLAS, whose threads start by spinning.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Start-up makes many objects that stay; looking through them for garbage is a tenth of it.
    gc.set_threshold(200_000, 20, 20)
    sys.exit(main())


if __name__ == "__main__":
    script()
