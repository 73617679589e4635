"""One training step: forward with loss, backward, AdamW (foreach).

The optimizer's state is made by an unrecorded first step, so that the trace is
a step in the middle of training.  Everything is in the model's precision:
master weights and mixed precision are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.trace.export.capture import capture
from simulator.trace.export.recorder import Recorder


def run(recorder: Recorder, model: Any, inputs: Mapping[str, Any]) -> None:
    """Record a step of a transformers model, whose forward returns a loss."""
    with capture(recorder, model, backward=True):
        recorder.phase = "forward"
        loss = model(**inputs, **_no_cache(model)).loss
        backward_and_update(recorder, model, loss)


def backward_and_update(recorder: Recorder, model: Any, loss: Any) -> None:
    """The rest of a step, from the loss on; call it inside a capture."""
    recorder.phase = "backward"
    loss.backward()
    parameters = {name: p for name, p in model.named_parameters() if p.grad is not None}
    optimizer = _warm_optimizer(recorder, parameters)
    for name, parameter in parameters.items():
        recorder.declare(parameter.grad, "gradient", f"{name}.grad")
        for key, state in optimizer.state[parameter].items():
            if state.shape == parameter.shape and state.dim():
                recorder.declare(state, "optimizer_state", f"{name}.{key}")
    recorder.phase, recorder.module = "optimizer", "optimizer"
    optimizer.step()


def _warm_optimizer(recorder: Recorder, parameters: Mapping[str, Any]) -> Any:
    import torch

    optimizer = torch.optim.AdamW(list(parameters.values()), lr=1e-4, foreach=True)
    with recorder.paused():
        optimizer.step()
    return optimizer


def _no_cache(model: Any) -> dict[str, Any]:
    return {"use_cache": False} if hasattr(model.config, "use_cache") else {}
