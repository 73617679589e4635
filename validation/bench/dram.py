"""Requests per CPU second of the DRAM controller, for each standard and pattern.

    python validation/bench/dram.py [--requests N] [--repeats R] [--shared-kernel]

Exact path, command log off, address decode included, warm; process CPU time, best of R.
The kernel is compiled for each set of sizes (the first column of the report says how long
that took, or how long loading it from the cache did); --shared-kernel measures the one
compilation that serves all sizes instead, which is what the command line uses.
"""

from __future__ import annotations

import argparse
import time

from simulator.memory.patterns import make_trace
from simulator.memory.policy import policy
from simulator.memory.replay import load_memory, replay

CASES = [
    *(
        (name, 1, "mop4", pattern, ())
        for name in (
            "ddr4-3200",
            "ddr5-4800",
            "lpddr5-6400",
            "gddr6-14",
            "hbm2-2.0",
            "hbm3-6.4",
            "hbm4-8.0",
        )
        for pattern in ("stream", "mix21", "random", "stride", "triad")
    ),
    *(
        ("ddr4-3200", 1, "mop4", pattern, ("organization.ranks=2",))
        for pattern in ("stream", "random", "triad")
    ),
    *(("hbm2-2.0", 8, "mop4", pattern, ()) for pattern in ("stream", "random")),
    *(("hbm3-6.4", 16, "mop4", pattern, ()) for pattern in ("stream", "random")),
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=2**20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shared-kernel", action="store_true")
    parser.add_argument("--only", default="", help="memories whose name begins so")
    options = parser.parse_args()
    heads = ("memory", 24), ("ch", 3), ("pattern", 9), ("ready s", 9), ("ticks", 11)
    heads += (("CPU s", 8), ("Mreq/s", 8))
    print("".join(f"{text:>{width}}" for text, width in heads))
    for name, channels, mapping, pattern, overrides in CASES:
        if not name.startswith(options.only):
            continue
        device = load_memory(name, overrides)[1]
        how = policy("ramulator2", mapping=mapping)
        specialise = not options.shared_kernel
        start = time.process_time()
        replay(device, make_trace(pattern, 64, 64), how, channels, specialise=specialise)
        ready = time.process_time() - start
        trace = make_trace(pattern, options.requests, device.access_bytes)
        best = float("inf")
        for _ in range(options.repeats):
            start = time.process_time()
            result = replay(device, trace, how, channels, specialise=specialise)
            best = min(best, time.process_time() - start)
        label = name + (" 2 ranks" if overrides else "")
        print(
            f"{label:>24}{channels:>3}{pattern:>9}{ready:>9.1f}{result.ticks_last_accept:>11}"
            f"{best:>8.3f}{options.requests / best / 1e6:>8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
