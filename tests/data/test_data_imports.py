"""What the data room asks of a program that only imports it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from talweg.datasets import digits

HEAVY = ("pandas", "sklearn", "scipy", "pooch", "requests", "PIL", "tqdm", "rich", "matplotlib")


def test_only_numpy_is_imported() -> None:
    code = (
        "import sys, talweg.data, talweg.datasets; from talweg.datasets import mnist; mnist.load_data; "
        f"print([m for m in sys.modules if m.split('.')[0] in {HEAVY}])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_the_digits_are_read_without_their_library() -> None:
    """Its import takes longer than the training; `talweg train digits` is the first command that anybody runs."""
    code = f"""
import sys
from talweg.datasets import digits
digits.load_data()
print([m for m in sys.modules if m.split('.')[0] in {HEAVY}])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_where_the_file_of_the_digits_is_elsewhere_their_library_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    (x, y), _ = digits.load_data()
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    (same_x, same_y), _ = digits.load_data()
    assert (x == same_x).all() and (y == same_y).all() and same_x.dtype == x.dtype == np.uint8


def test_all_names_exist() -> None:
    import talweg.data
    import talweg.datasets

    for module in (talweg.data, talweg.datasets):
        for name in module.__all__:
            assert hasattr(module, name)
