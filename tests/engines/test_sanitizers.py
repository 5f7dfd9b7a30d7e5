"""A part of the engine's tests with the emitted C under AddressSanitizer and UndefinedBehaviorSanitizer.

`scripts/sanitize.py` runs all of them, and the threads under ThreadSanitizer.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

import support

NOT_HERE = 3  # what the script answers where there is no sanitizer


@pytest.mark.parametrize(
    ("kind", "tests"),
    [
        ("address", ["tests/engines/test_native.py", "-k", "a_fit_agrees and adagrad or nan_and_infinity"]),
        ("thread", ["tests/engines/test_threads.py", "-k", "barriers and 50"]),
    ],
)
def test_a_part_runs_clean(kind: str, tests: list[str]) -> None:
    line = [sys.executable, str(support.ROOT / "scripts" / "sanitize.py"), kind, *tests]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode == NOT_HERE:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert " passed" in done.stdout
