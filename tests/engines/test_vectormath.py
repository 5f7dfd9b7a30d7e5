"""The engine's elementary functions: their errors, their edges, and that loops of them become vectors."""

from __future__ import annotations

import importlib.util
import math
import platform
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from talweg.engines.native import build, vectormath

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")


def script() -> ModuleType:
    """scripts/check_vectormath.py, which goes through all 2^32 numbers when it is run by hand."""
    path = Path(__file__).parents[2] / "scripts" / "check_vectormath.py"
    spec = importlib.util.spec_from_file_location("check_vectormath", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


check = script()
STRIDE = {"float32": 1999, "float64": 1_000_003 * 2**25}  # millions of numbers, and all about the edges
CONTRACTION = {"fused": [], "separate": ["-ffp-contract=off"]}  # multiply-adds


@pytest.mark.parametrize("contraction", CONTRACTION)
def test_float32_functions_keep_their_bounds(contraction: str, tmp_path: Path) -> None:
    path = check.compiled(tmp_path, "float32", CONTRACTION[contraction])
    for name, bound in check.BOUNDS["float32"].items():
        for flushed in (False, True):
            worst = check.worst(path, name, STRIDE["float32"], flushed)
            assert worst.ulp <= bound, (name, flushed, worst)
            assert worst.count > 1_000_000


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="long double must be wider")
def test_float64_functions_keep_their_bounds(tmp_path: Path) -> None:
    path = check.compiled(tmp_path, "float64")
    for name, bound in check.BOUNDS["float64"].items():
        worst = check.worst(path, name, STRIDE["float64"])
        assert worst.ulp <= bound, (name, worst)


def test_the_check_finds_a_wrong_coefficient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vectormath.FLOAT32.count("1.66665167e-01f") == 1
    monkeypatch.setattr(vectormath, "FLOAT32", vectormath.FLOAT32.replace("1.66665167e-01f", "1.6667e-01f"))
    path = check.compiled(tmp_path, "float32")
    assert 2 < check.worst(path, "exp", 99991).ulp < math.inf
    assert check.worst(path, "log", 99991).ulp < 2


FUNCTIONS = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "sin", "cos", "sqrt")


def loops() -> str:
    """One loop for each function, each on the line of its index; after them what they need lies in a header."""
    one = (
        "void all_{0}(const real *restrict x, real *restrict y, long n) {{ for (long i = 0; i < n; i++) y[i] = {1}; }}"
    )
    calls = {name: f"t_{name}(x[i])" for name in FUNCTIONS} | {"power": "t_power(x[i], y[i])"}
    return "\n".join(['#include "functions.h"', *(one.format(name, call) for name, call in calls.items())])


@pytest.mark.skipif(platform.machine() != "x86_64", reason="flags of x86-64")
def test_loops_become_vectors(tmp_path: Path) -> None:
    """gcc says which loops it put into vectors; any compiler's object calls nothing, which a scalar libm loop would."""
    command = build.compiler()
    assert command is not None
    flags = [f for f in build.machine()[0] if f != "-shared" and not f.startswith(("-march", "-mprefer"))]
    header = f"#include <stdint.h>\ntypedef float real;\n{vectormath.source('float32')}"
    (tmp_path / "functions.h").write_text(header)
    (tmp_path / "loops.c").write_text(loops())
    asked = [*command, *flags, "-march=x86-64-v3", "-S", "-o", str(tmp_path / "loops.s"), str(tmp_path / "loops.c")]
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
    is_gcc = "Free Software Foundation" in version
    extra = ["-fopt-info-vec-optimized"] if is_gcc else []
    said = subprocess.run([*asked, *extra], capture_output=True, text=True, check=True).stderr
    assert "call" not in (tmp_path / "loops.s").read_text()
    if is_gcc:
        lines = {int(line.split(":")[1]) for line in said.splitlines() if "loop vectorized" in line}
        assert lines >= set(range(2, 2 + len(FUNCTIONS) + 1))
