"""Runs the study from anywhere: ``python validation/cases/attacc``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if __name__ == "__main__":
    from cases.attacc.study import main

    sys.exit(main())
