"""Data sets whose elements are the byte strings in files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from talweg.data.pipeline.dataset import UNKNOWN, Dataset, stateless
from talweg.data.tfrecord import read_tfrecord
from talweg.errors import UsageError

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def TFRecordDataset(filenames: Paths, compression_type: str | None = None) -> Dataset:
    """The records (bytes) of one or more TFRecord files, in order; see `read_tfrecord` for its errors.

    compression_type: None, "" or "GZIP"; it is only checked, since a gzipped file is recognised by its bytes.

    >>> import tempfile, pathlib
    >>> from talweg.data import make_example, parse_example, write_tfrecord
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels.tfrecord")
    ...     write_tfrecord(path, [make_example({"label": [n]}) for n in (3, 1)])
    ...     [element["label"].tolist() for element in TFRecordDataset(path).map(parse_example)]
    [[3], [1]]
    """
    if compression_type not in (None, "", "GZIP"):
        raise UsageError(f"compression_type: expected None, '' or 'GZIP', but got {compression_type!r}")
    paths: list[Any] = [filenames] if isinstance(filenames, str | os.PathLike) else list(filenames)

    def make(peek: bool) -> Iterator[bytes]:
        for path in paths:
            yield from read_tfrecord(path)

    return Dataset(make, UNKNOWN, stateless)
