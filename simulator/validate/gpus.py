"""Which description stands for a GPU that measurements name.

Names are compared part by part: ``H100-SXM`` is ``h100-sxm``, ``B200-SXM`` may be a description
``b200``.  What a file leaves open is stated in :data:`READ_AS`.  A description ``NAME.fit`` (or any
``NAME.SOMETHING``) stands for the same GPU as ``NAME``, when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

READ_AS: Mapping[str, str] = {"a100-80gb": "a100-sxm-80gb", "a100-40gb": "a100-sxm-40gb"}
"""A100-80GB: Vidur's profiles do not state the board; their nodes have eight SXM boards.
A100-40GB: KernelBench's runs state an A100-SXM4-40GB."""


def gpu_of(description: str) -> str:
    """The GPU's own name: that of the description without what follows a dot."""
    return description.split(".")[0]


def description_of(gpu: str, descriptions: Iterable[str]) -> str | None:
    """The description of the GPU a file calls ``gpu``, or None. The name that says most
    decides; two that say as much are no answer."""
    name = gpu.casefold()
    name = READ_AS.get(name, name)
    parts = set(name.split("-"))
    fitting = {one: set(gpu_of(one).casefold().split("-")) for one in descriptions}
    fitting = {one: own for one, own in fitting.items() if own <= parts}
    most = max(map(len, fitting.values()), default=0)
    best = [one for one, own in fitting.items() if len(own) == most]
    return best[0] if len(best) == 1 else None
