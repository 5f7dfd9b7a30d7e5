"""Files from strangers, read with distrust. (How files are written: `talweg.disk.writing`.)

A header can claim any size. Whoever allocates what a header claims can be brought down by sixteen bytes, so
every reader here goes through `UntrustedFile.read`, which compares the claim with what the file can possibly
hold *before* it asks for memory. A plain file holds its own size. A gzip file holds at most 1032 times its
size, because one deflate symbol copies at most 258 bytes and takes at least two bits (zlib's "Technical
Details"); and within that bound memory grows only as bytes really arrive.
"""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from talweg.errors import CorruptFileError, DataError, TalwegError
from talweg.escapes import visible

DEFLATE_RATIO = 1032
MOST_SAID = 1000  # characters of an error's part: a file may have a name of a million
MAX_BYTES = 4 * 2**30  # What one file may become in memory unless the caller says otherwise: 4 GiB.
_PIECE = 2**20


def corrupt(path: Path, expected: str, came: str) -> CorruptFileError:
    """The error for a file that is not what it should be, in the house's one form."""
    return CorruptFileError(
        f"{path}: expected {short(expected)}, but {short(came)}. The file is damaged, incomplete or of another format: "
        "fetch it or write it again."
    )


def short(text: str) -> str:
    """The text, without its middle where it is longer than anybody reads, and with nothing that steers a terminal.

    >>> short("a" * 2000)[498:505], short(chr(27) + "[31m")
    ('aa...aa', '\\\\x1b[31m')
    """
    cut = text if len(text) <= MOST_SAID else f"{text[: MOST_SAID // 2]}...{text[-MOST_SAID // 2 :]}"
    return visible(cut)


