"""Building a machine: named components, agents and memories become tables.

A device's ``machine.py`` describes what it has with :class:`Assembly`; the result is the
arrays of :class:`~simulator.engine.layout.Machine` plus the names that programs use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.engine import layout
from simulator.engine.access import RESERVE
from simulator.engine.layout import Machine
from simulator.memory.cache import MAX_SECTORS, Cache, empty
from simulator.memory.model import Channel
from simulator.memory.pool import make_dram
from simulator.memory.spec import MemorySpec

FEMTO = 10**15


def rate(units_per_second: float) -> int:
    """Femtoseconds per 1024 units, the way components count."""
    return max(1, round(1024 * FEMTO / units_per_second))


@dataclass(frozen=True, slots=True)
class Pipe:
    """Serves COMPUTE: ``rate`` femtoseconds per 1024 units, then ``latency`` femtoseconds."""

    name: str
    rate: int
    latency: int = 0


@dataclass(frozen=True, slots=True)
class Port:
    """Passes accesses on to ``next``; ``in_flight`` bytes may be outstanding (0: no limit)."""

    name: str
    rate: int
    next: str
    latency: int = 0
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class MemoryView:
    """A window on consecutive channels of a memory, interleaved every ``interleave`` bytes;
    ``bank_interleave`` consecutive bytes of a channel lie in one bank."""

    name: str
    memory: str
    channels: int
    first: int | Callable[[int], int] = 0
    """First channel inside the memory; a function of the agent's number if local."""
    interleave: int = 512
    bank_interleave: int = 512
    hashed: bool = False
    latency: int = 0
    in_flight: int = 0

    @classmethod
    def mapped(
        cls,
        spec: MemorySpec,
        name: str,
        memory: str = "dram",
        channels: int | None = None,
        first: int | Callable[[int], int] = 0,
        latency: int = 0,
        in_flight: int = 0,
    ) -> MemoryView:
        """Channels of a memory, all unless told, interleaved as its description maps addresses."""
        mapping = spec.mapping
        return cls(
            name,
            memory,
            spec.channels if channels is None else channels,
            first,
            mapping.channel_interleave,
            mapping.bank_interleave,
            mapping.hashed,
            latency,
            in_flight,
        )


@dataclass(frozen=True, slots=True)
class CacheLevel:
    """A sectored cache in front of a memory view; slices are served at ``slice_rate``."""

    name: str
    next: str
    capacity: int
    line: int
    sector: int
    ways: int
    slices: int
    slice_rate: int
    hit_latency: int
    miss_latency: int
    interleave: int
    atomic: int = 0
    near_ways: int = 0
    """Lines of a set, by last use, of which every reader has a copy nearby; 0: all. A read of
    another line takes ``far_latency`` longer and its slice half as long again: half of such reads
    pass two slices."""
    far_latency: int = 0
    write_cost: float = 1.0
    """Slice time of a written byte, in that of a read one."""


Component = Pipe | Port | MemoryView | CacheLevel


@dataclass(frozen=True, slots=True)
class AgentClass:
    """``count`` equal agents with their own components and resources."""

    name: str
    count: int
    resources: Mapping[str, int]
    components: Sequence[Component]
    slots: int


@dataclass(slots=True)
class Memory:
    name: str
    model: Channel
    channels: int
    first: int
    refresh_together: bool = False


