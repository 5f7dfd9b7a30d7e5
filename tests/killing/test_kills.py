"""The killing machine finds what is there to find: programs that lose something under each of its disturbances."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ROOT
from talweg.disk.writing import written_whole

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it watches processes as Linux shows them")
WORDS = b"one two three four"


@pytest.fixture
def killing(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from killing import cases, faults, work

    monkeypatch.setattr(cases, "PATIENCE", 0.5)

    class Machine:
        Child, Fault, Work, Verdict = cases.Child, faults.Fault, work.Work, cases.Verdict
        allowed, end = staticmethod(cases.allowed), staticmethod(cases._end)
        undisturbed = staticmethod(cases.undisturbed)

    return Machine


def in_place(path: Path) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(WORDS)


def renamed(path: Path) -> None:
    with written_whole(path) as file:
        file.write(WORDS)


def program(killing: Any, write: Callable[[Path], None]) -> Any:
    class Program(killing.Work):
        name = "program"

        def go_on(self, folder: Path) -> None:
            write(folder / "words")

        def is_over(self, folder: Path) -> bool:
            return (folder / "words").exists()

        def judge(self, folder: Path) -> Iterator[str]:
            if self.is_over(folder) and (folder / "words").read_bytes() != WORDS:
                yield "half a file"

        def outcome(self, folder: Path) -> dict[str, Any]:
            return {"words": (folder / "words").read_bytes()}

    return Program()


@pytest.mark.parametrize(("write", "finds"), [(in_place, True), (renamed, False)])
def test_a_kill_in_the_middle_of_a_write_is_seen(
    tmp_path: Path, killing: Any, write: Callable[[Path], None], finds: bool
) -> None:
    work, found = program(killing, write), []
    alone = killing.undisturbed(work, tmp_path / "alone")
    assert alone.operations >= 2 and alone.outcome == {"words": WORDS}
    for at in range(alone.operations):
        for place in ("before", "middle", "after"):
            folder = tmp_path / f"{at} {place}"
            folder.mkdir()
            child = killing.Child(work, folder, killing.Fault("SIGKILL", at, place))
            assert child.wait() == -9 and child.was_hit()
            found += work.judge(folder)
            verdict = killing.Verdict()
            killing.end(work, folder, alone, verdict)
            found += verdict.findings
    assert bool(found) == finds, found


def test_errors_that_are_not_for_people_and_processes_that_stay_are_seen(tmp_path: Path, killing: Any) -> None:
    def careless(path: Path) -> None:
        subprocess.Popen(["sleep", "1000"])
        raise ValueError("a mistake")

    work = program(killing, careless)
    child = killing.Child(work, tmp_path, killing.Fault())
    complaints = list(child.complaints(child.wait(), killing.allowed(work, "disk full")))
    assert "ValueError: a mistake" in complaints[0] and "processes were left" in complaints[1]
    os.killpg(child.pid, signal.SIGKILL)
