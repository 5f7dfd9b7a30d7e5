"""A finding made small: what can be taken away is, and what can be as in the seed, while the finding stays the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fuzzing.children import apart, judged_apart
from fuzzing.forms import CRASH, HANG, MEMORY, Finding, Format, judged

MOST_TRIES, MOST_DEATHS = 2000, 60


def shrunk(finding: Finding, format: Format, folder: Path) -> Finding:
    """The same finding, told by its cause, with an input that is as short and as near to a seed as a few tries get it.

    All tries share one child, but for findings that a child may not survive: each of those has its own.
    """
    is_deadly = finding.kind in (CRASH, HANG, MEMORY)
    left = [MOST_DEATHS if is_deadly else MOST_TRIES]
    path = folder / f"shrinking{format.suffix}"

    def still(data: bytes) -> bool:
        left[0] -= 1
        if left[0] < 0:
            return False
        if is_deadly:
            found = judged_apart(format, data, folder)
        else:
            path.write_bytes(data)
            found = judged(format, path, data)
        return found is not None and found.cause == finding.cause

    def smaller() -> bytes:
        return _removed(_nearer(finding.data, format, still), still)

    data = smaller() if is_deadly else apart(smaller, folder)
    return replace(finding, data=finding.data if data is None else data)


def _nearer(data: bytes, format: Format, still: Callable[[bytes], bool]) -> bytes:
    """Bytes that differ from a seed of the same length, put back in pieces of halving size."""
    alike = [seed for seed in format.seeds if len(seed) == len(data)]
    if not alike:
        return data
    seed = min(alike, key=lambda s: sum(a != b for a, b in zip(s, data, strict=True)))
    size = len(data)
    while size >= 1:
        for start in range(0, len(data), size):
            tried = data[:start] + seed[start : start + size] + data[start + size :]
            if tried != data and still(tried):
                data = tried
        size //= 2
    return data


def _removed(data: bytes, still: Callable[[bytes], bool]) -> bytes:
    """Pieces of halving size, taken away from the end to the beginning."""
    size = max(1, len(data) // 2)
    while True:
        start = len(data) - size
        while start > -size:
            tried = data[: max(0, start)] + data[max(0, start) + size :]
            if len(tried) < len(data) and still(tried):
                data = tried
            start -= size
        if size == 1:
            return data
        size //= 2
