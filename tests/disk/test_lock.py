"""One writer at a time: who holds a lock is named, and a dead process holds none."""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from talweg.disk import lock as locks
from talweg.disk.lock import Lock
from talweg.disk.process import OUTERMOST, Process, _hash, marked, this_process
from talweg.errors import InUseError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")

HOLDER = """
import sys
from pathlib import Path
from talweg.disk.lock import Lock
lock = Lock(Path(sys.argv[1]), "the folder")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["flock", "by name"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where to lock: on a file system with the kernel's locks, and on one without."""
    if request.param == "by name":

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(locks.fcntl, "flock", refuse)
    return tmp_path / ".lock"


def holder(path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_writer_is_told_who_holds_it(path: Path) -> None:
    with Lock(path, "the folder x") as first:
        with pytest.raises(InUseError) as refused:
            Lock(path, "the folder x")
        message = str(refused.value)
        assert "the folder x is being written by" in message and str(os.getpid()) in message
        assert repr(socket.gethostname()) in message and "since 20" in message
        assert first.is_held
    assert list(path.parent.iterdir()) == []
    Lock(path, "the folder x").release()


def test_a_lock_that_nobody_refers_to_is_free(path: Path) -> None:
    Lock(path, "x")
    gc.collect()
    Lock(path, "x").release()
    assert list(path.parent.iterdir()) == []


def test_an_unwritable_folder_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError) as error:
        Lock(tmp_path / "file" / ".lock", "x")
    assert error.value.filename == str(tmp_path / "file" / ".lock")


def test_a_killed_process_s_lock_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    process = holder(path)
    with pytest.raises(InUseError, match=f"process {process.pid} on "):
        Lock(path, "the folder")
    process.kill()
    process.wait()
    assert path.exists()
    Lock(path, "the folder").release()


@pytest.mark.parametrize("end", [signal.SIGTERM, None])
def test_a_lock_outlives_neither_its_process_nor_a_fork(tmp_path: Path, end: signal.Signals | None) -> None:
    """The child of a fork does not hold what its parent held."""
    path = tmp_path / ".lock"
    lock = Lock(path, "x")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"y" if not lock.is_held else b"n")
        lock.release()
        signal.pause()
    assert os.read(reading, 1) == b"y"
    with pytest.raises(InUseError):
        Lock(path, "x")
    lock.release()
    Lock(path, "x").release()  # though the child lives
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def without_flock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(locks, "fcntl", None)
    return tmp_path / ".lock"


def words(holder: Process, name: str) -> bytes:
    return json.dumps({**asdict(holder), "name": name, "since": "2026-01-01T00:00:00+00:00"}).encode()


def test_without_flock_only_the_surely_dead_are_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, me = without_flock(tmp_path, monkeypatch), this_process()
    named = tmp_path / ".lock-holder"
    named.write_bytes(words(replace(me, started=me.started - 1), socket.gethostname()))  # our id, used again
    Lock(path, "x").release()
    for other in (replace(me, host="abcdef", boot="abcdef"), replace(me, space="abcdef"), me):
        named.write_bytes(words(other, "elsewhere"))
        with pytest.raises(InUseError, match=r"'elsewhere'.*if it runs no more, delete .*\.lock-holder"):
            Lock(path, "x")
    monkeypatch.setattr(locks, "WORDS_SECONDS", 0.02)
    for garbage in (b"", b"[]", b'{"pid": "1"}', b"\xff", b'{"host": 1, "boot": [], "space": {}, "pid": 1e999}'):
        named.write_bytes(garbage)
        with pytest.raises(InUseError, match="another process"):
            Lock(path, "x")


@pytest.mark.parametrize("case", ["no words yet", "words of a dead process", "by name"])
def test_a_holder_s_words_are_waited_for(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second writer that comes between another's lock and its words was told of "another process", or a dead one."""
    path = without_flock(tmp_path, monkeypatch) if case == "by name" else tmp_path / ".lock"
    me = this_process()
    dead = words(replace(me, started=me.started - 1), "elsewhere")
    with open(path.with_name(".lock-holder") if case == "by name" else path, "wb") as handle:
        os.write(handle.fileno(), dead if "dead" in case else b"")
        if case != "by name":
            locks.fcntl.flock(handle, locks.fcntl.LOCK_EX)
        late = threading.Timer(0.1, lambda: os.pwrite(handle.fileno(), words(me, "late").ljust(len(dead)), 0))
        late.start()
        with pytest.raises(InUseError, match=r"is being written by this very process, .* on 'late'"):
            Lock(path, "x")
        late.join()


def test_another_machine_s_lock_that_ended_without_a_word_is_told(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    path.write_bytes(words(replace(this_process(), host="abcdef"), "node7"))
    with pytest.warns(RuntimeWarning, match="'node7'.*ended without a word"):
        Lock(path, "the folder").release()


def test_a_holder_s_text_cannot_steer_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = without_flock(tmp_path, monkeypatch)
    evil = {**asdict(this_process()), "name": "\x1b[2J", "since": "\x1b[2J"}
    (tmp_path / ".lock-holder").write_text(json.dumps(evil))
    with pytest.raises(InUseError) as refused:
        Lock(path, "x")
    assert "\x1b" not in str(refused.value)


def test_who_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    me = this_process()
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert not me.is_gone
    assert marked(f".x{me.mark}abc.part") == me and marked(".x.part") is None
    if not sys.platform.startswith("linux"):
        return
    assert replace(me, pid=ended.pid).is_gone and replace(me, started=me.started + 1).is_gone
    assert not replace(me, host="abcdef", boot="abcdef").is_gone  # another machine
    assert not replace(me, space="abcdef", started=1).is_gone  # another container
    assert replace(me, boot="abcdef").is_gone == (me.space == _hash(OUTERMOST))  # this machine, before it was restarted
    child = os.fork()
    if child == 0:
        os._exit(0 if this_process().pid == os.getpid() != me.pid else 1)
    assert os.waitpid(child, 0)[1] == 0
