"""What a user waits for besides steps: whole programs, compilation, the time until the first epoch is trained.

W6 is a program from start to end: one neuron, six points, 500 epochs of gradient descent. File caches are warm for all
(an untimed run goes first); Talweg is run both with what it compiled kept ("cached") and with none ("cold").
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.conversation import TALWEG, Failure, Peer, Worker, environment_for
from benchmarks.rounds import save_task
from benchmarks.rows import ROWS
from benchmarks.workloads import Workload

FOLDER = Path(__file__).parent / "neuron"
COMMAND = ("talweg", "train", "digits")
CACHED, COLD = "Talweg, cached", "Talweg, cold"
TOLERANCE = 1e-4  # of the prediction for x = 10
PROGRAMS = (
    (CACHED, None, "with_talweg.py", {}),
    (COLD, None, "with_talweg.py", {}),
    ("PyTorch", "pytorch", "with_pytorch.py", {}),
    ("JAX", "jax", "with_jax.py", {}),
    ("Keras on TensorFlow", "tensorflow", "with_keras.py", {"KERAS_BACKEND": "tensorflow"}),
    ("Keras on JAX", "jax", "with_keras.py", {"KERAS_BACKEND": "jax"}),
)


@dataclass
class Program:
    """Seconds from start to end of a process, one number for each round; `reason` where there are none."""

    name: str
    seconds: list[float] = field(default_factory=list)
    reason: str = ""

    @property
    def least(self) -> float:
        return min(self.seconds, default=float("nan"))

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) if self.seconds else float("nan")


def expected_prediction() -> float:
    """What the neuron says of x = 10 after 500 steps, in float64."""
    x, y, w, b = np.arange(-1.0, 5.0), np.arange(-3.0, 8.0, 2.0), 0.5, 0.0
    for _ in range(500):
        error = w * x + b - y
        w, b = w - 0.01 * 2 * (error * x).mean(), b - 0.01 * 2 * error.mean()
    return float(10 * w + b)


def neuron(names: Sequence[str], threads: int, rounds: int, folder: Path, say: Callable[[str], None]) -> list[Program]:
    """W6, the programs in turns; each has to come to the right prediction."""
    programs = [(Program(name), *rest) for name, *rest in PROGRAMS if name in names or name.startswith(TALWEG.name)]
    expected = expected_prediction()
    for number in range(rounds + 1):
        for program, environment, script, variables in programs:
            python = Peer(program.name, environment, script).python
            if program.reason or python is None:
                program.reason = program.reason or "not installed"
                continue
            say(f"W6: round {number} of {rounds}: {program.name}")
            with tempfile.TemporaryDirectory(dir=folder) as empty:
                cache = empty if program.name == COLD else str(folder)
                began = time.perf_counter()
                done = subprocess.run(
                    [python, str(FOLDER / script)],
                    env=environment_for(threads, cache) | variables,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                seconds = time.perf_counter() - began
            if done.returncode:
                program.reason = (done.stderr.strip().splitlines() or ["it failed"])[-1][:200]
            elif abs(float(done.stdout.split()[-1]) - expected) > TOLERANCE:
                program.reason = f"it says {done.stdout.split()[-1]}, and not {expected:.5f}"
            elif number:
                program.seconds.append(seconds)
    return [program for program, *_ in programs]


def starting(
    workloads: Sequence[Workload], threads: int, folder: Path, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """For each workload, seconds to compile each program (train, evaluate, predict), cold and cached.

    Cached, the best of three fresh processes: a few milliseconds are soon disturbed.
    And "first epoch": from the start of `python` to the end of the first pass over all rows, reading them included. Of
    the command that everyone begins with, that alone; cold, it also has to find out what compiler there is.
    """
    found: dict[str, dict[str, Any]] = {}
    for workload in workloads:
        say(f"{workload.name}: compile times, first epoch")
        with tempfile.TemporaryDirectory(dir=folder) as name:
            save_task(Path(name), workload)
            rows = ROWS - ROWS % workload.batch
            found[workload.name] = {}
            try:
                for state, times in (("cold", 1), ("cached", 3)):
                    each = [
                        _asked(workload, threads, f"{name}/compiled", name, "compile_times")[0] for _ in range(times)
                    ]
                    compiled = {program: min(seconds[program] for seconds in each) for program in each[0]}
                    _, to_epoch = _asked(workload, threads, f"{name}/epoch", name, "fit", rows=rows, epochs=1)
                    found[workload.name][state] = compiled | {"first epoch": to_epoch}
            except Failure as reason:
                found[workload.name] = {"reason": str(reason)}
    say(f"{' '.join(COMMAND)}: first epoch")
    with tempfile.TemporaryDirectory(dir=folder) as name:
        found[" ".join(COMMAND)] = {
            state: {"first epoch": _commanded(threads, name, f"{name}/{state}")} for state in ("cold", "cached")
        }
    return found


def _commanded(threads: int, cache: str, run: str) -> float:
    """Seconds from the start of `COMMAND` until it says how its first epoch went."""
    arguments = [TALWEG.python or "", "-m", *COMMAND, "--epochs", "2", "--out", run]
    began, first = time.perf_counter(), float("nan")
    with subprocess.Popen(arguments, env=environment_for(threads, cache), stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if line.startswith("epoch 1/"):
                first = time.perf_counter() - began
    return first


def _asked(
    workload: Workload, threads: int, cache: str, folder: str, do: str, **request: Any
) -> tuple[dict[str, Any], float]:
    """A fresh process's answer to one question, and the seconds from its start to the answer."""
    Path(cache).mkdir(exist_ok=True)
    with Worker(TALWEG, threads, cache) as worker:
        worker.ask("prepare", workload=workload.as_json(), folder=folder, threads=threads)
        answer = worker.ask(do, **request)
        return answer, time.perf_counter() - worker.began
