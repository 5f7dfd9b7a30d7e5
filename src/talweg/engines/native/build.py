"""From C source to a loaded object: the compiler, unless the cache has the object already."""

from __future__ import annotations

import ctypes
import hashlib
import shlex
import subprocess

from talweg.engines.native import cache, compilers
from talweg.engines.native.cache import cache_folder
from talweg.engines.native.compilers import complaint
from talweg.errors import TalwegError

__all__ = ["CompileError", "cache_folder", "compiler", "complaint", "load", "machine"]

_loaded: dict[str, ctypes.CDLL] = {}


class CompileError(TalwegError, RuntimeError):
    """The C compiler refused the source; the message holds what it said, and where the source is."""


def compiler() -> tuple[str, ...] | None:
    """The command that compiles C on this machine, tried before; None where there is none."""
    found = compilers.find()
    return None if found is None else found.command


def machine() -> tuple[tuple[str, ...], int]:
    """The compiler's flags, and how many float32 numbers this machine's vectors hold."""
    found = compilers.find()
    assert found is not None
    return found.flags, found.lanes


def load(source: str) -> ctypes.CDLL:
    """The object of `source`, compiled unless it was before. Raises `CompileError`."""
    found = compilers.find()
    assert found is not None
    key = hashlib.sha256(f"{source}\0{found.identity}".encode()).hexdigest()[:32]
    if key not in _loaded:
        _loaded[key] = _from_cache(key) or _compiled(key, source, found)
    return _loaded[key]


def _from_cache(key: str) -> ctypes.CDLL | None:
    path = cache.find(key)
    try:
        return None if path is None else ctypes.CDLL(str(path))
    except OSError:  # removed meanwhile, or not for this system: it is made anew
        return None


def _compiled(key: str, source: str, found: compilers.Compiler) -> ctypes.CDLL:
    try:
        with cache.workplace() as folder:
            text, made = folder / "program.c", folder / "program.so"
            text.write_text(source)
            said = compilers.compile_file(found.command, found.flags, text, made)
            if said is None:
                return ctypes.CDLL(str(cache.add(key, made)))
            kept = cache.keep_failed(key, source)
            said = said.replace(str(text), str(kept))
    except (OSError, subprocess.SubprocessError) as error:
        raise CompileError(f"{shlex.join(found.command)} could not be run, or its object loaded: {error}") from error
    line = shlex.join([*found.command, *found.flags, "-o", "program.so", str(kept), "-lm"])
    raise CompileError(f"the C compiler refused the program. What it said:\n{said[:4000]}\nIt was run as:\n{line}")
