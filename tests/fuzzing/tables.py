"""CSV. The oracle is Python's own csv module, asked to be strict: the same header, rows and cells."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.arrays import unpacked
from fuzzing.forms import Format, Misread
from fuzzing.mutations import mutated, text_mutated
from talweg.data import read_csv
from talweg.data.csv import parse_csv

SEEDS = (
    b"size,colour,kind\n" + b"1,red,cat\n2.5,blue,dog\n3,red,cat\n-4e2,blue,dog\n" * 2,
    b'name,"a ""b"" c",kind\n"x, y",1,true\nz,2,false\n"two\nlines",3,true\nz,4,false\n',
    b"\xef\xbb\xbfa,b,kind\r\n007,1,0\r\n008,2,1\r\n009,3,0\r\n010,4,1\r\n",
    "größe,kind\n16777217,1\n1,0\n2,1\n3,0\n".encode(),
)
MISSING = {
    "",
    "na",
    "n/a",
    "nan",
    "null",
    "none",
    "#n/a",
    "<na>",
    "-nan",
    "#na",
    "1.#ind",
    "1.#qnan",
    "-1.#ind",
    "-1.#qnan",
    "#n/a n/a",
}


def _mutate(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    return text_mutated(random, data) if random.random() < 0.75 else mutated(random, data, seeds)


def _check(path: Path, data: bytes) -> None:
    frame = parse_csv(path)
    rows = _strict(unpacked(data))
    if [str(name) for name in frame.columns] != rows[0]:
        raise Misread("another header")
    if len(frame) != len(rows) - 1:
        raise Misread("another number of rows")
    for at, name in enumerate(frame.columns):
        for cell, row in zip(frame[name].tolist(), rows[1:], strict=True):
            if not _is_same(cell, row[at]):
                raise Misread(f"a cell is read as another {type(cell).__name__}")
    read_csv(path, target="kind")


def _strict(data: bytes) -> list[list[str]]:
    try:
        text = data.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (ValueError, csv.Error) as error:
        raise Misread(f"the csv module refuses it: {type(error).__name__}") from error
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise Misread("rows of different lengths")
    if len(set(rows[0])) < len(rows[0]):
        raise Misread("two columns of one name")
    return rows


def _is_same(cell: Any, text: str) -> bool:
    if isinstance(cell, str):
        return cell.strip() == text.strip()
    if isinstance(cell, bool):
        return text.strip().lower() == str(cell).lower()
    if cell is None or (isinstance(cell, float) and math.isnan(cell)) or type(cell).__name__ == "NAType":
        return text.strip().lower() in MISSING
    try:
        value = int(text) if isinstance(cell, int) else float(text)
    except ValueError:
        return False
    return math.isclose(value, cell, rel_tol=4e-16) and not (math.isinf(value) and "inf" not in text.lower())


FORMATS = (Format("csv", ".csv", lambda: SEEDS, _mutate, _check, 12),)
