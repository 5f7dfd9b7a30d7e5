"""What the machine found stays mended, its oracles accept what is good, and it finds faults that are planted here."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fuzzing.children import judged_apart, scratch
from fuzzing.forms import CRASH, HANG, MEMORY, MESSAGE, MISREAD, TRACEBACK, Format, Misread, judged
from fuzzing.machine import CASES, FORMATS, kept, main, search
from fuzzing.mutations import mutated
from fuzzing.shrinking import shrunk
from talweg.data.files import corrupt, reading
from talweg.errors import TalwegError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="children are forks")


def _format_of(case: Path) -> Format:
    return FORMATS[max((name for name in FORMATS if case.name.startswith(f"{name}-")), key=len)]


@pytest.mark.parametrize("case", sorted(CASES.glob("*-*")), ids=lambda path: path.name)
def test_what_was_found_once_is_mended(case: Path) -> None:
    with scratch() as folder:
        finding = judged_apart(_format_of(case), case.read_bytes(), folder)
    assert finding is None, f"{finding.kind} at {finding.place}: {finding.said}"


@pytest.mark.parametrize("name", FORMATS)
def test_oracles_accept_what_is_good(tmp_path: Path, name: str) -> None:
    """Each seed is read, and nothing is wrong with it: an oracle that complained of everything would be of no use."""
    format = FORMATS[name]
    for number, seed in enumerate(format.seeds):
        path = tmp_path / f"{number}{format.suffix}"
        path.write_bytes(seed)
        format.check(path, seed)


@pytest.mark.parametrize("name", FORMATS)
def test_an_input_can_be_made_again(name: str) -> None:
    """Also where other models were made before, which count the names that are given to layers."""
    made = [FORMATS[name].input(7, number) for number in range(4)]
    again = replace(FORMATS[name])
    assert made == [again.input(7, number) for number in range(4)]
    assert len(set(made)) > 1


# ── the machine, checked ────────────────────────────────────────────────────────────────────────────────────


def _raises(path: Path, data: bytes) -> None:
    if b"!" in data:
        raise KeyError("no such thing")


def _misreads(path: Path, data: bytes) -> None:
    if b"!" in data:
        raise Misread("another number")


def _dies(path: Path, data: bytes) -> None:
    if b"!" in data:
        os.kill(os.getpid(), signal.SIGSEGV)


def _eats(path: Path, data: bytes) -> None:
    if b"!" in data:
        bytearray(2**31)


def _eats_within(path: Path, data: bytes) -> None:
    with reading(path, "a file"):
        _eats(path, data)


def _asserts_within(path: Path, data: bytes) -> None:
    with reading(path, "a file"):
        assert b"!" not in data


def _shouts(path: Path, data: bytes) -> None:
    if b"!" in data:
        raise TalwegError("x" * 10_000)


def _spins(path: Path, data: bytes) -> None:
    while b"!" in data:
        pass


PLANTED = {
    "an exception": (_raises, TRACEBACK),
    "a wrong value": (_misreads, MISREAD),
    "a signal": (_dies, CRASH),
    "memory": (_eats, MEMORY),
    "memory, within a boundary": (_eats_within, MEMORY),
    "a mistake, within a boundary": (_asserts_within, TRACEBACK),
    "a message that fills more than a screen": (_shouts, MESSAGE),
}


def planted(check: object) -> Format:
    return Format("planted", ".bin", lambda: [b"abcdefgh" * 4], mutated, check)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_and_made_small(tmp_path: Path, name: str) -> None:
    check, kind = PLANTED[name]
    format = planted(check)
    finding = judged_apart(format, b"abcdefgh!abcdefgh", tmp_path)
    assert finding is not None and finding.kind == kind
    assert shrunk(finding, format, tmp_path).data == b"!"
    assert judged_apart(format, b"abcdefgh", tmp_path) is None


def test_a_child_that_hangs_is_ended_by_its_own_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzzing.children.SECONDS", 1)
    finding = judged_apart(planted(_spins), b"!", tmp_path)
    assert finding is not None and finding.kind == HANG


def test_a_child_that_waits_is_ended_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzzing.children.PATIENCE", 0.5)
    finding = judged_apart(planted(lambda path, data: time.sleep(600)), b"!", tmp_path)
    assert finding is not None and finding.kind == HANG


def test_a_death_costs_one_input_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search goes on after the input that a child died of, and names its number."""
    deadly = planted(_dies)
    findings, done = search([deadly], 300, seed=1)
    assert done["planted"] == 300
    (finding,) = findings
    assert finding.kind == CRASH and finding.number is not None and b"!" in deadly.input(1, finding.number)
    assert finding.data == b"!"


def test_refusing_is_no_finding(tmp_path: Path) -> None:
    def check(path: Path, data: bytes) -> None:
        raise corrupt(path, "a file", "it is none")

    assert judged(planted(check), tmp_path / "x", b"") is None


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--inputs", "200", "--seed", "1", "--format", "idx,npz", "--workers", "1"]) == 0
    assert "seed 1" in capsys.readouterr().out
    monkeypatch.setitem(FORMATS, "planted", planted(_misreads))
    monkeypatch.setattr("fuzzing.machine.CASES", tmp_path)
    monkeypatch.setattr("fuzzing.machine.kept", lambda finding: kept(finding, tmp_path))
    assert main(["--inputs", "400", "--format", "planted", "--workers", "1"]) == 1
    said = capsys.readouterr().out
    assert "MISREAD in planted" in said and "again: python scripts/fuzz.py --seed" in said
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"!"]
    with pytest.raises(SystemExit):
        main(["--format", "nonsense"])
