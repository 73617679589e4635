"""Elementwise arithmetic, fills and their ``_foreach_`` forms over tensor lists.

Costs are in :mod:`simulator.trace.lowering.costs`.  A ``_foreach_`` operator is
one piece of work over all its tensors, as its multi-tensor kernel is.
"""

from __future__ import annotations

from math import prod

from simulator.trace.lowering.costs import ELEMENTWISE, FILLS, GELU_TANH, Cost
from simulator.trace.lowering.operands import numel, shape_of
from simulator.trace.lowering.registry import Call, lowers
from simulator.trace.work import Elementwise, Operand

FOREACH = "_foreach_"


def elementwise(call: Call, cost: Cost, reads: tuple[Operand, ...] | None = None) -> Elementwise:
    """Work of ``cost`` per element of the outputs, reading all inputs by default."""
    outputs = call.outputs
    listed = call.name.startswith(FOREACH)
    elements = sum(map(numel, outputs)) if listed else numel(call.output)
    function = call.name if cost[1] and not listed else ""
    reads = call.all_reads() if reads is None else reads
    return Elementwise(reads, call.writes(), elements, *cost, function=function)


@lowers(*ELEMENTWISE, *(FOREACH + name for name in ELEMENTWISE))
def arithmetic(call: Call) -> Elementwise:
    name = call.name.removeprefix(FOREACH)
    if name == "pow":
        return elementwise(call, _power(call.value(1, "exponent")))
    if name in ("gelu", "gelu_backward"):
        form = call.value(1 if name == "gelu" else 2, "approximate", "none")
        return elementwise(call, _gelu(name, form == "tanh"))
    return elementwise(call, ELEMENTWISE[name])


def _power(exponent: object) -> Cost:
    """Squares and cubes are multiplications, roots are roots."""
    if isinstance(exponent, (int, float)):
        if exponent in (0, 1):
            return (0, 0)
        if exponent in (2, 3, 4):
            return (2 if exponent > 2 else 1, 0)
        if exponent == 0.5:
            return ELEMENTWISE["sqrt"]
        if exponent == -0.5:
            return ELEMENTWISE["rsqrt"]
        if exponent == -1:
            return ELEMENTWISE["reciprocal"]
    return ELEMENTWISE["pow"]


def _gelu(name: str, tanh_form: bool) -> Cost:
    if not tanh_form:
        return ELEMENTWISE[name]
    # backward: the tanh again, then g (left + x (1 - t t) inner') with two polynomials
    return GELU_TANH if name == "gelu" else (GELU_TANH[0] + 12, GELU_TANH[1])


@lowers(*FILLS, FOREACH + "zero")
def fill(call: Call) -> Elementwise:
    """Shape-giving inputs are not read; a value given as a tensor is."""
    value = call.optional(1, "value") if call.name == "fill" else None
    return elementwise(call, FILLS[call.name.removeprefix(FOREACH)], call.reads(value))


@lowers("native_dropout")
def dropout(call: Call) -> Elementwise:
    """A Philox number, compare, select, scale; the mask is a second output."""
    return elementwise(call, (FILLS["bernoulli"][0] + 3, 0))


@lowers("_fused_adamw", "_fused_adam")
def fused_adam(call: Call) -> Elementwise:
    """One pass over parameter, gradient and both moments; all but the gradient are written.

    Per element: weight decay 2, two moving averages 3 + 4, bias corrections 2,
    root and quotient, update 3.
    """
    lists = [call.tensors(place) for place in range(6)]
    updated = [tensor for place in (0, 2, 3, 4, 5) for tensor in lists[place]]
    elements = sum(map(numel, lists[0]))
    return Elementwise(call.all_reads(), call.reads(*updated), elements, 15, 2)


@lowers("_amp_foreach_non_finite_check_and_unscale")
def unscale(call: Call) -> Elementwise:
    return Elementwise(call.all_reads(), call.writes(), sum(map(numel, call.tensors(0))), 2, 0)


@lowers(
    "max_pool2d",
    "max_pool2d_with_indices",
    "avg_pool2d",
    "adaptive_avg_pool2d",
    "_adaptive_avg_pool2d",
)
def pool(call: Call) -> Elementwise:
    """Each output combines its window; without a kernel size windows tile the input."""
    kernel = call.value(1, "kernel_size") if not call.name.lstrip("_").startswith("ada") else None
    if kernel:
        sizes = list(kernel) if isinstance(kernel, (list, tuple)) else [kernel]
        window = prod(sizes) if len(sizes) > 1 else sizes[0] ** 2
    else:
        pixels = prod(shape_of(call.output)[-2:])
        window = -(-prod(shape_of(call.tensor(0))[-2:]) // max(pixels, 1))
    return elementwise(call, (window, 0))
