"""How far simulated kernels are from measured ones: writes docs/accuracy.md.

    python validation/accuracy.py --data DIR [--hw NAME ...] [--sample N] [--seed S]

For each GPU that has a fitted description (``NAME.fit``) rows of the half of the shape families
that was not fitted to are simulated twice, with the data sheet's description and with the fitted
one; for the others named by ``--hw`` once.  Samples are stratified by operator, type and size.
Kernels that memory bounds, on GPUs that have rows of them:

    python validation/accuracy.py --data DIR --op memory_bound moe -o build/memory.md \\
        --hw v100-pcie-32gb t4 p100-pcie a100-pcie-40gb a100-pcie-80gb a100-sxm-80gb a40 h100-sxm
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import simulator
from simulator.errors import AccsimError, MeasurementError, OptionError, atomic_write
from simulator.hardware import catalogue
from simulator.validate import report
from simulator.validate.calibrate import FIT_HALF
from simulator.validate.run import compare, of_type, prepare

MEMORY_BOUND = "memory_bound"
OPERATORS = ("gemm", "attention_decode", "attention_prefill", "moe", MEMORY_BOUND)
TYPES = ("bf16",)
"""Of products, attention and experts; kernels that memory bounds were measured in others."""
REMARKS = "\n## What is not good yet\n"
HEAD = (
    "GPU",
    "operator",
    "rows",
    "data sheet: mean",
    "bias",
    "fitted: mean",
    "median",
    "p90",
    "bias",
    "in spread",
    "three-number roofline",
)


def main() -> None:
    """Simulate, then write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hw", nargs="*", default=sorted(fitted()))
    parser.add_argument("--op", nargs="*", default=list(OPERATORS))
    parser.add_argument("--sample", type=int, default=120, help="rows for each GPU and operator")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/accuracy.md"))
    options = parser.parse_args()
    found, powered = [], []
    for name in options.hw:
        best = f"{name}.fit" if name in fitted() else name
        energies = scores(options.data, best, "power", options.sample, options.seed)
        if energies:
            powered += [one for one in energies["rows"] if one["energy"]]
        for operator in options.op:
            before = scores(options.data, name, operator, options.sample, options.seed)
            after = (
                scores(options.data, f"{name}.fit", operator, options.sample, options.seed)
                if name in fitted()
                else None
            )
            if before:
                found.append((name, before, after))
                print(row(*found[-1]), flush=True)
    page = "\n".join(text(found, powered, options)) + "\n"
    atomic_write(options.out, page + remarks(options.out))


def remarks(page: Path) -> str:
    """What a page says by hand after its tables, to be kept when they are written anew."""
    before = page.read_text(encoding="utf-8") if page.is_file() else ""
    return before[before.index(REMARKS) :] if REMARKS in before else ""


def fitted() -> set[str]:
    """GPUs with a fitted description."""
    return {one.name.removesuffix(".fit") for one in catalogue("gpu") if one.name.endswith(".fit")}


def scores(folder: Path, name: str, operator: str, sample: int, seed: int) -> dict[str, Any] | None:
    """Document of a comparison on families that nobody fits to; None without rows."""
    try:
        prepared = prepare(folder, [name], [operator])
        known = {job.row.dtype for job in prepared.jobs}
        wanted = [one for one in TYPES if one in known and operator != MEMORY_BOUND]
        scored = compare(of_type(prepared, wanted), sample, seed, half=1 - FIT_HALF)
    except MeasurementError:
        return None
    except OptionError as error:
        if error.where == "--op":
            return None
        raise
    return report.document(scored)


def row(name: str, before: dict[str, Any], after: dict[str, Any] | None) -> str:
    """One GPU and operator as a line of the table."""
    old, new = together(before), together(after) if after else None
    cells = [name, ", ".join(sorted({one["op"] for one in before["rows"]})), str(old["n"])]
    cells += [percent(old["mape"]), percent(old["bias"], sign=True)]
    if new is None:
        cells += [""] * 4
    else:
        cells += [percent(new[key]) for key in ("mape", "median", "p90")]
        cells += [percent(new["bias"], sign=True)]
    best = new or old
    cells += [percent(best["within_spread"]), percent(best["fitted_roofline_mape"])]
    return f"| {' | '.join(cells)} |"


