"""One case: a program is disturbed a few times, then let run to its end, and all that must be equal is compared."""

from __future__ import annotations

import contextlib
import mmap
import os
import random
import select
import shutil
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from killing.faults import SIGNALS, Fault, Faults, drawn
from killing.work import WORKS, Work, left_behind
from talweg.errors import TalwegError

HANGS = 300.0  # seconds after which a child is said to hang
PATIENCE, LOOK = 20.0, 0.05  # seconds that processes have to end after the one that started them, and between two looks
MOST_LINES = 25  # of an error, which fits on one screen
CLEAN, MISTAKE, INTERRUPTED = 3, 99, 130  # exit codes of a child: an error raised on purpose; ours; Ctrl-C
KINDS = {
    **{"SIGKILL at a moment": 36, "SIGKILL": 36, "SIGTERM": 3, "SIGHUP": 3, "SIGINT": 3, "two writers": 4},
    **{"disk full": 4, "size limit": 3, "unwritable": 2, "read-only": 1, "disk broken": 1, "vanishing": 2},
    "clock jump": 2,
}
"""Kinds of disturbance, and how often of a hundred."""


@dataclass
class Undisturbed:
    """What a program does by itself: how many operations, how long, its largest file, and what comes of it."""

    operations: int
    seconds: float
    largest: int
    outcome: dict[str, Any]


@dataclass
class Verdict:
    """What a case came to: the disturbances that hit, and what was wrong."""

    story: list[str] = field(default_factory=list)
    hits: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


