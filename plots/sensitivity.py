"""Which axes of a sweep move an objective: one at a time, and by share of variance.

Usage: ``python plots/sensitivity.py build/sweep --objective latency_s -o figures``
"""

from common import plot_sweep

from simulator.sweep.figures import tornado

if __name__ == "__main__":
    plot_sweep(
        "sensitivity",
        "Which axes of a sweep move an objective.",
        {"objective": "column; the sweep's first objective by default"},
        lambda results, objective: tornado(
            results.sensitivity(objective), objective or next(iter(results.goals))
        ),
    )
