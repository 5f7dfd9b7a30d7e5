"""CSV. The oracle is Python's own csv module, asked to be strict: the same header, rows and cells."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random

from fuzzing.arrays import unpacked
from fuzzing.forms import Format, Misread
from fuzzing.mutations import mutated, text_mutated
from talweg.data import read_csv
from talweg.data.cells import UNNAMED, Cells, read_table
from talweg.data.csv_text import MISSING_WORDS, Dialect

SEEDS = (
    b"size,colour,kind\n" + b"1,red,cat\n2.5,blue,dog\n3,red,cat\n-4e2,blue,dog\n" * 2,
    b'name,"a ""b"" c",kind\n"x, y",1,true\nz,2,false\n"two\nlines",3,true\nz,4,false\n',
    b"\xef\xbb\xbfa,b,kind\r\n007,1,0\r\n008,2,1\r\n009,3,0\r\n010,4,1\r\n",
    "größe,kind\n16777217,1\n1,0\n2,1\n3,0\n".encode(),
)


def _mutate(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    return text_mutated(random, data) if random.random() < 0.75 else mutated(random, data, seeds)


def _check(path: Path, data: bytes) -> None:
    table, rows = read_table(path, Dialect()), _strict(unpacked(data))
    columns = {
        name.strip() or f"{UNNAMED} {i + 1}": [row[i].strip() for row in rows[1:]] for i, name in enumerate(rows[0])
    }
    columns = {
        name: texts
        for name, texts in columns.items()
        if not name.startswith(UNNAMED) or name in table.columns or any(texts)
    }
    if list(table.columns) != list(columns):
        raise Misread("another header")
    if len(table) != len(rows) - 1:
        raise Misread("another number of rows")
    for name, texts in columns.items():
        for i, text in enumerate(texts):
            _compare(table.columns[name], i, text)
    read_csv(path, target="kind")


def _strict(data: bytes) -> list[list[str]]:
    """Header and rows of equal length; blank lines, and an empty cell after the last separator of rows, left out."""
    mark = next((name for bom, name in BOMS.items() if data.startswith(bom)), "utf-8")
    try:
        text = data.decode(mark)
        spaced = re.search(r',[ \t]+"', text) is not None  # quotes that follow blanks
        if re.search("\r(?!\n)", text):
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        stream = io.StringIO(text, newline="")
        rows = list(csv.reader(stream, strict=True, skipinitialspace=spaced))
    except (ValueError, csv.Error) as error:
        raise Misread(f"the csv module refuses it: {type(error).__name__}") from error
    while rows and not any(cell.strip() for cell in rows[0]):
        rows.pop(0)
    rows = [row for row in rows if len(row) > 1 or "".join(row).strip()]
    if rows and all(len(row) == len(rows[0]) + 1 and not row[-1] for row in rows[1:]):
        rows = [rows[0], *(row[:-1] for row in rows[1:])]
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise Misread("rows of different lengths")
    if "\0" in text:
        raise Misread("a NUL in a text")
    if len(set(rows[0]) - {""}) < len([name for name in rows[0] if name]):
        raise Misread("two columns of one name")
    return rows


BOMS = {
    **{b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32"},
    **{b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"},
}


def _compare(cells: Cells, i: int, text: str) -> None:
    """One cell as it was read, and as it stands in the file."""
    if text in MISSING_WORDS:
        if not cells.missing[i]:
            raise Misread("a missing cell is read as one that is there")
    elif cells.texts is not None:
        if cells.texts[i] != text:
            raise Misread("a text is read as another")
    else:
        try:
            value = float(text)
        except ValueError:
            raise Misread("a text is read as a number") from None
        read = float(cells.numbers[i])
        if read != value or (math.isinf(read) and "inf" not in text.lower()):
            raise Misread("a number is read as another")


FORMATS = (Format("csv", ".csv", lambda: SEEDS, _mutate, _check, 12),)