def check_finite(path: Path, name: str, values: NDArray[Any]) -> None:
    """Weights must be numbers: a network with one NaN in it answers NaN, and does not say why."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise CorruptFileError(
            f"{path}: expected finite numbers as {name}, but some are NaN or infinite: the training diverged before it "
            "was saved, or the file is damaged. Go back to an earlier one."
        )


@contextmanager
def reading(path: str | os.PathLike[str], form: str) -> Iterator[None]:
    """The boundary of a reader: whatever goes wrong within becomes a `CorruptFileError` that names the file.

    Decoders of untrusted bytes raise anything, and no list of it stays complete. Errors of Talweg's own pass, and
    those that say why the system does not give the file. `form` ("an IDX file") says what was expected.

    >>> with reading("x.png", "an image"):
    ...     raise EOFError("it ends within a number")
    Traceback (most recent call last):
    ...
    talweg.errors.CorruptFileError: x.png: expected an image, but it cannot be read as one (EOFError('it ...
    """
    try:
        yield
    except (TalwegError, Warning, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
        raise
    except MemoryError as error:
        raise DataError(f"{path}: it takes more memory than there is to read this file as {form}") from error
    except Exception as error:
        said = str(error) if isinstance(error, OSError | ValueError) and str(error) else repr(error)
        raise corrupt(Path(path), form, f"it cannot be read as one ({said})") from error


@contextmanager
def about(path: str | os.PathLike[str]) -> Iterator[None]:
    """An error of Talweg's own that comes from within begins with the file that it is about."""
    try:
        yield
    except TalwegError as error:
        message = error.args[0] if error.args else ""
        if not str(message).startswith(str(path)):
            error.args = (f"{path}: {message}", *error.args[1:])
        raise


def existing_file(path: str | os.PathLike[str], form: str) -> Path:
    """The path, if a file is there; `form` ("an IDX file") says what was wanted.

    Raises `FileNotFoundError` or `IsADirectoryError`, each saying where it looked and what lies there.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: expected {form}, but this is a folder; give the path of one file in it")
    if not path.exists():
        around = sorted(p.name for p in path.parent.iterdir())[:10] if path.parent.is_dir() else []
        beside = f"that folder holds: {', '.join(around)}" if around else "that folder does not exist or is empty"
        raise FileNotFoundError(f"{path}: expected {form}, but no file is there ({beside})")
    if not path.is_file():
        raise DataError(f"{path}: expected {form}, but this is no regular file (a pipe, a device); copy it to one")
    return path


def check_archive(path: Path, archive: zipfile.ZipFile, form: str) -> None:
    """A zip archive that is nothing else besides, whose members have names of their own and lie in the file.

    `zipfile` also opens archives behind other contents, gives the last of two members of one name, and asks for as much
    memory as a member says that it takes.
    """
    with path.open("rb") as file:
        if file.read(4) not in (b"PK\3\4", b"PK\5\6"):
            raise corrupt(path, form, "it does not begin as a zip archive does")
    names, size = archive.namelist(), path.stat().st_size
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise corrupt(path, f"{form} whose members have different names", f"{twice!r} is there twice")
    if any(member.compress_size > size for member in archive.infolist()):
        raise corrupt(path, f"{form} whose members lie in it", f"one claims more than its {size:,} bytes")


class UntrustedFile:
    """Bytes in order from a file, gzipped or not, that may lie about its sizes.

    `capacity` is the most bytes that the file can turn out to hold.
    """

    def __init__(self, path: Path, form: str, stream: IO[bytes] | gzip.GzipFile, capacity: int) -> None:
        self.path, self.form, self.capacity = path, form, capacity
        self.position = 0
        self._stream = stream
        self._peeked = b""

    def read(self, count: int, what: str) -> bytearray:
        """Exactly `count` bytes; `what` ("the header") names them in the error.

        Raises `CorruptFileError` before allocating if the file cannot hold them, and after if it does not.
        """
        if count > self.capacity - self.position:
            raise corrupt(
                self.path,
                f"{self.form} with {count:,} bytes of {what} from byte {self.position:,} on",
                f"the file can hold at most {max(0, self.capacity - self.position):,} more",
            )
        data = bytearray(self._peeked[:count])
        self._peeked = self._peeked[count:]
        while len(data) < count:
            piece = self._piece(min(_PIECE, count - len(data)))
            if not piece:
                raise corrupt(
                    self.path,
                    f"{self.form} with {count:,} bytes of {what} from byte {self.position:,} on",
                    f"it ends after {len(data):,} of them",
                )
            data += piece
        self.position += count
        return data

    def at_end(self) -> bool:
        """Whether nothing follows."""
        self._peeked = self._peeked or self._piece(1)
        return not self._peeked

    def _piece(self, count: int) -> bytes:
        try:
            return self._stream.read(count)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise corrupt(self.path, "a whole gzip file", f"decompressing it failed ({error})") from error


@contextmanager
def open_untrusted(path: str | os.PathLike[str], form: str, *, max_bytes: int = MAX_BYTES) -> Iterator[UntrustedFile]:
    """Opens a file, gzipped (told by its first two bytes, not by its name) or plain."""
    path = existing_file(path, form)
    size = path.stat().st_size
    with reading(path, form), open(path, "rb") as plain:
        zipped = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        if zipped:
            with gzip.GzipFile(fileobj=plain, mode="rb") as unzipped:
                yield UntrustedFile(path, form, unzipped, min(max_bytes, size * DEFLATE_RATIO))
        else:
            yield UntrustedFile(path, form, plain, min(max_bytes, size))


def read_everything(path: str | os.PathLike[str], form: str, *, max_bytes: int = MAX_BYTES) -> bytearray:
    """All bytes of a file, decompressed if it is gzipped; never more than `max_bytes`."""
    with open_untrusted(path, form, max_bytes=max_bytes) as file:
        data = bytearray()
        while piece := file._piece(_PIECE):
            data += piece
            if len(data) > file.capacity:
                raise corrupt(file.path, f"{form} of at most {file.capacity:,} bytes", "it goes on after them")
        return data
