"""What tests ask for that a machine may lack, with a skip that says how to get it."""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def oracle(name: str) -> ModuleType:
    """PyTorch or Keras, to compare with: ``torch = oracle("torch")`` at the top of a file or in a test.

    Skips what asks for it where it is not installed, and fails instead where TALWEG_REQUIRE_ORACLES is set.
    Keras runs on PyTorch unless KERAS_BACKEND says otherwise.
    """
    needed = [name]
    if name == "keras":
        needed.append(os.environ.setdefault("KERAS_BACKEND", "torch"))
    missing = [n for n in needed if importlib.util.find_spec(n) is None]
    if missing:
        reason = f"{' and '.join(missing)} not installed: pip install {' '.join(missing)} to compare with {name}"
        if os.environ.get("TALWEG_REQUIRE_ORACLES", "0") not in ("", "0"):
            pytest.fail(f"{reason} (TALWEG_REQUIRE_ORACLES is set)", pytrace=False)
        pytest.skip(reason, allow_module_level=True)
    return importlib.import_module(name)


def data_folder(name: str) -> Path:
    """The folder of test data that holds `name` ("mnist", "fashion-mnist"); skips where there is none.

    $TALWEG_DATA if it is set, else ../shared/data next to the repository.
    """
    root = Path(os.environ.get("TALWEG_DATA") or ROOT.parent / "shared" / "data").resolve()
    if not (root / name / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip(f"no {name} in {root}: set TALWEG_DATA to a folder with {name}/train-images-idx3-ubyte.gz ...")
    return root


def mnist_folder() -> Path:
    """`data_folder("mnist")`. The fixture of the same name also sets TALWEG_DATA for the test."""
    return data_folder("mnist")
