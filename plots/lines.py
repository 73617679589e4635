"""An objective of a sweep along one axis, the median with a band from least to most.

Usage: ``python plots/lines.py build/sweep --axis context --objective latency_s --series batch``
"""

from common import plot_sweep

from simulator.sweep.figures import lines

if __name__ == "__main__":
    plot_sweep(
        "lines",
        "An objective of a sweep along one axis.",
        {
            "axis": "of the sweep; its last by default",
            "objective": "column; the sweep's first objective by default",
            "series": "axis whose values are lines of their own",
        },
        lambda results, axis, objective, series: lines(
            results,
            axis or results.sweep.axis_names[-1],
            objective or next(iter(results.goals)),
            series,
        ),
    )
