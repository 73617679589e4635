"""``accsim dram``: memories by command, address traces, and their replay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.errors import OptionError

if TYPE_CHECKING:
    from simulator.memory.energy import EnergyModel
    from simulator.memory.replay import Replay
    from simulator.memory.spec import MemorySpec

app = typer.Typer(
    help="DRAM by itself: list memories, make address traces, replay them tick by tick.",
    no_args_is_help=True,
)


@app.command("list")
def list_memories(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the memories whose commands are modelled."""
    from simulator.memory.replay import load_memory, memories

    rows = []
    for name in memories():
        spec, device = load_memory(name)
        rows.append(
            {
                "name": name,
                "standard": spec.standard,
                "channels": device.channels,
                "banks_per_channel": device.banks,
                "access_bytes": device.access_bytes,
                "clock_ps": 1e12 / spec.clock,
                "peak_bytes_per_s": device.peak_bytes_per_s,
                "title": spec.title,
            }
        )
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    width = max(len(str(row["name"])) for row in rows)
    for row in rows:
        typer.echo(f"{row['name']:<{width}}  {row['title']}")


@app.command("trace")
def make(
    pattern: Annotated[str, typer.Option(help="stream, mix21, random, stride or triad.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The .npz to write.")],
    requests: Annotated[int, typer.Option(help="Number of requests.")] = 2**20,
    access: Annotated[int, typer.Option("--bytes", help="Bytes of one request.")] = 32,
) -> None:
    """Make an address trace."""
    from simulator.memory.patterns import make_trace, save_trace

    save_trace(make_trace(pattern, requests, access), out)
    typer.echo(f"{out}: {requests} requests of {access} B, {pattern}")


