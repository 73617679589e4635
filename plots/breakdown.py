"""Where time and energy go, by kind of work and part of the device.

Usage: ``python plots/breakdown.py build/out/result.json -o figures``
"""

from common import plot_each

from simulator.results.figures import breakdown

if __name__ == "__main__":
    plot_each(
        "breakdown", "Where time and energy go, by kind of work and part of the device.", breakdown
    )
