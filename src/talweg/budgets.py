"""What a network may ask for before anything is allocated or compiled: a small file can describe a model of any size.

    TALWEG_MAX_MEMORY      bytes of the weights, of one tensor of one example, or of a step; "8G" will do
    TALWEG_MAX_LAYERS      layers of a model, those of models within counted too
    TALWEG_MAX_DEPTH       models within models, and layers around layers
    TALWEG_MAX_OPERATIONS  operations that one layer may be written as
    TALWEG_MAX_WORK        elements and products that one example may take in a step
    TALWEG_MAX_CODE        characters of generated C

Each variable, where it is set, replaces the figure below; that of memory is half of what is free.
"""

from __future__ import annotations

import os

from talweg.errors import BudgetError, UsageError

GIB = 2**30
SMALL = 64 * 2**20  # bytes that are always there: below, nothing is looked up
UNKNOWN = 4 * GIB  # of memory, where the system does not say how much is free
DEFAULTS = {"layers": 2_000, "depth": 50, "operations": 2_000, "work": 10**13, "code": 10**7}
UNITS = {"depth": "levels", "memory": "of memory", "work": "operations", "code": "characters of C"}
FACTORS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def demand(kind: str, need: int, what: str) -> None:
    """Raises `BudgetError` where `need` is more than there may be of `kind`; `what` says who asks.

    >>> demand("depth", 3, "model 'm'")
    >>> demand("depth", 900, "model 'm'")
    Traceback (most recent call last):
    ...
    talweg.errors.BudgetError: model 'm' would take 900 levels; the budget is 50. ...
    """
    if kind == "memory" and need <= SMALL:
        return
    allowed, whence = _allowed(kind)
    if need > allowed:
        shown, most = (_bytes(need), _bytes(allowed)) if kind == "memory" else (f"{need:,}", f"{allowed:,}")
        unit = UNITS.get(kind, kind)
        raise BudgetError(
            f"{what} would take {shown} {unit}; the budget is {most}{whence}. If it is meant to be so large, set the "
            f"environment variable {_variable(kind)} to {_told(kind, need)} or more."
        )


def _variable(kind: str) -> str:
    return f"TALWEG_MAX_{kind.upper()}"


def _allowed(kind: str) -> tuple[int, str]:
    """The figure, and in words where it comes from."""
    if told := os.environ.get(_variable(kind)):
        return _figure(kind, told), f", by {_variable(kind)}"
    if kind == "memory":
        return free_memory() // 2, ", half of what is free"
    return DEFAULTS[kind], ""


def _figure(kind: str, told: str) -> int:
    factor = FACTORS.get(told.strip().upper().removesuffix("B").removesuffix("I")[-1:], 1)
    digits = told.strip().upper().removesuffix("B").removesuffix("I").rstrip("KMGT")
    try:
        figure = int(float(digits) * factor)
    except (ValueError, OverflowError):
        figure = 0
    if figure < 1:
        raise UsageError(f"{_variable(kind)} must be a number above 0, such as 5000 or 8G; got {told!r}")
    return figure


def free_memory() -> int:
    """Bytes that this process could still have: what the system, its container and its own limits leave."""
    known = [amount for amount in (_of_system(), _of_container(), _of_process()) if amount is not None]
    return max(0, min(known, default=UNKNOWN))


def _of_system() -> int | None:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _of_container() -> int | None:
    most, used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    return int(most[0]) - int(used[0]) if most and used and most[0].strip().isdigit() else None


def _of_process() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    taken = _lines("/proc/self/statm")
    if most == resource.RLIM_INFINITY:
        return None
    return most - (int(taken[0].split()[0]) * resource.getpagesize() if taken else 0)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.readlines()
    except (OSError, ValueError):
        return []


def _told(kind: str, need: int) -> str:
    return f"{-(-need // GIB)}G" if kind == "memory" else str(need)


def _bytes(count: int) -> str:
    """
    >>> _bytes(3 * 2**30), _bytes(2**80)
    ('3.0 GiB', '1.2e+15 GiB')
    """
    size = count / GIB if count < 2**1000 else float("inf")
    return f"{size:.1f} GiB" if size < 1e6 else f"{size:.1e} GiB"
