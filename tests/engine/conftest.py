"""Lets tests import the benches that lie beside them and beside the memory's tests."""

import sys
from pathlib import Path

for folder in ("engine", "memory"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
