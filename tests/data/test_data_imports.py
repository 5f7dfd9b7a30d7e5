"""What the data room asks of a program that only imports it."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("pandas", "sklearn", "scipy", "pooch", "requests", "PIL", "tqdm", "rich", "matplotlib")


def test_only_numpy_is_imported() -> None:
    code = (
        "import sys, talweg.data, talweg.datasets; from talweg.datasets import mnist; mnist.load_data; "
        f"print([m for m in sys.modules if m.split('.')[0] in {HEAVY}])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_all_names_exist() -> None:
    import talweg.data
    import talweg.datasets

    for module in (talweg.data, talweg.datasets):
        for name in module.__all__:
            assert hasattr(module, name)
