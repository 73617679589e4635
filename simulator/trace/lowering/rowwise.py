"""Work along rows: softmax, norms, reductions, scans, selection, sorting, losses.

``passes`` counts walks over a row that is not kept on chip: a safe softmax
walks three times (maximum, sum of exponentials, result), a norm twice
(statistics, result), a reduction once.  Selection and sorting are priced as
radix methods of eight bits per pass on long rows and as a bitonic network on
short ones (Batcher 1968), whichever does less.
"""

from __future__ import annotations

from math import prod

from simulator.trace.lowering.names import words
from simulator.trace.lowering.operands import limited, numel, operand, shape_of
from simulator.trace.lowering.registry import Call, lowers
from simulator.trace.schema import Tensor
from simulator.trace.work import Elementwise, RowLibrary, RowWise, Work

RADIX_BITS = 8
RADIX_OPERATIONS = 4
"""Per key and pass: shift, mask, count, place."""


def _along(
    call: Call,
    x: Tensor,
    columns: int,
    *,
    passes: int,
    vector: int,
    special: int = 0,
    special_per_row: int = 0,
    library: RowLibrary = "",
) -> RowWise:
    rows = numel(x) // columns if columns else 0
    reads, writes = call.all_reads(), call.writes()
    return RowWise(reads, writes, rows, columns, passes, vector, special, special_per_row, library)


def _length(call: Call, x: Tensor, dim_at: int, default: int = -1) -> int:
    """Length of the dimension an argument names."""
    dim = call.value(dim_at, "dim", default)
    return shape_of(x)[dim] if x.shape else 1


@lowers("_softmax", "softmax", "_safe_softmax", "_log_softmax", "log_softmax")
def softmax(call: Call) -> RowWise:
    """Maximum, subtract, sum and scale; one exponential each, one reciprocal or log per row."""
    x = call.tensor(0)
    return _along(
        call,
        x,
        _length(call, x, 1),
        passes=3,
        vector=5,
        special=1,
        special_per_row=1,
        library="softmax",
    )


@lowers("_softmax_backward_data", "_log_softmax_backward_data")
def softmax_backward(call: Call) -> RowWise:
    """y (g - sum(g y)), or g - exp(y) sum(g): a dot product, then the result."""
    x = call.tensor(1)
    logarithmic = call.name.startswith("_log")
    return _along(
        call,
        x,
        _length(call, x, 2),
        passes=2,
        vector=4,
        special=1 if logarithmic else 0,
    )


@lowers("native_layer_norm", "layer_norm")
def layer_norm(call: Call) -> RowWise:
    """Mean and variance by sums (3), then centre, scale, weight and bias (4)."""
    return _normalized(call, vector=7)


@lowers("rms_norm", "_fused_rms_norm")
def rms_norm(call: Call) -> RowWise:
    """Sum of squares (2), then scale and weight (2)."""
    return _normalized(call, vector=4)


def _normalized(call: Call, vector: int) -> RowWise:
    columns = prod(call.value(1, "normalized_shape"))
    return _along(
        call, call.tensor(0), columns, passes=2, vector=vector, special_per_row=1, library="norm"
    )


@lowers("native_layer_norm_backward", "_fused_rms_norm_backward")
def norm_backward(call: Call) -> RowWise:
    """Two row sums, the gradient towards x, and the column sums towards weight and bias:
    the last walk goes down the columns."""
    x = call.tensor(1)
    columns = prod(call.value(2, "normalized_shape"))
    return _along(call, x, columns, passes=3, vector=14)


@lowers(
    "native_batch_norm",
    "cudnn_batch_norm",
    "_native_batch_norm_legit",
    "_batch_norm_with_update",
    "native_batch_norm_backward",
    "native_group_norm",
    "native_group_norm_backward",
)
def channel_norm(call: Call) -> RowWise:
    """Statistics per channel (or group), then the affine map; channels are the rows."""
    backward = call.name.endswith("backward")
    x = call.tensor(1 if backward else 0)
    groups = call.value(6, "group") if "group" in call.name else shape_of(x)[1]
    rows = shape_of(x)[0] * groups if "group" in call.name else groups
    columns = numel(x) // max(rows, 1)
    vector, special = (12, 0) if backward else (7, 1)
    return _along(call, x, columns, passes=2, vector=vector, special_per_row=special)


@lowers("_native_batch_norm_legit_no_training", "_batch_norm_no_update", "batch_norm")
def fixed_norm(call: Call) -> Elementwise:
    """With running statistics the norm is an affine map."""
    return Elementwise(call.all_reads(), call.writes(), numel(call.tensor(0)), 4, 0)


