"""Run PyTorch code and record every operator it dispatches.

Two interception points: a *function mode* above autograd, which keeps fused
attention whole, and a *dispatch mode* below it, which sees every other operator
with the tensors it reads and makes.  Tensors live on the meta device, so a model
of any size runs without weights in the time of its Python code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from simulator.errors import TraceError
from simulator.trace.export import attention, guesses
from simulator.trace.export.modules import ModulePaths
from simulator.trace.export.recorder import Recorder

Execute = Callable[[Any, Sequence[Any], Mapping[str, Any]], Any]
"""Runs one dispatched operator: ``execute(operator, args, kwargs)``."""


def plain_execute(operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    return operator(*args, **kwargs)


def is_meta(tensor: Any) -> bool:
    return bool(tensor.is_meta)


@contextmanager
def capture(
    recorder: Recorder,
    root: Any,
    *,
    backward: bool = False,
    execute: Execute = plain_execute,
    on_device: Callable[[Any], bool] = is_meta,
) -> Iterator[None]:
    """Record what runs inside into ``recorder``; ``root`` names the modules.

    ``execute`` may run an operator otherwise than PyTorch would (to compute index
    tensors for real while features stay on the meta device); ``on_device`` tells
    the tensors of the simulated device; operators on others alone are the host's.
    """
    from torch.fx.experimental import _config as meta_config

    paths = ModulePaths(recorder, root)
    with ExitStack() as stack:
        stack.enter_context(paths.followed())
        stack.enter_context(meta_config.patch(meta_nonzero_assume_all_nonzero=True))
        tag = paths.tag if backward else _no_tag
        replacements = stack.enter_context(attention.kept_whole(recorder, tag))
        stack.enter_context(_function_mode(replacements, tag))
        stack.enter_context(_dispatch_mode(recorder, execute, on_device))
        yield


def _no_tag(results: Any) -> None:
    """Without a backward pass no autograd node needs its module's name."""


def _function_mode(replacements: Mapping[Any, Any], tag: Callable[[Any], None]) -> Any:
    from torch.overrides import TorchFunctionMode

    class FunctionMode(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            results = replacements.get(function, function)(*args, **(kwargs or {}))
            tag(results)
            return results

    return FunctionMode()


def _dispatch_mode(recorder: Recorder, execute: Execute, on_device: Callable[[Any], bool]) -> Any:
    from torch.utils._python_dispatch import TorchDispatchMode

    class DispatchMode(TorchDispatchMode):
        def __torch_dispatch__(
            self, operator: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            return _dispatch(recorder, execute, on_device, operator, args, kwargs or {})

    return DispatchMode()


def _dispatch(
    recorder: Recorder,
    execute: Execute,
    on_device: Callable[[Any], bool],
    operator: Any,
    args: Any,
    kwargs: Mapping[str, Any],
) -> Any:
    name = str(operator)
    decided = guesses.decided_value(name, args)
    if decided is not None:
        value, guess = decided
        recorder.record(name, args, kwargs, value, guess)
        return value
    try:
        results = execute(operator, args, kwargs)
    except NotImplementedError as error:
        raise TraceError(
            f"operator {name} has no result without values",
            where=recorder.module,
            remedy="replace it in the model by an operator whose output shape is fixed",
        ) from error
    if _any_tensor(on_device, (args, kwargs, results)):
        written = [*_changed(operator, args, kwargs), results]
        recorder.record(name, args, kwargs, written, guesses.assumed_shape(name, args, kwargs))
    return results


def _changed(operator: Any, args: Any, kwargs: Mapping[str, Any]) -> list[Any]:
    """The arguments that the operator's schema says it writes to."""
    arguments = operator._schema.arguments
    return [
        args[place] if place < len(args) else kwargs.get(argument.name)
        for place, argument in enumerate(arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]


def _any_tensor(test: Callable[[Any], bool], value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_any_tensor(test, item) for item in value)
    if isinstance(value, dict):
        return any(_any_tensor(test, item) for item in value.values())
    return hasattr(value, "untyped_storage") and test(value)
