"""Changes made to a trace when it is loaded: narrower numbers, sparser weights.

**Quantization** ``w4a8kv8`` gives tensors integer types of that many bits.

- *w*: matrices and filters with role ``weight`` that a matrix product reads.
  Norms, biases and tables that are only looked up stay as they are.
- *a*: activations and inputs in the model's own precision (the commonest type
  of its weights).  Intermediates that the model itself computes in a wider type
  stay wide.
- *kv*: the key-value cache.

Any part may be left out; 16 leaves a part as it is.  Sizes, strides and offsets
count elements and do not change.  Left out: the traffic of scales and zero
points (1/128 of the elements with groups of 128), and the operators that
quantize and dequantize, which devices with integer units fuse.

**Precision**: the model's own floating type as another.

**Sparsity** ``PATTERN=DENSITY`` writes ``density`` on the matrix products of the
modules that match a shell pattern (``*.mlp.*=0.5``): the share of weights that
is stored and multiplied.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from simulator.errors import OptionError, suggest
from simulator.trace.schema import DTYPE_BITS, Operator, Tensor, Trace

INTEGER_BITS = (2, 3, 4, 5, 6, 8, 32)
UNCHANGED_BITS = 16

MATRIX_PRODUCTS = frozenset(
    {"mm", "addmm", "bmm", "baddbmm", "linear", "matmul", "convolution", "_grouped_mm"}
)

_FORMAT = re.compile(r"(?:w(?P<w>\d+))?(?:a(?P<a>\d+))?(?:kv(?P<kv>\d+))?", re.ASCII)


def apply(trace: Trace, quantization: str | None, sparsities: Sequence[str] = ()) -> Trace:
    """The trace with a quantization, if any, and sparsities in order."""
    if quantization is not None:
        trace = quantize(trace, quantization)
    for option in sparsities:
        trace = sparsify(trace, option)
    return trace


def quantize(trace: Trace, format: str) -> Trace:
    """The trace with weights, activations and cache in integers of the given bits."""
    bits = parse_quantization(format)
    if any(operator.phase in ("backward", "optimizer") for operator in trace.operators):
        raise OptionError(
            "a training trace cannot be quantized",
            where="quantize",
            remedy="use the prefill or decode phase",
        )
    if "quantization" in trace.header.source:
        raise OptionError(
            f"the trace is already quantized to {trace.header.source['quantization']}",
            where="quantize",
            remedy="quantize the original trace",
        )
    precision = _precision(trace)
    matrices = set(_weight_matrices(trace))

    def part(tensor: Tensor) -> str | None:
        if tensor.role == "kv_cache":
            return "kv"
        if tensor.role == "weight":
            return "w" if tensor.storage in matrices else None
        if tensor.role in ("activation", "input") and tensor.dtype == precision:
            return "a"
        return None

    def quantized(tensor: Tensor) -> Tensor:
        width = bits.get(part(tensor) or "", UNCHANGED_BITS)
        if width == UNCHANGED_BITS or not _is_floating(tensor.dtype):
            return tensor
        return replace(tensor, dtype=f"int{width}")

    tensors = {id: quantized(tensor) for id, tensor in trace.tensors.items()}
    return _noted(replace(trace, tensors=tensors), "quantization", format)


def recast(trace: Trace, dtype: str) -> Trace:
    """The trace with the model's own precision as another floating type of 16 bits or more: what a
    user does whose device has no units for it. Types that the model itself chose otherwise stay."""
    known = [name for name, bits in DTYPE_BITS.items() if "float" in name and bits >= 16]
    if dtype not in known:
        raise OptionError(
            f"'{dtype}' is not a precision", where="dtype", remedy=suggest(dtype, known)
        )
    precision = _precision(trace)
    tensors = {
        id: replace(tensor, dtype=dtype) if tensor.dtype == precision else tensor
        for id, tensor in trace.tensors.items()
    }
    return _noted(replace(trace, tensors=tensors), "dtype", dtype)


def sparsify(trace: Trace, option: str, strict: bool = True) -> Trace:
    """The trace with ``density`` on the matrix products that a pattern selects.

    A later option overrides an earlier one on the same module.  ``strict`` makes a
    pattern that selects nothing an error.
    """
    pattern, density = parse_sparsity(option)
    matching = [
        operator for operator in _weight_products(trace) if fnmatchcase(operator.module, pattern)
    ]
    if not matching and strict:
        modules = sorted({operator.module for operator in _weight_products(trace)})
        raise OptionError(
            f"no matrix product with weights in a module like '{pattern}'",
            where="sparsity",
            remedy=suggest(pattern, modules, "see 'accsim trace show --operators'"),
        )
    chosen = {operator.id for operator in matching}
    operators = [
        replace(operator, kwargs={**operator.kwargs, "density": density})
        if operator.id in chosen
        else operator
        for operator in trace.operators
    ]
    return _noted(replace(trace, operators=operators), "sparsity", option)


def parse_quantization(format: str) -> dict[str, int]:
    """``w4a8kv8`` as bits by part."""
    match = _FORMAT.fullmatch(format)
    bits = {part: int(text) for part, text in match.groupdict().items() if text} if match else {}
    if not bits:
        raise OptionError(
            f"'{format}' is not a quantization",
            where="quantize",
            remedy="use bits of weights, activations and cache such as w4a8kv8, w8a8 or kv8",
        )
    for part, width in bits.items():
        if width not in (*INTEGER_BITS, UNCHANGED_BITS):
            raise OptionError(
                f"{part}{width} is not supported",
                where="quantize",
                remedy=f"use {', '.join(map(str, INTEGER_BITS))} bits, or 16 for no change",
            )
    return bits


def parse_sparsity(option: str) -> tuple[str, float]:
    """``PATTERN=DENSITY`` with a density such as 0.5 or 2:4."""
    pattern, equals, text = option.rpartition("=")
    kept, colon, group = text.partition(":")
    try:
        density = int(kept) / int(group) if colon else float(text)
    except (ValueError, ZeroDivisionError):
        density = -1.0
    if not (pattern and equals and 0 < density <= 1):
        raise OptionError(
            f"'{option}' is not PATTERN=DENSITY",
            where="sparsity",
            remedy="use a module pattern and a share in (0, 1], such as '*.mlp.*=0.5' or '*=2:4'",
        )
    return pattern, density


def _weight_products(trace: Trace) -> Iterator[Operator]:
    for operator in trace.operators:
        base = operator.name.split(".")[1] if "." in operator.name else operator.name
        tensors = (trace.tensors[id] for id in operator.inputs)
        if base in MATRIX_PRODUCTS and any(map(_is_weight_matrix, tensors)):
            yield operator


def _weight_matrices(trace: Trace) -> Iterator[int]:
    """Storages of weights that matrix products read."""
    for operator in _weight_products(trace):
        for id in operator.inputs:
            if _is_weight_matrix(trace.tensors[id]):
                yield trace.tensors[id].storage


def _is_weight_matrix(tensor: Tensor) -> bool:
    return tensor.role == "weight" and len(tensor.shape) >= 2


def _precision(trace: Trace) -> str:
    """The commonest floating type among the weights."""
    dtypes = Counter(
        tensor.dtype
        for tensor in trace.tensors.values()
        if tensor.role == "weight" and _is_floating(tensor.dtype)
    )
    return dtypes.most_common(1)[0][0] if dtypes else "bfloat16"


def _is_floating(dtype: str) -> bool:
    return dtype in DTYPE_BITS and "float" in dtype


def _noted(trace: Trace, key: str, text: str) -> Trace:
    """The transform, written into the header beside those before it."""
    before = trace.header.source.get(key)
    source = {**trace.header.source, key: f"{before}, {text}" if before else text}
    return replace(trace, header=replace(trace.header, source=source))
