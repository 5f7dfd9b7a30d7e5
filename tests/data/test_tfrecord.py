"""TFRecord and tf.train.Example: round trips, known bytes, and damage."""

from __future__ import annotations

import gzip
import struct
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talweg.data import (
    TFRecordDataset,
    crc32c,
    make_example,
    masked_crc32c,
    parse_example,
    read_tfrecord,
    write_tfrecord,
)
from talweg.errors import CorruptFileError, DataError, UsageError

RECORDS = [b"", b"a", bytes(range(256)) * 3, b"last"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # RFC 3720, appendix B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"", 0),
    ],
)
def test_crc32c_of_the_standard(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


@given(st.binary(max_size=70_000 // 64).map(lambda b: b * 64) | st.binary(max_size=700))
def test_crc32c_of_blocks_is_that_of_bytes(data: bytes) -> None:
    register = 0xFFFFFFFF
    for byte in data[:3000]:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    assert crc32c(data[:3000]) == register ^ 0xFFFFFFFF


def test_crc32c_of_more_than_one_gather() -> None:
    data = bytes(1) + np.random.default_rng(0).bytes(200_000)
    one = crc32c(data)
    assert one != crc32c(data[1:])
    flipped = bytearray(data)
    flipped[100_000] ^= 1
    assert crc32c(flipped) != one
    # Appending a message's own checksum, lowest byte first, always gives the same residue.
    assert crc32c(data + one.to_bytes(4, "little")) == 0x48674BC7


@given(st.lists(st.binary(max_size=400), max_size=8), st.sampled_from([None, "GZIP"]))
def test_records_round_trip(records: list[bytes], compression: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.tfrecord")
        write_tfrecord(path, records, compression=compression)
        assert list(read_tfrecord(path)) == records
        assert list(TFRecordDataset([path, path])) == records * 2


def test_cut_off_anywhere(tmp_path: Path) -> None:
    """A cut between two records leaves a shorter valid file; any other is seen."""
    path = tmp_path / "a.tfrecord"
    write_tfrecord(path, RECORDS)
    whole = path.read_bytes()
    ends = [0]
    for record in RECORDS:
        ends.append(ends[-1] + 16 + len(record))
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        if size in ends:
            assert list(read_tfrecord(path)) == RECORDS[: ends.index(size)]
        else:
            with pytest.raises(CorruptFileError, match=r"a\.tfrecord: expected"):
                list(read_tfrecord(path))


def test_any_bit_flipped_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    write_tfrecord(path, [b"one", b"two"])
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(CorruptFileError):
                list(read_tfrecord(path))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("length", [2**64 - 1, 2**40, 10**9])
def test_claimed_length_is_not_allocated(tmp_path: Path, length: int, zipped: bool) -> None:
    header = struct.pack("<Q", length)
    data = header + struct.pack("<I", masked_crc32c(header)) + b"little"
    path = tmp_path / "a.tfrecord"
    path.write_bytes(gzip.compress(data) if zipped else data)
    tracemalloc.start()
    with pytest.raises(CorruptFileError, match="record 0"):
        list(read_tfrecord(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


NAMES = st.text(max_size=8)
VALUES = (
    st.lists(st.binary(max_size=20), min_size=1, max_size=5)
    | st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6)
    | st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=6)
)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_example_round_trip(features: dict[str, list]) -> None:
    back = parse_example(make_example(features))
    assert {name: list(value) for name, value in back.items()} == features


def test_example_in_the_bytes_that_tensorflow_writes() -> None:
    """tf.train.Example with feature {"a": int64 [1, 300], "f": float [0.5]}, assembled by hand from the format."""
    ints = bytes.fromhex("0a03 01ac02".replace(" ", ""))  # packed: 1, 300
    floats = bytes.fromhex("0a04 0000003f".replace(" ", ""))
    entry_a = b"\x0a\x01a" + b"\x12" + bytes([len(ints) + 2]) + b"\x1a" + bytes([len(ints)]) + ints
    entry_f = b"\x0a\x01f" + b"\x12" + bytes([len(floats) + 2]) + b"\x12" + bytes([len(floats)]) + floats
    features = b"".join(b"\x0a" + bytes([len(e)]) + e for e in (entry_a, entry_f))
    message = b"\x0a" + bytes([len(features)]) + features
    assert make_example({"a": [1, 300], "f": [0.5]}) == message
    # Written unpacked, one field a number, and with unknown fields in between, it means the same.
    unpacked = bytes.fromhex("0801 10ff01 08ac02 2d00000000".replace(" ", ""))
    feature = b"\x1a" + bytes([len(unpacked)]) + unpacked
    entry = b"\x0a\x01a" + b"\x12" + bytes([len(feature)]) + feature
    parsed = parse_example(b"\x0a" + bytes([len(entry) + 2]) + b"\x0a" + bytes([len(entry)]) + entry)
    assert parsed["a"].tolist() == [1, 300]  # type: ignore[union-attr]


@given(st.binary(max_size=60))
def test_nonsense_is_a_clean_error(data: bytes) -> None:
    try:
        parse_example(data)
    except CorruptFileError as error:
        assert "tf.train.Example" in str(error)


def test_example_cut_off_anywhere() -> None:
    whole = make_example({"image": [bytes(range(50))], "label": [7, -1], "weight": [0.25, 1.0]})
    for size in range(1, len(whole)):
        with pytest.raises(CorruptFileError):
            parse_example(whole[:size])


def test_example_takes_pictures_text_and_truth() -> None:
    picture = np.arange(6, dtype=np.uint8).reshape(2, 3)
    back = parse_example(make_example({"p": picture, "t": "é", "b": True, "e": []}))
    assert back["p"].tolist() == [0, 1, 2, 3, 4, 5]  # type: ignore[union-attr]
    assert back["t"] == ["é".encode()] and list(back["b"]) == [1] and list(back["e"]) == []
    with pytest.raises(DataError, match="feature 'z'"):
        make_example({"z": 1j})


def test_compression_type_is_checked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="compression_type"):
        TFRecordDataset(tmp_path / "a", compression_type="LZ4")
