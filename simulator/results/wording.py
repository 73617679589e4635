"""Numbers in words: the phrases that terminal, report and figures share."""

from __future__ import annotations

from simulator.results.document import Document
from simulator.units import human


def describe_work(row: Document) -> str:
    """``llama2-7b decode (batch 1, context 2048)``."""
    sizes = ", ".join(f"{name} {value}" for name, value in row["sizes"].items())
    return f"{row['workload']} {row['phase']}" + (f" ({sizes})" if sizes else "")


def facts(document: Document) -> list[tuple[str, str]]:
    """The key figures as name and sentence; the report shows the same ones."""
    latency = human(document["latency_s"], "s")
    for key, unit in (("tokens_per_s", "tokens/s"), ("graphs_per_s", "graphs/s")):
        if document[key] is not None:
            latency += f" · {rate(document[key])} {unit}"
    return [
        ("latency", latency),
        ("bound", _bound_text(document)),
        ("energy", _energy_text(document)),
        ("memory", _memory_text(document)),
        ("simulated", simulated_text(document)),
    ]


def _bound_text(document: Document) -> str:
    if not document["bound_ratio"]:
        return "none: the run has no work to bound it"
    bound = human(document["bound_latency_s"], "s")
    return f"{document['bound_ratio']:.2f} × the lower bound of {bound} ({document['bound_by']})"


def _energy_text(document: Document) -> str:
    text = human(document["energy_j"], "J")
    if document["mean_power_w"]:
        text += f" · {human(document['mean_power_w'], 'W')} mean"
    if document["energy_per_token_j"]:
        text += f" · {human(document['energy_per_token_j'], 'J')}/token"
    parts = sorted(document["energy_by_part_j"].items(), key=lambda item: (-item[1], item[0]))
    total = document["energy_j"]
    split = [f"{part} {percent(joules / total)}" for part, joules in parts if joules]
    return f"{text}\n{', '.join(split)}" if split else text


def _memory_text(document: Document) -> str:
    used, capacity = document["footprint_bytes"], document["capacity_bytes"]
    text = f"{human(used, 'B')} of {human(capacity, 'B')}"
    return f"{text} ({percent(used / capacity)})" if capacity else text


def simulated_text(document: Document) -> str:
    """How the kernel time was obtained, in words."""
    shares = [f"{percent(document['simulated_share'])} of kernel time event by event"]
    if document["reused_share"]:
        shares.append(f"{percent(document['reused_share'])} reused from identical kernels")
    if document["extrapolated_share"]:
        shares.append(f"{percent(document['extrapolated_share'])} extrapolated")
    text = ", ".join(shares)
    return f"{text}; estimated error {percent(document['error_estimate'])}"


def percent(share: float) -> str:
    """A share to two digits; what is small is not shown as nothing."""
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    if 0 < share < 0.0005:
        return "<0.1 %"
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"


def times(value: float | None) -> str:
    """A ratio to three digits; nothing if there is none."""
    if value is None:
        return ""
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:,.{decimals}f}×"


def relation(gain: float | None, better: str, worse: str) -> str:
    """``2.00× faster`` or ``2.00× slower``; nothing without a relation."""
    if gain is None or gain == 0:
        return ""
    return f"{times(gain)} {better}" if gain >= 1 else f"{times(1 / gain)} {worse}"


def rate(value: float | None) -> str:
    """Things per second; nothing if there are none."""
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
