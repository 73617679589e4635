"""The sum over a generation's contexts from a few of them: Gauss-Legendre nodes.

Token ``i`` of ``tokens`` is made with ``i`` before it, so a generation is the sum of f(i), the
integral of f from -1/2 to tokens - 1/2 by the midpoint rule.  Latency is affine in the context but
for the steps of whole rows, tiles and split kernels; two nodes would be exact without them.  The
error shown is the distance between two rules.
"""

from __future__ import annotations

import numpy as np

Rule = tuple[tuple[int, float], ...]
"""(context, weight); weights add up to the tokens."""

FEWEST = 1
"""The recorded step needs a token in the cache: the first token counts as the second."""


def gauss(nodes: int, tokens: int) -> Rule:
    """Contexts and weights of the rule with so many nodes."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    contexts = np.rint((places + 1) / 2 * tokens - 0.5).astype(int)
    return _merged(contexts, weights / 2 * tokens)


def midpoints(parts: int, tokens: int) -> Rule:
    """The middles of equal parts, for checking the rules above."""
    contexts = np.rint((np.arange(parts) + 0.5) * tokens / parts - 0.5).astype(int)
    return _merged(contexts, np.full(parts, tokens / parts))


def _merged(contexts: np.ndarray, weights: np.ndarray) -> Rule:
    total: dict[int, float] = {}
    for context, weight in zip(contexts.tolist(), weights.tolist(), strict=True):
        context = max(FEWEST, context)
        total[context] = total.get(context, 0.0) + weight
    return tuple(sorted(total.items()))
