"""The campaign by its first name: ``python bench/outside.py --singles 1000 --kills 3`` (see campaign.py)."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    runpy.run_module("bench.campaign", run_name="__main__")
