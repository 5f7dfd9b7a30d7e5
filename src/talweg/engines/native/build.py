"""From C source to a loaded object: the compiler, its flags, and the cache of what it made."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from talweg.errors import TalwegError

FLAGS = (
    "-O3",
    "-std=gnu11",
    "-shared",
    "-fPIC",
    "-pthread",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
)


class CompileError(TalwegError, RuntimeError):
    """The C compiler refused the source; the message holds what it said."""


@functools.cache
def compiler() -> tuple[str, ...] | None:
    """What compiles C: $TALWEG_CC, cc, gcc or clang on the path, or the ziglang wheel; None where there is none."""
    if chosen := os.environ.get("TALWEG_CC"):
        return tuple(chosen.split())
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return (found,)
    try:
        import ziglang
    except ImportError:
        return None
    return (str(Path(ziglang.__file__).with_name("zig")), "cc")


@functools.cache
def machine() -> tuple[tuple[str, ...], int]:
    """Flags for this machine's instructions, and how many float32 numbers its vectors hold."""
    command = compiler()
    assert command is not None
    target = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
    asked = subprocess.run([*command, target, "-dM", "-E", "-"], input="", capture_output=True, text=True, check=False)
    if "__AVX512F__" in asked.stdout:
        return (target, "-mprefer-vector-width=512"), 16
    return (target,), 8 if "__AVX__" in asked.stdout else 4


def cache_folder() -> Path:
    """Where compiled objects are kept: ``talweg/native`` under the user's cache folder, for the user alone."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root) / "talweg" / "native"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def load(source: str) -> ctypes.CDLL:
    """The object of `source`, compiled unless it was before."""
    command = compiler()
    assert command is not None
    flags = (*FLAGS, *machine()[0])
    key = hashlib.sha256("\0".join([source, *command, *flags, _version(command), _processor()]).encode()).hexdigest()[
        :32
    ]
    path = cache_folder() / f"{key}.so"
    if not path.exists():
        _compile(source, command, flags, path)
    return ctypes.CDLL(str(path))


def _compile(source: str, command: tuple[str, ...], flags: tuple[str, ...], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        text, made = Path(folder) / "program.c", Path(folder) / "program.so"
        text.write_text(source)
        done = subprocess.run(
            [*command, *flags, "-o", str(made), str(text), "-lm"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CompileError(f"{' '.join(command)} failed on the program's C:\n{done.stderr[:4000]}")
        os.replace(made, path)


@functools.cache
def _version(command: tuple[str, ...]) -> str:
    return subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout


@functools.cache
def _processor() -> str:
    """What distinguishes this processor's instructions from another's, where the cache is shared."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return platform.processor()
