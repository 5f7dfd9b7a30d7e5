"""The command line's part of the native engine: --threads, explain, cache, and how a fallback is told."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from talweg.cli import app
from talweg.engines import choose
from talweg.engines.native import build, cache, compilers

needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")
QUICK = ("train", "iris", "--epochs", "2", "--quiet")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def talweg(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result


@needs_compiler
def test_threads_do_not_change_the_result() -> None:
    results = []
    for threads in (1, 3):
        talweg(*QUICK, "--engine", "native", "--threads", threads, "--out", f"run{threads}")
        results.append(Path(f"run{threads}/model.safetensors").read_bytes())
        assert json.loads(Path(f"run{threads}/config.json").read_text())["engine"] == "native"
    assert results[0] == results[1]
    talweg("train", "--resume", "run1", "--epochs", 3, "--threads", 2, "--quiet")
    assert "--threads" in talweg(*QUICK, "--threads", 0, code=2).output


@needs_compiler
def test_the_engine_is_native_by_default_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(choose.PREFERRED)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "_loaded", {})
    compilers._search.cache_clear()
    found = compilers.find()
    assert found is not None
    for said, out in (("compiling", "cold"), ("", "cached")):
        shown = talweg("train", "iris", "--epochs", 2, "--threads", 2, "--out", out).stdout
        assert f"native, 2 threads, {found.title}, float32" in shown
        assert ("compiling" in shown) == bool(said)
    assert Path("cold/model.safetensors").read_bytes() == Path("cached/model.safetensors").read_bytes()


@needs_compiler
@pytest.mark.filterwarnings("default::RuntimeWarning")
def test_a_run_goes_on_where_there_is_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(choose.PREFERRED)
    talweg("train", "iris", "--epochs", 5, "--quiet", "--out", "unbroken")
    talweg(*QUICK, "--out", "run")
    monkeypatch.setenv("TALWEG_CC", "/no/such/compiler")
    choose._say_once.cache_clear()
    shown = talweg("train", "--resume", "run", "--epochs", 5)
    assert "talweg[compiler]" in shown.stderr
    assert "reference, float32" in shown.stdout and "The run began on native" in shown.stdout
    losses = [json.loads(Path(r, "result.json").read_text())["test"]["loss"] for r in ("run", "unbroken")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@needs_compiler
def test_explain_prints_c_that_compiles(tmp_path: Path) -> None:
    talweg(*QUICK, "--out", "run")
    text = talweg("explain", "--c", "run", "--batch-size", 16).stdout
    assert "Written by Talweg - train - batches of up to 16 rows" in text and "dense/kernel" in text
    assert "\n    for (" in text and "\n        " in text
    Path("step.c").write_text(text)
    found = compilers.find()
    assert found is not None
    said = subprocess.run(
        [*found.command, *found.flags, "-o", "step.so", "step.c", "-lm"], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr


@needs_compiler
def test_profile_tells_where_the_time_goes() -> None:
    talweg(*QUICK, "--out", "run")
    before = Path("run/model.safetensors").read_bytes()
    options = ("--batch-size", 8, "--threads", 1, "--seconds", 0.05)
    text = talweg("profile", "run", *options).stdout
    assert "GFLOP/s" in text and "k_gradient_dense_kernel" in text and "µs for 8 examples" in text
    told = json.loads(talweg("profile", "run", *options, "--json").stdout)
    assert told["steps"] > 1 and told["threads"] == 1
    times = [kernel["microseconds"] for kernel in told["kernels"]]
    assert times == sorted(times, reverse=True)
    assert sum(times) == pytest.approx(told["microseconds"], rel=0.2)
    assert Path("run/model.safetensors").read_bytes() == before


def test_explain_prints_the_operations() -> None:
    talweg(*QUICK, "--out", "run")
    text = talweg("explain", "run").stdout
    assert text.startswith("program train\n") and "update dense/kernel <- " in text
    assert "no such run folder" in talweg("explain", "elsewhere", code=2).stderr


@needs_compiler
def test_cache_info_and_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "_loaded", {})
    assert json.loads(talweg("cache", "info", "--json").stdout)["objects"] == 0
    talweg(*QUICK, "--engine", "native")
    told = json.loads(talweg("cache", "info", "--json").stdout)
    assert told["objects"] == len(cache.entries()) > 0 and told["bytes"] > 0
    assert told["folder"] == str(tmp_path / "cache" / "talweg" / "native")
    assert f"{told['objects']}, " in talweg("cache", "info").stdout
    assert f"Removed {told['objects']} compiled programs" in talweg("cache", "clear").stdout
    assert json.loads(talweg("cache", "info", "--json").stdout)["objects"] == 0


@pytest.mark.filterwarnings("default::RuntimeWarning")  # in the tests, a warning is an error
def test_without_a_compiler_the_same_command_works_and_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(choose.PREFERRED)
    choose._say_once.cache_clear()
    monkeypatch.setenv("TALWEG_CC", "/no/such/compiler")
    shown = talweg("train", "iris", "--epochs", 2)
    (note,) = [line for line in shown.stderr.splitlines() if line.startswith("note: ")]
    assert "pip install 'talweg[compiler]'" in note
    assert "reference, float32" in shown.stdout
    assert "talweg[compiler]" in talweg(*QUICK, "--engine", "native", code=2).stderr
