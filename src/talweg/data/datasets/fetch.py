"""Data sets that are too large to bundle: found on disk, or downloaded once and kept.

Looked for in this order: the folder that the environment variable TALWEG_DATA names, the user's cache
folder, several addresses in turn. What counts is the SHA-256 of the *decompressed* bytes: the same file
compressed twice differs. Wherever a file comes from, it is used only if its sum is right.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from talweg.data.datasets.bundled import Part
from talweg.data.files import UntrustedFile, corrupt, read_everything
from talweg.data.idx import parse_idx
from talweg.disk.places import user_cache
from talweg.disk.writing import make_folder, part_name, remove, sweep_once
from talweg.errors import CorruptFileError, DataError, warn

TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds between two pieces of an answer


@dataclass(frozen=True)
class RemoteFile:
    """One file: its name, the SHA-256 and the number of its decompressed bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class RemoteSet:
    """A set of four IDX files: images and labels for training, images and labels for test, in this order.

    folders: what its folder may be called.  addresses: where ``<address><file name>.gz`` can be fetched.
    """

    title: str
    folders: tuple[str, ...]
    addresses: tuple[str, ...]
    files: tuple[RemoteFile, RemoteFile, RemoteFile, RemoteFile]


def load_remote(data: RemoteSet) -> tuple[Part, Part]:
    """``(x_train, y_train), (x_test, y_test)`` from disk if it is there, else downloaded.

    Raises `CorruptFileError` if a file in TALWEG_DATA is not the published one, and `DataError`, with all
    that was tried, if the set is nowhere to be had.
    """
    tried: list[str] = []
    contents = _in_talweg_data(data, tried) or _in_cache(data, tried) or _downloaded(data, tried)
    images, labels, test_images, test_labels = (
        parse_idx(UntrustedFile(Path(file.name), "an IDX file", io.BytesIO(content), len(content)))
        for file, content in zip(data.files, contents, strict=True)
    )
    return (images, labels), (test_images, test_labels)


def _verified(folder: Path, file: RemoteFile) -> bytearray:
    """The decompressed bytes of a file in a folder, under any of its usual names.

    Raises `FileNotFoundError` if it is not there, `CorruptFileError` if its bytes are not the published ones.
    """
    dotted = file.name.replace("-idx", ".idx")  # as it is called in several archives
    names = (file.name + ".gz", file.name, dotted + ".gz", dotted)
    path = next((folder / name for name in names if (folder / name).is_file()), folder / names[0])
    content = read_everything(path, f"{file.name}, gzipped or not", max_bytes=file.size + 1)
    actual = hashlib.sha256(content).hexdigest()
    if actual != file.sha256:
        raise corrupt(
            path,
            f"the published {file.name}, which decompressed has {file.size:,} bytes and SHA-256 {file.sha256}",
            f"it has {len(content):,} and {actual}",
        )
    return content


def _in_talweg_data(data: RemoteSet, tried: list[str]) -> list[bytearray] | None:
    named = os.environ.get("TALWEG_DATA")
    if not named:
        tried.append("the environment variable TALWEG_DATA is not set")
        return None
    root = Path(named).expanduser()
    # Files directly in TALWEG_DATA may be of any set, since MNIST and its relatives share their names: there,
    # and only there, other content is no error.
    for folder in [*(root / name for name in data.folders), root]:
        try:
            return [_verified(folder, file) for file in data.files]
        except FileNotFoundError:
            tried.append(f"{folder}: {'not all of its four files are there' if folder.is_dir() else 'no such folder'}")
        except CorruptFileError as error:
            if folder != root:
                raise CorruptFileError(
                    f"{error} Or unset TALWEG_DATA to have {data.title} downloaded; data of your own is read with "
                    "talweg.data.read_idx."
                ) from error
            tried.append(str(error))
    return None


