"""A finding made small: what can be taken away, or be as it is in the seed, is, as long as the finding stays the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fuzzing.children import judged_apart
from fuzzing.forms import Finding, Format

MOST_TRIES = 400


def shrunk(finding: Finding, format: Format, folder: Path, tries: int = MOST_TRIES) -> Finding:
    """The same finding, told by its cause, with an input that is as short and as near to a seed as a few tries get it."""
    left = [tries]

    def still(data: bytes) -> bool:
        left[0] -= 1
        found = judged_apart(format, data, folder) if left[0] >= 0 else None
        return found is not None and found.cause == finding.cause

    data = _removed(_nearer(finding.data, format, still), still)
    return replace(finding, data=data)


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
