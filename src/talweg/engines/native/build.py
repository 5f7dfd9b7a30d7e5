"""From C source to a loaded object: the compiler, unless the cache has the object already."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from talweg.engines.native import cache, compilers
from talweg.engines.native.cache import cache_folder
from talweg.engines.native.compilers import complaint
from talweg.errors import TalwegError

__all__ = ["CompileError", "Making", "cache_folder", "compiler", "complaint", "load", "machine"]


class Loaded:
    """An object in this process. When nobody refers to it any more, its threads end and it is unloaded."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        rest = self._address("talweg_rest") if hasattr(self._library, "talweg_rest") else None
        end = weakref.finalize(self, _unload, self._library._handle, rest)
        end.atexit = False  # then a thread may be at work in it

    def function(self, name: str) -> Callable[..., int]:
        """A function, for as long as the caller keeps this: those of ctypes itself are freed by and by only."""
        return ctypes.CFUNCTYPE(ctypes.c_int)(self._address(name))

    def _address(self, name: str) -> int:
        return ctypes.c_void_p.from_buffer_copy(self._library[name]).value or 0


def _unload(handle: int, rest: int | None) -> None:
    at_rest = rest is None or ctypes.CFUNCTYPE(ctypes.c_int)(rest)()
    if at_rest and sys.platform != "win32":
        import _ctypes

        _ctypes.dlclose(handle)


_loaded: MutableMapping[str, Loaded] = weakref.WeakValueDictionary()


class CompileError(TalwegError, RuntimeError):
    """The C compiler refused the source; the message holds what it said, and where the source is."""


def compiler() -> tuple[str, ...] | None:
    """The command that compiles C on this machine, tried before; None where there is none."""
    found = compilers.find()
    return None if found is None else found.command


def title() -> str:
    """The compiler's name and version, in words."""
    found = compilers.find()
    assert found is not None
    return found.title


def machine() -> tuple[tuple[str, ...], int]:
    """The compiler's flags, and how many float32 numbers this machine's vectors hold."""
    found = compilers.find()
    assert found is not None
    return found.flags, found.lanes


class Making:
    """The object of a source: there already, or on its way. What is forgotten on its way ends, as with this process."""

    def __init__(self, source: str) -> None:
        found = compilers.find()
        assert found is not None
        self._source, self._found = source, found
        self._key = hashlib.sha256(f"{source}\0{found.identity}".encode()).hexdigest()[:32]
        self._object = _loaded.get(self._key) or _from_cache(self._key)
        if self._object is None:
            with _trouble(found):
                self._begin()

    def _begin(self) -> None:
        folder = cache.new_workplace()
        self._text, self._made = folder / "program.c", folder / "program.so"
        self._text.write_text(self._source)
        self._compilation = compilers.Compilation(self._found.command, self._found.flags, self._text, self._made)
        self._end = weakref.finalize(self, _end, self._compilation, folder, os.getpid())

    @property
    def is_over(self) -> bool:
        """Whether `wait` will not have to wait."""
        return self._object is not None or self._compilation.is_over

    def wait(self) -> Loaded:
        """The object. Raises `CompileError`; Ctrl-C stops the compiler."""
        if self._object is None:
            try:
                with _trouble(self._found):
                    self._object = self._finished()
            finally:
                self._end()
        return _loaded.setdefault(self._key, self._object)

    def _finished(self) -> Loaded:
        said, found = self._compilation.wait(), self._found
        if said is None:
            return Loaded(cache.add(self._key, self._made))
        kept = cache.keep_failed(self._key, self._source)
        said = said.replace(str(self._text), str(kept))
        line = shlex.join([*found.command, *found.flags, "-o", "program.so", str(kept), "-lm"])
        raise CompileError(f"the C compiler refused the program. What it said:\n{said[:4000]}\nIt was run as:\n{line}")


def _end(compilation: compilers.Compilation, folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # in a child that a fork made, it is the parent's
        compilation.end()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _trouble(found: compilers.Compiler) -> Iterator[None]:
    """What the system refuses, as a `CompileError`."""
    try:
        yield
    except (OSError, subprocess.SubprocessError) as error:
        raise CompileError(f"{shlex.join(found.command)} could not be run, or its object loaded: {error}") from error


def load(source: str) -> Loaded:
    """The object of `source`, compiled unless it was before. Raises `CompileError`."""
    return Making(source).wait()


def _from_cache(key: str) -> Loaded | None:
    path = cache.find(key)
    try:
        return None if path is None else Loaded(path)
    except OSError:  # removed meanwhile, or not for this system: it is made anew
        return None
