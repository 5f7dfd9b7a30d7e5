"""How everything is written: a file appears whole or not at all, and is on the disk before it has its name.

A file is written under a temporary name in its own folder, sent to the disk, renamed, and the folder is sent to the
disk after it: a kill, a full disk and a power cut each leave what was there before, or what is there now. The temporary
name says which process writes (`talweg.disk.process`); whoever comes next removes what dead ones left behind.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from talweg.disk.process import marked, this_process

PART = ".part"
LONGEST_NAME = 100  # bytes of a name that a temporary name repeats: 255 are allowed in all
NOT_SYNCED = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EISDIR}  # folders of some file systems

_swept: set[tuple[int, str]] = set()


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[IO[Any]]:
    """A binary file to write to, that appears under `path` only when the block ends without an error.

    A link is followed; an existing file keeps its permissions, a new one gets those of the umask; a device or a pipe is
    written as it is. Raises `OSError`, naming `path`, where it cannot be written: then what was there still is.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    mode = _mode_of(target)
    with naming(path):
        if mode is not None and not stat.S_ISREG(mode):
            with open(target, "wb") as stream:  # a folder is refused here
                yield stream
            return
        if mode is not None and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, "the file is read-only, and is not replaced", str(path))
        sweep_once(target.parent)
        temporary = target.parent / part_name(target.name)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with open(handle, "wb") as file:
                if mode is not None:
                    with contextlib.suppress(OSError):
                        os.chmod(temporary, stat.S_IMODE(mode))
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        sync_folder(target.parent)


class GrowingFile:
    """A file that is written line by line: a line that does not fit is taken back, so none is ever cut by an error."""

    def __init__(self, path: str | os.PathLike[str], keep: int | None = None) -> None:
        """Opens `path`, made if need be, to write at its end; `keep`: behind its first so many bytes."""
        self.path = Path(path)
        with naming(self.path):
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115
            self.size = self._file.seek(0, io.SEEK_END) if self._file.seekable() else 0
            if keep is not None and keep < self.size:
                self._file.truncate(keep)
                self.size = keep

    def write(self, data: bytes) -> None:
        """Adds `data`, all of it or nothing; it is handed to the system at once."""
        with naming(self.path):
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[self._file.write(rest) :]
            except BaseException:
                with contextlib.suppress(OSError):
                    self._file.truncate(self.size)
                raise
        self.size += len(data)

    def close(self) -> None:
        self._file.close()


# ── folders ───────────────────────────────────────────────────────────────────────────────────────────────


def make_folder(path: Path, mode: int = 0o777) -> None:
    """The folder, and those above it that are missing, on the disk; `mode` is of the last, within the umask."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode if folder == path else 0o777, exist_ok=True)
        sync_folder(folder.parent)
    if not missing and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def sync_folder(path: Path) -> None:
    """Sends the names in a folder to the disk, where the system can."""
    if sys.platform == "win32":
        return
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in NOT_SYNCED:
            raise


# ── temporary names ───────────────────────────────────────────────────────────────────────────────────────


def part_name(name: str) -> str:
    """A name for what will be called `name`: hidden, not used before, and it says whose it is."""
    kept = name.encode(errors="surrogateescape")[:LONGEST_NAME].decode(errors="ignore")
    return f".{kept}{this_process().mark}{os.urandom(4).hex()}{PART}"


def sweep(folder: Path, prefix: str = ".", suffix: str = PART, *, is_ours: bool = False) -> None:
    """Removes the temporary files and folders of dead processes; `is_ours`: of all, where no other may write."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if not (entry.name.startswith(prefix) and entry.name.endswith(suffix)):
                continue
            maker = marked(entry.name)
            if is_ours or (maker is not None and maker.is_gone):
                remove(Path(entry.path))


def sweep_once(folder: Path) -> None:
    """The same, the first time that this process writes into the folder."""
    key = os.getpid(), os.fspath(folder)
    if key not in _swept:
        _swept.add(key)
        sweep(folder)


def remove(path: Path) -> None:
    """The file or the folder, as far as the system lets us."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


# ── inside ────────────────────────────────────────────────────────────────────────────────────────────────


def _mode_of(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the system name the file that was asked for, and not the temporary one, or none."""
    try:
        yield
    except OSError as error:
        told = error.filename
        if error.errno is not None and (told is None or isinstance(told, int) or str(told).endswith(PART)):
            error.filename, error.filename2 = os.fspath(path), None
        raise
