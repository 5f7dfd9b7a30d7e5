"""IDX: the format of MNIST. One array: four bytes of form, the sizes, then the numbers, all big-endian.

    byte 0-1   zero
    byte 2     type of the numbers (table below)
    byte 3     number of axes, r
    4r bytes   size of each axis, unsigned 32-bit
    the rest   the numbers, last axis fastest

Source: Y. LeCun, "The IDX file format", at the end of the page of the MNIST database.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from talweg.data.files import MAX_BYTES, UntrustedFile, corrupt, open_untrusted
from talweg.disk.writing import written_whole
from talweg.errors import DataError

_TYPES: dict[int, str] = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES: dict[str, int] = {text: code for code, text in _TYPES.items()}
_MOST_AXES = 32  # what every supported NumPy can hold


def read_idx(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> NDArray[Any]:
    """The array in an IDX file, gzipped or not, in the machine's own byte order.

    Raises `CorruptFileError` if the file is truncated, too long, or not IDX; nothing is allocated for sizes
    that the file cannot hold. Raises `FileNotFoundError` if no file is there.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels-idx1-ubyte.gz")
    ...     write_idx(path, np.array([3, 1, 4], np.uint8))
    ...     read_idx(path)
    array([3, 1, 4], dtype=uint8)
    """
    with open_untrusted(path, "an IDX file", max_bytes=max_bytes) as file:
        return parse_idx(file)


def parse_idx(file: UntrustedFile) -> NDArray[Any]:
    """The array in an open IDX file; see `read_idx`."""
    zero, code, axes = struct.unpack(">HBB", file.read(4, "form"))
    if zero != 0 or code not in _TYPES or axes > _MOST_AXES:
        raise corrupt(
            file.path,
            f"an IDX file, which starts with two zero bytes, a type among {sorted(_TYPES)} and at most "
            f"{_MOST_AXES} axes",
            f"it starts with bytes {struct.pack('>HBB', zero, code, axes).hex(' ')}",
        )
    shape = struct.unpack(f">{axes}I", file.read(4 * axes, "axis sizes"))
    dtype = np.dtype(_TYPES[code])
    data = file.read(math.prod(shape) * dtype.itemsize, f"numbers (shape {shape}, {dtype.name})")
    if not file.at_end():
        raise corrupt(file.path, f"an IDX file that ends after {len(data):,} bytes of numbers", "it goes on")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def write_idx(path: str | os.PathLike[str], array: ArrayLike) -> None:
    """Writes an array as IDX; gzipped if the name ends in ``.gz``. The file appears whole or not at all.

    Raises `DataError` for a type that IDX does not have (it has uint8, int8, int16, int32, float32, float64).
    """
    array = np.asarray(array)
    code = _CODES.get(array.dtype.newbyteorder(">").str.replace("|", ">"))
    if code is None or array.ndim > _MOST_AXES or any(size >= 2**32 for size in array.shape):
        raise DataError(
            "array: IDX holds uint8, int8, int16, int32, float32 and float64 with sizes below 2**32, but the array "
            f"is {array.dtype} of shape {array.shape}; convert it with .astype"
        )
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    data = header + array.astype(_TYPES[code], copy=False).tobytes()
    with written_whole(path) as file:
        file.write(gzip.compress(data, mtime=0) if str(path).endswith(".gz") else data)
