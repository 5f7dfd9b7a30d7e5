"""`tf.train.Example`: the named lists that TFRecord files hold, read from the bytes themselves.

The message in Protocol Buffers' language, with the number of each field:

    Example { Features features = 1 }
    Features { map<string, Feature> feature = 1 }        an entry is { string key = 1; Feature value = 2 }
    Feature { oneof: BytesList = 1, FloatList = 2, Int64List = 3 }    each list { repeated value = 1 }

On the wire a message is a row of fields. A field is a key, `number * 8 + wire type`, and a value: type 0 a
varint (seven bits a byte, lowest first, the top bit says that more follow), 1 eight bytes, 5 four bytes,
2 a length and that many bytes. Unknown fields are passed over, as the format asks of every reader.
Source: Google, "Protocol Buffers: Encoding"; tensorflow/core/example/feature.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.errors import CorruptFileError, DataError

Feature = list[bytes] | NDArray[np.float32] | NDArray[np.int64]

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def parse_example(record: bytes) -> dict[str, Feature]:
    """The features of a serialised `tf.train.Example`, in order of name.

    A feature is a list of bytes, a float32 vector or an int64 vector; one without a value is an empty list.
    Raises `CorruptFileError` if the bytes are no such message.

    >>> parse_example(make_example({"label": [7], "name": [b"seven"]}))
    {'label': array([7]), 'name': [b'seven']}
    """
    features: dict[str, Feature] = {}
    for number, message in _messages(memoryview(record)):
        if number != 1:
            continue
        for entry_number, entry in _messages(message):
            if entry_number == 1:
                parts = dict(_messages(entry))
                features[_text(parts.get(1, memoryview(b"")))] = _feature(parts.get(2, memoryview(b"")))
    return dict(sorted(features.items()))


def _feature(message: memoryview) -> Feature:
    result: Feature = []
    for kind, values in _messages(message):
        if kind == 1:
            result = [bytes(value) for number, value in _messages(values) if number == 1]
        elif kind == 2:
            result = np.concatenate([np.empty(0, np.float32), *_floats(values)])
        elif kind == 3:
            result = np.array([value for packed in _integers(values) for value in packed], np.int64)
    return result


def _floats(message: memoryview) -> Iterator[NDArray[np.float32]]:
    for number, wire_type, value in _fields(message):
        if number == 1 and wire_type in (_LENGTH, _FOUR_BYTES):  # packed, or one at a time
            assert isinstance(value, memoryview)
            if len(value) % 4:
                raise _broken(f"a list of float32 takes {len(value)} bytes, which is no multiple of 4")
            yield np.frombuffer(value, "<f4").astype(np.float32)


def _integers(message: memoryview) -> Iterator[Sequence[int]]:
    for number, wire_type, value in _fields(message):
        if number != 1:
            continue
        if isinstance(value, int):
            yield [_signed(value)]
        elif wire_type == _LENGTH:
            numbers = np.frombuffer(value, np.uint8)
            if not (numbers & 0x80).any():  # pixels below 128, labels: one byte each
                yield numbers.tolist()
                continue
            position, unpacked = 0, []
            while position < len(value):
                integer, position = _varint(value, position)
                unpacked.append(_signed(integer))
            yield unpacked


def _messages(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields that are messages, texts or byte strings."""
    for number, wire_type, value in _fields(message):
        if wire_type == _LENGTH:
            assert isinstance(value, memoryview)
            yield number, value


def _fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """(number, wire type, value) of each field; a length is held against what is left before it is used."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            integer, position = _varint(message, position)
            yield number, wire_type, integer
            continue
        if wire_type == _LENGTH:
            size, position = _varint(message, position)
        elif wire_type in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if wire_type == _EIGHT_BYTES else 4
        else:
            raise _broken(f"field {number} has wire type {wire_type}, which the format does not have")
        if number == 0 or size > len(message) - position:
            raise _broken(f"field {number} claims {size:,} bytes where {len(message) - position:,} are left")
        yield number, wire_type, message[position : position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """An unsigned 64-bit number and the position after it."""
    value = 0
    for i in range(10):
        if position + i >= len(message):
            raise _broken("it ends in the middle of a number")
        byte = message[position + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position + i + 1
    raise _broken("a number takes more than ten bytes")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _text(value: memoryview) -> str:
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _broken(f"the name of a feature is not UTF-8 ({error})") from error


def _broken(what: str) -> CorruptFileError:
    return CorruptFileError(
        f"record: expected a serialised tf.train.Example, but {what}. If the records hold something else, "
        "decode them yourself; if not, write the file again."
    )


def make_example(features: Mapping[str, Any]) -> bytes:
    """Serialises named lists as a `tf.train.Example`, in order of name.

    Values: bytes, text (stored as UTF-8), or lists of them; numbers or arrays, stored flat as int64 (from
    integers and booleans) or float32 (from floats). Raises `DataError` for anything else.
    """
    entries = b""
    for name, value in sorted(features.items()):
        entry = _field(1, name.encode()) + _field(2, _encode_feature(name, value))
        entries += _field(1, entry)
    return _field(1, entries)


def _encode_feature(name: str, value: Any) -> bytes:
    if isinstance(value, bytes | str):
        value = [value]
    if isinstance(value, list | tuple) and value and all(isinstance(item, bytes | str) for item in value):
        strings = [item.encode() if isinstance(item, str) else item for item in value]
        return _field(1, b"".join(_field(1, item) for item in strings))
    array = np.asarray(value)
    if array.dtype.kind == "f":
        return _field(2, _field(1, array.astype("<f4").tobytes()))
    if array.dtype.kind in "iub" and not (array.dtype == np.uint64 and (array > np.uint64(2**63 - 1)).any()):
        return _field(3, _field(1, b"".join(_encode_varint(item % 2**64) for item in array.ravel().tolist())))
    raise DataError(
        f"feature {name!r}: expected bytes, text, integers (64-bit) or floats, or lists of one of them, but got "
        f"{type(value).__name__} ({array.dtype})"
    )


def _field(number: int, data: bytes) -> bytes:
    return struct.pack("B", number << 3 | _LENGTH) + _encode_varint(len(data)) + data


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(encoded) + bytes([value])
