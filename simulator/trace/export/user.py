"""Any ``nn.Module`` with example inputs.

The module itself is not touched: it runs with stand-ins on the meta device for
its parameters and buffers, so it may hold real weights of any size.  Example
inputs give shapes and dtypes; integer ones (and sparse matrices) keep their values,
and so does all that is computed from integers alone: they say where memory is
touched (:mod:`.mixed`).

Left out: control flow on values other than the guesses of :mod:`.guesses`.
Constants outside parameters and buffers are recorded, but not as weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.errors import TraceError
from simulator.trace.export.indexed import indexed_capture
from simulator.trace.export.recorder import Recorder
from simulator.trace.export.requirements import require
from simulator.trace.export.sparse import declare_adjacency, is_sparse
from simulator.trace.export.training import update
from simulator.trace.schema import Trace


def export_module(
    module: Any,
    example_inputs: Any,
    *,
    name: str | None = None,
    phase: str = "forward",
    backward: bool = False,
    optimizer: bool = False,
    sizes: Mapping[str, int] | None = None,
) -> Trace:
    """The trace of ``module(*example_inputs)``, of its gradients, of an AdamW step.

    ``example_inputs`` is a tensor, a sequence of positional or a mapping of named
    arguments.  ``backward`` adds the backward pass of all floating-point outputs
    (gradients of a loss come from outside), ``optimizer`` also the update.  The
    module's own mode decides about dropout: call ``eval()`` first to have none.
    ``sizes`` names the numbers that example inputs were made from; with them
    :func:`simulator.trace.parametric.fit_exports` makes a trace for all sizes.
    """
    require("torch", "torch")
    import torch

    recorder = Recorder(phase=phase)
    # Recorded where the caller gave some; a trace without values can fit all sizes.
    keep_values = any(_has_index_values(tensor) for tensor in _tensors(example_inputs))
    state = {
        key: _stand_in(tensor)
        for key, tensor in (*module.named_parameters(), *module.named_buffers())
    }
    for key, tensor in state.items():
        recorder.declare(tensor, "weight", key)
    args, kwargs = _arguments(recorder, example_inputs)
    gradients = backward or optimizer
    try:
        with (
            torch.set_grad_enabled(gradients),
            indexed_capture(recorder, module, backward=gradients, keep_values=keep_values),
        ):
            with torch.device("meta"):
                outputs = torch.func.functional_call(module, state, args, kwargs)
            if gradients:
                _backward(recorder, outputs)
                parameters = {key: t for key, t in state.items() if t.grad is not None}
                update(recorder, parameters, step=optimizer)
    except (RuntimeError, NotImplementedError) as error:
        raise TraceError(
            f"{type(module).__name__} does not run without values: {error}".partition("\n")[0],
            where=recorder.module,
            remedy="keep constant tensors as buffers, and shapes independent of values",
        ) from error
    title = name or type(module).__name__
    return recorder.finish(
        title,
        f"{type(module).__module__}.{type(module).__qualname__}",
        "train" if gradients else phase,
        sizes or {},
        {"torch": torch.__version__, "mode": "train" if module.training else "eval"},
    )


def _stand_in(tensor: Any) -> Any:
    """The same window on the meta device; of integers a copy of the values."""
    import torch

    if _has_index_values(tensor):
        return tensor.detach().cpu().clone()
    with torch.no_grad():
        copy = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    return copy.requires_grad_(tensor.requires_grad)


def _arguments(recorder: Recorder, example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    def stand_in(value: Any, name: str) -> Any:
        """A stand-in for every tensor in an argument."""
        if isinstance(value, list | tuple):
            return type(value)(stand_in(v, f"{name}.{i}") for i, v in enumerate(value))
        if isinstance(value, dict):
            return {key: stand_in(v, f"{name}.{key}") for key, v in value.items()}
        if not hasattr(value, "untyped_storage"):
            return value
        if is_sparse(value):
            return declare_adjacency(recorder, value, name)
        tensor = _stand_in(value)
        recorder.declare(tensor, "input", name)
        return tensor

    if isinstance(example_inputs, Mapping):
        return (), {key: stand_in(value, str(key)) for key, value in example_inputs.items()}
    single = hasattr(example_inputs, "untyped_storage")
    values: Sequence[Any] = (example_inputs,) if single else tuple(example_inputs)
    return tuple(stand_in(value, f"input.{i}") for i, value in enumerate(values)), {}


def _has_index_values(tensor: Any) -> bool:
    if is_sparse(tensor):
        return True
    integers = str(tensor.dtype) in ("torch.int32", "torch.int64")
    return integers and tensor.dim() in (1, 2) and tensor.device.type != "meta"


def _backward(recorder: Recorder, outputs: Any) -> None:
    import torch

    differentiable = [tensor for tensor in _tensors(outputs) if tensor.requires_grad]
    if not differentiable:
        raise TraceError(
            "no output depends on a parameter that requires a gradient",
            where=recorder.module,
            remedy="export without backward, or unfreeze a parameter",
        )
    with recorder.paused():
        gradients = [torch.empty_like(tensor) for tensor in differentiable]
    recorder.phase = "backward"
    torch.autograd.backward(differentiable, gradients)


def _tensors(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in _tensors(item)]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in _tensors(item)]
    return [value] if hasattr(value, "untyped_storage") else []
