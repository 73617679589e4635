"""Matrix products: ``mm`` and its relatives, linear layers, convolutions, grouped products.

A convolution is the product of its unfolded input (never stored) with its
weight.  The gradients of a convolution towards input and weight are two
products of the same size: they appear as a batch of two.  ``density`` among the
keyword arguments (put there by a sparsity transform) is the share of B kept.
Left out: Winograd and FFT convolutions.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod

from simulator.errors import TraceError
from simulator.trace.lowering.costs import ELEMENTWISE, GELU_TANH
from simulator.trace.lowering.operands import is_broadcast, numel, operand, scaled, shape_of
from simulator.trace.lowering.registry import Call, lowers
from simulator.trace.schema import Tensor
from simulator.trace.work import Elementwise, Gemm, GroupedGemm, Work


def _gemm(
    call: Call,
    a: Tensor,
    b: Tensor,
    bias: Tensor | None,
    *,
    m: int,
    n: int,
    k: int,
    batch: int = 1,
    b_shared: bool = False,
) -> Gemm:
    density = float(call.kwargs.get("density", 1.0))
    reads = (operand(a), scaled(operand(b), density), *call.reads(bias))
    epilogue = _epilogue(call, batch * m * n)
    return Gemm(reads, call.writes(), batch, m, n, k, b_shared, density, epilogue)


def _epilogue(call: Call, elements: int) -> Elementwise | None:
    """The activation that a fusion put behind the product."""
    function = call.kwargs.get("epilogue")
    if function is None:
        return None
    tanh_form = function == "gelu" and call.kwargs.get("approximate") == "tanh"
    vector, special = GELU_TANH if tanh_form else ELEMENTWISE[function]
    return Elementwise((), (), elements, vector, special, function=function)


@lowers("mm", "_scaled_mm", "_int_mm")
def mm(call: Call) -> Work:
    a, b = call.tensor(0), call.tensor(1)
    (m, k), n = shape_of(a), shape_of(b)[1]
    return _gemm(call, a, b, call.optional(4, "bias"), m=m, n=n, k=k)


@lowers("addmm", "_addmm_activation")
def addmm(call: Call) -> Work:
    a, b = call.tensor(1), call.tensor(2)
    (m, k), n = shape_of(a), shape_of(b)[1]
    bias = None if call.kwargs.get("beta", 1) == 0 else call.tensor(0)
    return _gemm(call, a, b, bias, m=m, n=n, k=k)


@lowers("bmm")
def bmm(call: Call) -> Work:
    return _batched(call, call.tensor(0), call.tensor(1), None)


@lowers("baddbmm")
def baddbmm(call: Call) -> Work:
    bias = None if call.kwargs.get("beta", 1) == 0 else call.tensor(0)
    return _batched(call, call.tensor(1), call.tensor(2), bias)


def _batched(call: Call, a: Tensor, b: Tensor, bias: Tensor | None) -> Gemm:
    (batch, m, k), n = shape_of(a), shape_of(b)[2]
    shared = batch > 1 and is_broadcast(b, range(1))
    return _gemm(call, a, b, bias, m=m, n=n, k=k, batch=batch, b_shared=shared)


@lowers("linear")
def linear(call: Call) -> Work:
    x, weight = call.tensor(0), call.tensor(1)
    n, k = shape_of(weight) if len(weight.shape) == 2 else (1, numel(weight))
    return _gemm(call, x, weight, call.optional(2, "bias"), m=numel(x) // max(k, 1), n=n, k=k)


@lowers("mv", "addmv")
def mv(call: Call) -> Work:
    """The matrix is B, so that devices which stream B stream the large operand."""
    first = 1 if call.name == "addmv" else 0
    matrix, vector = call.tensor(first), call.tensor(first + 1)
    n, k = shape_of(matrix)
    return _gemm(call, vector, matrix, call.tensor(0) if first else None, m=1, n=n, k=k)


@lowers("dot", "vdot")
def dot(call: Call) -> Work:
    a, b = call.tensor(0), call.tensor(1)
    return _gemm(call, a, b, None, m=1, n=1, k=numel(a))


@lowers("matmul")
def matmul(call: Call) -> Work:
    """Leading dimensions of A fold into rows when B has none."""
    a, b = call.tensor(0), call.tensor(1)
    k = shape_of(a)[-1]
    n = 1 if len(b.shape) == 1 else shape_of(b)[-1]
    if len(b.shape) <= 2:
        return _gemm(call, a, b, None, m=numel(a) // max(k, 1), n=n, k=k)
    m = 1 if len(a.shape) == 1 else shape_of(a)[-2]
    batch = numel(call.output) // max(m * n, 1)
    shared = batch > 1 and is_broadcast(b, range(len(b.shape) - 2))
    return _gemm(call, a, b, None, m=m, n=n, k=k, batch=batch, b_shared=shared)


@lowers("convolution", "_convolution", "cudnn_convolution", "convolution_overrideable")
def convolution(call: Call) -> Work:
    transposed, groups = bool(call.value(6, "transposed", False)), call.value(8, "groups", 1)
    return _convolution(call, transposed, groups)


@lowers("conv1d", "conv2d", "conv3d")
def conv(call: Call) -> Work:
    return _convolution(call, False, call.value(6, "groups", 1))


def _convolution(call: Call, transposed: bool, groups: int) -> Gemm:
    x, weight = call.tensor(0), call.tensor(1)
    m, n, k = _unfolded(x, weight, call.output, transposed, groups)
    bias = call.optional(2, "bias")
    return _gemm(call, x, weight, bias, m=m, n=n, k=k, batch=groups, b_shared=False)


def _unfolded(
    x: Tensor, weight: Tensor, out: Tensor, transposed: bool, groups: int
) -> tuple[int, int, int]:
    """Rows, columns and depth of the product of the unfolded input with the weight."""
    filters, depth, *kernel = shape_of(weight)
    if transposed:
        rows = shape_of(x)[0] * prod(shape_of(x)[2:])
        return rows, depth * prod(kernel), filters // groups
    rows = shape_of(out)[0] * prod(shape_of(out)[2:])
    return rows, filters // groups, depth * prod(kernel)


@lowers("convolution_backward")
def convolution_backward(call: Call) -> Work:
    grad, x, weight = call.tensor(0), call.tensor(1), call.tensor(2)
    transposed, groups = bool(call.value(7, "transposed", False)), call.value(9, "groups", 1)
    to_x, to_weight = list(call.value(10, "output_mask", (True, True, True)))[:2]
    m, n, k = _unfolded(x, weight, grad, transposed, groups)
    if to_x and to_weight:
        reads = call.reads(grad, weight, x)
        return Gemm(reads, call.writes(), 2 * groups, m, k, n)
    if to_weight:
        return Gemm(call.reads(grad, x), call.writes(), groups, n, k, m)
    return Gemm(call.reads(grad, weight), call.writes(), groups, m, k, n)


@lowers("_grouped_mm", "_scaled_grouped_mm", "grouped_mm_fallback")
def grouped_mm(call: Call) -> Work:
    """Products of row groups of A with one B each.

    With A and B both two-dimensional the groups divide the summed dimension
    (gradients towards the experts' weights): per group M x tokens x N, the
    same operation count with the roles of rows and depth exchanged.
    """
    a, b = call.tensor(0), call.tensor(1)
    density = float(call.kwargs.get("density", 1.0))
    if len(a.shape) == 3:
        return _batched_groups(call, a, b)
    tokens_dim = 1 if len(b.shape) == 2 else 0
    tokens = shape_of(a)[tokens_dim]
    offsets = call.optional(2, "offs")
    experts = numel(offsets) if offsets is not None else shape_of(b)[0]
    rows = _rows(call, offsets, tokens, experts)
    if tokens_dim == 1:
        m, n = shape_of(a)[0], shape_of(b)[1]
        return GroupedGemm((operand(a), operand(b)), call.writes(), rows, n, m)
    k, n = shape_of(b)[1:]
    active = sum(1 for count in rows if count)
    weights = scaled(operand(b), density * active / max(experts, 1))
    bias = call.optional(3, "bias")
    return GroupedGemm((operand(a), weights, *call.reads(bias)), call.writes(), rows, n, k, density)


def _batched_groups(call: Call, a: Tensor, b: Tensor) -> Gemm:
    batch, m, k = shape_of(a)
    n = shape_of(b)[-1] if len(b.shape) == 3 else shape_of(b)[1] // max(batch, 1)
    return _gemm(call, a, b, None, m=m, n=n, k=k, batch=batch)


def _rows(call: Call, offsets: Tensor | None, tokens: int, experts: int) -> tuple[int, ...]:
    """Rows per expert: as recorded, else the even split of unknown routing."""
    stated = call.kwargs.get("rows_per_expert")
    if stated is None and offsets is not None and offsets.data is not None:
        ends = call.trace.arrays.get(offsets.data)
        if ends is not None:
            bounds = pairwise((0, *(int(end) for end in ends.ravel())))
            stated = [end - start for start, end in bounds]
    if stated is None:
        return tuple(tokens // experts + (expert < tokens % experts) for expert in range(experts))
    rows = tuple(int(count) for count in stated)
    if len(rows) != experts or min(rows, default=0) < 0 or sum(rows) > tokens:
        raise TraceError(
            f"expert row counts {list(rows)} do not divide {tokens} rows among {experts} experts",
            where=f"operator {call.operator.id} ({call.operator.name})",
            remedy="record the routing again for these sizes",
        )
    return rows
