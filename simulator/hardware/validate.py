"""From description to frozen specification, with one clear line for what is wrong.

Pydantic finds all mistakes; the user sees the first: a misspelled key before the
missing key it leaves behind, with file, line, key path, what was expected and the
nearest valid key.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from simulator.errors import HardwareError, suggest
from simulator.hardware.description import Description
from simulator.hardware.leaf import OVERRIDE
from simulator.units import Dimension

Model = TypeVar("Model", bound=BaseModel)

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number without unit",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "model_type": "a block of keys",
    "dict_type": "a block of keys",
    "list_type": "a list",
    "tuple_type": "a list",
}
_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def validate(description: Description, model: type[Model]) -> Model:
    """The specification, or one :class:`HardwareError` about the first mistake."""
    try:
        return model.model_validate(description.tree)
    except ValidationError as error:
        raise _explain(description, model, error) from None


def _explain(
    description: Description, model: type[BaseModel], error: ValidationError
) -> HardwareError:
    details = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    path = [str(part) for part in details["loc"] if part != "[key]"]
    message, remedy = words(model, details)
    return HardwareError(message, where=_where(description, path), remedy=remedy)


def words(model: type[BaseModel], details: ErrorDetails) -> tuple[str, str | None]:
    """Message and remedy for one of the mistakes pydantic found in ``model``."""
    kind, path, value = details["type"], details["loc"], details["input"]
    keys = [str(part) for part in path]
    context = details.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key '{keys[-1]}'", suggest(keys[-1], _fields(model, keys[:-1]))
    if kind == "missing":
        return f"missing key '{keys[-1]}'", f"add it: {_describe(model, keys)}"
    if kind == "value_error":
        message, _, remedy = str(context.get("error", details["msg"])).partition("; ")
        return message, remedy or None
    if kind in ("literal_error", "enum"):
        choices = [choice.strip("'\" ") for choice in context["expected"].split(" or ")]
        choices = [name.strip("'\" ") for choice in choices for name in choice.split(",")]
        listing = f"choose one of {', '.join(choices)}"
        return f"unknown value '{value}'", suggest(str(value), choices, listing)
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return f"expected {words} {context[key]}, got {value!r:.60}", "correct the value"
    expected = _EXPECTED.get(kind, details["msg"].removeprefix("Input should be "))
    shown = "a block of keys" if isinstance(value, dict) else f"{value!r:.60}"
    return f"expected {expected}, got {shown}", "correct the value"


def _where(description: Description, path: Sequence[str]) -> str:
    """File, line and key path; for a whole block, the override in it that broke it."""
    place = str(description.files[0])
    for depth in range(len(path), -1, -1):
        prefix = ".".join(path[:depth])
        exact = description.provenance.get(prefix)
        if exact is not None:
            place = exact.place
            break
        inside = [
            mark
            for key, mark in description.provenance.items()
            if not prefix or key.startswith(f"{prefix}.")
        ]
        overrides = [mark for mark in inside if mark.quality == OVERRIDE]
        if overrides:
            place = overrides[-1].place
            break
        if inside and prefix:
            place = inside[0].file
            break
    return f"{place}: {'.'.join(path)}" if path else place


def _fields(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Keys that may stand at ``path``."""
    return [name for block in _blocks(model, path) for name in block.model_fields]


def _blocks(model: type[BaseModel], path: Sequence[str]) -> Iterator[type[BaseModel]]:
    if not path:
        yield model
        return
    field = model.model_fields.get(path[0])
    if field is None:
        return
    for kind, rest in _inner(field.annotation, path[1:]):
        yield from _blocks(kind, rest)


def _inner(annotation: Any, rest: Sequence[str]) -> Iterator[tuple[type[BaseModel], Sequence[str]]]:
    """The blocks an annotation may hold, through optionals, unions and dictionaries."""
    origin = get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, rest
    elif origin is Annotated:
        yield from _inner(get_args(annotation)[0], rest)
    elif origin in (Union, types.UnionType):
        for choice in get_args(annotation):
            yield from _inner(choice, rest)
    elif origin is dict and rest:
        yield from _inner(get_args(annotation)[1], rest[1:])


def _describe(model: type[BaseModel], path: Sequence[str]) -> str:
    """What a field wants, in words, with an example."""
    for block in _blocks(model, path[:-1]):
        field = block.model_fields.get(path[-1])
        if field is None:
            continue
        for mark in field.metadata:
            if isinstance(mark, Dimension):
                return mark.wanted
        names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        if field.annotation in names:
            return names[field.annotation]
        inner = [key for kind, _ in _inner(field.annotation, ()) for key in kind.model_fields]
        if inner:
            return f"a block with {', '.join(inner[:6])}{' ...' if len(inner) > 6 else ''}"
    return "see a shipped description of this kind"
