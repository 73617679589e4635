"""Imports run one way, torch stays where it is needed, the command line starts light."""

import ast
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import simulator
from simulator import commands

PACKAGE = Path(simulator.__file__).parent

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "paths"}),
    frozenset({"units", "compiled"}),
    frozenset({"trace", "hardware"}),
    frozenset({"memory"}),
    frozenset({"engine"}),
    frozenset({"gpu", "pim", "fpga", "cpu"}),
    frozenset({"power"}),
    frozenset({"system"}),
    frozenset({"results"}),
    frozenset({"validate"}),
    frozenset({"api"}),
    frozenset({"mapping_search", "hybrid", "sweep"}),
    frozenset({"commands"}),
    frozenset({"cli"}),
)
"""A module may import from its own package and from the layers before its own."""

RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "_data" not in path.parts)


def unit_of(path: Path) -> str:
    """The layer's member a file belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Dotted names a module imports anywhere, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the direction"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def violations(source: str, unit: str) -> list[str]:
    """Imports that run against the layers."""
    found = []
    for name, line in imported(ast.parse(source)):
        parts = name.split(".")
        if parts[0] != "simulator" or len(parts) < 2 or parts[1] not in RANK or parts[1] == unit:
            continue
        if RANK[parts[1]] >= RANK[unit]:
            found.append(f"line {line}: {unit} imports {name}")
    return found


def test_every_module_has_a_layer():
    assert {unit_of(path) for path in SOURCES} - {"__init__"} <= RANK.keys()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    if path != PACKAGE / "__init__.py":
        assert violations(path.read_text(encoding="utf-8"), unit_of(path)) == []


@pytest.mark.parametrize(
    ("source", "unit"),
    [
        ("import simulator.gpu.spec", "memory"),
        ("def f():\n    from simulator.results import Result", "engine"),
        ("from simulator import cli", "results"),
        ("from simulator.pim.spec import PimSpec", "gpu"),
        ("from simulator.hardware import resolve", "trace"),
    ],
)
def test_the_check_sees_violations(source, unit):
    assert violations(source, unit)


OPTIONAL = {"torch", "torch_geometric", "transformers", "pynvml", "triton"}
MEASURING = {f"validate/live/{name}.py" for name in ("pytorch", "monitor", "chase")}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_only_inside_functions_of_the_exporter_and_the_timer(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {name.split(".")[0] for name, _ in imported(tree)}
    if not names & OPTIONAL:
        return
    relative = path.relative_to(PACKAGE).as_posix()
    assert relative.startswith("trace/export") or relative in MEASURING
    eager = {name.split(".")[0] for node in _eager(tree) for name, _ in imported(node)}
    # Triton reads a kernel's source from its module, which is imported inside a function.
    assert not eager & OPTIONAL or relative == "validate/live/chase.py"


def _eager(node: ast.AST) -> Iterator[ast.AST]:
    """Import statements that run when the module is imported."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node
        return
    later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    never = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    if not (later or never):
        for child in ast.iter_child_nodes(node):
            yield from _eager(child)


COMMANDS = [module.name for module in pkgutil.iter_modules(commands.__path__)]


@pytest.mark.parametrize("module", ["cli", *(f"commands.{name}" for name in COMMANDS)])
def test_the_command_line_starts_light(module):
    code = (
        f"import sys, simulator.{module}\n"
        "heavy = {'numba', 'pandas', 'matplotlib', 'scipy', 'torch'} & sys.modules.keys()\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"importing simulator.{module} loads {done.stderr.strip()}"
