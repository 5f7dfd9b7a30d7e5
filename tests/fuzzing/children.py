"""Many inputs in one child, which has limits of memory and time and may die; of which input it died is told.

The parent has imported everything, so a child is a fork and begins at once. Before each input the child notes its
number in memory that both see, and grants itself a few seconds of processor time: the clock decides nothing, since a
busy machine is no fault of a reader. Only a child that waits, and uses no time at all, is ended by the clock.
"""

from __future__ import annotations

import base64
import faulthandler
import gc
import json
import mmap
import os
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from fuzzing.forms import CRASH, HANG, MEMORY, Finding, Format, judged

SECONDS = 10  # of processor time for one input
PATIENCE = 120  # seconds of the clock for one input that uses no processor time
MEMORY_BYTES = 2**30  # beyond what the parent had
FILE_BYTES = 2**28

Numbered = Iterable[tuple[int, Callable[[], bytes]]]
"""Inputs with their numbers; each is made in the child."""


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for inputs and all temporary files, in memory where the system has such a place."""
    shm, before = Path("/dev/shm"), tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=shm if os.access(shm, os.W_OK) else None) as folder:
        tempfile.tempdir = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before


class Child:
    """A process that judges inputs of one format."""

    def __init__(self, format: Format, inputs: Numbered, folder: Path) -> None:
        self.format, self._folder = format, folder
        self._shared = mmap.mmap(-1, 16)  # the number of the input, and how many were judged
        self._path = folder / f"input{format.suffix}"
        self._told = folder / "findings.jsonl"
        folder.mkdir(exist_ok=True)
        self._moved, self._at = time.monotonic(), -1
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._work(inputs)
            except BaseException:
                os._exit(3)
            os._exit(0)

    @property
    def number(self) -> int:
        """Of the input that is being judged."""
        return int(struct.unpack_from("<q", self._shared)[0])

    @property
    def judged(self) -> int:
        return int(struct.unpack_from("<q", self._shared, 8)[0])

    def ended(self) -> list[Finding] | None:
        """What was found, once the child has ended; None until then."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            if self.number != self._at:
                self._moved, self._at = time.monotonic(), self.number
            elif time.monotonic() - self._moved > PATIENCE:
                os.kill(self.pid, signal.SIGKILL)
            return None
        found = list(_read(self._told))
        if status != 0:
            found.append(self._obituary(status))
        return found

    def _obituary(self, status: int) -> Finding:
        """What the child's death says of the input that it had in hand."""
        data = self._path.read_bytes() if self._path.is_file() else b""
        number = self.number
        if not os.WIFSIGNALED(status):
            return Finding(
                self.format.name,
                CRASH,
                f"exit {status >> 8}",
                f"the child ended with {status >> 8}",
                data,
                number=number,
            )
        name = signal.Signals(os.WTERMSIG(status)).name
        waited = name == "SIGKILL" and time.monotonic() - self._moved > PATIENCE
        kind = HANG if name == "SIGXCPU" or waited else MEMORY if name == "SIGKILL" else CRASH
        return Finding(self.format.name, kind, name, f"the child died of {name}", data, number=number)

    def _work(self, inputs: Numbered) -> None:
        """In the child: judges one input after another, and writes down what it finds."""
        gc.disable()
        _limited()
        with open(self._told, "w", encoding="utf-8") as told:
            for done, (number, make) in enumerate(inputs):
                struct.pack_into("<qq", self._shared, 0, number, done)
                used = resource.getrusage(resource.RUSAGE_SELF)
                until = int(used.ru_utime + used.ru_stime) + 1 + SECONDS
                resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))
                data = make()
                self._path.write_bytes(data)
                if (found := judged(self.format, self._path, data)) is not None:
                    told.write(_line(replace(found, number=number)))
                    told.flush()
                if done % 200 == 199:
                    gc.collect()
            struct.pack_into("<q", self._shared, 8, done + 1)


def judged_apart(format: Format, data: bytes, folder: Path) -> Finding | None:
    """The judgement of one input in a child of its own."""
    child = Child(format, [(0, lambda: data)], folder)
    while (found := child.ended()) is None:
        time.sleep(0.002)
    return replace(found[0], data=data) if found else None


def apart(function: Callable[[], bytes], folder: Path) -> bytes | None:
    """What a function answers in a child with the same limits; None if it did not get there."""
    folder.mkdir(exist_ok=True)
    answer = folder / "answer"
    answer.unlink(missing_ok=True)
    if (pid := os.fork()) == 0:
        try:
            _limited()
            resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, resource.RLIM_INFINITY))
            answer.write_bytes(function())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    return answer.read_bytes() if answer.is_file() else None


def _limited() -> None:
    """What every child grants itself."""
    warnings.simplefilter("ignore")
    faulthandler.disable()
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # decoders written in C complain there
    os.dup2(nothing, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    if (size := _address_space()) is not None:
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_BYTES, size + MEMORY_BYTES))


def _address_space() -> int | None:
    """Bytes that this process has mapped; None where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return None


def _line(finding: Finding) -> str:
    told = {**asdict(finding), "data": base64.b64encode(finding.data).decode()}
    return json.dumps(told) + "\n"


def _read(path: Path) -> Iterator[Finding]:
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        told = json.loads(line)
        yield Finding(**{**told, "data": base64.b64decode(told["data"])})


def ready() -> None:
    """Before the first child: nothing that one would start threads with, and memory that stays shared."""
    if sys.platform == "win32":
        raise SystemExit("children are forked, which this system cannot: run it on Linux or macOS")
    gc.collect()
    gc.freeze()
