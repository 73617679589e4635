"""Moving and rearranging elements: copies, conversions, concatenation, padding.

Pure moves cost no arithmetic; a change of element type costs one operation per
element.  A copy that turned out to be a view never gets here.
"""

from __future__ import annotations

from simulator.trace.lowering.elementwise import FOREACH, elementwise
from simulator.trace.lowering.names import words
from simulator.trace.lowering.operands import bytes_for, limited, numel, operand
from simulator.trace.lowering.registry import Call, lowers
from simulator.trace.work import Elementwise

MOVES = words(
    "clone contiguous reshape flatten _to_copy to convert_element_type device_put cat concat "
    "concatenate stack repeat tile roll flip constant_pad_nd pad reflection_pad2d "
    "replication_pad2d lift_fresh_copy view_copy permute_copy expand_copy transpose_copy "
    "select_copy slice_copy unsqueeze_copy squeeze_copy t_copy as_strided_copy split_copy "
    "split_with_sizes_copy unbind_copy diagonal_copy detach_copy alias_copy resolve_conj "
    "resolve_neg channel_shuffle pixel_shuffle pixel_unshuffle im2col col2im cartesian_prod "
    "meshgrid complex repeat_interleave"
)


@lowers(*MOVES)
def move(call: Call) -> Elementwise:
    inputs = call.inputs
    converts = bool(inputs) and inputs[0].dtype != call.output.dtype
    return elementwise(call, (1 if converts else 0, 0))


@lowers("copy", FOREACH + "copy")
def copy(call: Call) -> Elementwise:
    """The target is overwritten, not read."""
    sources = call.tensors(1, "src")
    converts = sources[0].dtype != call.output.dtype if sources else False
    return elementwise(call, (1 if converts else 0, 0), call.reads(*sources))


@lowers("tril", "triu")
def triangle(call: Call) -> Elementwise:
    return elementwise(call, (1, 0))


@lowers("slice_scatter", "select_scatter", "as_strided_scatter", "diagonal_scatter")
def window_scatter(call: Call) -> Elementwise:
    """Out of place: the source where the window is, the old values elsewhere."""
    old, source = call.tensor(0), call.tensor(1, "src")
    kept = bytes_for(max(0, numel(old) - numel(source)), old.bits)
    return elementwise(call, (0, 0), (limited(operand(old), kept), operand(source)))


@lowers("slice_backward", "select_backward", "as_strided_backward", "diagonal_backward")
def window_backward(call: Call) -> Elementwise:
    """The gradient inside the window, zeros elsewhere."""
    return elementwise(call, (0, 0), call.reads(call.tensor(0)))
