"""Safetensors: named arrays in one file, and nothing in it that could run.

    8 bytes   length of the header, n, little-endian
    n bytes   JSON: {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}, ...}
    the rest  the numbers, little-endian, last axis fastest

Source: Hugging Face, "Safetensors format". Talweg reads it by itself, so that each kind of damage has its message and
nothing is allocated for sizes that the file cannot hold; and writes it by itself, so that equal models are equal files.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from talweg.data.files import corrupt, existing_file, written_whole
from talweg.errors import CorruptFileError
from talweg.graph import Array

FORM = "a safetensors file"
LONGEST_HEADER = 100_000_000  # bytes, as in the format's own library
CHECKSUM = "sha256"  # under this name the metadata holds the sum of the numbers

DTYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "|b1"},
    **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1"},
}
_NAMES = {np.dtype(code): name for name, code in DTYPES.items()}


def write_tensors(path: str | os.PathLike[str], arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> str:
    """Writes the file whole or not at all, and answers the SHA-256 of the numbers, which also goes into its metadata.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "two.safetensors")
    ...     _ = write_tensors(path, {"a": np.arange(3.0), "b": np.float32([[1, 2]])}, {"made by": "hand"})
    ...     file = TensorFile(path)
    ...     file.shapes, file.metadata["made by"], file.read()["b"]
    ({'a': (3,), 'b': (1, 2)}, 'hand', array([[1., 2.]], dtype=float32))
    """
    header: dict[str, Any] = {}
    pieces, position, checksum = [], 0, hashlib.sha256()
    # Numbers of 8 bytes first, so that every array is aligned in the file.
    for name, array in sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])):
        piece = np.asarray(array, array.dtype.newbyteorder("<"), order="C").tobytes()
        end = position + len(piece)
        dtype = _NAMES[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [position, end]}
        checksum.update(piece)
        pieces.append(piece)
        position = end
    named = {"__metadata__": {**metadata, CHECKSUM: checksum.hexdigest()}}
    text = json.dumps({**named, **header}, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with written_whole(path) as file:
        for piece in (struct.pack("<Q", len(text)), text, *pieces):
            file.write(piece)
    return checksum.hexdigest()


@dataclass(frozen=True)
class _Entry:
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class TensorFile:
    """The header of a safetensors file, held against the file's size; `read` gives the arrays.

    Raises `CorruptFileError`, naming the file, for a file that is truncated, damaged or of another format.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = existing_file(path, FORM)
        size = self.path.stat().st_size
        with open(self.path, "rb") as file:
            start = file.read(8)
            if len(start) < 8:
                raise corrupt(self.path, FORM, f"it has only {len(start)} bytes")
            (length,) = struct.unpack("<Q", start)
            if length > min(size - 8, LONGEST_HEADER):
                came = f"it claims a header of {length:,} bytes and has {size - 8:,} in all after that claim"
                raise corrupt(self.path, FORM, came)
            text = file.read(length)
        self._start = 8 + length
        self._entries, self.metadata = _parsed(self.path, text)
        self._check_layout(size - self._start)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: entry.shape for name, entry in self._entries.items()}

    @property
    def dtypes(self) -> dict[str, str]:
        """By the format's names: "F32", "U32", ..."""
        return {name: entry.dtype for name, entry in self._entries.items()}

    def read(self) -> dict[str, Array]:
        """The arrays, each a copy of its own. Checks the sum, where the file has one."""
        with open(self.path, "rb") as file:
            file.seek(self._start)
            data = file.read()
        expected = self.metadata.get(CHECKSUM)
        if expected is not None and hashlib.sha256(data).hexdigest() != expected:
            raise corrupt(self.path, f"numbers with the SHA-256 {expected[:12]}...", "they have another")
        arrays = {}
        for name, e in self._entries.items():
            dtype = np.dtype(DTYPES[e.dtype])
            flat = np.frombuffer(data, dtype, math.prod(e.shape), e.begin) if e.end > e.begin else np.empty(0, dtype)
            arrays[name] = flat.reshape(e.shape).astype(dtype.newbyteorder("="))
        return arrays

    def _check_layout(self, size: int) -> None:
        """The arrays must lie one after another and fill the file to its end."""
        position = 0
        for name, e in sorted(self._entries.items(), key=lambda item: (item[1].begin, item[1].end)):
            needed = math.prod(e.shape) * np.dtype(DTYPES[e.dtype]).itemsize
            if e.begin != position or e.end - e.begin != needed:
                expected = f"{needed:,} bytes for {name!r} ({e.dtype} {list(e.shape)}) from byte {position:,} on"
                raise corrupt(self.path, expected, f"its header places it at {e.begin:,} to {e.end:,}")
            position = e.end
        if position != size:
            raise corrupt(self.path, f"{position:,} bytes of numbers", f"{size:,} are there")


def _parsed(path: Path, text: bytes) -> tuple[dict[str, _Entry], dict[str, str]]:
    try:
        header = json.loads(text)
        metadata = header.pop("__metadata__", {})
        if not all(isinstance(k, str) and isinstance(v, str) for k, v in metadata.items()):
            raise TypeError("its metadata is not text")
        return {name: _entry(path, name, value) for name, value in header.items()}, metadata
    except CorruptFileError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise corrupt(path, FORM, f"its header cannot be understood ({error})") from error


def _entry(path: Path, name: str, value: Any) -> _Entry:
    shape, (begin, end) = tuple(value["shape"]), value["data_offsets"]
    if not all(type(n) is int and n >= 0 for n in (*shape, begin, end)):
        raise corrupt(path, f"whole numbers as the shape and place of {name!r}", f"{list(shape)}, {begin}, {end} came")
    if value["dtype"] not in DTYPES:
        raise corrupt(path, f"one of the types {', '.join(DTYPES)} for {name!r}", f"it is {value['dtype']!r}")
    return _Entry(value["dtype"], shape, begin, end)
