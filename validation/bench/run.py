"""What the simulator itself costs: CPU seconds and memory of representative runs.

    python validation/bench/run.py [--only TEXT ...] [--repeat N] [--cold]

Each case is a fresh process that loads a trace and a device and simulates, with compiled
code read from the cache on disk; ``--cold`` adds one that compiles into an empty cache.
Beside each stands what the same process costs without the event engine (start, lowering,
placement, bounds), so that a table from another machine, or a busy one, still tells the
engine's share.  Leaves out reports and figures.  Nothing here is asserted by a test.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One run: ``workload`` on ``hardware``."""

    name: str
    workload: str
    phase: str
    hardware: str = "a100-sxm-80gb"
    fidelity: str = "fast"
    context: int | None = None

    @property
    def sizes(self) -> dict[str, int]:
        return {} if self.context is None else {"context": self.context}


CASES = (
    Case("llama2-7b decode", "llama2-7b", "decode", context=2048),
    Case("llama2-7b prefill", "llama2-7b", "prefill"),
    Case("gpt2 decode", "gpt2", "decode", context=512),
    Case("gpt2 decode, exact", "gpt2", "decode", fidelity="exact", context=512),
    Case("gcn on cora", "gcn-csr:synthetic-cora", "forward"),
    Case("gcn on arxiv", "gcn-csr:synthetic-arxiv", "forward"),
    Case("gpt2 decode, pim-gpt", "gpt2", "decode", "pim-gpt", context=512),
    Case("gpt2 decode, flightllm", "gpt2", "decode", "flightllm-u280", context=512),
)

START = "import simulator.api"
PREPARE = """
import json, sys
from simulator.api import load_hardware, load_trace, platform
from simulator.system.plan import plan
case = json.loads(sys.argv[1])
trace = load_trace(case["workload"], case["sizes"] or None, phase=case["phase"])
plan(trace, platform(load_hardware(case["hardware"])))
"""
SIMULATE = """
import json, sys
from simulator.api import load_hardware, load_trace, simulate
case = json.loads(sys.argv[1])
trace = load_trace(case["workload"], case["sizes"] or None, phase=case["phase"])
result = simulate(trace, load_hardware(case["hardware"]), fidelity=case["fidelity"])
played = sum(not kernel.reused for kernel in result.record.kernels)
print(json.dumps({"latency_s": result.latency_s, "kernels": len(result.record.kernels),
                  "played": played, "share": result.simulated_share}))
"""
MEBI = 1 << 20


@dataclass(frozen=True)
class Cost:
    """Of one process."""

    cpu_s: float
    memory_bytes: int
    output: str


def measure(code: str, case: Case | None, environment: Mapping[str, str]) -> Cost:
    """Run code in a fresh process; CPU time and peak memory of that process alone."""
    arguments = [] if case is None else [json.dumps({**vars(case), "sizes": case.sizes})]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{case.name if case else 'start'}: exit code {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, _peak_bytes(usage), output)


def _peak_bytes(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def best(repeat: int, code: str, case: Case | None) -> Cost:
    """The cheapest of several: other processes only ever add."""
    return min((measure(code, case, {}) for _ in range(repeat)), key=lambda cost: cost.cpu_s)


def row(case: Case, repeat: int) -> str:
    whole, prepared = best(repeat, SIMULATE, case), best(repeat, PREPARE, case)
    seen = json.loads(whole.output)
    engine = whole.cpu_s - prepared.cpu_s
    return (
        f"{case.name:<24} {whole.cpu_s:>7.2f} {prepared.cpu_s:>9.2f} {engine:>8.2f} "
        f"{whole.memory_bytes / MEBI:>8.0f} {seen['kernels']:>8} {seen['played']:>7} "
        f"{seen['share']:>6.2f} {seen['latency_s'] * 1e3:>11.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="*", metavar="TEXT", help="cases whose name has this")
    parser.add_argument("--repeat", type=int, default=1, help="report the cheapest of N")
    parser.add_argument("--cold", action="store_true", help="also compile into an empty cache")
    options = parser.parse_args()
    print(
        f"{'case':<24} {'CPU s':>7} {'no engine':>9} {'engine':>8} {'MiB':>8} {'kernels':>8} "
        f"{'played':>7} {'share':>6} {'latency ms':>11}"
    )
    start = best(options.repeat, START, None)
    memory = start.memory_bytes / MEBI
    print(f"{'process start':<24} {start.cpu_s:>7.2f} {'':>9} {'':>8} {memory:>8.0f}")
    if options.cold:
        with tempfile.TemporaryDirectory() as empty:
            cold = measure(SIMULATE, CASES[2], {"ACCSIM_CACHE_DIR": empty})
        print(f"{'gpt2 decode, compiling':<24} {cold.cpu_s:>7.2f}")
    for case in CASES:
        if not options.only or any(text in case.name for text in options.only):
            print(row(case, options.repeat), flush=True)


if __name__ == "__main__":
    main()
