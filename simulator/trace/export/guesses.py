"""Decisions that values would make, made without values, and written down.

On the meta device ``item()``, ``nonzero`` and masks have no values.  Each such
operator gets a fixed policy here; the policy's words are stored on the operator
and, with a count, in the trace's header, so that nothing is guessed in silence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

ITEM_TRUE = "item() of a boolean without value taken as True"
ITEM_ZERO = "item() of a number without value taken as 0"
EQUAL_TRUE = "equal() of tensors without values taken as True"
NONZERO_ALL = "nonzero() assumed to keep every element"
MASK_ALL = "boolean mask index assumed to keep every element"

_NONZERO = frozenset(
    {"aten.nonzero.default", "aten.nonzero_numpy.default", "aten.argwhere.default"}
)
_MASKED = ("aten.index.", "aten.index_put")


def decided_value(name: str, args: Sequence[Any]) -> tuple[Any, str] | None:
    """The result and the policy of an operator that reads a meta tensor's value."""
    if name == "aten._local_scalar_dense.default" and _is_meta(args[0]):
        tensor = args[0]
        if str(tensor.dtype) == "torch.bool":
            return True, ITEM_TRUE
        return (0.0 if tensor.dtype.is_floating_point else 0), ITEM_ZERO
    if name == "aten.equal.default" and any(_is_meta(value) for value in args[:2]):
        return args[0].shape == args[1].shape, EQUAL_TRUE
    if name == "aten.masked_select.default" and _is_meta(args[0]):
        tensor, mask = args[:2]
        return tensor.new_empty(math.prod(_broadcast(tensor.shape, mask.shape))), MASK_ALL
    return None


def assumed_shape(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """The policy behind the shape of a result that depends on values."""
    if name in _NONZERO and _is_meta(args[0]):
        return NONZERO_ALL
    if name.startswith(_MASKED) and any(_is_mask(value) for value in _leaves((args, kwargs))):
        return MASK_ALL
    return None


def _broadcast(one: Sequence[int], two: Sequence[int]) -> list[int]:
    pairs = zip_longest(reversed(one), reversed(two), fillvalue=1)
    return [b if a == 1 else a for a, b in pairs]


def _is_meta(value: Any) -> bool:
    return getattr(getattr(value, "device", None), "type", None) == "meta"


def _is_mask(value: Any) -> bool:
    return _is_meta(value) and str(value.dtype) in ("torch.bool", "torch.uint8")


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]
