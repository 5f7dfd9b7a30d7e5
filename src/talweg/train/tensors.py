"""Named arrays in one safetensors file, and nothing in it that could run.

The format's own library reads and writes the file, and holds the header against the file's size before anything is
allocated. Ours are the sums of the numbers and of what is said of them, which tell a file that was altered, and errors
that name the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from talweg.data.files import check_finite, corrupt, existing_file, reading
from talweg.disk.writing import written_whole
from talweg.graph import Array
from talweg.train.document import parse_json

T = TypeVar("T")

FORM = "a safetensors file"
MOST_HEADER = 100_000_000  # bytes, by the format
KEY = "talweg"  # our metadata are one JSON text: the library writes several in no fixed order
CHECKSUM = "sha256"  # under this name they hold the sum of the numbers,
SEAL = "seal"  # and under this that of everything else: names, types, shapes, and the metadata with the sum in them


def write_tensors(path: str | os.PathLike[str], arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> str:
    """Writes the file whole or not at all, and answers the SHA-256 of the numbers, which also goes into its metadata.

    Equal arrays and metadata make equal files.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "two.safetensors")
    ...     _ = write_tensors(path, {"a": np.arange(3.0), "b": np.float32([[1, 2]])}, {"made by": "hand"})
    ...     file = TensorFile(path)
    ...     file.shapes, file.metadata["made by"], file.read()["b"]
    ({'a': (3,), 'b': (1, 2)}, 'hand', array([[1., 2.]], dtype=float32))
    """
    from safetensors.numpy import save

    dense = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    checksum = _sum(dense)
    told = {**metadata, CHECKSUM: checksum}
    dtypes = {name: _dtype_name(array) for name, array in dense.items()}
    told[SEAL] = _seal(told, dtypes, {name: array.shape for name, array in dense.items()})
    text = json.dumps(told, sort_keys=True, ensure_ascii=False)
    with written_whole(path) as file:
        file.write(save(dense, {KEY: text}))
    return checksum


class TensorFile:
    """The header of a safetensors file; `read` gives the arrays.

    Raises `CorruptFileError`, naming the file, for a file that is truncated, damaged or of another format.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = existing_file(path, FORM)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, str] = {}  # by the format's names: "F32", "U32", ...

        def look(file: Any) -> dict[str, str]:
            for name in file.keys():  # noqa: SIM118  (it is no dictionary)
                part = file.get_slice(name)
                self.shapes[name], self.dtypes[name] = tuple(part.get_shape()), part.get_dtype()
            return parse_json(self.path, (file.metadata() or {}).get(KEY, "{}"), "metadata of Talweg's")

        _look_at_header(self.path)
        told = {str(k): str(v) for k, v in self._opened(look).items()}
        seal = told.pop(SEAL, None)
        if seal is not None and seal != _seal(told, self.dtypes, self.shapes):
            raise corrupt(self.path, "a description with the SHA-256 that it was written with", "it has another")
        self.metadata, self.is_sealed = told, seal is not None

    def read(self) -> dict[str, Array]:
        """The arrays, each a copy of its own. Checks the sum, where the file has one."""
        arrays = self._opened(lambda file: {name: np.array(file.get_tensor(name)) for name in self.shapes})
        expected = self.metadata.get(CHECKSUM)
        if expected is not None and _sum(arrays) != expected:
            raise corrupt(self.path, f"numbers with the SHA-256 {expected[:12]}...", "they have another")
        for name, values in arrays.items():
            if not name.startswith("optimizer/"):
                check_finite(self.path, name, values)
        return arrays

    def _opened(self, use: Callable[[Any], T]) -> T:
        from safetensors import safe_open

        with reading(self.path, FORM), safe_open(self.path, framework="numpy") as file:
            return use(file)


class HeldTensors:
    """Named arrays in memory, where a `TensorFile` is expected; `path` says in errors where they come from."""

    def __init__(self, path: Path, arrays: Mapping[str, Array]) -> None:
        self.path, self._arrays = path, arrays
        self.shapes = {name: tuple(array.shape) for name, array in arrays.items()}
        self.dtypes = {name: _dtype_name(array) for name, array in arrays.items()}

    def read(self) -> dict[str, Array]:
        """The arrays, each a copy of its own."""
        return {name: np.array(array) for name, array in self._arrays.items()}


def _look_at_header(path: Path) -> None:
    """Raises `CorruptFileError` for a name that is there twice, of which the library takes one without a word."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        if length <= min(path.stat().st_size - 8, MOST_HEADER):  # else it is the library that says so
            with contextlib.suppress(UnicodeDecodeError):
                parse_json(path, file.read(length).decode(), FORM)


def _seal(metadata: Mapping[str, str], dtypes: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The SHA-256 of all that a file says about its numbers."""
    told = [sorted(metadata.items()), [[name, dtypes[name], list(shapes[name])] for name in sorted(dtypes)]]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _dtype_name(array: Array) -> str:
    """``F32``, ``U8``, ``BOOL``: what the format calls a type of numbers."""
    return "BOOL" if array.dtype.kind == "b" else f"{array.dtype.kind.upper()}{8 * array.dtype.itemsize}"


def _sum(arrays: Mapping[str, Array]) -> str:
    """The SHA-256 of all numbers, array by array in the order of their names."""
    checksum = hashlib.sha256()
    for name in sorted(arrays):
        checksum.update(np.asarray(arrays[name], arrays[name].dtype.newbyteorder("<"), order="C").tobytes())
    return checksum.hexdigest()
