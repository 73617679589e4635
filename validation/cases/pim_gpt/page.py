"""The study as a page, a table for programs and a figure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cases.pim_gpt import claims
from cases.pim_gpt.study import CHECKED, LANES, MODELS, SWEPT, SWEPT_CONTEXT, Document
from simulator.results.document import rows_to_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = Path(__file__).with_name("template.md")
SWEEPS = Path(__file__).with_name("sweeps.md")
GAINS = ("speed-up", "energy")
NAMES = {"pim": "PIM-GPT", "eager": "T4 eager", "graph": "T4 graph", "cpu": "Xeon 6154"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table; all columns but the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    """Three significant digits."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percent(value: float) -> str:
    return f"{100 * value:.2g} %" if abs(value) < 0.1 else f"{100 * value:.1f} %"


def span(ends: tuple[float, float], unit: str) -> str:
    """One value, or both ends of a range."""
    show = percent if unit == "share" else number
    low, high = map(show, ends)
    return low if low == high else f"{low} – {high}"


def models(document: Document) -> list[str]:
    """In the order of the paper, whatever the order of the document."""
    return [model for model in MODELS if model in document["models"]]


def claim_table(document: Document) -> str:
    def ratio(row: claims.Row) -> str:
        low, high = row.ratio
        return number(high) if low != low or number(low) == number(high) else span(row.ratio, "")

    return table(
        ("claim", "paper", "simulated", "ratio", "provenance"),
        [
            (
                row.what,
                ("≤ " if row.claim.span[0] == 0 else "")
                + span((row.claim.span[0] or row.claim.span[1], row.claim.span[1]), row.claim.unit),
                span(row.simulated, row.claim.unit),
                ratio(row),
                f"{row.claim.source} ({row.claim.reading})",
            )
            for row in claims.rows(document)
        ],
    )


def latency_table(document: Document) -> str:
    tokens = document["tokens"]

    def cells(model: str) -> list[str]:
        rows = document["models"][model]
        each = [number(1e3 * rows[name]["latency_s"] / tokens) for name in NAMES]
        roof = number(1e3 * rows["graph"]["roofline_s"] / tokens)
        errors = max(rows[name]["error"] for name in NAMES)
        return [MODELS[model], *each[:3], roof, each[3], percent(errors)]

    head = ("ms a token", "PIM-GPT", "T4 eager", "T4 graph", "T4 roofline", "Xeon", "integration")
    return table(head, map(cells, models(document)))


def energy_table(document: Document) -> str:
    tokens = document["tokens"]

    def cells(model: str) -> list[str]:
        rows = document["models"][model]
        each = [rows[name]["energy_j"] for name in NAMES]
        gains = [number(value / each[0]) for value in each[1:]]
        return [MODELS[model], *(number(1e3 * value / tokens) for value in each), *gains]

    gains = tuple(f"{name} / PIM" for name in ("eager", "graph", "Xeon"))
    return table(("mJ a token", *NAMES.values(), *gains), map(cells, models(document)))


def parts_table(document: Document) -> str:
    """The speed-up as a product of causes."""
    low, high = claims.published()["speedup_gpu"].span

    def cells(model: str) -> list[str]:
        rows = document["models"][model]
        pim, graph, eager = (rows[name]["latency_s"] for name in ("pim", "graph", "eager"))
        roof = rows["graph"]["roofline_s"]
        each = eager / pim
        return [
            MODELS[model],
            number(roof / pim),
            number(graph / roof),
            number(eager / graph),
            number(each),
            f"{number(low / each)} – {number(high / each)}",
        ]

    head = ("speed-up", "bandwidth", "x kernels", "x launches", "= eager", "left to the claim")
    return table(head, map(cells, models(document)))


def needed_table(document: Document) -> str:
    """What the T4 would have to take for the claim to hold."""
    low, high = claims.published()["speedup_gpu"].span
    tokens = document["tokens"]

    def cells(model: str) -> list[str]:
        rows = document["models"][model]
        pim, eager = (rows[name]["latency_s"] / tokens for name in ("pim", "eager"))
        operators = rows["eager"]["operators"] / tokens
        roof = rows["graph"]["roofline_s"] / tokens
        return [
            MODELS[model],
            number(1e3 * eager),
            f"{number(1e3 * low * pim)} – {number(1e3 * high * pim)}",
            f"{number(1e6 * low * pim / operators)} – {number(1e6 * high * pim / operators)}",
            f"{percent(roof / (high * pim))} – {percent(roof / (low * pim))}",
        ]

    head = ("T4", "simulated ms", "needed ms", "us an operator", "of its bandwidth")
    return table(head, map(cells, models(document)))


