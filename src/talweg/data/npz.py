"""NPZ: NumPy's archive of named arrays: a zip file with one ``.npy`` file for each.

The arrays are built here from their bytes, and not by `numpy.load`, for two reasons: NumPy allocates what a
header claims before it knows that the bytes are there, and what is never handed a pickle cannot unpickle.
Source: NEP 1, "A simple file format for NumPy arrays", https://numpy.org/neps/nep-0001-npy-format.html.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from talweg.data.files import DEFLATE_RATIO, MAX_BYTES, check_archive, corrupt, existing_file, reading
from talweg.errors import DataError

_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npz(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> dict[str, NDArray[Any]]:
    """The named arrays of an NPZ file. Python objects in it are refused, never unpickled.

    `max_bytes` bounds all arrays together. Raises `CorruptFileError` for a damaged archive or a claimed size
    that the file cannot hold, `DataError` for arrays of Python objects.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "points.npz")
    ...     np.savez(path, x=np.arange(3), y=np.eye(2))
    ...     {name: array.shape for name, array in read_npz(path).items()}
    {'x': (3,), 'y': (2, 2)}
    """
    path = existing_file(path, "an NPZ file")
    arrays: dict[str, NDArray[Any]] = {}
    with reading(path, "an NPZ file (a zip archive of .npy files)"), zipfile.ZipFile(path) as archive:
        check_archive(path, archive, "an NPZ file")
        members = archive.infolist()
        claimed = sum(member.file_size for member in members)
        possible = min(max_bytes, path.stat().st_size * DEFLATE_RATIO)
        if claimed > possible:
            raise corrupt(path, f"an NPZ file of at most {possible:,} bytes", f"it claims {claimed:,} bytes")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise corrupt(path, "arrays of different names", f"{name!r} is there twice")
            with archive.open(member) as stream:
                data = stream.read(member.file_size + 1)
            arrays[name] = _array(path, member.filename, data)
    return arrays


def _array(path: Path, member: str, data: bytes) -> NDArray[Any]:
    """One array from the bytes of its ``.npy`` file, after its header has been held against their number."""
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        if version not in _HEADER_READERS:
            raise ValueError(f"it is of version {version}; versions 1.0 and 2.0 are read")
        shape, fortran_order, dtype = _HEADER_READERS[version](stream)
    except (ValueError, SyntaxError, TypeError, UnicodeDecodeError) as error:
        raise corrupt(path, f"an array in NumPy's form under the name {member!r}", str(error)) from error
    if dtype.itemsize == 0 or dtype.subdtype is not None:
        # NumPy makes elements of one byte of those without any, for as many as the shape says
        raise corrupt(path, f"elements of a size under the name {member!r}", f"they are {dtype}")
    if dtype.hasobject:
        raise DataError(
            f"{path}: the array {member!r} holds Python objects ({dtype}), which are stored as pickles, and a pickle "
            "can run any program: Talweg never reads one. Save it as numbers or as text (dtype 'U')."
        )
    body = data[stream.tell() :]
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(body):
        raise corrupt(
            path,
            f"{math.prod(shape) * dtype.itemsize:,} bytes for {member!r} (shape {shape}, {dtype})",
            f"{len(body):,} are there",
        )
    if not body:  # frombuffer refuses empty buffers
        return np.empty(shape, dtype)
    order = "F" if fortran_order else "C"
    return np.frombuffer(bytearray(body), dtype).reshape(shape, order=order)  # type: ignore[call-overload]
