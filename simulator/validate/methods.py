"""How a measured time was taken: what it contains, and what the caches held.

A kernel's time alone says little about a reported number: a replayed graph has gaps between
kernels and a host that launches it, an eager call waits for the host, a loop over one buffer
finds it in L2, a short loop ends before the power limiter acts.  Each timing method of the data is
stated here once.  The loops are those of the collectors' published sources
(ai-dynamo/aiconfigurator ``collector/helper.py``: three replays to warm up and six that are timed,
with watts as many as take a second; baidu-research/DeepBench; and the README of the data).

The gap between two graphs is taken as that between two launches of a stream.  Left out: random
numbers of weight copies that differ by software stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from simulator.hardware.host import HostSpec
from simulator.power.clock import settled
from simulator.validate.rows import Row


@dataclass(frozen=True, slots=True)
class Method:
    """One way of timing. Activations keep their buffers from call to call, so L2 holds what
    it can of them; weights rotate over ``weight_copies`` buffers."""

    launch: Literal["kernels", "graph", "stream", "eager"]
    """``kernels``: the sum of kernel times; ``graph``: replays of a graph, one behind the other;
    ``stream``: calls one behind the other; ``eager``: one call on an idle device, which waits for
    the host."""
    weight_copies: int
    """0: other layers' weights pass between two uses, and none is found in L2."""
    calls: int = 1
    """Calls in one graph."""
    framework: bool = True
    """Whether a host's call goes through a framework or straight to a library."""
    dispatches: int = 1
    """Operators that the framework dispatches before the kernels of a call."""
    quantizes: bool = False
    """Whether activations are quantized within the time."""
    observed_s: float = 0.0
    """What two events around one call on an idle device add: the way of the launch to a device that
    sleeps, and the writing of the times."""
    trusted_from_s: float = 0.0
    """Below this the time is the method's own floor."""
    warm_calls: int = 0
    """Calls right before those that are timed."""
    timed_calls: int = 1
    timed_s: float = 0.0
    """If so many take less than this, as many more as fill it."""

    def seconds(
        self, kernels: float, count: int, gap_s: float, stream_gap_s: float, host: HostSpec
    ) -> float:
        """The time this method reports for ``count`` kernels that take ``kernels`` seconds in
        all, on a device that needs ``gap_s`` from one to the next, and ``stream_gap_s`` where
        they are not of one graph."""
        call = host.launch_cost + (self.dispatches * host.operator_cost if self.framework else 0.0)
        device = kernels + count * gap_s
        match self.launch:
            case "kernels":
                return kernels
            case "graph":
                return device + max(0.0, stream_gap_s - gap_s) / self.calls
            case "stream":
                return max(device, call)
            case "eager":
                return call + device + self.observed_s

    def settled(self, call_s: float, limiter_s: float) -> float:
        """Share of the way from burst to sustained operation that the timed calls have gone, in
        the mean, when each takes ``call_s``."""
        start = self.warm_calls * call_s
        return settled(start, start + max(self.timed_calls * call_s, self.timed_s), limiter_s)


GRAPH = Method("graph", weight_copies=1, warm_calls=3, timed_calls=6)
TORCH = replace(GRAPH, calls=6, weight_copies=6, warm_calls=5, timed_s=1.8e-3)
"""Our own (``live/pytorch.py``), the same for every kind of row."""

_SERVED = "cudagraph_events+nvml_100ms_avg"
"""Serving stacks, whose products of fp8 operands quantize A on the way."""

METHODS: Mapping[str, Method] = {
    # One call a graph for attention and experts; matrix products see _GRAPH_CALLS.
    "graph": GRAPH,
    "graph+quant": replace(GRAPH, quantizes=True),
    "torch_graph": TORCH,
    **{
        f"torch_graph+{reading}": replace(TORCH, timed_s=2.0, trusted_from_s=100e-6)
        for reading in ("nvml_energy_counter", "nvml_power", "nvidia_smi_power")
    },
    # Vidur profiles the layers of a model one after another.
    "cupti": Method("kernels", weight_copies=0, warm_calls=2, timed_calls=20),
    # NeuSight: 25 calls on the same tensors, the best five; 24 to 37 us are launch.
    "event1": Method(
        "eager", weight_copies=1, observed_s=6e-6, trusted_from_s=100e-6, timed_calls=5
    ),
    "events_loop_avg": Method("stream", weight_copies=1, warm_calls=1, timed_calls=10),
    # DeepBench: one call to warm up, then ten or as many as give 1e11 multiply-adds.
    "wallclock_loop_avg": Method(
        "stream", weight_copies=1, framework=False, warm_calls=1, timed_calls=10
    ),
    # Watts are means of samples 100 ms apart, times those of the same loop.
    _SERVED: replace(GRAPH, timed_s=1.0, trusted_from_s=100e-6),
}

_DISPATCHED: Mapping[str, int] = {
    **dict.fromkeys(("addu", "mulu", "divu", "powu", "relu", "gelu"), 2),
    "softmax": 2,
    "layernorm": 5,
}
"""Operators that PyTorch dispatches before the kernel of one: a number becomes a tensor, a module
calls a function, ``softmax`` calls ``_softmax``; ``layer_norm`` calls ``native_layer_norm``, which
allocates three results.  One for any other."""


_GRAPH_CALLS: Mapping[str, tuple[int, int]] = {"gemm": (6, 6), "memory_bound": (5, 1)}
"""Calls in a graph and copies of the weights by kind of row, of methods that say one and mean
more."""


def method_of(row: Row) -> Method | None:
    """How a row was timed, or None if nobody has said what its method means."""
    method = METHODS.get(row.timing_method)
    if method is None or method.launch != "graph":
        several = _DISPATCHED.get(row.operator) if row.kind == "memory_bound" else None
        return replace(method, dispatches=several) if method and several else method
    calls, copies = method.calls, method.weight_copies
    if calls == 1:
        calls, copies = _GRAPH_CALLS.get(row.kind, (calls, copies))
    return replace(
        method,
        calls=calls,
        weight_copies=copies,
        warm_calls=method.warm_calls * calls,
        timed_calls=method.timed_calls * calls,
        quantizes=method.quantizes or (row.timing_method == _SERVED and row.dtype == "fp8"),
    )
