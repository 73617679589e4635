"""Named models in their phases: prefill, decode and train.

- *prefill*: ``batch`` sequences of ``prompt`` tokens enter an empty cache; logits
  of the last position only, as generation computes them.  Encoders and vision
  models run their one forward pass under this name.
- *decode*: one token for each of ``batch`` sequences with ``context`` tokens in
  the cache; it attends to ``context + 1``.
- *train*: forward with loss, backward, one AdamW step; see :mod:`.training`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.errors import OptionError, suggest
from simulator.trace import routing as expert_routing
from simulator.trace.export import models, training
from simulator.trace.export.capture import capture
from simulator.trace.export.kv_cache import preallocated_cache
from simulator.trace.export.recorder import Recorder
from simulator.trace.export.requirements import require
from simulator.trace.schema import Trace

LARGEST_BATCH = 65536
DEFAULTS: Mapping[str, int] = {"batch": 1, "prompt": 128, "context": 1024}


def sizes_of(entry: models.ModelEntry, phase: str) -> tuple[str, ...]:
    """Names of the sizes that a phase of a model has."""
    if phase not in entry.phases:
        raise OptionError(f"no phase '{phase}' for this model", remedy=suggest(phase, entry.phases))
    if entry.family == "vision":
        return ("batch",)
    return ("batch", "context") if phase == "decode" else ("batch", "prompt")


def ranges_of(entry: models.ModelEntry, phase: str) -> dict[str, tuple[int, int]]:
    """Inclusive range of each size: a prompt of one token would be a decode step."""
    ranges = {
        "batch": (1, LARGEST_BATCH),
        "prompt": (2, entry.positions),
        "context": (1, entry.positions - 1),
    }
    return {size: ranges[size] for size in sizes_of(entry, phase)}


def checked_sizes(
    entry: models.ModelEntry, phase: str, given: Mapping[str, int | None] | None = None
) -> dict[str, int]:
    """Given sizes with defaults filled in; a size the phase lacks is an error."""
    ranges = ranges_of(entry, phase)
    given = given or {}
    for size, value in given.items():
        if value is not None and size not in ranges:
            raise OptionError(
                f"phase '{phase}' has no size '{size}'",
                where=size,
                remedy=f"its sizes are {', '.join(ranges)}",
            )
    sizes = {}
    for size, (least, most) in ranges.items():
        value = given.get(size)
        sizes[size] = max(least, min(DEFAULTS[size], most)) if value is None else value
        if not least <= sizes[size] <= most:
            raise OptionError(
                f"{sizes[size]} is out of range", where=size, remedy=f"use {least} to {most}"
            )
    return sizes


def export_model(
    name: str,
    phase: str = "decode",
    batch: int | None = None,
    prompt: int | None = None,
    context: int | None = None,
    routing: str | None = None,
) -> Trace:
    """Run the real code of a named model on the meta device and return its trace."""
    entry = models.model_entry(name)
    sizes = checked_sizes(entry, phase, {"batch": batch, "prompt": prompt, "context": context})
    if routing is not None and not entry.experts:
        raise OptionError(
            f"'{name}' has no experts to route to", where="routing", remedy="leave the option out"
        )
    routing = routing or "uniform"
    shares = expert_routing.expert_shares(routing, entry.experts, entry.experts_per_token)
    require("torch", "torch", "transformers")
    import torch
    import transformers

    model = models.build(name, phase)
    recorder = Recorder(phase=phase)
    declare_parameters(recorder, model)
    if phase == "train":
        training.run(recorder, model, _inputs(recorder, entry, sizes, labels=True))
    else:
        inputs = _inputs(recorder, entry, sizes)
        if entry.family == "decoder":
            inputs |= _cache(recorder, model, sizes)
        with torch.no_grad(), capture(recorder, model):
            model(**inputs)
    source = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "configuration": entry.source,
        "precision": "bfloat16",
    }
    if entry.experts:
        source |= {"routing": routing, "experts_per_token": str(entry.experts_per_token)}
    trace = recorder.finish(name, name, phase, sizes, source, ranges_of(entry, phase))
    expert_routing.annotate(trace, shares)
    return trace


def declare_parameters(recorder: Recorder, model: Any) -> None:
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        recorder.declare(tensor, "weight", name)


def _inputs(
    recorder: Recorder, entry: models.ModelEntry, sizes: Mapping[str, int], labels: bool = False
) -> dict[str, Any]:
    import torch

    batch = sizes["batch"]
    if entry.family == "vision":
        edge = entry.values["image_size"]
        pixels = torch.empty((batch, 3, edge, edge), dtype=torch.bfloat16, device="meta")
        inputs = {"pixel_values": pixels}
        label_shape: tuple[int, ...] = (batch,)
    else:
        label_shape = (batch, sizes.get("prompt", 1))
        inputs = {"input_ids": torch.empty(label_shape, dtype=torch.int64, device="meta")}
    if labels:
        inputs["labels"] = torch.empty(label_shape, dtype=torch.int64, device="meta")
        if entry.family != "vision":
            # As data collators give it; without it the code looks for packed sequences.
            mask = torch.empty(label_shape, dtype=torch.int64, device="meta")
            inputs["attention_mask"] = mask
    for name, tensor in inputs.items():
        recorder.declare(tensor, "input", name)
    return inputs


def _cache(recorder: Recorder, model: Any, sizes: Mapping[str, int]) -> dict[str, Any]:
    filled = sizes.get("context", 0)
    capacity = filled + sizes.get("prompt", 1)
    cache = preallocated_cache(model.config, sizes["batch"], capacity, filled, model.dtype)
    for index, layer in enumerate(cache.layers):
        recorder.declare(layer.keys, "kv_cache", f"layers.{index}.keys")
        recorder.declare(layer.values, "kv_cache", f"layers.{index}.values")
    return {"past_key_values": cache, "use_cache": True, "logits_to_keep": 1}
