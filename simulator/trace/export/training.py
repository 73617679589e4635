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
    options = {"use_cache": False} if hasattr(model.config, "use_cache") else {}
    with capture(recorder, model, backward=True):
        recorder.phase = "forward"
        loss = model(**inputs, **options).loss
        recorder.phase = "backward"
        loss.backward()
        parameters = {name: p for name, p in model.named_parameters() if p.grad is not None}
        update(recorder, parameters)


def update(recorder: Recorder, parameters: Mapping[str, Any], step: bool = True) -> None:
    """Name the gradients and, if ``step``, record the optimizer; call it inside a capture."""
    for name, parameter in parameters.items():
        recorder.declare(parameter.grad, "gradient", f"{name}.grad")
    if not step:
        return
    import torch

    optimizer = torch.optim.AdamW(list(parameters.values()), lr=1e-4, foreach=True)
    with recorder.paused():
        optimizer.step()
    for name, parameter in parameters.items():
        for key, state in optimizer.state[parameter].items():
            if state.shape == parameter.shape and state.device == parameter.device:
                recorder.declare(state, "optimizer_state", f"{name}.{key}")
    recorder.phase, recorder.module = "optimizer", "optimizer"
    optimizer.step()
