"""Settings that every test runs under, and the fixtures of support.py."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

# pytest runs several workers; a pool of BLAS threads in each would have them fight for the same cores.
# Set before NumPy is imported: it is read once.
for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(pool, "1")
os.environ.setdefault("MPLBACKEND", "Agg")  # no window, also where there is a display
# Where a test does not name its engine, the one that compiles nothing: else each of some thousand programs would be
# compiled. The examples, and the pages of documentation once more, run on what users get (tests/examples/).
os.environ.setdefault("TALWEG_ENGINE", "reference")

import hypothesis  # noqa: E402
import pytest  # noqa: E402

import support  # noqa: E402

# Programs that tests start see the tree under test, as the tests themselves do (pyproject.toml: pythonpath).
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(support.ROOT / "src"), os.environ.get("PYTHONPATH")]))

# No deadline and no check of slowness: how busy a machine is must not decide a test. What fails says how to repeat it,
# and is tried first the next time (.hypothesis/).
hypothesis.settings.register_profile(
    "talweg", deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("talweg-ci", hypothesis.settings.get_profile("talweg"), derandomize=True)
hypothesis.settings.load_profile("talweg-ci" if os.environ.get("CI") else "talweg")


@pytest.fixture(scope="session")
def oracle() -> Callable[[str], ModuleType]:
    return support.oracle


@pytest.fixture
def mnist_folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = support.mnist_folder()
    monkeypatch.setenv("TALWEG_DATA", str(folder))
    return folder


@pytest.fixture
def fashion_mnist_folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = support.data_folder("fashion-mnist")
    monkeypatch.setenv("TALWEG_DATA", str(folder))
    return folder
