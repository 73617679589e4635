"""The points of a sweep by two objectives, and the front that nothing beats.

Usage: ``python plots/pareto.py build/sweep --objectives latency_s:min,energy_j:min -o figures``
"""

from common import plot_sweep

from simulator.sweep.figures import pareto
from simulator.sweep.results import parse_goals

if __name__ == "__main__":
    plot_sweep(
        "pareto",
        "Points of a sweep by two objectives, and the front that nothing beats.",
        {"objectives": "COLUMN:min or COLUMN:max, by commas; the sweep's by default"},
        lambda results, objectives: pareto(results, parse_goals(objectives)),
    )