def together(document: dict[str, Any]) -> dict[str, Any]:
    """The groups of a document as one, weighed by rows."""
    groups = document["rows"]
    total = sum(one["n"] for one in groups)

    def mean(key: str, weight: str = "n") -> float | None:
        known = [one for one in groups if one[key] is not None and one[weight]]
        rows = sum(one[weight] for one in known)
        return sum(one[key] * one[weight] for one in known) / rows if rows else None

    keys = ("mape", "median", "p90", "bias")
    return {
        "n": total,
        **{key: mean(key) for key in keys},
        "within_spread": mean("within_spread", "n_spread"),
        "fitted_roofline_mape": mean("fitted_roofline_mape", "fitted_roofline_n"),
    }


def percent(value: float | None, sign: bool = False) -> str:
    if value is None:
        return ""
    return f"{100 * value:+.1f} %" if sign else f"{100 * value:.1f} %"


def sizes(document: dict[str, Any]) -> Iterator[str]:
    """Errors by range of measured time."""
    for one in document["by_size"]:
        yield (
            f"| {one['gpu']} | {one['op']} | {one['size']} | {one['n']} | {percent(one['mape'])} | "
            f"{percent(one['bias'], sign=True)} |"
        )


def energies(groups: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Errors of joules where watts were measured."""
    for one in groups:
        energy = one["energy"]
        what = "joules" if energy["of"] == "joules" else "watts, no times"
        yield (
            f"| {one['hardware']} | {one['op'].removesuffix('+power')} | {energy['n']} | {what} | "
            f"{percent(one['mape'])} | {percent(energy['mape'])} | {percent(energy['median'])} | "
            f"{percent(energy['p90'])} | {percent(energy['bias'], sign=True)} |"
        )


def text(
    found: Sequence[tuple[str, Any, Any]],
    powered: Sequence[dict[str, Any]],
    options: argparse.Namespace,
) -> Iterable[str]:
    """The page."""
    yield "# Accuracy\n"
    yield (
        f"Version {simulator.__version__}, {date.today().isoformat()}, written by `python "
        f"validation/accuracy.py --data {options.data.name} --op {' '.join(options.op)} --sample "
        f"{options.sample} --seed {options.seed}`. Measured times are third-party data "
        "(AIConfigurator, NeuSight, Vidur and others), which are not part of this project. Rows "
        "belong to shape families that no fit has seen; samples are stratified by operator and "
        "size. *Data sheet*: descriptions from data sheets and published microbenchmarks alone. "
        "*Fitted*: `NAME.fit`, at most twelve physical scalars at a time fitted to the other half "
        "of the families by `accsim calibrate`. "
        "*In spread*: share of rows inside the spread of the software stacks. The roofline's "
        "three numbers are fitted to the same half, by operator.\n"
    )
    yield f"| {' | '.join(HEAD)} |"
    yield f"|{'---|' * len(HEAD)}"
    for one in found:
        yield row(*one)
    yield "\n## By measured time, fitted where there is a fit\n"
    yield "| GPU | operator | measured | rows | mean | bias |"
    yield "|---|---|---|---|---|---|"
    for _, before, after in found:
        yield from sizes(after or before)
    if powered:
        yield "\n## Energy of a call above 100 us, at sustained clocks\n"
        yield "| description | operator | rows | of | time: mean | mean | median | p90 | bias |"
        yield f"|{'---|' * 9}"
        yield from energies(powered)


if __name__ == "__main__":
    try:
        main()
    except AccsimError as error:
        print(f"accuracy: error: {error}", file=sys.stderr)
        sys.exit(2)
