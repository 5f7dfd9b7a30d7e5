"""TensorBoard's event files: TFRecords that hold `Event` messages in protobuf's form.

    Event          1 wall_time double, 2 step int64, 3 file_version string, 5 summary Summary
    Summary        1 value Value, repeated
    Value          1 tag string, 2 simple_value float, 5 histo HistogramProto
    HistogramProto 1 min, 2 max, 3 num, 4 sum, 5 sum_squares double; 6 bucket_limit, 7 bucket double, packed

Source: tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto. A message is a row of fields, each
the varint (number · 8 + wire type) and a value; wire types: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from talweg.data.tfrecord import framed
from talweg.disk.writing import GrowingFile, make_folder
from talweg.graph import Array

_files = itertools.count()


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth bit says that more follow.

    >>> varint(300)
    b'\\xac\\x02'
    """
    value &= 2**64 - 1  # negative numbers count from the top, as int64 does
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field_bytes(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def field_double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def field_float(number: int, value: float) -> bytes:
    return varint(number << 3 | 5) + np.float32(value).tobytes()  # NumPy: too large a value is infinite, and no error


def field_doubles(number: int, values: Iterable[float]) -> bytes:
    return field_bytes(number, np.asarray(list(values), "<f8").tobytes())


def event(step: int, values: Iterable[bytes], wall_time: float) -> bytes:
    summary = b"".join(field_bytes(1, value) for value in values)
    return field_double(1, wall_time) + varint(2 << 3) + varint(step) + field_bytes(5, summary)


def scalar(tag: str, value: float) -> bytes:
    return field_bytes(1, tag.encode(errors="replace")) + field_float(2, value)


def histogram(tag: str, values: Array, buckets: int = 30) -> bytes:
    """How the finite numbers among `values` are spread."""
    flat = np.asarray(values, np.float64).ravel()
    flat = flat[np.isfinite(flat)]
    if flat.size == 0:
        flat = np.zeros(1)
    counts, edges = np.histogram(flat, buckets)
    spread = b"".join(
        field_double(i + 1, v)
        for i, v in enumerate((flat.min(), flat.max(), float(flat.size), flat.sum(), np.square(flat).sum()))
    )
    return field_bytes(1, tag.encode(errors="replace")) + field_bytes(
        5, spread + field_doubles(6, edges[1:]) + field_doubles(7, counts)
    )


class EventFile:
    """A growing file of events in a folder, under a name by which TensorBoard finds it."""

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        began = time.time()
        name = f"events.out.tfevents.{int(began)}.{socket.gethostname()}.{os.getpid()}.{next(_files)}.v2"
        self._file = GrowingFile(folder / name)
        self._file.write(framed(field_double(1, began) + field_bytes(3, b"brain.Event:2")))

    def write(self, step: int, scalars: Mapping[str, float], histograms: Mapping[str, Array] | None = None) -> None:
        """Appends the values of a step; they can be read at once."""
        values = [scalar(tag, value) for tag, value in scalars.items()]
        values += [histogram(tag, value) for tag, value in (histograms or {}).items()]
        if values:
            self._file.write(framed(event(step, values, time.time())))

    def close(self) -> None:
        self._file.close()
