"""`import talweg` is light: it brings nothing that a program may never use, not even NumPy."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

BROUGHT = {"talweg", "talweg._version", "talweg.errors", "talweg.escapes", "talweg.formats"}
SLOW = {"dataclasses", "inspect"}  # of the standard library, those that take as long as all the rest
KERAS = [
    *("activations", "backend", "callbacks", "constraints", "datasets", "initializers", "layers", "losses"),
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
    found = imported_by("import talweg") - imported_by("")
    names = {name for name in found if name.split(".")[0] not in sys.stdlib_module_names}
    assert names == BROUGHT
    assert not found & SLOW


@pytest.mark.parametrize("name", KERAS)
def test_a_name_of_keras_is_a_module(name: str) -> None:
    assert importlib.import_module(f"talweg.keras.{name}")
