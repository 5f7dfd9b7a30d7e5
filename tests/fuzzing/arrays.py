"""Files of arrays: NPZ, the NPY in it, IDX, TFRecord and its examples, weights as safetensors, and data from a rule."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fuzzing.forms import Format, Misread
from fuzzing.mutations import Members, json_mutated, members_of, mutated, zip_mutated, zipped
from talweg import Sequential, layers
from talweg.data import (
    from_rule,
    make_example,
    parse_example,
    read_idx,
    read_npz,
    read_tfrecord,
    write_idx,
    write_tfrecord,
)
from talweg.export import pytorch


def same(a: Any, b: Any) -> bool:
    """Whether two arrays have one type, one shape and the same bytes."""
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def written(write: Any, name: str) -> bytes:
    """The bytes of a file that `write(path)` makes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        write(path)
        return path.read_bytes()


# ── NPZ and NPY ─────────────────────────────────────────────────────────────────────────────────────────────


def _npz_seeds() -> list[bytes]:
    found = []
    for save, arrays in (
        (np.savez, {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "y": np.array([0, 1])}),
        (np.savez_compressed, {"x": np.zeros((20, 20), np.uint8), "names": np.array(["ä", "b"])}),
        (np.savez, {"f": np.asfortranarray(np.eye(3)), "nothing": np.empty((0, 2)), "one": np.float64(1)}),
    ):
        held = io.BytesIO()
        save(held, **arrays)
        found.append(held.getvalue())
    return found


DTYPES = (
    *[
        "'|S0'",
        "'<U0'",
        "'|V0'",
        "'|O'",
        "'|b1'",
        "'<f2'",
        "'<f4'",
        "'>f8'",
        "'<i8'",
        "'<c16'",
        "'<M8[ns]'",
        "'<U3'",
        "'|V9'",
        "'<f99'",
        "'<i3'",
        "'f4,f4'",
        "7",
        "None",
    ],
    *("[('a', '<f4')]", "[('a', '|O')]", "[('a', '<f4', (2**31,))]", "('<f8', (8,))"),
)
SHAPES = (
    *[
        "()",
        "(0,)",
        "(1,)",
        "(-1,)",
        "(6,)",
        "(2,3)",
        "(3,2)",
        "(1000000000000,)",
        "(9223372036854775807,2)",
        "(0,9223372036854775807)",
    ],
    *("(4294967296, 4294967296)", "(True, 6)", "(2.0, 3)", "6", "(" + "1," * 40 + ")", "(1e3,)"),
)


