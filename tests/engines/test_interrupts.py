"""Ctrl-C while the native engine works: in a long epoch, in a long validation, and while the compiler works."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
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
PROGRAM = textwrap.dedent(
    """
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
    history = model.fit(x, y, steps_per_epoch={steps}, validation_data=(x, y), callbacks=[Say()], verbose=0,
                        on_interrupt="return")
    print("over", history.epoch, history.params["interrupted"], flush=True)
    """
)


class SlowCompiler:
    """A compiler that never ends by itself: what it starts opens a named pipe, and waits for a word that never comes.

    Nothing here is decided by time: the pipe tells when it is at work, and when the last of its processes is gone.
    """

    def __init__(self, folder: Path) -> None:
        found = compilers.find()
        assert found is not None
        self.pipe, self.command = folder / "pipe", str(folder / "slowcc")
        os.mkfifo(self.pipe)
        waits = f"case \"$*\" in *program.c*) sh -c 'read word < {self.pipe}'; exit 1;; esac"
        Path(self.command).write_text(f'#!/bin/sh\n{waits}\nexec {" ".join(found.command)} "$@"\n')
        Path(self.command).chmod(0o755)
        self._end: int | None = None

    def wait_for_work(self) -> None:
        """Until it waits: opening a pipe takes both ends."""
        self._end = os.open(self.pipe, os.O_WRONLY)

    def is_at_work(self) -> bool:
        return not self._is_closed(0)

    def wait_for_end(self) -> None:
        """Until nobody is left who could read."""
        assert self._is_closed(120_000), "the compiler is still there"

    def _is_closed(self, milliseconds: int) -> bool:
        assert self._end is not None
        poll = select.poll()
        poll.register(self._end, 0)  # errors are told in any case
        return bool(poll.poll(milliseconds))

    def close(self) -> None:
        if self._end is not None:
            os.close(self._end)


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowCompiler]:
    """An empty cache, and a compiler that never ends."""
    compiler = SlowCompiler(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TALWEG_CC", compiler.command)
    compilers._search.cache_clear()
    yield compiler
    compiler.close()
    compilers._search.cache_clear()


def left_over(tmp_path: Path) -> list[str]:
    """What lies in the cache, besides what is known of the compiler."""
    return [p.name for p in (tmp_path / "home" / "talweg" / "native").iterdir() if p.suffix != ".json"]


def interrupted(word: str, steps: int = 1, slow: SlowCompiler | None = None) -> str:
    """What the program says after Ctrl-C at the third `word`; that it says anything shows that it came back."""
    command = [sys.executable, "-c", PROGRAM.format(steps=steps)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seen = 0
        for line in process.stdout:
            seen += line.strip() == word
            if seen == (3 if word == "training" else 1):
                break
        if slow is not None:
            slow.wait_for_work()
        process.send_signal(signal.SIGINT)
        last = process.stdout.read().splitlines()[-1].split()
    assert process.returncode == 0 and last[0] == "over", last
    return " ".join(last[1:])


def test_in_a_long_epoch() -> None:
    assert interrupted("training", steps=10**7) == "[] True"  # without Ctrl-C it would take days


def test_in_a_long_validation() -> None:
    assert interrupted("validating") == "[] True"  # of an epoch of one step, which is not in the history therefore


def test_while_the_compiler_works(slow: SlowCompiler, tmp_path: Path) -> None:
    assert interrupted("compiling", slow=slow) == "[] True"
    slow.wait_for_end()
    assert left_over(tmp_path) == []


MAKING = """
from talweg.engines.native import build
making = build.Making("int talweg_answer(void) { return 42; }")
print("making", flush=True)
input()
assert not making.is_over
"""


def test_a_process_that_ends_takes_the_compiler_along(slow: SlowCompiler, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", MAKING], stdin=subprocess.PIPE, text=True) as process:
        slow.wait_for_work()
        process.communicate("end\n")
    assert process.returncode == 0
    slow.wait_for_end()
    assert left_over(tmp_path) == []


def test_a_process_that_is_killed_takes_the_compiler_along(slow: SlowCompiler, tmp_path: Path) -> None:
    """What it was making is removed by whoever uses the cache next."""
    with subprocess.Popen([sys.executable, "-c", MAKING], stdin=subprocess.PIPE) as process:
        slow.wait_for_work()
        process.kill()
    slow.wait_for_end()
    (half,) = left_over(tmp_path)
    assert half.startswith("tmp-")
    cache._cleared_away.cache_clear()
    cache.cache_folder()
    assert left_over(tmp_path) == []


def test_a_child_of_a_fork_leaves_its_parent_s_compiler_alone(slow: SlowCompiler) -> None:
    making = build.Making("int talweg_answer(void) { return 42; }")
    slow.wait_for_work()
    child = os.fork()
    if child == 0:
        making._end()
        os._exit(0)
    os.waitpid(child, 0)
    assert not making.is_over and slow.is_at_work()
    making._end()
    slow.wait_for_end()


def test_a_child_of_a_fork_does_not_keep_its_parent_s_compiler_alive(slow: SlowCompiler) -> None:
    code = MAKING.replace("print(", "import os, signal; os.fork() or signal.pause(); print(")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes, start_new_session=True) as process:  # type: ignore
        slow.wait_for_work()
        assert process.stdout is not None and process.stdout.readline() == b"making\n"  # after the fork
        process.kill()
        process.wait()
        slow.wait_for_end()  # though the child lives
        os.killpg(process.pid, signal.SIGKILL)


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
            history = model.fit(x, x[:, 0], callbacks=[told], verbose=0, on_interrupt="return")
            assert history.epoch == [] and history.params["interrupted"] and told.compiled == 1
            assert cache.entries() == [] and model.iterations == 0
        model.fit(x, x[:, 0], callbacks=[told := Told()], verbose=0)
        assert told.compiled == interrupts  # and the second model's program was there
        results.append(model.get_weights()[0])
    assert (results[0] == results[1]).all()