def _folder(data: RemoteSet) -> Path:
    """Where downloads of a set are kept."""
    try:
        return user_cache() / data.folders[0]
    except RuntimeError as error:
        raise DataError(f"{data.title}: there is no folder for downloads ({error}); set XDG_CACHE_HOME") from error


def _in_cache(data: RemoteSet, tried: list[str]) -> list[bytearray] | None:
    folder = _folder(data)
    try:
        return [_verified(folder, file) for file in data.files]
    except FileNotFoundError:
        tried.append(f"{folder}: not downloaded before")
    except CorruptFileError as error:
        warn(f"{error} Talweg does so now.")
    return None


def _downloaded(data: RemoteSet, tried: list[str]) -> list[bytearray]:
    """Fetches what the cache lacks. An address that fails once is not asked again."""
    folder = _folder(data)
    try:
        make_folder(folder)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot make the folder that keeps downloads ({error}); set XDG_CACHE_HOME"
        ) from error
    addresses = list(data.addresses)
    contents: list[bytearray] = []
    while len(contents) < len(data.files):
        file = data.files[len(contents)]
        try:
            contents.append(_verified(folder, file))
            continue
        except (FileNotFoundError, CorruptFileError):
            pass
        if not addresses:
            listed = "\n  - ".join(tried)
            raise DataError(
                f"{data.title} was found nowhere and could not be downloaded:\n  - {listed}\n"
                f"Get its four files ({', '.join(f.name + '.gz' for f in data.files)}) by other means, put them into "
                f"a folder {data.folders[0]!r}, and set TALWEG_DATA to the folder that holds it."
            )
        try:
            _fetch(addresses[0] + file.name + ".gz", folder, file)
        except (
            OSError,
            ValueError,
        ) as error:  # requests' errors are OSErrors; CorruptFileError is a ValueError
            tried.append(f"{addresses.pop(0)}: {type(error).__name__}: {error}")
    return contents


def _fetch(address: str, folder: Path, file: RemoteFile) -> None:
    """Downloads one file into the folder, under its own name only once its sum is right."""
    import pooch

    sweep_once(folder)  # of downloads that were cut short
    temporary = folder / part_name("download")
    temporary.mkdir()
    try:
        archive = temporary / f"{file.name}.gz"
        with open(archive, "wb") as kept, _progress(address) as bar:
            receiver = _Receiver(address, kept, 2 * file.size + 2**16, bar)
            pooch.HTTPDownloader(progressbar=receiver, chunk_size=2**16, timeout=TIMEOUT)(address, receiver, None)
        _verified(archive.parent, file)
        os.replace(archive, folder / archive.name)
    finally:
        remove(temporary)


@contextmanager
def _progress(address: str) -> Iterator[Any]:
    """A bar on a terminal, one line in a pipe or a log."""
    if not sys.stderr.isatty():
        print(f"downloading {address}", file=sys.stderr)
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        bar.add_task(address.rpartition("/")[2], total=None)
        yield bar


class _Receiver:
    """What pooch writes to, and the progress bar that it moves, in one.

    It takes no more than `most` bytes, so that an address that never stops sending cannot fill the disk.
    """

    def __init__(self, address: str, file: IO[bytes], most: int, bar: Any) -> None:
        self._address, self._file, self._most, self._bar = address, file, most, bar
        self._received = 0
        self.total = 0  # pooch sets it to the length that the server announces, 0 if it does not

    def write(self, piece: bytes) -> None:
        self._received += len(piece)
        if self._received > self._most:
            raise CorruptFileError(f"{self._address}: expected at most {self._most:,} bytes, but more came")
        self._file.write(piece)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._received, total=self.total or None)

    def flush(self) -> None:
        """pooch flushes after each piece; the file is flushed when it is closed."""

    def update(self, count: int) -> None:
        """pooch's count of bytes, which it rounds up to whole pieces; `write` counts exactly."""

    def reset(self) -> None:
        """pooch's way to fill the bar at the end."""

    def close(self) -> None:
        """The bar is closed by `_progress`."""