REDUCTIONS: dict[str, tuple[int, int, int, int]] = {
    # passes, vector per element, special per element, special per row
    **dict.fromkeys(
        words("sum nansum amax amin aminmax max min argmax argmin prod any all count_nonzero"),
        (1, 1, 0, 0),
    ),
    "mean": (1, 1, 0, 1),
    **dict.fromkeys(words("var std var_mean std_mean"), (1, 3, 0, 2)),
    **dict.fromkeys(words("norm linalg_vector_norm"), (1, 2, 0, 1)),
    "logsumexp": (2, 3, 1, 1),
    **dict.fromkeys(words("cumsum cumprod cummax cummin logcumsumexp"), (1, 1, 0, 0)),
}


@lowers(*REDUCTIONS)
def reduction(call: Call) -> Work:
    """Rows are the results; a scan keeps its shape and walks along ``dim``."""
    x = call.tensor(0)
    passes, vector, special, per_row = REDUCTIONS[call.name]
    if call.name.startswith(("cum", "logcum")):
        columns = _length(call, x, 1)
    elif len(call.inputs) > 1 and call.name in ("max", "min"):  # the elementwise overloads
        return Elementwise(call.all_reads(), call.writes(), numel(call.output), 1, 0)
    else:
        columns = numel(x) // max(numel(call.output), 1)
    return _along(
        call,
        x,
        columns,
        passes=passes,
        vector=vector,
        special=special,
        special_per_row=per_row,
    )


@lowers("_foreach_norm", "_foreach_max", "linalg__powsum")
def foreach_reduction(call: Call) -> RowWise:
    tensors = call.tensors(0)
    rows = max(len(tensors), 1)
    columns = -(-sum(map(numel, tensors)) // rows)
    return RowWise(call.all_reads(), call.writes(), rows, columns, 1, 2, 0, 1)


@lowers("topk", "kthvalue", "median", "mode")
def select(call: Call) -> RowWise:
    """Radix selection finds the k-th key digit by digit, one more walk collects."""
    x = call.tensor(0)
    columns = _length(call, x, 2 if call.name in ("topk", "kthvalue") else 1)
    digits = -(-x.bits // RADIX_BITS)
    return _along(
        call,
        x,
        columns,
        passes=digits + 1,
        vector=min(RADIX_OPERATIONS * digits, _bitonic(columns)),
    )


@lowers("sort", "argsort", "msort")
def sort(call: Call) -> RowWise:
    x = call.tensor(0)
    by_name = call.operator.name.endswith(".stable")
    columns = _length(call, x, 2 if by_name else 1)
    digits = -(-x.bits // RADIX_BITS)
    return _along(
        call,
        x,
        columns,
        passes=digits,
        vector=min(RADIX_OPERATIONS * digits, _bitonic(columns)),
    )


def _bitonic(columns: int) -> int:
    """Compare-exchanges that touch one key in a bitonic network."""
    stages = max(columns - 1, 1).bit_length()
    return stages * (stages + 1) // 2


@lowers(
    "nonzero",
    "nonzero_static",
    "masked_select",
    "unique",
    "_unique2",
    "unique_consecutive",
    "unique_dim",
)
def compact(call: Call) -> RowWise:
    """A scan for the places, then the kept elements."""
    x = call.tensor(0)
    return _along(call, x, numel(x), passes=2, vector=2)


@lowers("searchsorted", "bucketize")
def search(call: Call) -> Elementwise:
    """A binary search per value."""
    values = call.tensor(0 if call.name == "bucketize" else 1)
    edges = call.tensor(1 if call.name == "bucketize" else 0)
    steps = max(shape_of(edges)[-1] if edges.shape else 1, 1).bit_length()
    return Elementwise(call.all_reads(), call.writes(), numel(values), steps, 0)


@lowers("nll_loss_forward", "nll_loss", "nll_loss2d_forward")
def nll_loss(call: Call) -> RowWise:
    """One log-probability per target is read and summed."""
    scores, target = call.tensor(0), call.tensor(1)
    count = numel(target)
    picked = limited(operand(scores), count * -(-scores.bits // 8))
    return RowWise((picked, *call.rest(scores)), call.writes(), 1, count, 1, 2, 0, 1)


@lowers("nll_loss_backward", "nll_loss2d_backward")
def nll_loss_backward(call: Call) -> Elementwise:
    """Zeros but for one element per target; the scores themselves are not read."""
    reads = call.rest(call.tensor(1))
    return Elementwise(reads, call.writes(), numel(call.output), 1, 0)


@lowers("segment_reduce")
def segment_reduce(call: Call) -> RowWise:
    """Sorted segments, read once in order; rows are the results."""
    x = call.tensor(0)
    rows = max(numel(call.output), 1)
    return RowWise(call.all_reads(), call.writes(), rows, -(-numel(x) // rows), 1, 1)


@lowers("_segment_reduce_backward")
def segment_reduce_backward(call: Call) -> Elementwise:
    """Each element takes its segment's gradient (compared with the extreme for min and max)."""
    return Elementwise(call.all_reads(), call.writes(), numel(call.output), 2, 0)