def pim_table(document: Document) -> str:
    def cells(model: str) -> list[str]:
        pim, graph = (document["models"][model][name] for name in ("pim", "graph"))
        return [
            MODELS[model],
            percent(pim["row_hits"] / pim["accesses"]),
            percent(claims.other_share(pim)),
            number(pim["pin_bytes"] / document["tokens"] / 1e6),
            number(graph["pin_bytes"] / document["tokens"] / 1e6),
            number(graph["pin_bytes"] / pim["pin_bytes"]),
        ]

    head = ("PIM-GPT", "row hits", "other time", "MB a token over pins", "T4's", "reduction")
    return table(head, map(cells, models(document)))


def channel_table(document: Document) -> str:
    rows = document["sweeps"]["channels"]
    first = rows[0]
    head = ("channels", "ms a token", "speed-up", "of linear", "mJ a token")
    return table(
        head,
        [
            (
                str(row["value"]),
                number(1e3 * row["latency_s"]),
                number(first["latency_s"] / row["latency_s"]),
                percent(first["latency_s"] / row["latency_s"] * first["value"] / row["value"]),
                number(1e3 * row["energy_j"]),
            )
            for row in rows
        ],
    )


def clock_table(document: Document) -> str:
    shares = {
        lanes: claims.other_share(
            next(row for row in document["sweeps"]["clock"] if row["value"][0] == lanes)
        )
        for lanes in LANES
    }
    slow = {lanes: claims.slowed(document, lanes) for lanes in LANES}
    clocks = list(slow[LANES[0]])[1:]
    return table(
        ("lanes", "other time at 1 GHz", *(f"time added at {clock}" for clock in clocks)),
        [
            (str(lanes), percent(shares[lanes]), *(percent(slow[lanes][c] - 1) for c in clocks))
            for lanes in LANES
        ],
    )


