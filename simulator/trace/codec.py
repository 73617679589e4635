"""Trace lines: the JSON objects of which a trace file consists, and their checks.

One object per line: the header first, then tensors, then operators::

    {"accsim_trace": 1, "name": ..., "tensors": 2657, "operators": 2587, ...}
    {"tensor": 0, "storage": 0, "shape": [1, 1], "strides": [1, 1], "dtype": "int64"}
    {"operator": 0, "name": "aten.t.default", "args": [{"t": 7}], "outputs": [9]}

Between them ``{"array": SHA256, "recipe": {...}}`` says how to remake a recorded
array.  Defaults are omitted.  Among arguments ``{"t": id}`` is a tensor, ``{"size":
"batch*prompt"}`` an expression, ``{"float": "-inf"}`` a number JSON cannot
write.  Everything read is checked; nothing is ever evaluated as code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.errors import TraceError, suggest
from simulator.trace.expressions import LARGEST, Expression, names_of
from simulator.trace.schema import (
    DTYPE_BITS,
    PHASES,
    ROLES,
    SCHEMA_VERSION,
    Dim,
    Header,
    Operator,
    Tensor,
    TensorRef,
)

Line = dict[str, Any]

MOST_DIMENSIONS = 16
DEEPEST_ARGUMENT = 16

_HEADER_KEYS = frozenset(
    {"accsim_trace", "name", "model", "phase", "sizes", "parametric", "source", "guesses"}
    | {"ranges", "tensors", "operators"}
)
_TENSOR_KEYS = frozenset(
    {"tensor", "storage", "offset", "shape", "strides", "dtype", "role", "name", "data"}
)
_OPERATOR_KEYS = frozenset(
    {"operator", "name", "inputs", "outputs", "args", "kwargs", "module", "phase", "stream"}
    | {"measured_us", "guess"}
)


def encode_header(header: Header, tensors: int, operators: int) -> Line:
    return {
        "accsim_trace": header.schema,
        "name": header.name,
        "model": header.model,
        "phase": header.phase,
        "sizes": dict(header.sizes),
        "parametric": header.parametric,
        "source": dict(header.source),
        "guesses": list(header.guesses),
        "ranges": {name: list(bounds) for name, bounds in header.ranges.items()},
        "tensors": tensors,
        "operators": operators,
    }


def decode_header(line: Line) -> tuple[Header, int, int]:
    """The header and the number of tensors and operators that follow it."""
    if "accsim_trace" not in line:
        raise TraceError(
            "the first line is not a trace header",
            remedy="expected {\"accsim_trace\": 1, ...}; write traces with 'accsim trace export'",
        )
    if line["accsim_trace"] != SCHEMA_VERSION:
        raise TraceError(
            f"trace schema {line['accsim_trace']!r} is not supported",
            remedy=f"export it again: this version reads schema {SCHEMA_VERSION}",
        )
    _only(line, _HEADER_KEYS)
    sizes = _mapping(line, "sizes")
    ranges = _mapping(line, "ranges")
    for name, value in sizes.items():
        _integer(value, f"sizes.{name}")
    for name, bounds in ranges.items():
        if not isinstance(bounds, list) or len(bounds) != 2:
            raise TraceError("expected [least, most]", where=f"ranges.{name}")
        for bound in bounds:
            _integer(bound, f"ranges.{name}")
    header = Header(
        name=_text(line, "name"),
        model=_text(line, "model"),
        phase=_text(line, "phase"),
        sizes=sizes,
        parametric=bool(line.get("parametric", False)),
        source={key: str(value) for key, value in _mapping(line, "source").items()},
        guesses=tuple(str(guess) for guess in _list(line, "guesses")),
        ranges={name: (int(low), int(high)) for name, (low, high) in ranges.items()},
    )
    return (
        header,
        _integer(line.get("tensors"), "tensors"),
        _integer(line.get("operators"), "operators"),
    )


def encode_tensor(tensor: Tensor) -> Line:
    line: Line = {
        "tensor": tensor.id,
        "storage": tensor.storage,
        "shape": list(tensor.shape),
        "strides": list(tensor.strides),
        "dtype": tensor.dtype,
    }
    if tensor.offset != 0:
        line["offset"] = tensor.offset
    if tensor.role != "activation":
        line["role"] = tensor.role
    if tensor.name:
        line["name"] = tensor.name
    if tensor.data is not None:
        line["data"] = tensor.data
    return line


def decode_tensor(line: Line, sizes: Mapping[str, int]) -> Tensor:
    _only(line, _TENSOR_KEYS)
    shape = _dims(line.get("shape"), "shape", sizes)
    strides = _dims(line.get("strides"), "strides", sizes)
    if len(shape) != len(strides):
        raise TraceError(f"{len(shape)} dimensions but {len(strides)} strides", where="strides")
    dtype = line.get("dtype")
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise TraceError(
            f"unknown dtype {dtype!r}", where="dtype", remedy=suggest(str(dtype), DTYPE_BITS)
        )
    role = line.get("role", "activation")
    if not isinstance(role, str) or role not in ROLES:
        raise TraceError(f"unknown role {role!r}", where="role", remedy=suggest(str(role), ROLES))
    data = line.get("data")
    if data is not None and not (isinstance(data, str) and _is_digest(data)):
        raise TraceError("expected a SHA-256 in hexadecimal", where="data")
    return Tensor(
        id=_integer(line["tensor"], "tensor"),
        storage=_integer(line.get("storage"), "storage"),
        offset=_dim(line.get("offset", 0), "offset", sizes),
        shape=shape,
        strides=strides,
        dtype=dtype,
        role=role,
        name=str(line.get("name", "")),
        data=data,
    )


def encode_recipe(digest: str, recipe: Mapping[str, Any]) -> Line:
    return {"array": digest, "recipe": dict(recipe)}


def decode_recipe(line: Line) -> tuple[str, Line]:
    """An array's SHA-256 and how to remake it; its generator checks the rest."""
    _only(line, frozenset({"array", "recipe"}))
    digest = line["array"]
    if not (isinstance(digest, str) and _is_digest(digest)):
        raise TraceError("expected a SHA-256 in hexadecimal", where="array")
    return digest, _mapping(line, "recipe")


