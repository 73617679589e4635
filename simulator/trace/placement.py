"""Where each storage of a trace lies in device memory, and how much memory that takes.

Weights, key-value caches, inputs, gradients and optimizer states stay for the
whole run, packed from address 0 in the order of their storages; so does every
storage that is read before any operator made it.  Activations live from the
operator that makes them to the last one that mentions them, views included, in
blocks of a caching allocator per stream.

Left out: workspaces of kernels and the allocator's own records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from simulator.errors import TraceError
from simulator.trace.allocator import CachingAllocator
from simulator.trace.lowering.operands import bytes_for, extent
from simulator.trace.schema import DTYPE_BITS, Trace

PERSISTENT_ROLES: Final = frozenset({"weight", "kv_cache", "input", "gradient", "optimizer_state"})


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Positions of the first and last operator between which a storage must exist."""

    first: int
    last: int


class Placement:
    """Device addresses of all storages of a concrete trace."""

    def __init__(self, trace: Trace, alignment: int = 512) -> None:
        if alignment < 1 or alignment & (alignment - 1):
            raise ValueError(f"alignment must be a power of two, not {alignment}")
        self.alignment = alignment
        self.sizes: Mapping[int, int] = storage_sizes(trace)
        self.lifetimes: Mapping[int, Lifetime] = lifetimes(trace)
        """Of the storages that do not persist."""
        self._name = trace.header.name
        self._addresses: dict[int, int] = {}
        self.persistent_bytes = self._place_persistent()
        self.peak_bytes = self._place_activations(trace)
        """Bytes of device memory in use at the fullest moment, cached blocks included."""

    def address(self, storage: int) -> int:
        """Byte address of a storage's first byte."""
        try:
            return self._addresses[storage]
        except KeyError:
            raise TraceError(
                f"storage {storage} belongs to no tensor of the trace",
                where=self._name,
                remedy="export the trace again",
            ) from None

    def _place_persistent(self) -> int:
        end = 0
        for storage in sorted(self.sizes.keys() - self.lifetimes.keys()):
            self._addresses[storage] = end
            end += -(-self.sizes[storage] // self.alignment) * self.alignment
        return end

    def _place_activations(self, trace: Trace) -> int:
        births: dict[int, list[int]] = {}
        deaths: dict[int, list[int]] = {}
        for storage in sorted(self.lifetimes):
            births.setdefault(self.lifetimes[storage].first, []).append(storage)
            deaths.setdefault(self.lifetimes[storage].last, []).append(storage)
        allocator = CachingAllocator(self.persistent_bytes, self.alignment)
        addresses = self._addresses
        for position, operator in enumerate(trace.operators):
            for storage in births.get(position, ()):
                addresses[storage] = allocator.allocate(self.sizes[storage], operator.stream)
            for storage in deaths.get(position, ()):
                allocator.free(addresses[storage])
        return allocator.top


def storage_sizes(trace: Trace) -> dict[int, int]:
    """Bytes of each storage: up to the end of the window that reaches furthest."""
    sizes: dict[int, int] = {}
    for tensor in trace.tensors.values():
        span = extent(tensor)[1]
        offset: int = tensor.offset  # type: ignore[assignment]
        end = bytes_for(offset + span, DTYPE_BITS[tensor.dtype]) if span else 0
        sizes[tensor.storage] = max(sizes.get(tensor.storage, 0), end)
    return sizes


def lifetimes(trace: Trace) -> dict[int, Lifetime]:
    """Lifetimes of the storages that operators make and the run need not keep."""
    tensors = trace.tensors
    kept = {tensor.storage for tensor in tensors.values() if tensor.role in PERSISTENT_ROLES}
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for position, operator in enumerate(trace.operators):
        read = {tensors[id].storage for id in operator.inputs}
        kept |= read - first.keys()
        for storage in (*read, *(tensors[id].storage for id in operator.outputs)):
            first.setdefault(storage, position)
            last[storage] = position
    return {
        storage: Lifetime(start, last[storage])
        for storage, start in sorted(first.items())
        if storage not in kept
    }
