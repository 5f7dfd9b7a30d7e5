"""The files themselves: zip and HDF5, opened with distrust, written whole or not at all.

An HDF5 file may point at other files, and may declare arrays of any size that it does not hold. Only data sets that
lie in the file itself are read, each compared first with the shape that the model has for it, and with what the file
can hold at most.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from talweg.data.files import DEFLATE_RATIO, MAX_BYTES, check_archive, check_finite, corrupt, existing_file, reading
from talweg.disk.writing import written_whole
from talweg.errors import MissingExtraError
from talweg.graph import Array

FORM, HDF5 = "a .keras file", "an HDF5 file"
MOST_MEMBERS, MOST_TEXT = 4096, 64 * 2**20
MOST_PACKED = 100  # times: of what is larger than a text. Keras does not pack numbers, nor would they become so small
LIFTED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the time of all members, so that equal models make equal files

Tree = Mapping[str, Array | None]
"""Arrays by their paths, ``layers/dense/vars/0``, and None for a group that may hold none."""


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("Keras's files need h5py: pip install 'talweg[export]'") from error
    return h5py


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────


def write(path: Path, documents: Mapping[str, Any], member: str, arrays: Tree) -> None:
    """A zip file of JSON documents, and of the arrays as HDF5 under the name `member`."""
    texts = {name: json.dumps(document, allow_nan=False).encode() for name, document in documents.items()}
    with written_whole(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, data in {**texts, member: _as_hdf5(arrays)}.items():
            archive.writestr(zipfile.ZipInfo(name, LONG_AGO), data)


def write_hdf5(path: Path, arrays: Tree) -> None:
    """The arrays as an HDF5 file."""
    data = _as_hdf5(arrays)
    with written_whole(path) as file:
        file.write(data)


def _as_hdf5(arrays: Tree) -> bytes:
    held = io.BytesIO()
    with _h5py().File(held, "w") as file:
        for path, array in arrays.items():
            if array is None:
                file.require_group(path)
            else:
                file.create_dataset(path, data=array, track_times=False)
    return held.getvalue()


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def opened(path: Path, member: str) -> Iterator[tuple[dict[str, str], File]]:
    """The texts of a zip file, and the HDF5 file in it. Raises `CorruptFileError`."""
    with existing_file(path, FORM).open("rb") as stream, reading(path, FORM), zipfile.ZipFile(stream) as archive:
        if len(archive.infolist()) > MOST_MEMBERS:
            raise corrupt(path, f"{FORM} of a few members", f"it has {len(archive.infolist()):,}")
        check_archive(path, archive, FORM)
        names = ["config.json", *(n for n in archive.namelist() if n == "metadata.json")]
        texts = {name: _member(path, archive, name, MOST_TEXT).decode() for name in names}
        data = _member(path, archive, member, MAX_BYTES)
    with _opened(path, io.BytesIO(data), len(data)) as file:
        yield texts, file


def _member(path: Path, archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """The bytes of one member, whose claimed size is checked before it is unpacked."""
    if name not in archive.namelist():
        raise corrupt(path, f"{FORM} with a {name}", f"it holds {', '.join(archive.namelist()[:8]) or 'nothing'}")
    info = archive.getinfo(name)
    packed = min(info.compress_size, path.stat().st_size)
    can_hold = min(most, packed * DEFLATE_RATIO, max(packed * MOST_PACKED, MOST_TEXT))
    if info.compress_type not in LIFTED or info.flag_bits & 1 or info.file_size > can_hold:
        came = f"it claims {info.file_size:,} bytes, packed to {info.compress_size:,} by method {info.compress_type}"
        raise corrupt(path, f"a {name} of at most {can_hold:,} bytes, not encrypted", came)
    return archive.read(info)


@contextmanager
def hdf5(path: Path) -> Iterator[File]:
    """An HDF5 file that stands by itself. Raises `CorruptFileError`."""
    existing_file(path, HDF5)
    with _opened(path, path, path.stat().st_size) as file:
        yield file


@contextmanager
def _opened(path: Path, source: Any, size: int) -> Iterator[File]:
    h5py = _h5py()
    with reading(path, HDF5), h5py.File(source, "r") as root:
        yield File(path, root, size)


class File:
    """An HDF5 file that is not trusted; `size` is its length in bytes."""

    def __init__(self, path: Path, root: Any, size: int) -> None:
        self.path, self.size = path, size
        self._root, self._taken = root, 0

    def names(self, place: str) -> list[str]:
        """The names in a group; none where there is no such group."""
        group = self._at(place)
        return list(group) if isinstance(group, _h5py().Group) else []

    def text(self, name: str) -> str | None:
        """A text that is noted at the root."""
        value = self._noted(self._root, name)
        return value.decode() if isinstance(value, bytes) else None if value is None else str(value)

    def texts(self, place: str, name: str) -> list[str]:
        """A list of texts that is noted at a group, in pieces where it is long: ``name0``, ``name1``."""
        group = self._at(place)
        if not isinstance(group, _h5py().Group):
            raise corrupt(self.path, f"a group {place!r}", "there is none")
        pieces = [name] if name in group.attrs else [f"{name}{i}" for i in range(len(group.attrs))]
        found = [each for piece in pieces if piece in group.attrs for each in np.atleast_1d(self._noted(group, piece))]
        return [each.decode() if isinstance(each, bytes) else str(each) for each in found]

    def shape(self, place: str) -> tuple[int, ...] | None:
        """The shape of a data set; None where there is none."""
        data = self._at(place)
        return tuple(data.shape) if isinstance(data, _h5py().Dataset) else None

    def read(self, place: str, shapes: Sequence[tuple[int, ...]], kinds: str = "f") -> Array:
        """The numbers of a data set, which must have one of `shapes` and lie in this file; `kinds`: NumPy's."""
        data = self._at(place)
        if not isinstance(data, _h5py().Dataset):
            raise corrupt(self.path, f"the data set {place}", "it is not there")
        if tuple(data.shape) not in shapes:
            raise corrupt(self.path, f"{place} of shape {list(shapes[0])}", f"it has {list(data.shape)}")
        if data.is_virtual or data.external or data.dtype.kind not in kinds or data.dtype.itemsize > 8:
            wanted = "floating-point" if kinds == "f" else "whole"
            raise corrupt(self.path, f"{wanted} numbers as {place}", f"it is {data.dtype}, or lies in another file")
        self._taken += math.prod(data.shape) * data.dtype.itemsize
        is_packed = data.id.get_create_plist().get_nfilters() > 0
        if self._taken > min(MAX_BYTES, self.size * (DEFLATE_RATIO if is_packed else 1)):
            raise corrupt(self.path, f"arrays that fit into {self.size:,} bytes", f"{place} claims more")
        values = np.array(data)
        check_finite(self.path, place, values)
        return values

    def _at(self, place: str) -> Any:
        """What stands at a path, None where nothing does. Links to other places or files are not followed."""
        h5py, here = _h5py(), self._root
        for part in filter(None, place.split("/")):
            link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
            if link is None:
                return None
            if not isinstance(link, h5py.HardLink):
                raise corrupt(self.path, f"{place} in the file itself", f"{part!r} is a {type(link).__name__}")
            here = here[part]
        return here

    def _noted(self, group: Any, name: str) -> Any:
        if name not in group.attrs:
            return None
        noted = group.attrs.get_id(name)
        if math.prod(noted.shape) * noted.dtype.itemsize > self.size:
            raise corrupt(self.path, f"a note {name!r} that fits into the file", "it claims more")
        return group.attrs[name]
