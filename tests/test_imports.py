"""`import talweg` is light: it brings NumPy and Talweg, and nothing that a program may never use."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from support import ROOT

HEAVY = [
    *("matplotlib", "plotly", "sklearn", "pandas", "scipy", "rich", "typer", "PIL", "pooch"),
    *("jax", "torch", "keras", "h5py", "onnx"),
]
KERAS = [
    *("activations", "backend", "callbacks", "datasets", "initializers", "layers", "losses"),
    *("metrics", "models", "optimizers", "regularizers", "utils"),
]


def imported_by(code: str) -> set[str]:
    """Every module that Python imports, in a new process, to run `code`: also those it drops again."""
    command = [sys.executable, "-X", "importtime", "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    lines = [line for line in ran.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def test_import_is_light() -> None:
    found = imported_by("import talweg")
    assert "talweg" in found, "the list of modules was not read"
    heavy = {name for name in found if name.split(".")[0] in HEAVY}
    assert not heavy, f"import talweg brings {sorted(heavy)}"


@pytest.mark.parametrize("name", KERAS)
def test_a_name_of_keras_is_a_module(name: str) -> None:
    if not (ROOT / "src" / "talweg" / "keras").is_dir():
        pytest.skip("talweg.keras is not written yet")
    assert importlib.import_module(f"talweg.keras.{name}")
