"""What a run says to people and programs: results, tables, timeline, report, figures.

Everything here is a pure function of :mod:`simulator.system.records`; see README.md.
"""

from simulator.results.result import Result

__all__ = ["Result"]
