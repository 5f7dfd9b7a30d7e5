"""Where compiled objects are kept: for this user alone, shared by all of the user's processes, bounded in size.

    native/                      0700, owned by the user, no link
        4f2a.../object.so        one folder for each object, which appears complete or not at all (a rename)
        4f2a.../check            its size and SHA-256: a truncated or damaged object is made again, never loaded
        failed/4f2a....c         sources that the compiler refused, for inspection
        tmp-.../                 what a process, which is named there, makes just now

Of two processes that make the same object at once, one is the first to rename, and the other takes what it finds.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from talweg.disk.places import user_cache
from talweg.disk.process import is_alive, this_process
from talweg.disk.writing import make_folder, remove, sweep, written_whole
from talweg.errors import warn

MOST_BYTES = 256 * 2**20
MOST_OBJECTS = 500
MOST_FAILED = 20
OBJECT, CHECK = "object.so", "check"
TEMPORARY, FAILED = "tmp-", "failed"
LEFT_BEHIND = 86400.0  # seconds after which that is removed of which nobody can tell whether its maker lives


@dataclass(frozen=True)
class Entry:
    """A compiled object: when it was last used (seconds since 1970), and its size in bytes."""

    folder: Path
    used: float
    size: int


def cache_folder() -> Path:
    """The folder of compiled objects, made if need be: under `user_cache`, or where that will not do, temporary.

    What lies in it is run as part of this process, so it must belong to the user, and no one else may write there.
    """
    try:
        folder = _safe_folder(user_cache() / "native")
        _cleared_away(folder, os.getpid())
        return folder
    except (OSError, RuntimeError) as error:
        return _temporary_folder(str(error))


def _safe_folder(folder: Path) -> Path:
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _close_to_others(folder.parent)
    check_owner(folder.parent, link_allowed=True)
    check_owner(folder)
    _check_way(folder.parent.resolve())
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} is not writable")
    return folder


def _close_to_others(folder: Path) -> None:
    """Where the user's umask lets the group write, ``talweg`` itself came out so."""
    status = folder.stat()
    if sys.platform != "win32" and status.st_uid == os.geteuid() and status.st_mode & 0o022:
        folder.chmod(stat.S_IMODE(status.st_mode) & ~0o022)


def _check_way(folder: Path) -> None:
    """Raises `PermissionError` where another user could put another folder in place of one above `folder`."""
    if sys.platform == "win32":
        return
    for above in folder.parents:
        found = above.stat()
        if found.st_uid not in (os.geteuid(), 0):
            raise PermissionError(f"{above}, above {folder}, belongs to another user")
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise PermissionError(f"{above}, above {folder}, can be written by everybody; `chmod o-w` it")


def check_owner(path: Path, link_allowed: bool = False) -> None:
    """Raises `PermissionError` unless `path` is this user's (or root's), no link, and for no one else to write."""
    if sys.platform == "win32":  # folders under LOCALAPPDATA are the user's by inheritance
        return
    found = path.stat() if link_allowed else path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise PermissionError(f"{path} is a symbolic link")
    if found.st_uid not in (os.geteuid(), 0):
        raise PermissionError(f"{path} belongs to another user")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{path} can be written by others; `chmod go-w` it")


@functools.cache
def _temporary_folder(reason: str) -> Path:
    """A folder for this process, removed when it ends. Says once why."""
    folder, owner = Path(tempfile.mkdtemp(prefix="talweg-")), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # not in a child that a fork made
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    warn(f"compiled programs are not kept: {reason}; set XDG_CACHE_HOME", RuntimeWarning)
    return folder


# ── one object ────────────────────────────────────────────────────────────────────────────────────────────


def find(key: str) -> Path | None:
    """The object of `key`, whole and ours, and now the latest used; None where there is none."""
    folder = cache_folder() / key
    path = folder / OBJECT
    try:
        check_owner(folder)
        check_owner(path)
        if (folder / CHECK).read_text() != _checksum(path):
            return None
        os.utime(path)
    except OSError:
        return None
    return path


