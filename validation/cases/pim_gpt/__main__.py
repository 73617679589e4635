"""Runs the study from anywhere: ``python validation/cases/pim_gpt --jobs 2``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if __name__ == "__main__":
    from cases.pim_gpt.command import main

    sys.exit(main())