def encode_operator(operator: Operator) -> Line:
    line: Line = {
        "operator": operator.id,
        "name": operator.name,
        "args": [_encode(value) for value in operator.args],
        "outputs": list(operator.outputs),
    }
    if operator.kwargs:
        line["kwargs"] = {key: _encode(value) for key, value in operator.kwargs.items()}
    if operator.inputs != references(operator.args, operator.kwargs):
        line["inputs"] = list(operator.inputs)
    if operator.module:
        line["module"] = operator.module
    if operator.phase != "forward":
        line["phase"] = operator.phase
    if operator.stream:
        line["stream"] = operator.stream
    if operator.measured_us is not None:
        line["measured_us"] = operator.measured_us
    if operator.guess is not None:
        line["guess"] = operator.guess
    return line


def decode_operator(line: Line, sizes: Mapping[str, int]) -> Operator:
    _only(line, _OPERATOR_KEYS)
    phase = line.get("phase", "forward")
    if phase not in PHASES:
        raise TraceError(
            f"unknown phase {phase!r}", where="phase", remedy=suggest(str(phase), PHASES)
        )
    args = tuple(_decode(value, "args", sizes) for value in _list(line, "args"))
    kwargs = {
        key: _decode(value, f"kwargs.{key}", sizes)
        for key, value in _mapping(line, "kwargs").items()
    }
    measured = line.get("measured_us")
    if measured is not None and not (isinstance(measured, int | float) and measured >= 0):
        raise TraceError("expected microseconds", where="measured_us")
    return Operator(
        id=_integer(line["operator"], "operator"),
        name=_text(line, "name"),
        inputs=_ids(line, "inputs") if "inputs" in line else references(args, kwargs),
        outputs=_ids(line, "outputs"),
        args=args,
        kwargs=kwargs,
        module=str(line.get("module", "")),
        phase=phase,
        stream=_integer(line.get("stream", 0), "stream"),
        measured_us=measured,
        guess=line.get("guess"),
    )


