"""IDX and NPZ: what is written comes back, and what is damaged is refused before it is believed."""

from __future__ import annotations

import contextlib
import gzip
import io
import pickle
import struct
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talweg.data import read_idx, read_npz, write_idx
from talweg.disk.writing import written_whole
from talweg.errors import CorruptFileError, DataError

IDX_TYPES = [np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64]
IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


@given(
    array=st.sampled_from(IDX_TYPES).flatmap(
        lambda t: arrays.arrays(t, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    ),
    zipped=st.booleans(),
)
def test_idx_round_trip(array: np.ndarray, zipped: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.gz" if zipped else "a")
        write_idx(path, array)
        back = read_idx(path)
    assert back.dtype == array.dtype and back.shape == array.shape
    np.testing.assert_array_equal(back, array)


def test_what_is_read_can_be_written_to(tmp_path: Path) -> None:
    write_idx(tmp_path / "a", IMAGES)
    read_idx(tmp_path / "a")[0] = 1


@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_idx_cut_off_anywhere(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_idx(path, IMAGES)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(CorruptFileError, match=r"a(\.gz)?: expected .* but .* fetch it or write it again"):
            read_idx(path)


def test_idx_header_bytes_flipped(tmp_path: Path) -> None:
    """Every bit of the header matters: none can flip without an error."""
    path = tmp_path / "a"
    write_idx(path, IMAGES)
    whole = path.read_bytes()
    for place in range(16):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            if place == 2 and damaged[2] == 0x09:  # unsigned to signed bytes: another valid file
                continue
            with pytest.raises(CorruptFileError):
                read_idx(path)


def test_gzipped_idx_bytes_flipped(tmp_path: Path) -> None:
    """In a gzip file every byte is covered by its checksum, some header fields apart that change nothing."""
    path = tmp_path / "a.gz"
    write_idx(path, IMAGES)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(CorruptFileError):
            np.testing.assert_array_equal(read_idx(path), IMAGES)


def test_idx_with_more_than_it_says(tmp_path: Path) -> None:
    write_idx(tmp_path / "a", IMAGES)
    with open(tmp_path / "a", "ab") as file:
        file.write(b"x")
    with pytest.raises(CorruptFileError, match="it goes on"):
        read_idx(tmp_path / "a")


def peak_of(read: Callable[[], Any]) -> int:
    """The most memory, in bytes, that a call that must fail takes."""
    tracemalloc.start()
    with pytest.raises(DataError):
        read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("shape", [(2**32 - 1,) * 3, (2**31, 1), (60000, 28, 28), (2**32 - 1,) * 32])
def test_idx_claiming_much_allocates_little(tmp_path: Path, shape: tuple[int, ...], zipped: bool) -> None:
    path = tmp_path / "a"
    data = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + b"abc"
    path.write_bytes(gzip.compress(data) if zipped else data)
    assert peak_of(lambda: read_idx(path)) < 2**20


def test_decompressed_size_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "zeros.gz"
    write_idx(path, np.zeros(20_000_000, np.uint8))
    assert peak_of(lambda: read_idx(path, max_bytes=1_000_000)) < 2**20


@pytest.mark.parametrize("array", [np.zeros(2, np.uint16), np.array(["a"]), np.zeros(2, complex), np.zeros(2, bool)])
def test_idx_cannot_hold_everything(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(DataError, match="IDX holds uint8"):
        write_idx(tmp_path / "a", array)


def test_missing_files_say_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "train.idx").touch()
    with pytest.raises(FileNotFoundError, match=r"expected an IDX file.*train\.idx"):
        read_idx(tmp_path / "trian.idx")
    with pytest.raises(IsADirectoryError, match="this is a folder"):
        read_idx(tmp_path)


def test_writing_is_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError), written_whole(path) as file:
        file.write(b"half of")
        raise RuntimeError
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


# ── NPZ ──────────────────────────────────────────────────────────────────────────────────────────────


@given(
    array=arrays.arrays(
        st.one_of(arrays.floating_dtypes(), arrays.integer_dtypes(), arrays.boolean_dtypes()),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    fortran=st.booleans(),
    compressed=st.booleans(),
)
def test_npz_round_trip(array: np.ndarray, fortran: bool, compressed: bool) -> None:
    array = np.asfortranarray(array) if fortran else array
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.npz")
        (np.savez_compressed if compressed else np.savez)(path, first=array, second=np.arange(3))
        back = read_npz(path)
    assert list(back) == ["first", "second"]
    assert back["first"].dtype == array.dtype and back["first"].shape == array.shape
    np.testing.assert_array_equal(back["first"], array)


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_cut_off_anywhere(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "a.npz"
    (np.savez_compressed if compressed else np.savez)(path, x=IMAGES)
    whole = path.read_bytes()
    for size in range(0, len(whole), 3):
        path.write_bytes(whole[:size])
        with pytest.raises(CorruptFileError, match=r"a\.npz: expected"):
            read_npz(path)


def test_npz_bytes_flipped(tmp_path: Path) -> None:
    """A flipped byte is an error, or (in zip's dates and the like) changes no number."""
    path = tmp_path / "a.npz"
    np.savez(path, x=IMAGES)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            values = list(read_npz(path).values())
        except DataError:
            continue
        np.testing.assert_array_equal(values[0], IMAGES)


def test_npz_never_unpickles(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("a pickle was loaded",))

    objects = np.empty(1, object)
    objects[0] = Trap()
    np.savez(tmp_path / "a.npz", x=objects)
    with pytest.raises(DataError, match="never reads one"):
        read_npz(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(pickle.dumps([1]))
    with pytest.raises(CorruptFileError):
        read_npz(tmp_path / "b.npz")


def test_npz_claiming_much_allocates_little(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**40, 2**20)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(80))
    assert peak_of(lambda: read_npz(tmp_path / "a.npz")) < 2**20

    np.savez_compressed(tmp_path / "b.npz", x=np.zeros(5_000_000))
    assert peak_of(lambda: read_npz(tmp_path / "b.npz", max_bytes=1_000_000)) < 2**20


def npz_of(path: Path, header: str, body: bytes = b"") -> None:
    text = (header + " " * (-(len(header) + 11) % 64) + "\n").encode()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + body)


@pytest.mark.parametrize("kind", ["'|S0'", "'<U0'", "'|V0'", "[]", "('<f8', (8,))"])
@pytest.mark.parametrize("shape", [(10**12,), (2**62, 2), (0, 2), (3,)])
def test_npz_elements_have_a_size(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    """NumPy makes elements of one byte of those without any: 10^12 of them from a file of no bytes."""
    npz_of(tmp_path / "x.npz", f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}")
    with pytest.raises(CorruptFileError, match=r"x\.npz: expected"):
        read_npz(tmp_path / "x.npz")


def test_npz_is_one_archive_with_one_array_of_a_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.arange(3))
    whole = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(b"something else" + whole)
    with pytest.raises(CorruptFileError, match="does not begin as a zip archive"):
        read_npz(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for number in (1, 2):
            held = io.BytesIO()
            np.save(held, np.array(number))
            archive.writestr("x.npy", held.getvalue())
    with pytest.raises(CorruptFileError, match=r"'x\.npy' is there twice"):
        read_npz(tmp_path / "x.npz")


def test_a_member_of_an_archive_lies_in_it(tmp_path: Path) -> None:
    """`zipfile` asks for as much memory at once as a member says that it takes."""
    np.savez(tmp_path / "x.npz", x=np.arange(3))
    whole = (tmp_path / "x.npz").read_bytes()
    at = whole.index(b"PK\1\2") + 20  # the compressed size, in the central directory
    (tmp_path / "x.npz").write_bytes(whole[:at] + struct.pack("<I", 2**31 - 2) + whole[at + 4 :])
    with pytest.raises(CorruptFileError, match="one claims more than its"):
        read_npz(tmp_path / "x.npz")
