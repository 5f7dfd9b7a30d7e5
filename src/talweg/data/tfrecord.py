"""TFRecord: TensorFlow's file of byte strings, read and written without TensorFlow.

Each record is

    uint64  length of the data      (little-endian, as everything here)
    uint32  masked CRC-32C of those eight bytes
    bytes   the data, usually a serialised `tf.train.Example` (see `example.py`)
    uint32  masked CRC-32C of the data

Source: TensorFlow, "TFRecord and tf.train.Example", and tensorflow/core/lib/io/record_reader.cc.
"""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Iterable, Iterator

from talweg.data.crc32c import masked_crc32c
from talweg.data.files import MAX_BYTES, UntrustedFile, corrupt, open_untrusted
from talweg.disk.writing import written_whole


def read_tfrecord(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> Iterator[bytes]:
    """The records of a TFRecord file, gzipped or not, one after the other.

    Both checksums of each record are checked, and a length is believed only if the file can hold it.
    Raises `CorruptFileError`, which numbers the record and the byte where it starts.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "two.tfrecord")
    ...     write_tfrecord(path, [b"first", b"second"])
    ...     list(read_tfrecord(path))
    [b'first', b'second']
    """
    with open_untrusted(path, "a TFRecord file", max_bytes=max_bytes) as file:
        number = 0
        while not file.at_end():
            start = file.position
            header = file.read(8, f"the length of record {number}")
            _check(file, header, f"the length of record {number} (at byte {start:,})")
            (length,) = struct.unpack("<Q", header)
            data = bytes(file.read(length, f"record {number}"))
            _check(file, data, f"record {number} (at byte {start:,})")
            yield data
            number += 1


def _check(file: UntrustedFile, data: bytes | bytearray, what: str) -> None:
    (stored,) = struct.unpack("<I", file.read(4, f"the checksum of {what}"))
    actual = masked_crc32c(data)
    if stored != actual:
        raise corrupt(file.path, f"the checksum of {what} to be {stored:#010x}", f"it is {actual:#010x}")


def framed(record: bytes) -> bytes:
    """One record as it stands in a file: for those who write a file that others read while it grows.

    >>> record = framed(b"one")  # 8 bytes of length, 4 of checksum, the data, 4 of checksum
    >>> len(record), record[:8], record[12:15]
    (19, b'\\x03\\x00\\x00\\x00\\x00\\x00\\x00\\x00', b'one')
    """
    header = struct.pack("<Q", len(record))
    checksums = struct.pack("<I", masked_crc32c(header)), struct.pack("<I", masked_crc32c(record))
    return header + checksums[0] + record + checksums[1]


def write_tfrecord(path: str | os.PathLike[str], records: Iterable[bytes], *, compression: str | None = None) -> None:
    """Writes byte strings as a TFRecord file, which appears whole or not at all.

    `compression` is ``"GZIP"`` (TensorFlow's name for it; also assumed if the name ends in ``.gz``) or None.
    """
    zipped = (compression is not None and compression.upper() == "GZIP") or str(path).endswith(".gz")
    with written_whole(path) as file:
        target = gzip.GzipFile(fileobj=file, mode="wb", mtime=0) if zipped else file
        for record in records:
            target.write(framed(record))
        if zipped:
            target.close()  # writes gzip's own checksum; leaves `file` open
