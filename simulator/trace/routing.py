"""Which share of the tokens each expert of a mixture gets: recorded data, not a guess.

On the meta device the router's choices have no values.  The user states their
distribution instead: ``uniform``, or ``zipf:S`` (shares proportional to
rank^-S; S = 0 is uniform).  A token's experts are distinct, so no expert gets
more than ``1 / experts_per_token`` of all assignments; the excess goes to the
others in proportion.

Rows per expert come from rounding the cumulative shares, which is exact, needs
no random numbers and stays an expression of the sizes: expert ``e`` gets rows
``floor((total*C[e] + H) / D)`` onward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from simulator.errors import OptionError
from simulator.trace.schema import Operator, Trace

DENOMINATOR = 1 << 20
"""Shares are multiples of its inverse, so that rows are integer expressions."""

GROUPED_PRODUCTS = ("aten._grouped_mm.default",)


def expert_shares(routing: str, experts: int, experts_per_token: int) -> tuple[int, ...]:
    """Cumulative shares in units of ``1 / DENOMINATOR``, starting at 0."""
    kind, _, parameter = routing.partition(":")
    if kind == "uniform" and not parameter:
        skew = 0.0
    elif kind == "zipf":
        skew = _skew(routing, parameter)
    else:
        raise OptionError(
            f"unknown routing '{routing}'", where="routing", remedy="use 'uniform' or 'zipf:1.2'"
        )
    if not experts:
        return ()
    shares = _capped([rank**-skew for rank in range(1, experts + 1)], 1 / experts_per_token)
    sums = [math.fsum(shares[:count]) for count in range(experts + 1)]
    return tuple(round(DENOMINATOR * value / sums[-1]) for value in sums)


def rows_per_expert(total: int, shares: Sequence[int]) -> list[int]:
    """Rows of each expert; they add up to ``total``."""
    half = DENOMINATOR // 2
    ends = [(total * share + half) // DENOMINATOR for share in shares]
    return [end - start for start, end in pairwise(ends)]


def rows_expressions(total: str, shares: Sequence[int]) -> list[str]:
    """The same as expressions, of an expression for the total."""
    half = DENOMINATOR // 2
    ends = [f"(({total})*{share}+{half})//{DENOMINATOR}" for share in shares]
    return [f"{end}-{start}" for start, end in pairwise(ends)]


def annotate(trace: Trace, shares: Sequence[int]) -> None:
    """Write ``rows_per_expert`` on every grouped product of a concrete trace, in place."""
    for place, operator in enumerate(trace.operators):
        if operator.name in GROUPED_PRODUCTS:
            counts = rows_per_expert(_assignments(trace, operator), shares)
            kwargs = {**operator.kwargs, "rows_per_expert": counts}
            trace.operators[place] = replace(operator, kwargs=kwargs)


def _assignments(trace: Trace, operator: Operator) -> int:
    """Rows of all experts together: the first operand's, or, where the product
    sums over rows (the weights' gradient), its columns."""
    first, second = (trace.tensors[id] for id in operator.inputs[:2])
    return int(first.shape[0 if len(second.shape) == 3 else 1])


def _skew(routing: str, parameter: str) -> float:
    try:
        skew = float(parameter)
    except ValueError:
        skew = math.nan
    if not 0 <= skew <= 10:
        raise OptionError(
            f"'{parameter}' is not a skew", where=routing, remedy="use 'zipf:S' with 0 <= S <= 10"
        )
    return skew


def _capped(weights: Sequence[float], cap: float) -> list[float]:
    """Shares in proportion to ``weights``, none above ``cap``."""
    total = math.fsum(weights)
    shares = [weight / total for weight in weights]
    while (excess := math.fsum(max(0.0, share - cap) for share in shares)) > 1e-12:
        free = math.fsum(share for share in shares if share < cap)
        shares = [cap if s >= cap else s * (1 + excess / free) for s in shares]
    return shares
