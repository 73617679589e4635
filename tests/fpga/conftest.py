"""Test modules are imported one by one; this lets them share :mod:`fpga_bench`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
