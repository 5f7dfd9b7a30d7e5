#!/usr/bin/env python
"""Looks for files that readers misread, or that bring them down: `python scripts/fuzz.py --inputs 20000`.

Exit status 1 if something was found; it is made small, kept under tests/fuzzing/cases, and run again by every test run.
How it works stands in tests/fuzzing/__init__.py.
"""

import os
import sys
from pathlib import Path

for library in ("OMP", "OPENBLAS", "MKL"):  # a process with threads is no good parent of forks
    os.environ[f"{library}_NUM_THREADS"] = "1"
root = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(root / "src"), str(root / "tests")]

if __name__ == "__main__":
    from fuzzing.machine import main

    sys.exit(main())
