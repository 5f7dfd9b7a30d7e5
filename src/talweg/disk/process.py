"""Which process made a file, and whether it is surely gone.

A process id alone does not tell: ids are used again, a container has ids of its own, and a folder may be shared by
machines. So a process is named by its host, by the start of that machine, by the namespace that its id belongs to, by
its id, and by the moment at which it started. Where one of these cannot be compared, nobody is taken for dead.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

OUTERMOST = "pid:[4026531836]"  # how Linux calls the namespace that is no container's
MARK = re.compile(r"\.([0-9a-f]{6})-([0-9a-f]{6})-([0-9a-f]{6})-(\d+)-(\d+)-")


@dataclass(frozen=True)
class Process:
    """A process: its host, that machine's start and the namespace of its id as short hashes; its id; and when it
    started, in ticks since the machine did (0: not known)."""

    host: str
    boot: str
    space: str
    pid: int
    started: int

    @property
    def mark(self) -> str:
        """The process as part of a file's name, by which `marked` finds it again."""
        return f".{self.host}-{self.boot}-{self.space}-{self.pid}-{self.started}-"

    @property
    def is_gone(self) -> bool:
        """Whether it surely runs no more; False where that cannot be told from here."""
        here = this_process()
        if self == here:
            return False
        if self.space != here.space or sys.platform == "win32":  # (there, os.kill would end it)
            return False
        if self.boot != here.boot:
            return self.host == here.host and self.space == _hash(OUTERMOST)
        if self.started:
            return _start_of(self.pid) != self.started
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass
        return False


def is_alive(name: str) -> bool:
    """Whether a file's name says that a process made it which surely still runs."""
    maker, here = marked(name), this_process()
    return maker is not None and (maker.boot, maker.space) == (here.boot, here.space) and not maker.is_gone


def this_process() -> Process:
    """The process that calls: after a fork, the child."""
    return _described(os.getpid())


def marked(name: str) -> Process | None:
    """The process that a file's name says made it.

    >>> marked(".state.json" + Process("c0ffee", "facade", "decade", 4711, 12).mark + "x.part")
    Process(host='c0ffee', boot='facade', space='decade', pid=4711, started=12)
    """
    found = MARK.search(name)
    return None if found is None else Process(found[1], found[2], found[3], int(found[4]), int(found[5]))


@functools.lru_cache(maxsize=1)
def _described(pid: int) -> Process:
    host = f"{socket.gethostname()} {_text('/etc/machine-id')}"  # two machines may both be "localhost"
    boot = _text("/proc/sys/kernel/random/boot_id") or host
    return Process(_hash(host), _hash(boot), _hash(_space()), pid, _start_of(pid))


def _start_of(pid: int) -> int:
    """When a process started, in ticks since the kernel's start; 0 where it runs no more, or this cannot be told."""
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in "ZX":  # a zombie has ended, and only waits to be buried
        return 0
    return int(fields[19])


def _space() -> str:
    """The namespace of process ids: a container's own, or the machine's, which is `OUTERMOST`."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return socket.gethostname()


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]
