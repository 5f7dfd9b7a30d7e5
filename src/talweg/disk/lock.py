"""One writer at a time: a lock is a file that one process holds, and that says which.

The kernel keeps the lock (`flock`), so it ends with its process however that ended, and nothing need be cleared away
after a kill. That also works across containers, and across machines on NFS since Linux 2.6.12. The file holds who has
it, for the message to others. On file systems without `flock`, and on Windows, the file's existence is the lock: there
one whose process is surely gone is taken over, and of one from another machine the message says how to take it away.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
import weakref
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from talweg.disk.process import Process, this_process
from talweg.disk.writing import naming
from talweg.errors import InUseError, warn

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")

UNABLE = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}  # what says: no flock here
NAME = ".lock"
WORDS_SECONDS = 1.0  # for which a holder's words are waited for, before it is "another process"


class Lock:
    """Held from when it is made until `release`, or until nobody refers to it, or until the process ends.

    path   the lock's file, which is made, and removed by `release`
    what   what it protects, as the message to a second writer names it

    Raises `InUseError`, saying who has it, where another holds it; `OSError` where the file cannot be made.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        self._pid, self._handle = os.getpid(), -1
        with naming(path):
            self._take()
        _held.add(self)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def __del__(self) -> None:
        with contextlib.suppress(BaseException):  # the interpreter may be ending; nobody would hear of it
            self.release()

    @property
    def is_held(self) -> bool:
        """Whether it is held by this process; never in the child of a fork."""
        return self._handle >= 0 and self._pid == os.getpid()

    @property
    def is_in_place(self) -> bool:
        """Whether the file that is held is the one that others would find."""
        try:
            return os.path.samestat(os.fstat(self._handle), os.stat(self.path))
        except OSError:
            return False

    def release(self) -> None:
        """Lets others write; does nothing the second time."""
        if not self.is_held:
            return
        try:
            with contextlib.suppress(OSError):
                if self.is_in_place:  # else it is another's by now
                    os.unlink(self.path)
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, 0)  # it could not be removed: nobody has it, all the same
        finally:
            handle, self._handle = self._handle, -1
            os.close(handle)

    # ── the kernel's lock ─────────────────────────────────────────────────────────────────────────────────

    def _take(self) -> None:
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            try:
                if not _locked(handle):
                    raise self._in_use(_holder(handle))
                if os.path.samestat(os.fstat(handle), os.stat(self.path)):
                    break
                os.close(handle)  # who had it took the file away meanwhile
            except FileNotFoundError:
                os.close(handle)
            except _NoKernelLock:
                os.close(handle)
                with contextlib.suppress(OSError):
                    os.unlink(self.path)
                self._take_by_name()
                return
            except BaseException:
                os.close(handle)
                raise
        before = _told(handle)
        if before and before.get("name") != socket.gethostname():
            warn(
                f"{self.what} was last written by {_who(before)}, which ended without a word. Make sure that it runs "
                "no more: not every network file system tells one machine of another's locks.",
                RuntimeWarning,
            )
        self._write(handle)

    def _write(self, handle: int) -> None:
        self._handle = handle
        try:
            os.ftruncate(handle, 0)
            os.lseek(handle, 0, os.SEEK_SET)
            os.write(handle, _words())
        except OSError:
            self.release()
            raise

    def _in_use(self, holder: dict[str, object]) -> InUseError:
        return InUseError(
            f"{self.what} is being written by {_who(holder)}. Two writers would mix up their results: wait until that "
            "one ends, or stop it"
        )

    # ── where there is none: the file's existence ─────────────────────────────────────────────────────────

    def _take_by_name(self) -> None:
        named = self.path.with_name(f"{self.path.name}-holder")  # whoever tries makes the lock's own file
        for _ in range(100):
            try:
                handle = os.open(named, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            except FileExistsError:
                self._look_at(named)
                continue
            self.path = named
            self._write(handle)
            return
        raise self._in_use({})

    def _look_at(self, named: Path) -> None:
        """Takes the file of a dead process away, if it still is the one that was looked at; raises for a living one."""
        try:
            seen = _awaited(named.read_bytes, bool)
        except FileNotFoundError:
            return
        holder = _parsed(seen)
        if not _is_gone(holder):
            raise InUseError(f"{self._in_use(holder)}; if it runs no more, delete {named}")
        aside = named.with_name(f"{named.name}-{os.urandom(4).hex()}")
        with contextlib.suppress(FileNotFoundError):
            os.rename(named, aside)
            if aside.read_bytes() != seen:  # a third process was faster, and it is its lock that we moved
                os.rename(aside, named)
                return
            os.unlink(aside)


class _NoKernelLock(Exception):
    """This file system, or this system, has no `flock`."""


def _locked(handle: int) -> bool:
    if fcntl is None:
        raise _NoKernelLock
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in UNABLE:
            raise _NoKernelLock from error
        raise
    return True


# ── who holds it ──────────────────────────────────────────────────────────────────────────────────────────


def _words() -> bytes:
    told = {**asdict(this_process()), "name": socket.gethostname()}
    return json.dumps({**told, "since": datetime.now().astimezone().isoformat(timespec="seconds")}).encode()


def _told(handle: int) -> dict[str, object]:
    return _parsed(os.pread(handle, 4096, 0) if hasattr(os, "pread") else b"")


def _holder(handle: int) -> dict[str, object]:
    """Who holds a file that is locked; the words of one that is gone are those of the holder before."""
    told = _awaited(lambda: _told(handle), lambda told: bool(told) and not _is_gone(told))
    return {} if _is_gone(told) else told


def _awaited(read: Callable[[], T], is_whole: Callable[[T], bool]) -> T:
    """What `read` answers once it is whole: a lock is taken first, and its holder's words follow a moment later."""
    deadline = time.monotonic() + WORDS_SECONDS
    while not is_whole(answer := read()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return answer


def _parsed(text: bytes) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _who(holder: dict[str, object]) -> str:
    """A holder in words; what is not known, or is no name or number, is left out."""
    pid, name, since = (holder.get(key) for key in ("pid", "name", "since"))
    if not isinstance(pid, int):
        return "another process"
    host = f" on {name[:64]!r}" if isinstance(name, str) else ""
    began = f" (since {since[:32]})" if isinstance(since, str) and since.isascii() and since.isprintable() else ""
    return f"{'this very process, ' if holder.get('pid') == os.getpid() else 'process '}{pid}{host}{began}"


def _is_gone(holder: dict[str, object]) -> bool:
    try:
        return Process(**{name: holder[name] for name in ("host", "boot", "space", "pid", "started")}).is_gone  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, OverflowError):
        return False


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _left_to_the_parent() -> None:
    """The child of a fork closes its copies: else a lock would last as long as the last child."""
    for lock in list(_held):
        if lock._handle >= 0:
            with contextlib.suppress(OSError):
                os.close(lock._handle)
            lock._handle = -1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_left_to_the_parent)