def add(key: str, made: Path) -> Path:
    """Puts the object `made`, which lies in a `workplace`, under `key`; answers where it is."""
    (made.parent / CHECK).write_text(_checksum(made))
    staged = made.parent.with_name(f"{made.parent.name}-{OBJECT}")
    staged.mkdir(mode=0o700)
    os.replace(made.parent / CHECK, staged / CHECK)
    os.replace(made, staged / OBJECT)
    for path in staged.iterdir():
        path.chmod(0o700)  # whatever the umask is
    folder = made.parent.parent / key
    for _ in range(2):
        try:
            os.rename(staged, folder)
            break
        except OSError:  # there is one already: another process was faster, or it is damaged
            if found := find(key):
                shutil.rmtree(staged, ignore_errors=True)
                return found
            _remove(folder)
    else:
        raise OSError(f"{folder} cannot be replaced")
    trim()
    return folder / OBJECT


def new_workplace() -> Path:
    """A folder beside the objects, to make one in; who asks for it removes it."""
    folder = cache_folder() / _temporary_name()
    folder.mkdir(mode=0o700)
    return folder


def _temporary_name() -> str:
    return f"{TEMPORARY}{this_process().mark}{os.urandom(4).hex()}"


@contextmanager
def workplace() -> Iterator[Path]:
    """The same, gone afterwards."""
    folder = new_workplace()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep_failed(key: str, source: str) -> Path:
    """Writes a source that the compiler refused where it can be looked at; the latest few are kept."""
    folder = cache_folder() / FAILED
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{key}.c"
    with written_whole(path) as file:
        file.write(source.encode())
    for old in sorted(folder.glob("*.c"), key=_modified)[:-MOST_FAILED]:
        old.unlink(missing_ok=True)
    return path


def _checksum(path: Path) -> str:
    content = path.read_bytes()
    return f"{len(content)} {hashlib.sha256(content).hexdigest()}"


# ── all of them ───────────────────────────────────────────────────────────────────────────────────────────


def entries() -> list[Entry]:
    """Every object, the one used least recently first."""
    found = []
    for folder in cache_folder().iterdir():
        if folder.name.startswith(TEMPORARY):
            continue
        with contextlib.suppress(OSError):
            status = (folder / OBJECT).stat()
            found.append(Entry(folder, status.st_mtime, status.st_size))
    return sorted(found, key=lambda e: e.used)


def trim() -> None:
    """Removes the least recently used objects beyond the bounds, and what killed processes left behind."""
    kept = entries()
    size = sum(e.size for e in kept)
    while kept and (len(kept) > MOST_OBJECTS or size > MOST_BYTES):
        oldest = kept.pop(0)
        size -= oldest.size
        _remove(oldest.folder)
    _clear_away(cache_folder())


def _clear_away(folder: Path) -> None:
    """What killed processes left behind: told by the names, and where they do not tell, by the time."""
    sweep(folder)
    sweep(folder, TEMPORARY, "")
    for left in folder.glob(f"{TEMPORARY}*"):
        if not is_alive(left.name) and time.time() - _modified(left) > LEFT_BEHIND:
            remove(left)


@functools.lru_cache(maxsize=8)
def _cleared_away(folder: Path, pid: int) -> None:
    """The same, once in a process."""
    _clear_away(folder)


def clear() -> tuple[int, int]:
    """Removes everything; answers how many objects there were, and their bytes. Who uses one goes on with it."""
    gone = entries()
    for path in cache_folder().iterdir():
        _remove(path) if path.is_dir() else path.unlink(missing_ok=True)
    return len(gone), sum(e.size for e in gone)


def _remove(folder: Path) -> None:
    """Renames first, so that no other process finds half of it."""
    away = folder.with_name(_temporary_name())
    try:
        os.rename(folder, away)
    except OSError:
        away = folder
    shutil.rmtree(away, ignore_errors=True)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