def references(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[int, ...]:
    """Ids of the tensors among arguments, in order, each once."""
    found: dict[int, None] = {}
    pending: list[Any] = [*reversed([*args, *kwargs.values()])]
    while pending:
        value = pending.pop()
        kind = type(value)
        if kind is TensorRef:
            found[value.id] = None
        elif kind is list or kind is tuple:
            pending.extend(reversed(value))
        elif kind is dict:
            pending.extend(reversed(value.values()))
    return tuple(found)


def _encode(value: Any) -> Any:
    if isinstance(value, TensorRef):
        return {"t": value.id}
    if isinstance(value, Expression):
        return {"size": str(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    if isinstance(value, dict):
        return {"map": {str(key): _encode(item) for key, item in value.items()}}
    return value


def _decode(value: Any, where: str, sizes: Mapping[str, int], depth: int = 0) -> Any:
    kind = type(value)
    if kind is int:
        if abs(value) > LARGEST * 16:
            raise TraceError(f"{value} is beyond any tensor", where=where)
        return value
    if value is None or kind is bool or kind is float or kind is str:
        return value
    if depth > DEEPEST_ARGUMENT:
        raise TraceError("arguments are nested too deeply", where=where)
    if kind is list:
        return [_decode(item, where, sizes, depth + 1) for item in value]
    if kind is dict and len(value) == 1:
        ((tag, content),) = value.items()
        if tag == "t":
            return TensorRef(_integer(content, where))
        if tag == "size" and isinstance(content, str):
            return Expression(_expression(content, where, sizes))
        if tag == "float" and content in ("inf", "-inf"):
            return float(content)
        if tag == "map" and isinstance(content, dict):
            return {key: _decode(item, where, sizes, depth + 1) for key, item in content.items()}
    raise TraceError(f"{str(value)[:40]!r} is no argument", where=where)


def _dims(values: Any, where: str, sizes: Mapping[str, int]) -> tuple[Dim, ...]:
    if not isinstance(values, list) or len(values) > MOST_DIMENSIONS:
        raise TraceError(f"expected a list of at most {MOST_DIMENSIONS} sizes", where=where)
    return tuple([_dim(value, where, sizes) for value in values])


def _dim(value: Any, where: str, sizes: Mapping[str, int]) -> Dim:
    if type(value) is int:
        if 0 <= value <= LARGEST:
            return value
        raise TraceError(f"{value} is not a size", where=where, remedy="use 0 to 2^60")
    if type(value) is str:
        return _expression(value, where, sizes)
    raise TraceError(f"expected an integer or an expression of sizes, got {value!r}", where=where)


def _expression(text: str, where: str, sizes: Mapping[str, int]) -> str:
    for name in names_of(text):
        if name not in sizes:
            raise TraceError(
                f"'{text}' names the unknown size '{name}'",
                where=where,
                remedy=suggest(name, sizes, "the trace has no sizes"),
            )
    return text


def _integer(value: Any, where: str) -> int:
    if type(value) is int and 0 <= value <= LARGEST:
        return value
    raise TraceError(f"expected a non-negative integer, got {value!r}", where=where)


def _ids(line: Line, key: str) -> tuple[int, ...]:
    return tuple([_integer(value, key) for value in _list(line, key)])


def _text(line: Line, key: str) -> str:
    value = line.get(key)
    if isinstance(value, str) and value:
        return value
    raise TraceError(f"expected text, got {value!r}", where=key)


def _mapping(line: Line, key: str) -> Line:
    value = line.get(key, {})
    if isinstance(value, dict):
        return value
    raise TraceError("expected a mapping", where=key)


def _list(line: Line, key: str) -> list[Any]:
    value = line.get(key, [])
    if isinstance(value, list):
        return value
    raise TraceError("expected a list", where=key)


def _only(line: Line, known: frozenset[str]) -> None:
    for key in line:
        if key not in known:
            raise TraceError(f"unknown key '{key}'", remedy=suggest(key, known))


def _is_digest(text: str) -> bool:
    return len(text) == 64 and all(character in "0123456789abcdef" for character in text)
