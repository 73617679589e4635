"""How busy each component is over the run.

Usage: ``python plots/utilization.py build/out/result.json -o figures``
"""

from common import plot_each

from simulator.results.figures import utilization

if __name__ == "__main__":
    plot_each("utilization", "How busy each component is over the run.", utilization)