def undisturbed(work: Work, folder: Path) -> Undisturbed:
    folder.mkdir()
    began = time.monotonic()
    child = Child(work, folder, Fault())
    status = child.wait()
    seconds = time.monotonic() - began
    if status != 0 or not work.is_over(folder):
        raise SystemExit(f"{work.name} fails undisturbed (exit {status}):\n{child.said()}")
    largest = max(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    return Undisturbed(child.operations(), seconds, largest, work.outcome(folder))


def run(number: int, seed: int, known: dict[str, Undisturbed], place: Path) -> Verdict:
    """Case `number`: the same for the same seed, but for where a signal from outside meets it."""
    chance, verdict = random.Random(f"{seed}/{number}"), Verdict()
    work = WORKS[chance.choice(sorted(known))]
    alone, folder = known[work.name], place / f"case-{number}"
    verdict.story.append(work.name)
    folder.mkdir()
    try:
        while not work.is_over(folder):
            (kind,) = chance.choices(list(KINDS), list(KINDS.values()))
            if kind == "two writers":
                _several(work, folder, chance.choice([2, 3]), verdict)
            else:
                _one(work, folder, kind, chance, alone, verdict)
            verdict.findings += [f"{work.name}: {what}" for what in work.judge(folder)]
            if verdict.findings or len(verdict.hits) > 6 or chance.random() < 0.5:
                break
        if not verdict.findings:
            _end(work, folder, alone, verdict)
    finally:
        if not verdict.findings:
            shutil.rmtree(folder, ignore_errors=True)
    return verdict


def _one(work: Work, folder: Path, kind: str, chance: random.Random, alone: Undisturbed, verdict: Verdict) -> None:
    from_outside = kind == "SIGKILL at a moment" or (kind in SIGNALS and chance.random() < 0.3)
    name = "SIGKILL" if from_outside and kind not in SIGNALS else kind
    fault = Fault(name) if from_outside else drawn(chance, name, alone.operations, alone.largest)
    child = Child(work, folder, fault)
    if from_outside:
        child.end_after(chance.uniform(0, alone.seconds), SIGNALS[name])
    status = child.wait()
    verdict.story.append(f"{fault} -> {status}")
    if child.was_hit() or status < 0 or (from_outside and status):
        verdict.hits.append(kind)
    verdict.findings += [f"{fault}: {what}" for what in child.complaints(status, allowed(work, name))]
    _put_back(work.target(folder))
    if name == "clock jump":
        for path in folder.rglob("*"):
            os.utime(path, (time.time() + fault.amount,) * 2)


def allowed(work: Work, kind: str) -> set[int]:
    """Exit codes that a child may end with; 0 always, where the disturbance came too late or did no harm."""
    is_command = work.name == "train"
    if kind in ("SIGKILL", "SIGTERM", "SIGHUP"):
        number = int(SIGNALS[kind])
        return {0, -number, 128 + number if is_command and kind != "SIGKILL" else 0}  # -: before it begins to listen
    if kind == "SIGINT":
        return {0, 1, INTERRUPTED} if is_command else {0, INTERRUPTED}
    if kind == "vanishing":
        return {0, 1, 2} if is_command else {0, CLEAN}
    return {0, 1} if is_command else {0, CLEAN}


def _several(work: Work, folder: Path, count: int, verdict: Verdict) -> None:
    """Several writers at once: those that are refused say who writes, and the others do not notice."""
    children = [Child(work, folder, Fault()) for _ in range(count)]
    ended = [child.wait() for child in children]
    verdict.story.append(f"{count} writers -> {ended}")
    verdict.hits.append("two writers")
    refused = ("is being written by", "is there already", "Directory not empty", "File exists")
    for child, status in zip(children, ended, strict=True):
        verdict.findings += [f"two writers: {what}" for what in child.complaints(status, {0, 1, 2, CLEAN})]
        if status and not any(words in child.said() for words in refused):
            verdict.findings.append(f"two writers: one ended with {status}, and was not refused: {child.said()}")
    if not any(status == 0 for status in ended):
        verdict.findings.append("two writers: none came to its end")


def _end(work: Work, folder: Path, alone: Undisturbed, verdict: Verdict) -> None:
    was_over = work.is_over(folder)
    child = Child(work, folder, Fault())
    status = child.wait()
    if status != 0 or not work.is_over(folder):
        verdict.findings.append(f"{work.name} did not come to its end (exit {status}): {child.said()}")
        return
    verdict.findings += child.complaints(status, {0})
    found = work.outcome(folder)
    for name, expected in alone.outcome.items():
        if found[name] != expected:
            verdict.findings.append(f"{work.name}: {name} differs: {str(found[name])[:300]}, not {str(expected)[:300]}")
    if not was_over and (left := left_behind(folder)):
        verdict.findings.append(f"{work.name}: left behind: {left}")


def _put_back(target: Path) -> None:
    """What vanished comes back, where nothing new stands in its place."""
    away = Path(f"{target}-away")
    if away.exists() and target.exists():
        shutil.rmtree(away)
    elif away.exists():
        away.rename(target)


# ── a child ───────────────────────────────────────────────────────────────────────────────────────────────


class Child:
    """A process that goes on with the work, under a fault, in a session of its own."""

    def __init__(self, work: Work, folder: Path, fault: Fault) -> None:
        self._folder, self._said = folder, ""
        self._count = mmap.mmap(-1, 16)  # shared: operations so far, and whether the fault came about
        self._ear, mouth = os.pipe()  # and no file, to which a limit of sizes would apply as well
        self.pid = os.fork()
        if self.pid == 0:
            self._live(work, folder, fault, mouth)
        os.close(mouth)
        os.set_blocking(self._ear, False)
        self._watched = os.pidfd_open(self.pid)

    def _live(self, work: Work, folder: Path, fault: Fault, mouth: int) -> None:
        code = MISTAKE
        try:
            os.setsid()
            os.dup2(mouth, 1), os.dup2(mouth, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            Faults(fault, work.target(folder), lambda n, hit: struct.pack_into("qq", self._count, 0, n, hit)).install()
            code = _ended(lambda: work.go_on(folder))
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)

    def end_after(self, seconds: float, number: int) -> None:
        if not select.select([self._watched], [], [], seconds)[0]:
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code; less than 0: the signal that ended it."""
        if not select.select([self._watched], [], [], HANGS)[0]:
            os.killpg(self.pid, signal.SIGKILL)
        os.close(self._watched)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def operations(self) -> int:
        return int(struct.unpack_from("q", self._count)[0])

    def was_hit(self) -> bool:
        return bool(struct.unpack_from("q", self._count, 8)[0])

    def said(self) -> str:
        """What it has said, after it ended."""
        if self._ear >= 0:
            with contextlib.suppress(BlockingIOError):
                while piece := os.read(self._ear, 2**16):
                    self._said += piece.decode(errors="replace")
            os.close(self._ear)
            self._ear = -1
        return self._said

    def complaints(self, status: int, codes: set[int]) -> Iterator[str]:
        """What is wrong with how it ended."""
        if status not in codes:
            yield f"exit {status}, not one of {sorted(codes)}: {self.said()[-3000:]}"
        elif "Traceback" in self.said() or self.said().count("\n") > MOST_LINES:
            yield f"its error is no error for people: {self.said()[-3000:]}"
        if left := _processes(self.pid, self._folder):
            yield f"processes were left: {left}"


def _ended(go_on: Callable[[], None]) -> int:
    try:
        go_on()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (TalwegError, OSError) as error:
        print(f"{type(error).__name__}: {error}")
        return CLEAN
    except BaseException:
        traceback.print_exc()
        return MISTAKE
    return 0


def _processes(session: int, folder: Path) -> list[str]:
    """What still runs of a child: its session, and compilers that work in its folder. They have a while to end."""
    for _ in range(int(PATIENCE / LOOK)):
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) not in (os.getpid(), session):
                try:
                    state = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                    works_there = os.fsencode(folder) in (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if state[0] not in "ZX" and (int(state[3]) == session or works_there):
                    found.append(entry.name)
        if not found:
            return []
        time.sleep(LOOK)
    return found
