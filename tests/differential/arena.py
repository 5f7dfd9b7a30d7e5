"""Memory with a wall before and after it: who reads or writes beyond its end dies of it, at once.

All of it begins as NaN (as -1 where it holds whole numbers), so that what was read before it was written shows. An
array ends where the wall begins, or begins where a wall ends.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

from talweg.graph import Array

PAGE = mmap.PAGESIZE
FILL = 0xFF
"""The byte of which NaN is made, and -1."""
_libc = ctypes.CDLL(None, use_errno=True)


def walled(size: int, alignment: int = 1, at_end: bool = True) -> Array:
    """So many bytes between walls. They stay as long as somebody holds the array."""
    inner = max(1, -(-size // PAGE)) * PAGE
    region = mmap.mmap(-1, inner + 2 * PAGE)
    whole = np.frombuffer(region, np.uint8)
    start = whole.ctypes.data
    for wall in (start, start + PAGE + inner):
        if _libc.mprotect(ctypes.c_void_p(wall), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    at = PAGE + (inner - -(-size // alignment) * alignment if at_end else 0)
    out = whole[at : at + size]
    out[...] = FILL
    return out


def array(shape: tuple[int, ...], dtype: Any, at_end: bool = True) -> Array:
    """An array of NaN between walls."""
    kind = np.dtype(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    return (
        walled(max(1, count * kind.itemsize), kind.itemsize, at_end)[: count * kind.itemsize].view(kind).reshape(shape)
    )


def copy(value: Array, at_end: bool = True) -> Array:
    """The same numbers, between walls."""
    out = array(value.shape, value.dtype, at_end)
    out[...] = value
    return out
