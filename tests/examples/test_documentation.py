"""What the README, the guide and the docstrings show holds on the native engine too."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support import ROOT
from talweg.engines.choose import PREFERRED
from talweg.engines.native import build


@pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")
def test_the_doctests_hold_on_the_native_engine() -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", "README.md", "docs", "src"]
    environment = {**os.environ, PREFERRED: "native"}
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_CURRENT_TEST"):
        environment.pop(name, None)  # of the pytest that runs this
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout
