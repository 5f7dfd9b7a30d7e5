"""How a good file becomes a bad one: bytes, texts, JSON and zip archives, changed as their structure suggests.

Each function takes a `random.Random` and answers something new; what it is given stays as it is.
"""

from __future__ import annotations

import copy
import io
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Members = list[tuple[str, bytes]]
"""The members of an archive, in order."""

MOST = 200_000  # bytes that a mutation may make of a file: what is large is not stranger, only slower
WHOLE = (
    0,
    1,
    2,
    7,
    127,
    128,
    255,
    256,
    65535,
    65536,
    *(2**n + d for n in (31, 32, 53, 62, 63) for d in (-1, 0)),
    2**64 - 1,
)
NUMBERS = (
    *[
        "0",
        "1",
        "-1",
        "2",
        "0.5",
        "1e308",
        "1e309",
        "-1e999",
        "1e39",
        "1e-320",
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "16777217",
        "2147483648",
        "9007199254740993",
    ],
    *["18446744073709551616", "00", "1_000", "0x10", "1,5", "1.000.000", "+3", "-0", "1e", "--1", "True", "null", "١"],
    *("", " 1", "1 ", "1" + "0" * 400),
)
TOKENS = (
    *[
        ",",
        ";",
        '"',
        '""',
        "'",
        "\\",
        "é",
        "😀",
        "a",
        "*/",
        "/*",
        "<b>",
        "&",
        "{",
        "}",
        "[",
        "]",
        ":",
        "..",
        "/",
        "../x",
        "%s",
        "{0}",
        "#",
        "NA",
        "null",
        "None",
    ],
    *("\t", "\n", "\r", "\r\n", "\0", "\ufeff", "\u202e", "\x1b[31m", "\x85", "\u2028", "x" * 300),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 0.5, -0.0, 1e308, float("nan"), float("inf"), 2**31, 2**53 + 1, 2**63, 10**30),
    *["a", "relu", "selu", "softmax", "zeros", "*/", "../x", "Dense", "adam", "float64", "mse"],
    *("", "\0", "\x1b[2J", "x" * 2000, 10**10, {"class": "Dense"}, {"class": "Adam"}, {"shared": "a"}),
    *([], {}, [0], [1, 2], [[]], [-1], [2**40], [None]),
)


def mutated(random: Random, data: bytes, others: Sequence[bytes] = (), times: int | None = None) -> bytes:
    """A few changes of bytes, whatever they mean; `others` are files to take pieces from."""
    changed = bytearray(data)
    for _ in range(times or 1 + min(3, int(random.expovariate(1.0)))):
        random.choice(_BYTES)(random, changed, others)
    return bytes(changed[:MOST])


def _flip(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        if data:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    if data:
        data[_place(random, data)] = random.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, random.randrange(256)))


def _cut(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    del data[random.randrange(len(data) + 1) :]


def _remove(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    start = _place(random, data)
    del data[start : start + random.choice((1, 2, 4, 8, random.randrange(1, 64)))]


def _repeat(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    start = _place(random, data)
    piece = bytes(data[start : start + random.randrange(1, 64)])
    data[start:start] = piece * random.choice((1, 1, 1, 2, 50))


def _insert(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    at = random.choice((_place(random, data), len(data)))
    data[at:at] = random.randbytes(random.choice((1, 1, 2, 4, 16)))


def _splice(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    """The beginning of one file and the end of another, or a piece of the latter in the former."""
    other = random.choice(others) if others else bytes(data)
    start, at = random.randrange(len(other) + 1), _place(random, data)
    if random.random() < 0.5:
        data[at:] = other[start:]
    else:
        piece = other[start : start + random.randrange(1, 64)]
        data[at : at + len(piece)] = piece


def _number(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    """Some bytes become a number as lengths and sizes are written, of either order."""
    width = random.choice((1, 2, 4, 4, 8))
    value = random.choice((*WHOLE, len(data), len(data) + 1, max(0, len(data) - 1), random.randrange(1024)))
    at = _place(random, data)
    if at + width <= len(data):
        data[at : at + width] = (value % 256**width).to_bytes(width, random.choice(("little", "big")))


def _step(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    """One byte a little more or less: lengths that are off by one."""
    if data:
        at = _place(random, data)
        data[at] = (data[at] + random.choice((-2, -1, 1, 2))) % 256


def _exchange(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    size = random.choice((1, 4, 8, 16))
    a, b = _place(random, data), _place(random, data)
    if abs(a - b) >= size and max(a, b) + size <= len(data):
        data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


def _words(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    """A text within: its numbers and marks."""
    data[:] = text_mutated(random, bytes(data), times=1)


_BYTES = (
    *(_flip, _flip, _set, _set, _cut, _remove, _repeat, _insert, _splice),
    *(_number, _number, _step, _exchange, _words),
)


def _place(random: Random, data: bytearray) -> int:
    """Somewhere; more often near the beginning, where headers are."""
    if not data:
        return 0
    return random.randrange(min(len(data), 64)) if random.random() < 0.4 else random.randrange(len(data))


# ── texts ───────────────────────────────────────────────────────────────────────────────────────────────────

_TOKEN = re.compile(rb"[A-Za-z_][\w.]*|[-+]?\d[\d.eE+-]*|\s+|.", re.DOTALL)
_NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?")


def text_mutated(random: Random, data: bytes, times: int | None = None) -> bytes:
    """A text whose numbers, words, marks and lines are changed, exchanged, doubled or lost."""
    for _ in range(times or 1 + min(3, int(random.expovariate(1.0)))):
        kind = random.randrange(5)
        if kind == 0 and (found := list(_NUMBER.finditer(data))):
            place = random.choice(found)
            data = data[: place.start()] + random.choice(NUMBERS).encode() + data[place.end() :]
        elif kind == 1:
            lines = data.split(b"\n")
            at = random.randrange(len(lines))
            lines[at : at + 1] = random.choice(([], [lines[at]] * 2, [lines[at], random.choice(lines)]))
            data = b"\n".join(lines)
        else:
            tokens = _TOKEN.findall(data) or [b""]
            at = random.randrange(len(tokens))
            other = random.randrange(len(tokens))
            new = random.choice(TOKENS).encode()
            tokens[at] = random.choice((b"", new, tokens[at] + new, new + tokens[at], tokens[at] * 2, tokens[other]))
            data = b"".join(tokens)
    return data[:MOST]


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────


def json_mutated(random: Random, document: Any, times: int | None = None) -> str:
    """The text of a JSON document some of whose values, names or places were changed; now and then one member twice."""
    document = copy.deepcopy(document)
    for _ in range(times or 1 + min(2, int(random.expovariate(1.2)))):
        _change(random, document)
    text = json.dumps(document)
    kind = random.random()
    if kind < 0.1 and (places := list(re.finditer(r'\{(?="((?:[^"\\]|\\.)*)")', text))):
        place = random.choice(places)
        text = f'{text[: place.end()]}"{place[1]}": {json.dumps(random.choice(VALUES))}, {text[place.end() :]}'
    elif kind < 0.13:
        depth = random.choice((100, 5000, 100_000))
        text = text.replace("[", "[" * depth, 1)
    elif kind < 0.18 and (numbers := list(re.finditer(r"-?\d+(\.\d+)?", text))):
        place = random.choice(numbers)
        text = f"{text[: place.start()]}{random.choice(NUMBERS)}{text[place.end() :]}"
    return text


def _change(random: Random, document: Any) -> None:
    """One change somewhere in lists and dictionaries."""
    holders = [part for part in _parts(document) if isinstance(part, (dict, list)) and part]
    if not holders:
        return
    holder = random.choice(holders)
    key = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    kind = random.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[random.choice((*holder, "name", "class", "x", str(key) + "s"))] = holder.pop(key)
    elif kind == 2:
        holder[key] = copy.deepcopy(random.choice(list(_parts(document)))) if random.random() < 0.5 else [holder[key]]
    elif kind == 3 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(random.choice((*holder, *VALUES))))
    elif kind == 4 and isinstance(holder[key], (int, float)):
        holder[key] = holder[key] + random.choice((-1, 1, 0.5, 2**31))
    elif kind == 5 and isinstance(holder[key], str) and holder[key]:
        holder[key] = text_mutated(random, holder[key].encode(), times=1).decode(errors="replace")
    else:
        holder[key] = copy.deepcopy(random.choice(VALUES))


def _parts(document: Any) -> list[Any]:
    found, left = [], [document]
    while left and len(found) < 2000:
        part = left.pop()
        found.append(part)
        left += list(part.values()) if isinstance(part, dict) else part if isinstance(part, list) else []
    return found


# ── zip archives ────────────────────────────────────────────────────────────────────────────────────────────


def members_of(data: bytes) -> Members:
    """The members of a good archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def zipped(members: Members, random: Random | None = None) -> bytes:
    """An archive, with all sums right; `random` packs some members."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.NameToInfo = _Forgetful()  # or it warns of a name that comes twice
        for name, data in members:
            packs = random is not None and random.random() < 0.3
            how = zipfile.ZIP_DEFLATED if packs else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(name), data, how)
    return held.getvalue()


class _Forgetful(dict[str, Any]):
    def __contains__(self, name: object) -> bool:
        return False


def zip_mutated(random: Random, members: Members, change: Callable[[str, bytes], bytes]) -> bytes:
    """An archive with a member changed by `change`, lost, renamed, doubled or exchanged; or with other bytes."""
    members = list(members)
    kind, at = random.randrange(12), random.randrange(len(members))
    name, data = members[at]
    if kind == 0:
        del members[at]
    elif kind == 1:
        members.insert(random.randrange(len(members) + 1), (name, change(name, data)))
    elif kind == 2:
        names = (*(n for n, _ in members), name + "x", "../x", "/x", "a/b", "", name.upper())
        members[at] = (random.choice(names), data)
    elif kind == 3:
        other = random.randrange(len(members))
        members[at], members[other] = (name, members[other][1]), (members[other][0], data)
    elif kind == 4:
        members.append((random.choice(("x", "x.npy", "config.json", "model.weights.h5")), random.randbytes(20)))
    elif kind < 10:
        members[at] = (name, change(name, data))
    packed = zipped(members, random)
    return mutated(random, packed, times=1) if kind >= 10 or random.random() < 0.1 else packed