@dataclass(slots=True)
class Assembly:
    """Collects a machine's parts; :meth:`build` turns them into tables."""

    lookahead: int = 0
    memories: list[Memory] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    agents: list[AgentClass] = field(default_factory=list)

    def memory(
        self, name: str, model: Channel, channels: int, refresh_together: bool = False
    ) -> None:
        """Add (pseudo-)channels of one controller model. Channels with one controller may
        refresh together; otherwise each has its phase."""
        if channels % model.pseudo_channels:
            raise ValueError(f"{name}: {channels} pseudo-channels are no whole number of channels")
        first = sum(memory.channels for memory in self.memories)
        self.memories.append(Memory(name, model, channels, first, refresh_together))

    def add(self, *components: Component) -> None:
        self.components.extend(components)

    def agent_class(self, agent_class: AgentClass) -> None:
        if len(agent_class.resources) > layout.RESOURCES:
            raise ValueError(f"an agent has at most {layout.RESOURCES} resources")
        self.agents.append(agent_class)

    def build(
        self,
        transactions: int = 1 << 14,
        requests: int = 1 << 16,
        events: int = 1 << 18,
        log: int = 0,
    ) -> tuple[Machine, Names]:
        """Tables of the machine, with room for so many transactions, DRAM requests, pending
        events and DRAM commands in a log, and the names of its parts."""
        if requests < 2 * RESERVE:
            raise ValueError(f"a machine needs room for {2 * RESERVE} DRAM requests or more")
        shared = {component.name: i for i, component in enumerate(self.components)}
        names = Names(
            shared=shared,
            local={
                agents.name: {component.name: i for i, component in enumerate(agents.components)}
                for agents in self.agents
            },
            classes={agents.name: i for i, agents in enumerate(self.agents)},
            resources={agents.name: tuple(agents.resources) for agents in self.agents},
            owners=[component.name for component in self.components],
            counts={agents.name: agents.count for agents in self.agents},
        )
        rows: list[np.ndarray] = []
        lines = 0
        slices: list[np.ndarray] = []
        local_total = sum(len(a.components) * a.count for a in self.agents)
        first_slice = len(self.components) + local_total
        for component in self.components:
            row, lines, added = self._row(component, shared, {}, 0, 0, lines, first_slice)
            rows.append(row)
            slices.extend(added)
            first_slice += len(added)
        agent_rows = []
        for number, agents in enumerate(self.agents):
            local = names.local[agents.name]
            alike = {
                component.name: self._row(component, shared, {}, 0, 0, 0, 0)[0]
                for component in agents.components
                if isinstance(component, Pipe | Port) and _next(component) not in local
            }
            for i in range(agents.count):
                base = len(rows)
                agent = np.zeros(layout.AGENT_COLUMNS, dtype=np.int64)
                agent[layout.A_FIRST_COMPONENT] = base
                agent[layout.A_CLASS] = number
                for r, amount in enumerate(agents.resources.values()):
                    agent[layout.A_LEFT_0 + r] = amount
                agent_rows.append(agent)
                for component in agents.components:
                    names.owners.append(component.name)
                    if component.name in alike:
                        rows.append(alike[component.name])
                        continue
                    row, lines, added = self._row(
                        component, shared, local, base, i, lines, first_slice
                    )
                    rows.append(row)
                    slices.extend(added)
                    first_slice += len(added)
        for row in slices:
            rows.append(row)
        names.owners.extend(["slices"] * len(slices))

        words = [
            empty(int(row[layout.K_SETS] * row[layout.K_WAYS]), int(row[layout.K_WAYS]))
            for row in rows
            if row[layout.K_KIND] == layout.CACHE
        ]
        slots = sum(agents.count * agents.slots for agents in self.agents)
        header = np.zeros(layout.HEADER_COLUMNS, dtype=np.int64)
        header[layout.H_LOOKAHEAD] = self.lookahead
        header[layout.H_WAITERS] = requests * 4
        transaction = np.zeros((transactions, layout.TRANSACTION_COLUMNS), dtype=np.int64)
        _chain(transaction, layout.T_NEXT)
        slot = np.zeros((slots, layout.SLOT_COLUMNS), dtype=np.int64)
        _chain(slot, layout.S_NEXT)
        waiter = np.zeros((requests * 4, 2), dtype=np.int64)
        _chain(waiter, 1)
        thread = np.zeros((slots * layout.THREADS, layout.THREAD_COLUMNS), dtype=np.int64)
        thread[:, layout.X_WAIT] = layout.X_RUNNING
        machine = Machine(
            header=header,
            heap=np.zeros((events, 2), dtype=np.int64),
            component=np.array(rows, dtype=np.int64),
            agent=np.array(agent_rows, dtype=np.int64),
            kernel=np.zeros((16, layout.KERNEL_COLUMNS), dtype=np.int64),
            task=np.zeros((1, layout.TASK_COLUMNS), dtype=np.int64),
            program=np.zeros((1, layout.PROGRAM_COLUMNS), dtype=np.int64),
            operation=np.zeros((1, layout.OPERATION_COLUMNS), dtype=np.int64),
            pattern=np.zeros((1, layout.PATTERN_COLUMNS), dtype=np.int64),
            index=np.zeros(1, dtype=np.int64),
            slot=slot,
            thread=thread,
            transaction=transaction,
            waiter=waiter,
            cache=Cache(
                word=np.concatenate(words) if words else empty(1, 1),
                ready=np.zeros(max(lines, 1), dtype=np.int64),
            ),
            dram=make_dram(
                [
                    (memory.model, memory.channels, memory.refresh_together, self._ahead(memory))
                    for memory in self.memories
                ],
                requests,
                log,
            ),
        )
        return machine, names

    def _row(
        self,
        component: Component,
        shared: Mapping[str, int],
        local: Mapping[str, int],
        base: int,
        number: int,
        lines: int,
        first_slice: int,
    ) -> tuple[np.ndarray, int, list[np.ndarray]]:
        row = np.zeros(layout.COMPONENT_COLUMNS, dtype=np.int64)
        row[layout.K_WAIT_HEAD] = -1
        row[layout.K_NEXT] = -1
        slices: list[np.ndarray] = []

        def following(name: str) -> int:
            return base + local[name] if name in local else shared[name]

        match component:
            case Pipe():
                row[layout.K_KIND] = layout.PIPE
                row[layout.K_RATE] = component.rate
                row[layout.K_LATENCY] = component.latency
            case Port():
                row[layout.K_KIND] = layout.PORT
                row[layout.K_RATE] = component.rate
                row[layout.K_LATENCY] = component.latency
                row[layout.K_NEXT] = following(component.next)
                row[layout.K_CAP] = component.in_flight
            case MemoryView():
                memory = next(m for m in self.memories if m.name == component.memory)
                first = component.first(number) if callable(component.first) else component.first
                if first + component.channels > memory.channels:
                    raise ValueError(
                        f"{component.name} reaches channel {first + component.channels - 1} of "
                        f"{memory.channels}"
                    )
                row[layout.K_KIND] = layout.MEMORY
                row[layout.K_FIRST_CHANNEL] = memory.first + first
                row[layout.K_CHANNELS] = component.channels
                row[layout.K_INTERLEAVE] = component.interleave
                row[layout.K_HASHED] = int(component.hashed)
                model = memory.model
                row[layout.K_BANKS] = model.banks
                row[layout.K_TURNS] = model.device.sets
                row[layout.K_BANK_BYTES] = component.bank_interleave
                row_bytes = model.device.columns * model.access_bytes
                row[layout.K_ROW_BLOCKS] = max(row_bytes // component.bank_interleave, 1)
                row[layout.K_ACCESS] = model.access_bytes
                row[layout.K_LATENCY] = component.latency
                row[layout.K_CAP] = component.in_flight
            case CacheLevel():
                if component.line > MAX_SECTORS * component.sector:
                    raise ValueError(f"{component.name}: a line has at most {MAX_SECTORS} sectors")
                sets = component.capacity // (component.line * component.ways)
                row[layout.K_KIND] = layout.CACHE
                row[layout.K_NEXT] = following(component.next)
                row[layout.K_FIRST_LINE] = lines
                row[layout.K_SETS] = sets
                row[layout.K_WAYS] = component.ways
                row[layout.K_LINE] = component.line
                row[layout.K_SECTOR] = component.sector
                row[layout.K_FIRST_SLICE] = first_slice
                row[layout.K_SLICES] = component.slices
                row[layout.K_LATENCY] = component.hit_latency
                row[layout.K_MISS_LATENCY] = component.hit_latency + component.miss_latency
                row[layout.K_INTERLEAVE] = component.interleave
                row[layout.K_ATOMIC] = component.atomic
                row[layout.K_NEAR] = component.near_ways or component.ways
                row[layout.K_FAR_LATENCY] = component.far_latency
                row[layout.K_WRITE_EXTRA] = round(1024 * (component.write_cost - 1))
                lines += sets * component.ways
                part = np.zeros(layout.COMPONENT_COLUMNS, dtype=np.int64)
                part[layout.K_KIND] = layout.PIPE
                part[layout.K_RATE] = component.slice_rate
                part[layout.K_WAIT_HEAD] = -1
                slices = [part] * component.slices
        return row, lines, slices

    def _ahead(self, memory: Memory) -> int:
        """The shortest time from an event to the arrival of a request it causes: what every
        way to this memory takes at least."""
        components = [*self.components, *(part for a in self.agents for part in a.components)]
        views = {
            part.name: part.latency
            for part in components
            if isinstance(part, MemoryView) and part.memory == memory.name
        }
        behind = {part.next for part in components if isinstance(part, CacheLevel)}
        ways = [latency for name, latency in views.items() if name not in behind]
        direct = {part.next for part in components if isinstance(part, Port)} & behind
        ways += [views[name] for name in direct if name in views]
        ways += [
            part.hit_latency + part.miss_latency
            for part in components
            if isinstance(part, CacheLevel) and part.next in views
        ]
        return min(ways, default=0)


@dataclass(slots=True)
class Names:
    """What programs and reports call the parts of a machine."""

    shared: Mapping[str, int]
    local: Mapping[str, Mapping[str, int]]
    classes: Mapping[str, int]
    resources: Mapping[str, tuple[str, ...]]
    owners: list[str]
    """Name of each component row; cache slices are called ``slices``."""
    counts: Mapping[str, int]


def _next(component: Component) -> str | None:
    return component.next if isinstance(component, Port | CacheLevel) else None


def _chain(table: np.ndarray, column: int) -> None:
    """Link all rows into a free list that starts at row 0."""
    table[:, column] = np.arange(1, len(table) + 1)
    table[-1, column] = -1
