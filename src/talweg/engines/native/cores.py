"""How many threads to use: what the user asked for, the cores that this process may use, and who else is at work."""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from talweg.errors import UsageError

# How often a thread that waits for another looks before it sleeps: about 0.1 ms where every thread has a core. Where
# there are more threads than cores, each look keeps the one that is waited for from its work.
SPINS, SPINS_IN_A_CROWD = 4000, 50


def default_threads() -> int:
    """$TALWEG_THREADS, else the cores that this process may use."""
    asked = os.environ.get("TALWEG_THREADS", "")
    if asked:
        if not asked.isdigit() or int(asked) < 1:
            raise UsageError(f"TALWEG_THREADS must be a whole number above 0; got {asked!r}")
        return int(asked)
    return usable_cores()


def usable_cores() -> int:
    """The cores of this process: those it may run on, and no more than its container has time for, rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, cgroup_limit())))


def cgroup_limit(root: Path = Path("/")) -> float:
    """How many cores' time the control groups of this process (a container's) allow; infinity where there are none."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return math.inf
    limit = math.inf
    for line in lines:
        _, kinds, group = line.split(":", 2)
        if not kinds:
            limit = min(limit, *(_quota_v2(f) for f in _with_parents(root / "sys/fs/cgroup", group)))
        elif "cpu" in kinds.split(","):
            limit = min(limit, *(_quota_v1(f) for f in _with_parents(root / "sys/fs/cgroup/cpu", group)))
    return limit


def _with_parents(mount: Path, group: str) -> list[Path]:
    """The folders of a group and of those around it. In a container, the group's own may be mounted as the root."""
    parts = [p for p in group.split("/") if p not in ("", "..")]
    return [mount.joinpath(*parts[:n]) for n in range(len(parts) + 1)]


def _quota_v2(folder: Path) -> float:
    """``cpu.max``: microseconds, or "max", in each period of so many microseconds."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def _quota_v1(folder: Path) -> float:
    try:
        quota, period = (int((folder / f"cpu.cfs_{what}_us").read_text()) for what in ("quota", "period"))
        return quota / period if quota > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


# ── who is at work in this process ────────────────────────────────────────────────────────────────────────

_cores = functools.cache(usable_cores)


class _Crowd:
    """How many threads are busy, those of all models together."""

    def __init__(self) -> None:
        self.busy = 0
        self.lock = threading.Lock()


_crowd = _Crowd()


@contextmanager
def at_work(threads: int) -> Iterator[int]:
    """Counts `threads` as busy for the time of a call; answers how often each of its waits may look."""
    with _crowd.lock:
        _crowd.busy += threads
        crowded = _crowd.busy > _cores()
    try:
        yield SPINS_IN_A_CROWD if crowded else SPINS
    finally:
        with _crowd.lock:
            _crowd.busy -= threads


if hasattr(os, "register_at_fork"):  # in the child of a fork, the parent's other threads are not there
    os.register_at_fork(after_in_child=_crowd.__init__)  # type: ignore[misc]
