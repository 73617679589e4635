"""Functions on lanes that add and multiply: named approximations, and the steps each takes.

A step is one lane for one clock: an addition, a product, a multiply-add, a comparison.
``formula`` evaluates what the trace's operator counts, with a description's exponential and
quotient for its special functions.

| function | name | steps |
|---|---|---|
| GELU | ``tanh`` | u = x (c + d x^2) 3, (e - 1) / (e + 1) of e = exp(2u) 2, x/2 (1 + t) 2 (Hendrycks and Gimpel, arXiv 1606.08415) |
| GELU | ``sigmoid`` | x / (1 + exp(-1.702 x)): scale, add (the same) |
| GELU | ``polynomial`` | x/2 (1 + sgn(x) (a (min(abs(x)/sqrt 2, -b) + b)^2 + 1)): 9 (I-BERT, Kim et al., ICML 2021) |
| SiLU | ``sigmoid`` | x / (1 + exp(-x)): negate, add |
| SiLU | ``hard`` | x clip(x/6 + 1/2, 0, 1): 4 (MobileNetV3, Howard et al., ICCV 2019) |
| softmax | ``exact`` | scale, maximum, subtract, sum, and the exponential |
| softmax | ``base2`` | the same with 2^x as a shift and a linear piece: 2 (Softermax, Stevens et al., DAC 2021) |
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

SOFTMAX_OPERATIONS = 4
"""Per score: scale, maximum, subtract, sum."""


class Steps(Protocol):
    """Steps of the functions that approximations are made of, and the names of those chosen."""

    @property
    def exp(self) -> int: ...
    @property
    def divide(self) -> int: ...
    @property
    def gelu(self) -> str: ...
    @property
    def silu(self) -> str: ...
    @property
    def softmax(self) -> str: ...


Price = Callable[[Steps], int]

ACTIVATIONS: Mapping[tuple[str, str], Price] = {
    ("gelu", "tanh"): lambda steps: 7 + steps.exp + steps.divide,
    ("gelu", "sigmoid"): lambda steps: 2 + steps.exp + steps.divide,
    ("gelu", "polynomial"): lambda steps: 9,
    ("silu", "sigmoid"): lambda steps: 2 + steps.exp + steps.divide,
    ("silu", "hard"): lambda steps: 4,
}

SOFTMAX: Mapping[str, Price] = {
    "exact": lambda steps: SOFTMAX_OPERATIONS + steps.exp,
    "base2": lambda steps: SOFTMAX_OPERATIONS + 2,
}


def activation_steps(steps: Steps, function: str) -> int | None:
    """Steps of one element by the approximation chosen; None: as the operator counts."""
    chosen = {"gelu": steps.gelu, "silu": steps.silu}.get(function, "formula")
    price = ACTIVATIONS.get((function, chosen))
    return None if price is None else price(steps)


def softmax_steps(steps: Steps) -> int:
    """Steps of one score; quotients are one a query."""
    return SOFTMAX[steps.softmax](steps)
