#!/usr/bin/env python3
"""Published figures beside simulated ones, and a comparison with GPUs: ``case.yaml`` says which."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from case import main

if __name__ == "__main__":
    sys.exit(main(Path(__file__).parent))
