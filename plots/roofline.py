"""Each distinct kernel against the device's bandwidth and compute peaks.

Usage: ``python plots/roofline.py build/out/result.json -o figures``
"""

from common import plot_each

from simulator.results.figures import roofline

if __name__ == "__main__":
    plot_each(
        "roofline",
        "Each distinct kernel against the device's bandwidth and compute peaks.",
        roofline,
    )
