"""Chains of operators that a device runs as one.

``gelu``: a model may write an activation as the formula it is; transformers' ``NewGELUActivation``
is eight operators, x/2 (1 + tanh(c (x + a x^3))).  A device with a unit, a table or an
approximation of its own sees one operator instead.

``epilogue``: an activation that is all that becomes of a product is applied to the product's
results as they are made, as cuBLASLt's epilogues and a PIM controller's lanes do.

What lies between is never stored.  Left out: the other half of a gated activation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from simulator.trace.schema import Operator, Tensor, TensorRef, Trace

GELU_TANH = ("mul", "pow", "mul", "add", "mul", "tanh", "add", "mul")
"""x/2, x^3, its share, x + it, times the constant, tanh, plus one, times x/2."""
PRODUCTS = frozenset({"mm", "addmm", "linear"})
ACTIVATIONS = frozenset({"gelu", "silu", "relu"})
WINDOWS = frozenset({"view", "_unsafe_view", "reshape", "alias"})
"""Operators between a product and its activation that only rename the result."""


def fuse(trace: Trace, names: Collection[str]) -> Trace:
    """The trace with every chain of the named kinds (``gelu``, ``epilogue``) as one operator; a
    trace without any is returned as it is."""
    fused = _one_gelu(trace) if "gelu" in names else trace
    return _epilogues(fused) if "epilogue" in names else fused


def _base(operator: Operator) -> str:
    return operator.name.split(".")[1] if "." in operator.name else operator.name


def _one_gelu(trace: Trace) -> Trace:
    operators = trace.operators
    starts = {end: start for start, end in _gelus(operators)}
    inside = {i for end, start in starts.items() for i in range(start, end)}

    def fused(number: int, operator: Operator) -> Operator:
        if number not in starts:
            return operator
        source = operators[starts[number]].inputs[0]
        return replace(
            operator,
            name="aten.gelu.default",
            inputs=(source,),
            args=(TensorRef(source),),
            kwargs={"approximate": "tanh"},
        )

    kept = [fused(i, operator) for i, operator in enumerate(operators) if i not in inside]
    return _with(trace, kept, trace.tensors)


def _gelus(operators: Sequence[Operator]) -> Iterator[tuple[int, int]]:
    """First and last place of each chain: one module, all of it from one tensor, nothing of it
    used elsewhere."""
    users: dict[int, set[int]] = {}
    for number, operator in enumerate(operators):
        for id in operator.inputs:
            users.setdefault(id, set()).add(number)
    for start in range(len(operators) - len(GELU_TANH) + 1):
        chain = operators[start : start + len(GELU_TANH)]
        if tuple(map(_base, chain)) != GELU_TANH or len({one.module for one in chain}) > 1:
            continue
        source, made = chain[0].inputs[0], {id for one in chain[:-1] for id in one.outputs}
        taken = {id for one in chain for id in one.inputs}
        places = set(range(start, start + len(chain)))
        if taken <= made | {source} and all(users.get(id, set()) <= places for id in made):
            yield start, start + len(chain) - 1


def _epilogues(trace: Trace) -> Trace:
    """Products whose result goes through windows into one activation and nowhere else."""
    tensors = dict(trace.tensors)
    operators = list(trace.operators)
    users: dict[int, list[int]] = {}
    for number, operator in enumerate(operators):
        for storage in {trace.tensors[id].storage for id in operator.inputs}:
            users.setdefault(storage, []).append(number)
    dropped = set()
    renamed: dict[int, int] = {}
    for number, operator in enumerate(trace.operators):
        if _base(operator) not in PRODUCTS or len(operator.outputs) != 1:
            continue
        result = trace.tensors[operator.outputs[0]].storage
        after = [other for other in users.get(result, []) if other > number]
        *windows, last = after or [number]
        activation = trace.operators[last]
        if _base(activation) not in ACTIVATIONS or any(
            _base(trace.operators[other]) not in WINDOWS for other in windows
        ):
            continue
        arguments = {key: value for key, value in activation.kwargs.items() if key == "approximate"}
        function = {"epilogue": _base(activation), **arguments}
        operators[number] = replace(operator, kwargs={**operator.kwargs, **function})
        dropped.add(last)
        renamed[trace.tensors[activation.outputs[0]].storage] = result
    for id, tensor in tensors.items():
        if tensor.storage in renamed:
            tensors[id] = replace(tensor, storage=renamed[tensor.storage])
    kept = [operator for number, operator in enumerate(operators) if number not in dropped]
    return _with(trace, kept, tensors)


def _with(trace: Trace, operators: list[Operator], tensors: dict[int, Tensor]) -> Trace:
    """The trace with other operators, less the tensors that only those left out mention."""
    before = {id for one in trace.operators for id in (*one.inputs, *one.outputs)}
    after = {id for one in operators for id in (*one.inputs, *one.outputs)}
    kept = {id: one for id, one in tensors.items() if id in after or id not in before}
    return replace(trace, operators=operators, tensors=kept)
