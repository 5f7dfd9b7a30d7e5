"""CSV: what stands in a file is read as it stands there, refused with its place and a remedy, or warned of."""

from __future__ import annotations

import csv
import io
import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talweg.data import TableData, read_csv, scale, train_test_split
from talweg.data.table import TableEncoding
from talweg.errors import CorruptFileError, DataError, DataWarning, TalwegError, UsageError, speaking

R = np.random.default_rng(0).normal(size=200).round(4)  # a feature that no one could take for anything else


def rows(cells: Callable[[int], str], n: int = 30) -> str:
    return "".join(cells(i) + "\n" for i in range(n))


def pq(i: int) -> str:
    return "pq"[i % 2]


def read(folder: Path, text: str | bytes, **how: Any) -> tuple[TableData, list[str]]:
    path = folder / "case.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        table = read_csv(path, **{"target": "y", **how})
    assert all(issubclass(w.category, DataWarning) and w.filename == __file__ for w in seen)
    return table, [str(w.message) for w in seen]


ONE = "a,y\n"
SEMICOLONS = {"separator": ";", "decimal": ","}
REFUSED: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    # tables as Excel, UCI and Kaggle have them
    "another mark, all names in quotes": (
        '"a";"y"\n' + rows(lambda i: f'{R[i]};"{pq(i)}"'),
        {},
        "not parted by ','.*separator=';'",
    ),
    "another mark, said by Excel": (
        "sep=;\na;y\n" + rows(lambda i: f"{R[i]};{pq(i)}"),
        {},
        "first line.*separator=';'",
    ),
    "no header, and equal numbers in its place": (
        "0,0,p\n" + rows(lambda i: f"{R[i]},{i % 2},{pq(i)}"),
        {"target": "c3"},
        "both called '0'.*header=False",
    ),
    "a title above the header": ("Trial of May\n\n" + ONE[:-1] + ",b\n1,p,2\n", {}, "begin in line 3"),
    "lines above the header": (
        "Trial,\n2024,\n" + ONE + rows(lambda i: f"{R[i]},{pq(i)}"),
        {},
        r"Row 2 \(line 3\) holds 'y'",
    ),
    "cells parted by blanks": ("a  y\n" + rows(lambda i: f"{R[i]}  {pq(i)}"), {}, "separator=' '"),
    "Japanese": (
        ("a,b,y\n" + rows(lambda i: f"{R[i]},{'東京'[i % 2]},{pq(i)}")).encode("cp932"),
        {},
        "cp932.*Japanese",
    ),
    "all that is wrong, at once": (
        "name,ticket,a,y\n" + rows(lambda i: f"n{i},t{i},{'' if i == 3 else R[i]},{pq(i)}"),
        {},
        r"missing values in 1 .*Also, column 'name'.*ignore=\['name'\]\. Also, column 'ticket'",
    ),
    "no target in some rows": (
        ONE + rows(lambda i: f"{R[i]},{'' if i == 3 else pq(i)}"),
        {},
        "the target. missing='drop'",
    ),
    "decimal commas and whole numbers": (
        "a;b;y\n" + rows(lambda i: f"{['1,3', '2', '1,7', '3,3'][i % 4]};{i * i % 7};{pq(i)}"),
        {"separator": ";"},
        "decimal=','",
    ),
    "thousands where the decimal mark is a comma": (
        "a;b;y\n" + rows(lambda i: f"{['1.234', '999', '2.500'][i % 3]};{i * i % 7},5;{pq(i)}"),
        SEMICOLONS,
        r"thousands='\.'",
    ),
    "decimal points where the decimal mark is a comma": (
        "a;b;y\n" + rows(lambda i: f"{['1.25', '9', '2.5'][i % 3]};{i * i % 7},5;{pq(i)}"),
        SEMICOLONS,
        r"decimal='\.'",
    ),
    "blanks between thousands": ("a;y\n" + rows(lambda i: f"{i + 1}\u202f500,5;{pq(i)}"), SEMICOLONS, "thousands=' '"),
    "apostrophes between thousands": (ONE + rows(lambda i: f"{i + 1}’500.5,{pq(i)}"), {}, 'thousands="\'"'),
    "blanks in money": ("a;y\n" + rows(lambda i: f"{i + 1}\u202f500,50 €;{pq(i)}"), SEMICOLONS, "a currency"),
    "digits of full width": (ONE + rows(lambda i: f"{'１２３'[i % 3]},{pq(i)}"), {}, "other letters than 0 to 9"),
    "codes among numbers": (
        "a,b,y\n" + rows(lambda i: f"{['75', '13', '2A'][i % 3]},{R[i]},{pq(i)}"),
        {},
        r"categorical=\['a'\]",
    ),
    "dates with short years": (ONE + rows(lambda i: f"1/{i + 1}/24,{pq(i)}"), {}, r"two digits.*categorical=\['a'\]"),
    "dates with months' names": (ONE + rows(lambda i: f"{i + 1:02}-Mar-2024,{pq(i)}"), {}, "names of months"),
    "Japanese dates": (ONE + rows(lambda i: f"2024年3月{i + 1}日,{pq(i)}"), {}, "look like dates"),
    "errors of Excel": (
        "a,b,y\n" + rows(lambda i: f"{'#DIV/0!' if i % 3 else R[i]},{R[i]},{pq(i)}"),
        {},
        r"errors of a spreadsheet.*empty \(missing\)",
    ),
    "Fortran's exponents": (ONE + rows(lambda i: f"1.{i}D-03,{pq(i)}"), {}, "write E for D"),
    "times of day": (ONE + rows(lambda i: f"10:{i + 10},{pq(i)}"), {}, "times of day"),
    # numbers that the engine cannot hold, or that would become one another
    "a feature of 1e39": (
        ONE + rows(lambda i: f"{'1e39' if i == 1 else R[i]},{pq(i)}"),
        {},
        r"float32.*row 2 \(line 3",
    ),
    "a feature of 1e400": (
        ONE + rows(lambda i: f"{'1e400' if i == 1 else R[i]},{pq(i)}"),
        {},
        "finite number.*'1e400'",
    ),
    "a target of 1e39": (ONE + rows(lambda i: f"{R[i]},{'1e39' if i == 1 else i + 0.5}"), {}, r"'y'.*float32.*line 3"),
    "targets whose squares overflow": (
        ONE + rows(lambda i: f"{R[i]},{1e30 * (i + 1)}"),
        {},
        "divide by a power of ten",
    ),
    "targets that float32 rounds": (
        ONE + rows(lambda i: f"{R[i]},{1.7e9 + i * 0.5}"),
        {},
        "rounded together by float32",
    ),
    "numbers of 70 bits": (ONE + rows(lambda i: f"{2**70 + i},{pq(i)}"), {}, r"more digits than .*ignore=\['a'\]"),
    "identifiers of 61 bits": (ONE + rows(lambda i: f"{2**60 + i},{pq(i)}"), {}, "more digits than a number can hold"),
    "targets of 61 bits": (ONE + rows(lambda i: f"{R[i]},{2**60 + 3 * i}"), {}, "rounded together"),
    "infinity": (ONE + rows(lambda i: f"{'Infinity' if i == 3 else R[i]},{pq(i)}"), {}, r"line 5\) holds 'Infinity'"),
    # columns
    "two targets": ("a,y,y\n" + rows(lambda i: f"{R[i]},{pq(i)},{pq(i)}"), {}, "columns 2 and 3 are both called 'y'"),
    "two features of a name": ("a, a,y\n" + rows(lambda i: f"{R[i]},1,{pq(i)}"), {}, "columns 1 and 2"),
    "another separator": ("a;y\n" + rows(lambda i: f"{R[i]};{pq(i)}"), {}, "separator=';'"),
    "a million columns": (",".join("c" * 10**6) + "\n", {}, "1,000,000 columns are more than"),
    "nothing but a row number": (",y\n" + rows(lambda i: f"{i},{pq(i)}"), {}, "without a name.*give it a name"),
    "no header": ("\n" + rows(lambda i: f"{R[i]},{pq(i)}"), {}, "The first row looks like data.*header=False"),
    "a comment before the header": ("# by me\na,y\n1,2\n", {}, "comment='#'"),
    "only a header": (ONE, {}, "0 rows"),
    "an empty file": ("", {}, "the file is empty"),
    "an empty column": ("a,c,y\n" + rows(lambda i: f"{R[i]},,{pq(i)}"), {}, r"'c' has 30.*ignore=\['c'\]"),
    "one class": (ONE + rows(lambda i: f"{R[i]},p"), {}, "at least two classes"),
    "one class and blanks": (ONE + rows(lambda i: f"{R[i]},{['p', ' p', 'p '][i % 3]}"), {}, "differ in blanks alone"),
    "names": ("n,a,y\n" + rows(lambda i: f"Mr {i},{R[i]},{pq(i)}"), {}, r"'n': 30 different texts.*ignore=\['n'\]"),
    "names to predict": (ONE + rows(lambda i: f"{R[i]},Mr {i}"), {}, "are no classes.*target"),
    # the form
    "a NUL": ((ONE + rows(lambda i: f"{R[i]},{pq(i)}")).replace("q\n", "q\0z\n", 1), {}, "line 3 holds a NUL"),
    "NULs": (b"\0" * 100, {}, "line 1 holds a NUL"),
    "UTF-16 that does not say so": ((ONE + rows(lambda i: f"{i},{pq(i)}")).encode("utf-16-le"), {}, "utf-16-le"),
    "Latin-1": ((ONE + rows(lambda i: f"{R[i]},é", 2)).encode("latin-1"), {}, "of line 2 is 0xe9; .*encoding='cp1252'"),
    "a quote that never closes": (ONE + '1,"p\n2,q\n', {}, "row that begins in line 2"),
    "a quote that closes later": (ONE + '1,p\n2,"q\n3,p\n4,q"\n5,p\n', {}, "opens in line 3 and closes in line 5"),
    "text after a quote": (ONE + '1,"p"x\n', {}, "quotes in pairs"),
    "a short row": ("a,b,y\n1,2,p\n3,q\n", {}, "row in line 3 has 2: '3', 'q'"),
    "a long row": ("a,y\n1,p\n3,q,7\n", {}, "row in line 3 has 3"),
    "long rows": ("a,y\n1,p,9\n3,q,9\n", {}, "row in line 2 has 3"),
    "some trailing commas": ("a,y\n1,p\n3,q,\n", {}, "row in line 3 has 3"),
    "a comment": ("a,y\n1,p\n# so far\n3,q\n", {}, "comment='#'"),
    "a comment with cells": ("a,y\n1.5,p\n#so far,\n3.5,q\n", {}, "comment='#'"),
    "a cell without end": (ONE + f'1,"{"x" * 200_000}"\n', {}, "line 2 has a cell of more than"),
    "half an archive": ("\x1f\x8bxx".encode("latin-1"), {}, "gzip"),
    "a workbook": (b"PK\x03\x04" + bytes(range(256)), {}, "workbook"),
    # texts that are nearly numbers
    "decimal commas": ("a;y\n" + rows(lambda i: f"1,{i};{pq(i)}"), {"separator": ";"}, "decimal=','"),
    "thousands": (ONE + rows(lambda i: f'"{i},000",{pq(i)}'), {}, "thousands=','"),
    "hexadecimal": (ONE + rows(lambda i: f"0x{i:x},{pq(i)}"), {}, "hexadecimal"),
    "percentages": (ONE + rows(lambda i: f"{i}%,{pq(i)}"), {}, "take the % out"),
    "money": (ONE + rows(lambda i: f"${i}.50,{pq(i)}"), {}, "currency"),
    "units": (ONE + rows(lambda i: f"{i} kg,{pq(i)}"), {}, "write the unit into the column's name"),
    "money to predict": (ONE + rows(lambda i: f"{R[i]},$ {i}"), {}, "currency"),
    "1_0": (
        ONE + rows(lambda i: f"{'1_0' if i == 3 else R[i]},{pq(i)}"),
        {},
        r"'1_0' in row 4 \(line 5\).*take the _ out",
    ),
    "complex": (ONE + rows(lambda i: f"{'1+2j' if i == 3 else R[i]},{pq(i)}"), {}, "complex"),
    "a question mark": (ONE + rows(lambda i: f"{'?' if i == 3 else R[i]},{pq(i)}"), {}, r"na_values=\['\?'\]"),
    "other digits": (ONE + rows(lambda i: f"{'٣' if i == 3 else R[i]},{pq(i)}"), {}, "'٣' in row 4"),
    "True and 5": (ONE + rows(lambda i: f"{['True', '5'][i % 2]},{pq(i)}"), {}, "15 cells are numbers and 15 are not"),
    "a word among dates": (
        "d,y\n" + rows(lambda i: f"{'soon' if i == 3 else '2024-01-03'},{pq(i)}"),
        {},
        "are dates and 1",
    ),
    "dates of two readings": (
        "d,y\n" + rows(lambda i: f"{i % 12 + 1}/1/2024,{pq(i)}"),
        {},
        "date_order='dmy' or .*'mdy'",
    ),
    "a day that never was": ("d,y\n" + rows(lambda i: f"2024-02-{i + 1:02},{pq(i)}"), {}, "holds '2024-02-30'"),
    # arguments
    "a missing cell": (ONE + rows(lambda i: f"{'nan' if i == 3 else R[i]},{pq(i)}"), {}, "'a' has 1.*missing='drop'"),
    "a mean of texts": (
        "c,y\n" + rows(lambda i: f"{['u', 'v', ''][i % 3]},{pq(i)}"),
        {"missing": "mean"},
        "most_frequent",
    ),
    "an unknown encoding": (ONE, {"encoding": "utf-99"}, "no encoding"),
    "an encoding of bytes": (ONE, {"encoding": "hex"}, "does not turn bytes into text"),
    "two separators": (ONE, {"separator": ";;"}, "separator: expected one character"),
    "the target left out": ("a,b,y\n1,2,3\n", {"ignore": ["y"]}, "'y' is the target"),
    "a text for columns": ("a,b,y\n1,2,3\n", {"ignore": "a"}, r"give ignore=\['a'\]"),
    "texts as time": ("d,a,y\n" + rows(lambda i: f"t{i % 3},{R[i]},{pq(i)}"), {"split_by": "d"}, "holds texts"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    text, how, says = REFUSED[case]
    with pytest.raises(TalwegError, match=re.compile(says, re.DOTALL)) as raised, warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        read(tmp_path, text, **how)
    said = str(raised.value)
    assert len(said) < 3000
    assert "case.csv" in said or isinstance(raised.value, UsageError)
    with pytest.raises(TalwegError) as again, speaking(lambda name, value=...: f"<{name}>"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        read(tmp_path, text, **how)
    assert not re.search(r"\b[a-z_]+=['\[0-9]", str(again.value)), "an argument not in the words of whoever asked"


# text, arguments, the first features, the classes, what the warnings say
Case = tuple[str | bytes, dict[str, Any], list[list[float]] | None, tuple[str, ...] | None, tuple[str, ...]]
ACCEPTED: dict[str, Case] = {
    "Excel's first line": (
        "sep=;\r\na;y\r\n" + rows(lambda i: f"{R[i]};{pq(i)}"),
        {"separator": ";"},
        [[R[0]]],
        None,
        (),
    ),
    "tabs, as shells have them": (
        "a\ty\n" + rows(lambda i: f"{R[i]}\t{pq(i)}"),
        {"separator": r"\t"},
        [[R[0]]],
        None,
        (),
    ),
    "empty rows of Excel": (
        "a,b,y\n,,\n" + rows(lambda i: f"{R[i]},{R[i + 50]},{pq(i)}\n, ,"),
        {},
        [[R[0], R[50]], [R[1], R[51]]],
        ("p", "q"),
        (),
    ),
    "thousands parted by blanks of any kind": (
        "a;y\n" + rows(lambda i: f"{i * i % 7 + 1}{chr((0x202F, 0xA0, 32)[i % 3])}500,5;{pq(i)}"),
        {**SEMICOLONS, "thousands": " "},
        [[1500.5], [2500.5], [5500.5]],
        None,
        (),
    ),
    "accents as letters of their own": (
        "a,cate\u0301,y\n" + rows(lambda i: f"{R[i]},{('u', 'e' + chr(0x301), chr(233))[i % 3]},{pq(i)}"),
        {"categorical": ["cat\u00e9"]},
        [[R[0], 1, 0], [R[1], 0, 1], [R[2], 0, 1]],
        None,
        (),
    ),
    "blanks that cannot be told apart": (
        "c,a,y\n" + rows(lambda i: f"{('New York', 'New' + chr(160) + 'York', 'Oslo')[i % 3]},{R[i]},{pq(i)}"),
        {},
        None,
        None,
        (r"'New York' and 'New\\xa0York' differ in blanks or unseen",),
    ),
    "one feature that counts": (ONE + rows(lambda i: f"{i},{R[i]}"), {}, [[0], [1]], None, ()),
    "identifiers in any order": (
        "userId,a,y\n" + rows(lambda i: f"{i * 7919 % 1000 + i * 1000 * (-1) ** i},{R[i]},{pq(i)}"),
        {},
        None,
        None,
        ("called an identifier",),
    ),
    "many constants, in one sentence": (
        "a,c,d,e,y\n" + rows(lambda i: f"{R[i]},7,0,u,{pq(i)}"),
        {},
        [[R[0]]],
        None,
        ("3 columns hold the same in every row.*c, d, e",),
    ),
    "dates as numbers": (
        "d,a,y\n" + rows(lambda i: f"202401{i * 7 % 30 + 1:02},{R[i]},{pq(i)}", 60),
        {},
        [[20240101]],
        None,
        ("look like dates.*write 2024-01-01",),
    ),
    "hours of twelve, and a zone": (
        "d,a,y\n" + rows(lambda i: f"2024/03/{i % 28 + 1} 12:00:00 {'AP'[i % 2]}M GMT+6,{R[i]},{pq(i)}"),
        {},
        [[0, R[0]], [1.5, R[1]]],
        None,
        (),
    ),
    "fractions of seconds after a comma": (
        "d;a;y\n" + rows(lambda i: f"2024-03-{i % 28 + 1:02} {i % 2 * 12:02}:00:00,000;{i * i % 7};{pq(i)}"),
        {"separator": ";"},
        [[0, 0], [1.5, 1]],
        None,
        (),
    ),
    "few dates with short years": (
        "d,a,y\n" + rows(lambda i: f"0{i % 3 + 1}.02.24,{R[i]},{pq(i)}"),
        {},
        [[1, 0, 0, R[0]]],
        None,
        ("read as categories.*years of two digits",),
    ),
    "ids above 2^24": (
        "a,b,y\n" + rows(lambda i: f"{2**24 + i * i % 7},{R[i]},{pq(i)}"),
        {},
        [[2**24], [2**24 + 1]],
        None,
        (),
    ),
    "a trailing comma": (ONE + rows(lambda i: f"{R[i]},{pq(i)},"), {}, [[R[0]]], ("p", "q"), ()),
    "trailing commas everywhere": ("a,y,\n" + rows(lambda i: f"{R[i]},{pq(i)},"), {}, [[R[0]]], ("p", "q"), ()),
    "a byte order mark": ("\ufeffy,a\n" + rows(lambda i: f"{pq(i)},{R[i]}"), {}, [[R[0]]], ("p", "q"), ()),
    "UTF-16": ((ONE + rows(lambda i: f"{R[i]},{pq(i)}")).encode("utf-16"), {}, [[R[0]]], ("p", "q"), ()),
    "old line ends": ((ONE + rows(lambda i: f"{R[i]},{pq(i)}")).replace("\n", "\r"), {}, [[R[0]], [R[1]]], None, ()),
    "blank lines": ("\n \na,y\n" + rows(lambda i: f"{R[i]},{pq(i)}\n  "), {}, [[R[0]], [R[1]]], None, ()),
    "blanks before quotes": ("a, y\n" + rows(lambda i: f'{R[i]}, "{pq(i)}"'), {}, None, ("p", "q"), ()),
    "decimal commas": (
        "a;y\n" + rows(lambda i: f"{R[i]};{pq(i)}".replace(".", ",")),
        {"separator": ";", "decimal": ","},
        [[R[0]]],
        None,
        (),
    ),
    "decimal commas in quotes": (
        ONE + rows(lambda i: f'"{R[i]}",{pq(i)}'.replace(".", ",")),
        {"decimal": ","},
        [[R[0]]],
        None,
        (),
    ),
    "thousands": (
        ONE + rows(lambda i: f'"{(i * i) % 7 + 1},000.5",{pq(i)}'),
        {"thousands": ","},
        [[1000.5], [2000.5]],
        None,
        (),
    ),
    "comments": ("#a\na,y\n#b,\n" + rows(lambda i: f"{R[i]},{pq(i)}"), {"comment": "#"}, [[R[0]]], None, ()),
    "no header": (
        rows(lambda i: f"{R[i]},{pq(i)}"),
        {"header": False, "target": "c2"},
        [[R[0]], [R[1]]],
        ("p", "q"),
        (),
    ),
    "encoding": (
        (ONE + rows(lambda i: f"{R[i]},{'éq'[i % 2]}")).encode("cp1252"),
        {"encoding": "cp1252"},
        None,
        ("q", "é"),
        (),
    ),
    "yes and no": (
        "a,b,y\n" + rows(lambda i: f"{['yes', 'no'][i % 3 > 0]},{R[i]},{pq(i)}"),
        {},
        [[0, 1, R[0]], [1, 0, R[1]]],
        None,
        (),
    ),
    "true and 1": (
        "a,b,y\n" + rows(lambda i: f"{['true', '1', '0', 'false'][i % 4]},{R[i]},{pq(i)}"),
        {},
        [[1, R[0]], [1, R[1]], [0, R[2]]],
        None,
        ("in two ways",),
    ),
    "a class called NA": (
        ONE + rows(lambda i: f"{R[i]},{['p', 'NA'][i % 2]}"),
        {"na_values": [""]},
        None,
        ("NA", "p"),
        (),
    ),
    "a dropped class NA": (
        ONE + rows(lambda i: f"{R[i]},{['p', 'NA', 'q'][i % 3]}"),
        {"missing": "drop"},
        [[R[0]], [R[2]]],
        ("p", "q"),
        (r"Read as missing: 'NA'.*na_values=\[''\]",),
    ),
    "codes as classes": (ONE + rows(lambda i: f"{R[i]},{['007', '08'][i % 2]}"), {}, None, ("007", "08"), ()),
    "007 and 7": (
        ONE + rows(lambda i: f"{R[i]},{['007', '7', '8'][i % 3]}"),
        {},
        None,
        ("007", "7", "8"),
        ("the same number",),
    ),
    "classes with points": (ONE + rows(lambda i: f"{R[i]},{i % 2 + 1}.0"), {}, None, ("1", "2"), ()),
    "classes beyond 2^53": (
        ONE + rows(lambda i: f"{R[i]},{2**53 + i % 2}"),
        {},
        None,
        (str(2**53), str(2**53 + 1)),
        (),
    ),
    "classes of 1e300": (ONE + rows(lambda i: f"{R[i]},{['2', '1e300'][i % 2]}"), {}, None, ("2", "1e300"), ()),
    "blanks around classes": (
        ONE + rows(lambda i: f"{R[i]},{['p', ' p', 'q '][i % 3]}"),
        {},
        None,
        ("p", "q"),
        ("differ in blanks alone",),
    ),
    "capitals": (
        ONE + rows(lambda i: f"{R[i]},{['p', 'P', 'q'][i % 3]}"),
        {},
        None,
        ("P", "p", "q"),
        ("in capitals alone",),
    ),
    "a class with one row": (
        ONE + rows(lambda i: f"{R[i]},{'r' if i == 4 else pq(i)}"),
        {},
        None,
        ("p", "q", "r"),
        ("class r has one row",),
    ),
    "codes": (
        "z,b,y\n" + rows(lambda i: f"0{i * 7 % 13},{R[i]},{pq(i)}"),
        {},
        [[0], [7]],
        None,
        (r"'00' as 0; .*categorical=\['z'\]",),
    ),
    "codes as categories": (
        "z,b,y\n" + rows(lambda i: f"{1 + i % 2},{R[i]},{pq(i)}"),
        {"categorical": ["z"]},
        [[1, 0], [0, 1]],
        None,
        ("tells the target",),
    ),
    "an index of pandas": (
        ",a,y\n" + rows(lambda i: f"{i},{R[i]},{pq(i)}"),
        {},
        [[R[0]]],
        None,
        ("without a name.*counts the rows",),
    ),
    "an index of pandas, saved twice": (
        "Unnamed: 0,a,y\n" + rows(lambda i: f"{i},{R[i]},{pq(i)}"),
        {},
        [[R[0]]],
        None,
        ("without a name",),
    ),
    "a column without a name": (
        "a,,y\n" + rows(lambda i: f"{R[i]},{R[i + 50]},{pq(i)}"),
        {},
        [[R[0]]],
        None,
        ("give it a name there to keep it",),
    ),
    "a counter": (
        "n,a,y\n" + rows(lambda i: f"{i},{R[i]},{pq(i)}"),
        {},
        None,
        None,
        (r"'n' only counts the rows.*ignore=\['n'\]",),
    ),
    "a counter from one": ("n,a,y\n" + rows(lambda i: f"{i + 1},{R[i]},{pq(i)}"), {}, None, None, ("'n' only counts",)),
    "a counter in tens, backwards": (
        "n,a,y\n" + rows(lambda i: f"{-10 * i},{R[i]},{pq(i)}"),
        {},
        None,
        None,
        ("in steps of -10",),
    ),
    "a counter among dropped rows": (
        "n,a,y\n" + rows(lambda i: f"{i},{'' if i % 5 == 0 else R[i]},{pq(i)}"),
        {"missing": "drop"},
        None,
        None,
        ("'n' only counts",),
    ),
    "sorted identifiers": (
        "n,a,y\n" + rows(lambda i: f"{i * i + 5},{R[i]},{pq(i)}"),
        {},
        None,
        None,
        ("different in every row and sorted",),
    ),
    "a shuffled counter": (
        "n,a,y\n" + rows(lambda i: f"{i * 7 % 30},{R[i]},{pq(i)}"),
        {},
        None,
        None,
        ("numbers the rows",),
    ),
    "a constant": (
        "a,c,y\n" + rows(lambda i: f"{R[i]},7,{pq(i)}"),
        {},
        [[R[0]]],
        None,
        ("'c' holds '7' in every row",),
    ),
    "a copy of the classes": (
        "a,c,y\n" + rows(lambda i: f"{R[i]},{i % 2},{pq(i)}"),
        {},
        None,
        None,
        (r"'c' tells the target.*ignore=\['c'\]",),
    ),
    "a copy of the values": (
        "a,c,y\n" + rows(lambda i: f"{R[i + 50]},{R[i]},{R[i]}"),
        {},
        None,
        None,
        ("'c' tells the target",),
    ),
    "many categories": (
        "c,a,y\n" + rows(lambda i: f"c{i % 90},{R[i % 200]},{pq(i)}", 400),
        {},
        None,
        None,
        ("90 different texts",),
    ),
    "few units": (
        "c,a,y\n" + rows(lambda i: f"{i % 3} kg,{R[i]},{pq(i)}"),
        {},
        [[1, 0, 0]],
        None,
        ("look like numbers with a unit",),
    ),
    "some numbers among texts": (
        "c,a,y\n" + rows(lambda i: f"{['u', 'v', '7'][i % 3]},{R[i]},{pq(i)}"),
        {},
        [[0, 1, 0]],
        None,
        ("mixes texts with 10 numbers",),
    ),
    "data as a header": (
        "5.1,3.5,s\n" + rows(lambda i: f"{R[i]},{R[i + 50]},{pq(i)}"),
        {"target": "s"},
        None,
        None,
        ("header=False",),
    ),
    "the wrong encoding": (
        ONE + rows(lambda i: f"{R[i]},{'éq'[i % 2]}"),
        {"encoding": "latin-1"},
        None,
        None,
        ("text in UTF-8 too",),
    ),
    "line ends in a cell": (
        'c,a,y\n"u\nv",1.5,p\n' + rows(lambda i: f"uv,{R[i]},{pq(i)}"),
        {},
        None,
        None,
        ("line 2 has a cell that goes on to line 3",),
    ),
    "a category of its own": (
        "c,a,y\n" + rows(lambda i: f"{['u', 'v', ''][i % 3]},{R[i]},{pq(i)}"),
        {"missing": "category"},
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        None,
        (),
    ),
    "the most frequent": (
        "c,a,y\n" + rows(lambda i: f"{['u', 'v', '', 'u'][i % 4]},{R[i]},{pq(i)}"),
        {"missing": "most_frequent"},
        [[1, 0], [0, 1], [1, 0]],
        None,
        (),
    ),
    "days": ("d,a,y\n" + rows(lambda i: f"2024-02-{i * 7 % 29 + 1:02},{R[i]},{pq(i)}"), {}, [[0], [7]], None, ()),
    "parts of dates": (
        "d,a,y\n" + rows(lambda i: f"{i + 1}.3.2024 12:30,{R[i]},{pq(i)}"),
        {"dates": "parts"},
        [[2024, 3, 1, 4, 12.5], [2024, 3, 2, 5, 12.5]],
        None,
        (),
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(tmp_path: Path, case: str) -> None:
    text, how, features, classes, told = ACCEPTED[case]
    table, seen = read(tmp_path, text, **how)
    if features is not None:
        assert table.features[: len(features), : len(features[0])].tolist() == features
    if classes is not None:
        assert table.class_names == classes
    assert len(seen) == len(told), seen
    for pattern, said in zip(told, seen, strict=True):
        assert re.search(pattern, said) and "case.csv" in said
    again = TableEncoding.from_config(table.encoding.to_config())
    assert again == table.encoding
    read_again = again.encode(again.read(tmp_path / "case.csv")) if how.get("missing") != "drop" else table.features
    np.testing.assert_array_equal(read_again, table.features)


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("offset", [2.0**24, 1e9, 1e12, -1.7e9])
def test_small_differences_on_a_large_offset_survive(tmp_path: Path, offset: float) -> None:
    numbers = [offset + i % 7 for i in range(60)]
    table, _ = read(tmp_path, "a,b,y\n" + rows(lambda i: f"{numbers[i]!r},{R[i]},{pq(i)}", 60))
    assert table.features[:, 0].tolist() == numbers
    scaled, _ = scale(table.features)
    narrow = table.in_float32(np.arange(40))
    assert narrow.features.dtype == np.float32
    for column in (scaled[:, 0], narrow.features[:, 0]):
        assert len(np.unique(column)) == 7 and np.isfinite(column).all() and np.abs(column).max() < 10
    np.testing.assert_array_equal(
        narrow.encoding.encode({"a": numbers, "b": R[:60]})[:, 0].astype(np.float32), narrow.features[:, 0]
    )


@pytest.mark.parametrize("size", [1e-40, 1e-30, 1e25, 1e38])
def test_neither_tiny_nor_huge_numbers_become_one(tmp_path: Path, size: float) -> None:
    table, _ = read(tmp_path, "a,b,y\n" + rows(lambda i: f"{size * (i % 5) / 5!r},{R[i]},{pq(i)}"))
    column = table.in_float32(np.arange(20)).features[:, 0]
    assert len(np.unique(column)) == 5 and 0.1 < column.std() < 10


PLAIN = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats(-1e30, 1e30).map(repr),
    st.sampled_from(["007", " 5", "+.5", "1e3", "2."]),
)


@given(st.lists(PLAIN, min_size=12, max_size=40))
@settings(max_examples=60, deadline=None)
def test_every_number_is_the_one_that_stands_there(tmp_path_factory: pytest.TempPathFactory, cells: list[str]) -> None:
    folder = tmp_path_factory.mktemp("csv")
    try:
        table, _ = read(folder, "a,b,y\n" + "".join(f"{cell},{i % 3},{i * 0.5}\n" for i, cell in enumerate(cells)))
    except DataError as error:
        assert "more digits than" in str(error) or "is left" in str(error)
        return
    if "a" in table.feature_names:
        assert table.features[:, 0].tolist() == [float(cell) for cell in cells]


MARKS = st.text(st.sampled_from('a1,;"\n\r\t .#é\0-'), max_size=60)


@given(MARKS, st.sampled_from(["", "a,y\n", 'a,b,y\n1,2,p\n"']))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_table_or_a_named_error(tmp_path_factory: pytest.TempPathFactory, text: str, before: str) -> None:
    folder = tmp_path_factory.mktemp("csv")
    try:
        table, _ = read(folder, before + text, missing="drop")
    except (TalwegError, OSError):
        return
    expected = [row for row in csv.reader(io.StringIO(before + text, newline="")) if any(c.strip() for c in row)]
    assert len(table.target) <= len(expected) - 1
    assert np.isfinite(table.features).all()


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_parts_in_the_order_of_time(tmp_path: Path) -> None:
    days = [i * 37 % 100 for i in range(100)]
    text = "when,a,y\n" + "".join(f"2024-{d // 28 + 1:02}-{d % 28 + 1:02},{R[i]},{pq(i)}\n" for i, d in enumerate(days))
    table, _ = read(tmp_path, text, split_by="when")
    assert table.feature_names == ("a",) and table.time is not None
    train, validation, test = train_test_split(table.time, test_size=0.2, validation_size=0.1, order_by=table.time)
    assert [len(part) for part in (train, validation, test)] == [70, 10, 20]
    assert train.max() < validation.min() <= validation.max() < test.min()
    both, _ = read(tmp_path, text, split_by="when", dates="parts")
    assert both.feature_names[:2] == ("when.year", "when.month")


def test_rows_of_one_time_stay_together() -> None:
    time = np.repeat(np.arange(10), 10)
    train, test = train_test_split(time, test_size=0.25, order_by=time)
    assert set(train) & set(test) == set() and len(test) in (20, 30)
    for bad, says in (([0.0] * 100, "1 different times"), ([math.nan] * 100, "none missing"), ([1, 2], "each of 100")):
        with pytest.raises(DataError, match=says):
            train_test_split(time, order_by=bad)
    with pytest.raises(UsageError, match="leave stratify out"):
        train_test_split(time, order_by=time, stratify=time)


# ── prediction ──────────────────────────────────────────────────────────────────────────────────────────────


def trained(folder: Path) -> TableEncoding:
    text = "size,skin,day,kind\n" + rows(
        lambda i: f"{i % 7}.5,{['smooth', 'rough'][i % 3 == 0]},2024-01-{i % 9 + 1:02},{pq(i)}"
    )
    table, _ = read(folder, text, target="kind")
    return table.filled_from(np.arange(20)).encoding


NEW = {"size": [1.5, None, 99.0, 2.5], "skin": ["rough", "smooth", "smooth", "spiky"], "day": ["2024-01-02"] * 4}


def test_rows_that_do_not_fit_are_refused_filled_or_skipped(tmp_path: Path) -> None:
    encoding = trained(tmp_path)
    with pytest.raises(
        DataError, match=r"'size': 1 missing.*row 2; column 'skin': row 4 holds 'spiky'.*bad_rows='skip'"
    ):
        encoding.read_rows(NEW)
    skipped = encoding.read_rows(NEW, bad_rows="skip")
    assert skipped.rows.tolist() == [1, 3] and list(skipped.skipped) == [2, 4]
    assert "row 4 holds 'spiky'" in skipped.skipped[4] and "row 2" in skipped.skipped[2]
    filled = encoding.read_rows(NEW, bad_rows="fill")
    assert filled.rows.tolist() == [1, 2, 3, 4] and not filled.skipped
    assert filled.features[1, 0] == encoding.columns[0].typical and filled.features[3, 1:3].tolist() == [0, 1]
    told = " ".join(filled.notes)
    assert "'size' was filled as in training in row 2" in told and "'skin' was filled" in told
    assert "'size' in row 3: 99 (training: 0.5 to 6.5)" in told
    with pytest.raises(UsageError, match="bad_rows: expected"):
        encoding.read_rows(NEW, bad_rows="ignore")


def test_columns_that_do_not_fit_are_named(tmp_path: Path) -> None:
    encoding = trained(tmp_path)
    with pytest.raises(DataError, match=r"'size', 'day' are not there.*rename 'Size' to 'size'"):
        encoding.read_rows({"Size": [1], "skin": ["rough"]})
    new = {"kind": ["p"], "day": ["2024-03-01"], "skin": ["rough"], "size": [1.5], "extra": [0]}
    told = " ".join(encoding.read_rows(new).notes)
    for part in (
        "'kind' is what the model predicts",
        "Not used.*'extra'",
        "another order",
        "'day' in row 1: 2024-03-01",
    ):
        assert re.search(part, told)


def test_corrupt_is_a_kind_of_bad_data() -> None:
    assert issubclass(CorruptFileError, DataError)
