"""Ctrl-C while the native engine works: in a long epoch, in a long validation, and while the compiler works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talweg.engines.native import Native, build, cache, compilers
from talweg.nn.layers import Dense
from talweg.train.callbacks.base import Callback
from talweg.train.sequential import Sequential

pytestmark = [
    pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang"),
    pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process on Windows"),
]
ANSWERED = 10.0  # seconds, on however busy a machine; some 0.03 on an idle one
PROGRAM = textwrap.dedent(
    """
    import time
    import numpy as np
    import talweg
    from talweg.keras.callbacks import Callback
    class Say(Callback):
        def on_compile_begin(self, logs=None):
            print("compiling", flush=True)
        def on_progress(self, done, steps, logs=None):
            print("training", flush=True)
        def on_test_begin(self, logs=None):
            print("validating", flush=True)
    x, y = np.ones((40000, 8), np.float32), np.zeros(40000, int)
    hidden = [talweg.layers.Dense(2000, "relu"), talweg.layers.Dense(2000, "relu")]
    model = talweg.Sequential([*hidden, talweg.layers.Dense(10, "softmax")], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], engine="native")
    history = model.fit(x, y, steps_per_epoch={steps}, validation_data=(x, y), callbacks=[Say()], verbose=0)
    print("over", history.epoch, history.params["interrupted"], time.time(), flush=True)
    """
)


def slow_compiler(path: Path) -> str:
    """A compiler that takes a minute for a program, and writes down which process waits."""
    found = compilers.find()
    assert found is not None
    waits = f"case \"$*\" in *program.c*) sh -c 'echo $$ > {path}.pid; exec sleep 60';; esac"
    path.write_text(f'#!/bin/sh\n{waits}\nexec {" ".join(found.command)} "$@"\n')
    path.chmod(0o755)
    return str(path)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet buried does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")


def written(path: Path) -> str:
    """What a file holds, once it is there."""
    for _ in range(6000):
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.01)
    raise AssertionError(f"{path} was not written")


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a compiler that takes a minute; answers the file that will name its process."""
    compiler = slow_compiler(tmp_path / "slowcc")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TALWEG_CC", compiler)
    compilers._search.cache_clear()
    return Path(f"{compiler}.pid")


def interrupted(word: str, steps: int = 1) -> tuple[str, float]:
    """What the program says after Ctrl-C at the third `word`, and how many seconds later it has come back."""
    command = [sys.executable, "-c", PROGRAM.format(steps=steps)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seen = 0
        for line in process.stdout:
            seen += line.strip() == word
            if seen == (3 if word == "training" else 1):
                break
        time.sleep(0.3)  # into the work
        began = time.time()
        process.send_signal(signal.SIGINT)
        last = process.stdout.read().splitlines()[-1].split()
    assert process.returncode == 0 and last[0] == "over", last
    return " ".join(last[1:-1]), float(last[-1]) - began


def test_in_a_long_epoch() -> None:
    said, seconds = interrupted("training", steps=10**7)
    assert said == "[] True" and seconds < ANSWERED


def test_in_a_long_validation() -> None:
    said, seconds = interrupted("validating")  # of an epoch of one step, which is not in the history therefore
    assert said == "[] True" and seconds < ANSWERED


def test_while_the_compiler_works(slow: Path, tmp_path: Path) -> None:
    said, seconds = interrupted("compiling")
    assert said == "[] True" and seconds < ANSWERED
    assert not is_alive(int(written(slow)))
    folder = tmp_path / "home" / "talweg" / "native"
    assert [p.suffix for p in folder.iterdir()] == [".json"]  # what is known of the compiler, and nothing half made


def test_a_process_that_ends_takes_the_compiler_along(slow: Path, tmp_path: Path) -> None:
    code = f"""
import time, pathlib
from talweg.engines.native import build
making = build.Making("int talweg_answer(void) {{ return 42; }}")
while not pathlib.Path({str(slow)!r}).exists(): time.sleep(0.01)
assert not making.is_over
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
    assert not is_alive(int(written(slow)))
    assert not list((tmp_path / "home" / "talweg" / "native").glob("tmp-*"))


def test_a_child_of_a_fork_leaves_its_parent_s_compiler_alone(slow: Path) -> None:
    making = build.Making("int talweg_answer(void) { return 42; }")
    child = os.fork()
    if child == 0:
        making._end()
        os._exit(0)
    os.waitpid(child, 0)
    assert not making.is_over and is_alive(int(written(slow)))
    making._end()
    assert not is_alive(int(written(slow)))


class Told(Callback):
    def __init__(self, interrupts: bool = False) -> None:
        super().__init__()
        self.compiled, self.interrupts = 0, interrupts

    def on_compile_begin(self, logs: Any = None) -> None:
        self.compiled += 1
        if self.interrupts:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_fit_after_that_is_as_if_nothing_had_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(build, "_loaded", {})
    compilers._search.cache_clear()
    x = np.linspace(-1, 1, 60).reshape(20, 3)
    results = []
    for interrupts in (True, False):
        model, told = Sequential([Dense(4, "tanh", input_shape=(3,)), Dense(1)], seed=0), Told(interrupts)
        model.compile("adam", "mse", engine=Native())
        if interrupts:
            history = model.fit(x, x[:, 0], callbacks=[told], verbose=0)
            assert history.epoch == [] and history.params["interrupted"] and told.compiled == 1
            assert cache.entries() == [] and model.iterations == 0
        model.fit(x, x[:, 0], callbacks=[told := Told()], verbose=0)
        assert told.compiled == interrupts  # and the second model's program was there
        results.append(model.get_weights()[0])
    assert (results[0] == results[1]).all()
