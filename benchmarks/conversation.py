"""The driver's side of a worker: a process that is asked in JSON lines, and sleeps until it is asked."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import environments

FOLDER = Path(__file__).parent / "workers"
SOURCE = Path(__file__).parent.parent / "src"
PATIENCE = 600.0  # seconds to wait for an answer
THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TALWEG_THREADS")


@dataclass(frozen=True)
class Peer:
    """A name for the table, the environment it runs in (None: this one), its program and that one's argument."""

    name: str
    environment: str | None
    program: str
    argument: str = ""

    @property
    def python(self) -> str | None:
        """What runs it, or None where its environment was not made."""
        if self.environment is None:
            return sys.executable
        found = environments.python_of(self.environment)
        return None if found is None else str(found)


TALWEG = Peer("Talweg", None, "with_talweg.py")
ON_JAX = Peer("Talweg on JAX", "jax", "with_talweg.py", "jax")  # runs along; nothing is held against it
PEERS = (
    Peer("PyTorch", "pytorch", "with_pytorch.py"),
    Peer("PyTorch, compiled", "pytorch", "with_pytorch.py", "compile"),
    Peer("JAX, scan", "jax", "with_jax.py"),
    Peer("JAX, loop", "jax", "with_jax.py", "loop"),
    Peer("Keras on TensorFlow", "tensorflow", "with_keras.py", "tensorflow"),
    Peer("Keras on JAX", "jax", "with_keras.py", "jax"),
    Peer("scikit-learn", "scikit-learn", "with_sklearn.py"),
)


def hand_written(folder: str) -> Peer:
    return Peer("hand-written C", None, "with_c.py", str(Path(folder).resolve()))


def environment_for(threads: int, cache: str) -> dict[str, str]:
    """The variables of a worker: as many threads as asked, Talweg from this tree, what it compiles into `cache`."""
    mine = dict.fromkeys(THREAD_SETTINGS, str(threads)) | {"PYTHONPATH": str(SOURCE), "XDG_CACHE_HOME": cache}
    mine |= {"TORCHINDUCTOR_CACHE_DIR": f"{cache}/inductor", "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    return dict(os.environ) | mine


class Failure(Exception):
    """The worker did not do what it was asked; the text is its reason."""


class NotAvailable(Failure):
    """The peer cannot do this workload."""


class Worker:
    """One peer at work. Use it in a ``with``, which ends the process."""

    def __init__(self, peer: Peer, threads: int, cache: str) -> None:
        python = peer.python
        if python is None:
            raise NotAvailable(f"not installed: python -m benchmarks.environments {peer.environment}")
        command = [python, str(FOLDER / peer.program), *([peer.argument] if peer.argument else [])]
        self.began = time.perf_counter()
        self._said = open(f"{cache}/stderr-{peer.name}", "w+")  # noqa: SIM115  (closed with the process)
        self._process = subprocess.Popen(
            command, stdin=-1, stdout=-1, stderr=self._said, env=environment_for(threads, cache)
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """The answer; raises `NotAvailable` or `Failure` with the worker's reason."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(json.dumps({"do": do} | request).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise Failure(self._last_words()) from None
        if not select.select([stdout], [], [], PATIENCE)[0]:
            raise Failure(f"no answer within {PATIENCE:.0f} s")
        line = stdout.readline()
        if not line:
            raise Failure(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "not_available" in answer:
            raise NotAvailable(answer["not_available"])
        if "failed" in answer:
            raise Failure(answer["failed"])
        return answer

    def cpu_seconds(self) -> float:
        """The time that the process has spent on processors so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _last_words(self) -> str:
        self._process.wait(10)
        self._said.seek(0)
        lines = self._said.read().strip().splitlines()
        return f"it ended with {self._process.returncode}: {lines[-1][:300] if lines else 'nothing on stderr'}"

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._said.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