def npy_mutated(random: Random, data: bytes) -> bytes:
    """An NPY file whose header says something else."""
    kind = random.randrange(6)
    if kind == 0 or len(data) < 12:
        return mutated(random, data)
    (length,) = struct.unpack("<H", data[8:10])
    text, body = data[10 : 10 + length].decode("latin-1").rstrip(), data[10 + length :]
    before = text.partition("'shape': ")[0]
    if kind == 1:
        text = f"{before}'shape': {random.choice(SHAPES)}, }}"
    elif kind == 2:
        descr = text.partition("'fortran_order'")[2]
        text = f"{{'descr': {random.choice(DTYPES)}, 'fortran_order'{descr}"
    elif kind == 3:
        text = f"{{'descr': {random.choice(DTYPES)}, 'fortran_order': {random.choice(('False', 'True', '1'))}, "
        text += f"'shape': {random.choice(SHAPES)}, }}"
    elif kind == 4:
        text = mutated(random, text.encode(), times=1).decode("latin-1")
    else:
        body = mutated(random, body, times=1)
    header = (text + " " * (-(len(text) + 11) % 64) + "\n").encode("latin-1", "replace")
    version = random.choice((b"\1\0", b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\x93\0"))
    size = struct.pack("<I" if version[:1] in b"\2\3" else "<H", len(header) % 65536)
    return b"\x93NUMPY" + version + size + header + body


def _mutate_npz(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    if random.random() < 0.4:
        return mutated(random, data, seeds)
    return zip_mutated(random, members_of(data), lambda name, member: npy_mutated(random, member))


def _mutate_npy(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    members: Members = members_of(data)
    at = random.randrange(len(members))
    members[at] = (members[at][0], npy_mutated(random, members[at][1]))
    return zipped(members)


def _check_npz(path: Path, data: bytes) -> None:
    arrays = read_npz(path)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as theirs:
            expected = {name: theirs[name] for name in theirs.files}
    except Exception as error:
        raise Misread(f"NumPy refuses it: {type(error).__name__}") from error
    if list(arrays) != list(expected):
        raise Misread(f"NumPy finds other names: {list(expected)[:3]}")
    for name, array in arrays.items():
        if not same(array, expected[name]):
            raise Misread("NumPy reads other numbers")


# ── IDX ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _idx_seeds() -> list[bytes]:
    arrays = (np.eye(3, dtype=np.uint8), np.array([-3, 70000], np.int32), np.float64([[0.5]]), np.float32([1, 2]))
    return [written(lambda path, a=a: write_idx(path, a), "x.idx") for a in arrays]


def _mutate_idx(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    if random.random() < 0.3:  # sizes as the format writes them
        axes = random.randrange(6)
        sizes = [random.choice((0, 1, 2, 3, 2**16, 2**31, 2**32 - 1)) for _ in range(axes)]
        head = struct.pack(f">HBB{axes}I", 0, random.choice((8, 9, 11, 12, 13, 14, 10)), axes, *sizes)
        return head + data[random.randrange(len(data)) :]
    return mutated(random, data, seeds)


def _mutate_idx_gz(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    return _packed(random, _mutate_idx(random, data, seeds) if random.random() < 0.4 else data, seeds)


def _packed(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Gzipped; whole, several pieces after each other, or damaged."""
    packed = gzip.compress(data, mtime=0)
    kind = random.random()
    if kind < 0.1:
        return packed + gzip.compress(random.choice(seeds), mtime=0)
    if kind < 0.12:
        return gzip.compress(data + bytes(random.choice((10**5, 10**5, 10**5, 2 * 10**7))), mtime=0)
    return mutated(random, packed, [gzip.compress(s, mtime=0) for s in seeds[:2]]) if kind < 0.8 else packed


def unpacked(data: bytes) -> bytes:
    """What a file holds, gzipped or not, by Python's own reading."""
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except Exception as error:
        raise Misread(f"gzip refuses it: {type(error).__name__}") from error


def _check_idx(path: Path, data: bytes) -> None:
    array, plain = read_idx(path), unpacked(data)
    kinds = {8: "u1", 9: "i1", 11: "i2", 12: "i4", 13: "f4", 14: "f8"}
    if plain[:2] != b"\0\0" or plain[2] not in kinds:
        raise Misread("it does not begin as IDX does")
    sizes = [int.from_bytes(plain[4 + 4 * i : 8 + 4 * i], "big") for i in range(plain[3])]
    if list(array.shape) != sizes or array.dtype != kinds[plain[2]]:
        raise Misread("another shape or type")
    if array.astype(">" + kinds[plain[2]]).tobytes() != plain[4 + 4 * plain[3] :]:
        raise Misread("other numbers, or something after them")


# ── TFRecord ────────────────────────────────────────────────────────────────────────────────────────────────

_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = _byte >> 1 ^ (0x82F63B78 if _byte & 1 else 0)
    _TABLE.append(_byte)


def _masked(data: bytes) -> int:
    """TensorFlow's checksum, the slow way."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _frame(record: bytes, length: int | None = None) -> bytes:
    head = struct.pack("<Q", len(record) if length is None else length)
    return head + struct.pack("<I", _masked(head)) + record + struct.pack("<I", _masked(record))


EXAMPLES = (
    {"label": [7], "name": [b"seven", b""], "pixels": [0.5, -1.0]},
    {"big": [2**63 - 1, -(2**63), 300], "ü": b"text"},
    {},
)


def _tfrecord_seeds() -> list[bytes]:
    records = [make_example(e) for e in EXAMPLES]
    return [b"".join(map(_frame, records)), _frame(b"abc"), written(lambda p: write_tfrecord(p, records), "x.gz"), b""]


def _mutate_tfrecord(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    kind = random.random()
    if kind < 0.3:  # lengths that lie, with their sums right
        record = make_example(random.choice(EXAMPLES))
        lie = random.choice((0, len(record) - 1, len(record) + 1, 2**31, 2**40, 2**63, 2**64 - 1))
        return _frame(b"first") + _frame(record, lie) + random.choice((b"", _frame(b"last")))
    return mutated(random, data, seeds)


def _check_tfrecord(path: Path, data: bytes) -> None:
    records, plain = list(read_tfrecord(path)), unpacked(data)
    if b"".join(map(_frame, records)) != plain:
        raise Misread("written again, the records are another file")


def _check_example(path: Path, data: bytes) -> None:
    features = parse_example(data)
    again = parse_example(make_example({name: v for name, v in features.items() if len(v)}))
    for name, value in features.items():
        if len(value) and not (again[name] == value if isinstance(value, list) else same(again[name], value)):
            raise Misread("written again, a feature is another")


# ── weights as safetensors ──────────────────────────────────────────────────────────────────────────────────


def _net() -> Any:
    first, last = layers.Dense(3, input_shape=(2,), name="first"), layers.Dense(1, name="last")
    return Sequential([first, last], name="net", seed=0)


NAMES = ["0", "2"]


def _torch_seeds() -> list[bytes]:
    found = [written(lambda path: pytorch.save(_net(), path, names=NAMES), "x.safetensors")]
    from safetensors.numpy import save

    state = pytorch.state_dict(_net(), names=NAMES)
    return [*found, save({k: v.astype(np.float16) for k, v in state.items()})]


def tensors_mutated(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """A safetensors file whose header says something else, of the right length."""
    if random.random() < 0.4:
        return mutated(random, data, seeds)
    (length,) = struct.unpack("<Q", data[:8])
    text = json_mutated(random, json.loads(data[8 : 8 + length])).encode()
    body = data[8 + length :]
    return struct.pack("<Q", len(text)) + text + (body if random.random() < 0.8 else mutated(random, body, times=1))


_model: list[Any] = []


def _check_torch(path: Path, data: bytes) -> None:
    if not _model:
        _model.append(_net())
    model = _model[0]
    pytorch.load(model, path, names=NAMES)
    from safetensors.numpy import load

    try:
        theirs = load(data)
    except Exception as error:
        raise Misread(f"safetensors refuses it: {type(error).__name__}") from error
    for name, value in pytorch.state_dict(model, names=NAMES).items():
        if not np.array_equal(value, theirs[name].astype(value.dtype)):
            raise Misread("other numbers than in the file")
        if not np.isfinite(value).all():
            raise Misread("weights that are not finite")


# ── data from a rule ────────────────────────────────────────────────────────────────────────────────────────

RULES = {
    "above": lambda a, b: a > b,
    "line": lambda a, b: 3 * a - b,
    "one": lambda a: int(a > 0),
    "quotient": lambda a, b: a / b,
    "root": lambda a: a**0.5,
    "text": lambda a: "a",
    "none": lambda a: None,
    "list": lambda a: [a, a],
    "huge": lambda a: 10**400,
    "any": lambda *a: sum(a),
}
ARGUMENTS = {"rule": "above", "n": 5, "bounds": [-1.0, 1.0], "noise": 0.1, "seed": 1}


def _rule_seeds() -> list[bytes]:
    pairs = [[0, 1], [-5, 5]]
    told = [ARGUMENTS, {**ARGUMENTS, "rule": "line", "bounds": pairs}, {**ARGUMENTS, "rule": "one", "noise": 0}]
    return [json.dumps(each).encode() for each in told]


def _mutate_rule(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    told = json.loads(data)
    if random.random() < 0.5:
        told["rule"] = random.choice(list(RULES))
    return json_mutated(random, told).encode()


def _check_rule(path: Path, data: bytes) -> None:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(told, dict) or set(told) - set(ARGUMENTS) or str(told.get("rule")) not in RULES:
        return
    if isinstance(told.get("n"), (int, float)) and told["n"] > 10_000:
        told["n"] = 10_000
    rule, noise = RULES[str(told.pop("rule"))], told.get("noise", 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x, y = from_rule(rule, **told)
        if len(x) != told.get("n", 500) or len(y) != len(x) or not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise Misread("rows are missing, or numbers are not finite")
        if noise == 0 and y.dtype.kind == "f":
            expected = np.float32([rule(*map(float, row)) for row in x])
            if not np.array_equal(expected, y):
                raise Misread("other values than the rule's")


FORMATS = (
    Format("npz", ".npz", _npz_seeds, _mutate_npz, _check_npz, 90),
    Format("npy", ".npz", _npz_seeds, _mutate_npy, _check_npz, 110),
    Format("idx", ".idx", _idx_seeds, _mutate_idx, _check_idx, 170),
    Format("idx-gz", ".idx.gz", _idx_seeds, _mutate_idx_gz, _check_idx, 80),
    Format("tfrecord", ".tfrecord", _tfrecord_seeds, _mutate_tfrecord, _check_tfrecord, 110),
    Format("example", ".bin", lambda: list(map(make_example, EXAMPLES)), mutated, _check_example, 100),
    Format("torch", ".safetensors", _torch_seeds, tensors_mutated, _check_torch, 50),
    Format("rule", ".json", _rule_seeds, _mutate_rule, _check_rule, 40),
)