def _by_cost(document: Document) -> dict[str, dict[str, tuple[float, float]]]:
    """Host cost -> model -> speed-up and gain in energy over an eager T4."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for row in document["sweeps"]["operator_cost"]:
        model, cost = row["value"]
        pim = document["reference"][model]
        ratios = tuple(row[key] / pim[key] for key in ("latency_s", "energy_j"))
        found.setdefault(cost, {})[model] = (ratios[0], ratios[1])
    return found


def cost_table(document: Document) -> str:
    found = _by_cost(document)
    models = list(next(iter(found.values())))
    head = ["host cost", *(f"{MODELS[model]} {what}" for model in models for what in GAINS)]
    return table(
        head,
        [
            (cost, *(number(value) for model in models for value in gains[model]))
            for cost, gains in found.items()
        ],
    )


def precision_table(document: Document) -> str:
    rows = document["sweeps"]["precision"]
    pim = document["reference"][SWEPT]["latency_s"]
    return table(
        ("precision", "T4 eager, ms a token", "over PIM-GPT"),
        [
            (row["value"], number(1e3 * row["latency_s"]), number(row["latency_s"] / pim))
            for row in rows
        ],
    )


def _factors(document: Document, above: tuple[str, str], below: tuple[str, str]) -> str:
    """Least and most, over the models, of one system's figure over another's."""
    found = [
        rows[above[0]][above[1]] / rows[below[0]][below[1]] for rows in document["models"].values()
    ]
    return _ends(found)


def _ends(found: Sequence[float]) -> str:
    low, high = number(min(found)), number(max(found))
    return low if low == high else f"{low} to {high}"


def _claimed(name: str, over: str = "") -> str:
    """Both ends of a claim, or of one over another."""
    ends = claims.published()[name].span
    below = claims.published()[over].span if over else (1.0, 1.0)
    return _ends([end / base for end, base in zip(ends, below, strict=True)])


def render(document: Document) -> str:
    """The page."""
    checks, peaks = document["integration_check"], document["peaks"]
    checked = ", ".join(
        f"{NAMES[name]} {percent(error)}" for name, error in checks["errors"].items()
    )
    taken, roof = "latency_s", "roofline_s"
    text = TEMPLATE.read_text(encoding="utf-8").format(
        count=len(document["models"]),
        tokens=document["tokens"],
        claims=claim_table(document),
        parts=parts_table(document),
        peaks=number(peaks["pim_bytes_per_s"] / peaks["t4_bytes_per_s"]),
        roof=_factors(document, ("graph", roof), ("pim", taken)),
        kernels=_factors(document, ("graph", taken), ("graph", roof)),
        launches=_factors(document, ("eager", taken), ("graph", taken)),
        eager=_factors(document, ("eager", taken), ("pim", taken)),
        claim=_claimed("speedup_gpu"),
        cpu_power=_claimed("energy_cpu", "speedup_cpu"),
        pim_power=_factors(document, ("pim", "energy_j"), ("pim", taken)),
        needed=needed_table(document),
        latency=latency_table(document),
        contexts=", ".join(map(str, document["contexts"])),
        checked=f"Against {checks['parts']} contexts of {MODELS[CHECKED]}: {checked}."
        if checked
        else "",
        energy=energy_table(document),
        pim=pim_table(document),
    )
    if not document["sweeps"]:
        return text
    found = _by_cost(document)
    usual, *_, slow = found
    return text + SWEEPS.read_text(encoding="utf-8").format(
        model=MODELS[SWEPT],
        context=SWEPT_CONTEXT,
        channels=channel_table(document),
        clock=clock_table(document),
        precision=precision_table(document),
        cost=cost_table(document),
        usual=usual,
        slow=slow,
        slow_speed=_ends([gains[0] for gains in found[slow].values()]),
        slow_energy=_ends([gains[1] for gains in found[slow].values()]),
        claim=_claimed("speedup_gpu"),
        energy_claim=_claimed("energy_gpu"),
    )


def csv(document: Document) -> str:
    """One row per model and system."""
    rows: list[dict[str, Any]] = [
        {"model": model, "system": name, "tokens": document["tokens"], **row}
        for model in models(document)
        for name, row in sorted(document["models"][model].items())
    ]
    return rows_to_csv(rows)


def dumps(document: Document) -> str:
    """Canonical text."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def figure(document: Document) -> Figure:
    """Speed-up over PIM-GPT's baselines by model, with the paper's range."""
    from simulator.results import style
    from simulator.results.figures import new_figure

    canvas = new_figure(3.2)
    axes = canvas.subplots(1, 2)
    shown = models(document)
    series = (
        ("T4 eager", style.ORANGE, "eager", "latency_s"),
        ("T4 graph", style.BLUE, "graph", "latency_s"),
        ("T4 roofline", style.SKY, "graph", "roofline_s"),
        ("Xeon eager", style.GREEN, "cpu", "latency_s"),
    )
    for axis, key, ranges in (
        (axes[0], "latency_s", ("speedup_gpu", "speedup_cpu")),
        (axes[1], "energy_j", ("energy_gpu", "energy_cpu")),
    ):
        for claim, colour in zip(ranges, (style.ORANGE, style.GREEN), strict=True):
            low, high = claims.published()[claim].span
            axis.axhspan(low, high, color=colour, alpha=0.15, linewidth=0)
        for label, colour, system, field in series:
            if key == "energy_j" and field == "roofline_s":
                continue
            values = [
                document["models"][model][system][key if field == "latency_s" else field]
                / document["models"][model]["pim"][key]
                for model in shown
            ]
            axis.plot(values, marker="o", markersize=3, color=colour, label=label)
        axis.set_yscale("log")
        axis.set_xticks(range(len(shown)), [MODELS[m] for m in shown], rotation=60, ha="right")
    axes[0].set_ylabel("speed-up of PIM-GPT")
    axes[1].set_ylabel("energy over PIM-GPT's")
    axes[0].legend(fontsize="small")
    axes[1].set_title("bands: the paper's ranges", fontsize="small")
    return canvas
