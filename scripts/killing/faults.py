"""Disturbances of a process from inside: at its k-th operation on files something happens, once or from then on.

Python's own doors to files are replaced in the child of a fork: `open` for writing and what is written through it, and
the functions of `os` that change names, permissions or folders. Each call counts as one operation; a write counts as
one, and may be cut in the middle.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPERATIONS = ("open", "replace", "rename", "fsync", "mkdir", "unlink", "rmdir", "chmod", "utime", "write", "ftruncate")
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGHUP": signal.SIGHUP, "SIGINT": signal.SIGINT}
ERRORS = {"disk full": errno.ENOSPC, "unwritable": errno.EACCES, "read-only": errno.EROFS, "disk broken": errno.EIO}
DAY = 86400.0


@dataclass(frozen=True)
class Fault:
    """What happens to a process.

    kind     a name of SIGNALS or ERRORS, "vanishing", "clock jump", "size limit", or "" for nothing
    at       the number of the operation on files, from 0; -1: at a moment that the parent chooses
    place    before the operation, in the middle of it (a write), or after it
    amount   of a clock jump, seconds; of a size limit, bytes
    """

    kind: str = ""
    at: int = -1
    place: str = "before"
    amount: float = 0.0

    def __str__(self) -> str:
        when = "at a moment" if self.at < 0 else f"{self.place} operation {self.at}"
        return f"{self.kind or 'nothing'} {when}{f' ({self.amount:g})' if self.amount else ''}"


class Faults:
    """Counts operations in this process and brings the fault about. `folder` is what vanishes."""

    def __init__(self, fault: Fault, folder: Path, note: Callable[[int, bool], Any]) -> None:
        self.fault, self.folder, self.count, self.note, self.happened = fault, folder, 0, note, False
        self._real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in OPERATIONS}
        self._open, self._time, self._remove = builtins.open, time.time, shutil.rmtree

    def install(self) -> None:
        for name in OPERATIONS:
            setattr(os, name, self._counted(name))
        builtins.open = io.open = self._opened  # type: ignore[assignment]
        if self.fault.kind == "size limit":  # the kernel's own: also for what is written in C
            self.happened = True
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(self.fault.amount), resource.RLIM_INFINITY))

    def step(self, act: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        """One operation: `act` does it, `half` a part of it."""
        number, self.count = self.count, self.count + 1
        self.note(self.count, self.happened)
        fault = self.fault
        lasting = fault.kind in ERRORS and number >= fault.at >= 0
        if number != fault.at and not lasting:
            return act()
        if fault.place == "middle" and half is not None and (fault.kind == "SIGKILL" or fault.kind in ERRORS):
            half()
        if fault.place == "after":
            done = act()
            self._bring_about()
            return done
        self._bring_about()
        return act()

    def _bring_about(self) -> None:
        kind, self.happened = self.fault.kind, True
        self.note(self.count, True)
        if kind in SIGNALS:
            os.kill(os.getpid(), SIGNALS[kind])
        elif kind in ERRORS:
            raise OSError(ERRORS[kind], os.strerror(ERRORS[kind]))
        elif kind == "vanishing":
            with contextlib.suppress(OSError):  # it is not there yet
                self._real["rename"](self.folder, f"{self.folder}-away")
        elif kind == "clock jump":
            time.time = lambda: self._time() + self.fault.amount

    def _counted(self, name: str) -> Callable[..., Any]:
        real = self._real[name]

        def instead(*given: Any, **named: Any) -> Any:
            if name == "open" and not given[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return real(*given, **named)
            half = (lambda: real(given[0], given[1][: len(given[1]) // 2])) if name == "write" else None
            return self.step(lambda: real(*given, **named), half)

        return instead

    def _opened(self, file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
        if not set(mode) & set("wax+") or "b" not in mode:
            return self._open(file, mode, buffering, *rest, **named)
        raw = self.step(lambda: Raw(self, file, mode.replace("b", "")))
        return raw if buffering == 0 else io.BufferedWriter(raw)


class Raw(io.FileIO):
    """A file, each write to which counts."""

    def __init__(self, faults: Faults, file: Any, mode: str) -> None:
        super().__init__(file, mode)
        self.faults = faults

    def write(self, data: Any) -> int:
        data, write = memoryview(data).cast("B"), super().write
        return self.faults.step(lambda: write(data), lambda: write(data[: len(data) // 2]))


def drawn(chance: random.Random, kind: str, operations: int, largest: int) -> Fault:
    """A fault of that kind, in a run of so many operations whose largest file has so many bytes."""
    if kind == "size limit":
        return Fault(kind, amount=float(chance.randrange(0, max(2, int(1.5 * largest)))))
    at = chance.randrange(0, max(1, operations))
    amount = chance.choice([-3650, -1, -1 / 24, 1 / 24, 1, 3650]) * DAY if kind == "clock jump" else 0.0
    return Fault(kind, at, chance.choice(["before", "middle", "after"]), amount)
