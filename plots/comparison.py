"""Devices side by side, relative to the first: latency, and energy by part.

Usage: ``python plots/comparison.py build/a100 build/pim-gpt build/flightllm -o figures``
"""

from common import plot_together

from simulator.results.compare import compare
from simulator.results.figures import comparison

if __name__ == "__main__":
    plot_together(
        "comparison",
        "Devices side by side, relative to the first.",
        lambda documents: comparison(compare(documents).to_json()),
    )