@app.command("run")
def run(
    standard: Annotated[str, typer.Option(help="Name from 'accsim dram list', or a YAML file.")],
    trace: Annotated[Path, typer.Option(help="Address trace (.npz with addr and wr).")],
    policy: Annotated[str, typer.Option(help="default or ramulator2.")] = "default",
    channels: Annotated[int, typer.Option(help="Channels to spread over.")] = 1,
    mapping: Annotated[str | None, typer.Option(help="mop4, row, gpu, or fields.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="fr-fcfs, row-hit-first, fcfs.")] = None,
    row_policy: Annotated[str | None, typer.Option(help="open, closed or timeout.")] = None,
    refresh: Annotated[
        str | None, typer.Option(help="none, all-bank, per-bank, per-bank-blocking.")
    ] = None,
    feed: Annotated[str | None, typer.Option(help="shared or independent.")] = None,
    read_queue: Annotated[int | None, typer.Option(help="Reads a channel holds.")] = None,
    write_queue: Annotated[int | None, typer.Option(help="Writes a channel holds.")] = None,
    energy: Annotated[
        str,
        typer.Option(help="per-bit, currents or currents:SET ('hw show' lists a memory's sets)."),
    ] = "per-bit",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Check every command.")] = False,
    log: Annotated[Path | None, typer.Option(help="Write the command log (.csv).")] = None,
    poll: Annotated[bool, typer.Option("--poll", help="Visit every tick: a cross-check.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay an address trace and report time, commands, latency and energy."""
    from simulator.memory.checker import check_log
    from simulator.memory.energy import energy_model
    from simulator.memory.patterns import load_trace
    from simulator.memory.policy import policy as named_policy
    from simulator.memory.policy import refresh_mode
    from simulator.memory.replay import load_memory, replay

    how = named_policy(
        policy,
        mapping=mapping,
        scheduler=scheduler,
        row_policy=row_policy,
        refresh=refresh,
        feed=feed,
        read_queue=read_queue,
        write_queue=write_queue,
    )
    spec, device = load_memory(standard, tuple(overrides or ()))
    model = energy_model(spec, energy)
    addresses = load_trace(trace)
    result = replay(device, addresses, how, channels, log=check or log is not None, poll=poll)
    violations = None
    if check:
        found = check_log(device, result.log, refreshed=refresh_mode(device, how) != "none")
        violations = len(found)
        for one in found[:5]:
            typer.echo(f"violation at tick {one.tick}, bank {one.bank}: {one.rule}", err=True)
    document = summary(spec, result, violations, model)
    if log is not None:
        _write_log(log, result)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        typer.echo("\n".join(_lines(document)))
    if violations:
        raise OptionError(
            f"{violations} violations of the standard", where=standard, remedy="report this"
        )


def summary(
    spec: MemorySpec, result: Replay, violations: int | None, model: EnergyModel
) -> dict[str, Any]:
    """What ``--json`` prints."""
    import numpy as np

    from simulator.memory.controller import layout
    from simulator.memory.energy import energy

    device = result.device
    per_clock = device.ticks_per_clock
    latency = result.read_latency / per_clock
    hits, misses, conflicts = (
        result.counter(column) for column in (layout.N_HIT, layout.N_MISS, layout.N_CONFLICT)
    )
    moved = result.requests * device.access_bytes
    document: dict[str, Any] = {
        "standard": spec.name,
        "channels": result.channels,
        "requests": result.requests,
        "cycles_last_accept": result.ticks_last_accept / per_clock,
        "cycles_drained": result.ticks_drained / per_clock,
        "ticks_last_accept": result.ticks_last_accept,
        "ticks_drained": result.ticks_drained,
        "clock_ps": 1e12 / spec.clock,
        "bandwidth_bytes_per_s": moved / result.seconds,
        "peak_bytes_per_s": device.peak_bytes_per_s * result.channels,
        "row_hit_rate": hits / max(hits + misses + conflicts, 1),
        "row_hits": hits,
        "row_misses": misses,
        "row_conflicts": conflicts,
        "forwarded_reads": result.counter(layout.N_FORWARDED),
        "coalesced_writes": result.counter(layout.N_COALESCED),
        "commands": result.commands,
        "latency_cycles": {"mean": float(latency.mean()) if len(latency) else 0.0}
        | {
            f"p{share}": float(np.percentile(latency, share)) if len(latency) else 0.0
            for share in (50, 95, 99)
        },
        "open_share": result.open_share,
        "per_channel": [
            {
                "row_hits": int(counters[layout.N_HIT]),
                "row_misses": int(counters[layout.N_MISS]),
                "row_conflicts": int(counters[layout.N_CONFLICT]),
                "reads": int(counters[layout.N_COMMAND + layout.RD]),
                "writes": int(counters[layout.N_COMMAND + layout.WR]),
                "activates": int(counters[layout.N_COMMAND + layout.ACT]),
            }
            for counters in result.channel_counters
        ],
        "per_bank": dict(
            zip(
                ("activates", "reads", "writes", "conflicts"),
                result.bank_counters.T.tolist(),
                strict=True,
            )
        ),
        "energy_model": model.name,
        "energy_j": energy(
            *(spec, device, result.commands, result.channels),
            *(result.seconds, model, result.open_share),
        ),
        "energy_error_band": model.error_band,
        "violations": violations,
    }
    if per_clock == 1:
        for name in ("cycles_last_accept", "cycles_drained"):
            document[name] = int(document[name])
    return document


def _lines(document: dict[str, Any]) -> list[str]:
    from simulator.units import human

    latency, joules = document["latency_cycles"], document["energy_j"]
    share = document["bandwidth_bytes_per_s"] / document["peak_bytes_per_s"]
    bits = 8 * document["bandwidth_bytes_per_s"]
    seconds = document["cycles_drained"] * document["clock_ps"] * 1e-12
    lines = [
        f"{document['standard']}, {document['channels']} channels, {document['requests']} requests",
        f"cycles       {document['cycles_last_accept']} to the last accept, "
        f"{document['cycles_drained']} drained ({document['clock_ps']:.0f} ps)",
        f"bandwidth    {human(document['bandwidth_bytes_per_s'], 'B/s', 4)} ({share:.1%} of peak)",
        f"row hits     {document['row_hit_rate']:.2%} ({document['row_misses']} misses, "
        f"{document['row_conflicts']} conflicts)",
        "read latency "
        + ", ".join(f"{name} {value:.1f}" for name, value in latency.items())
        + " cycles",
        "commands     "
        + ", ".join(f"{name} {count}" for name, count in document["commands"].items()),
        f"energy       {human(joules['total'], 'J', 4)}, "
        f"{joules['total'] / (bits * seconds) * 1e12:.2f} pJ/bit, "
        f"± {document['energy_error_band']:.0%} of measured, {document['energy_model']} ("
        + ", ".join(f"{k} {human(v, 'J', 3)}" for k, v in joules.items() if k != "total")
        + ")",
    ]
    if document["violations"] is not None:
        lines.append(f"violations   {document['violations']}")
    return lines


def _write_log(path: Path, result: Replay) -> None:
    from simulator.errors import atomic_write
    from simulator.memory.standards import COMMANDS

    rows = [
        f"{tick},{COMMANDS[command]},{bank},{row if row >= 0 else ''}"
        for tick, command, bank, row in result.log.tolist()
    ]
    atomic_write(path, "\n".join(["tick,command,bank,row", *rows]) + "\n")
