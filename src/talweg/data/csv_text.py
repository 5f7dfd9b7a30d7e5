"""From the bytes of a CSV file to rows of as many cells as its header has, or an error that names the line.

pandas reads numbers quickly, but it also reads what is no table: it fills short rows up, joins lines that a lost quote
runs through, and calls a second column "y" "y.1". So the form of the file is checked here, with the strict reader of
Python's own `csv`, before pandas sees it; 100 MB take two seconds.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import os
import re
import unicodedata
from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.data.files import MAX_BYTES, read_everything, short
from talweg.errors import CorruptFileError, DataError, UsageError, argument

MOST_COLUMNS = 50_000  # of a table: each takes time and memory of its own, and the first layer a row of weights
MISSING_WORDS = (
    *("", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "#N/A N/A", "NaN", "nan", "-NaN", "-nan"),
    *("NULL", "null", "None", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)  # pandas's; scikit-learn's users expect them
MOST_WARNINGS = 5  # of one kind
_SEPARATORS = ";\t|,"
_ENCODINGS = {"cp1252": "Windows, Western", "cp932": "Japanese", "gb18030": "Chinese", "cp1251": "Cyrillic"}
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written. It is saved with a model, so that `predict` reads as the training did.

    separator: the one character between cells; a tab may be written \\t, as shells have it.  decimal, thousands: the
    marks in numbers.  comment: lines that begin with it are left out.  header: whether the first row holds names;
    without it columns are called c1, c2, ...  na_values: texts that mean "missing"; None for those that pandas knows
    ("", "NA", "nan", "NULL", ...).
    """

    separator: str = ","
    encoding: str = "utf-8"
    decimal: str = "."
    thousands: str | None = None
    comment: str | None = None
    header: bool = True
    na_values: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.separator == r"\t":
            object.__setattr__(self, "separator", "\t")
        for name in ("separator", "decimal", "thousands", "comment"):
            mark = getattr(self, name)
            if mark is None and name in ("thousands", "comment"):
                continue
            if (
                not isinstance(mark, str)
                or len(mark) != 1
                or mark in '"\r\n\0'
                or (name != "comment" and mark.isalnum())
            ):
                raise UsageError(f"{argument(name)}: expected one character such as {_MARKS[name]}, but got {mark!r}")
        if self.decimal == self.thousands:
            raise UsageError(
                f"{argument('decimal')} and {argument('thousands')}: expected different marks, but both are "
                f"{self.decimal!r}"
            )
        if isinstance(self.na_values, str):
            raise UsageError(f"{argument('na_values')}: expected a list of texts, but got {self.na_values!r}")
        if self.na_values is not None:
            object.__setattr__(self, "na_values", tuple(map(str, self.na_values)))
        try:
            codecs.lookup(self.encoding)
        except (LookupError, TypeError, ValueError):
            raise UsageError(
                f"{argument('encoding')}: {self.encoding!r} is no encoding that Python knows; usual ones are 'utf-8', "
                "'cp1252' (Windows), 'latin-1' and 'utf-16'"
            ) from None

    @property
    def missing_words(self) -> Collection[str]:
        return frozenset(MISSING_WORDS if self.na_values is None else (*self.na_values, ""))

    def to_config(self) -> dict[str, Any]:
        """Plain JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Dialect:
        """The dialect that `to_config` described. Raises `DataError` if it is none."""
        try:
            return cls(**config)
        except (TypeError, UsageError) as error:
            raise DataError(f"config: expected how a CSV file is written, but {error}") from error


DIALECT = tuple(each.name for each in fields(Dialect))
_MARKS = {"separator": "',' or ';'", "decimal": "'.' or ','", "thousands": "',' or '.'", "comment": "'#'"}


@dataclass(frozen=True)
class Rows:
    """A table whose form is right. text: what follows the header.  width: cells in each row; one more than there are
    `names` if every row ends with the separator.  lines: where each row begins.  blank: the rows, from 0, in which
    every cell is empty.  spaced: a quote may follow blanks.
    """

    names: tuple[str, ...]
    text: str
    width: int
    lines: NDArray[np.int64]
    blank: NDArray[np.int64]
    spaced: bool
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def checked_rows(path: str | os.PathLike[str], dialect: Dialect) -> Rows:
    """The rows of a CSV file, each as long as the header.

    Raises `CorruptFileError` for bytes that are not text, NULs, quotes that do not close and rows of another length,
    `DataError` for a file without a header, names that stand twice, and too many columns.
    """
    path, notes, warnings = Path(path), list[str](), list[str]()
    text = _text(path, read_everything(path, "a CSV file", max_bytes=MAX_BYTES), dialect, notes, warnings)
    if said := re.match(r"sep=([^\w\s]|\t)[\r\n]", text):  # what Excel writes and reads: the mark between cells
        if said[1] != dialect.separator:
            raise DataError(
                f"{path}: its first line says that {said[1]!r} parts its cells; give {argument('separator', said[1])}"
            )
        text = text[len("sep=;") :]
    if dialect.comment is not None:
        text, count = re.subn(rf"(?m)^[ \t]*{re.escape(dialect.comment)}[^\r\n]*", "", text)
        notes += [f"{count} lines that begin with {dialect.comment!r} were left out."] if count else []
    spaced = '"' in text and re.search(rf'{re.escape(dialect.separator)}[ \t]+"', text) is not None
    stream = io.StringIO(text, newline="")
    rows, begin = _numbered(path, stream, dialect, spaced), 0
    for first in rows:
        if any(cell.strip() for cell in first[2]):
            break
        begin = stream.tell()
    else:
        raise DataError(f"{path}: expected a table with a header row, but the file is empty")
    cells = first[2]
    if dialect.header:
        names, begin = tuple(cell.strip() for cell in cells), stream.tell()
    else:
        names, rows = tuple(f"c{i + 1}" for i in range(len(cells))), itertools.chain([first], rows)
    _check_names(path, names, dialect)
    width, lines, blank = len(names), array("q"), array("q")
    for line, last, cells in rows:
        if len(cells) != width:
            if len(cells) <= 1 and not "".join(cells).strip():
                continue  # a blank line
            if lines or len(cells) != width + 1 or cells[-1]:
                raise _other_length(path, line, cells, width, names[0], dialect)
            width += 1  # every row ends with the separator, and the header does not
        elif width > len(names) and cells[-1]:
            raise _other_length(path, line, cells, len(names), names[0], dialect)
        if not cells[0].strip() and not "".join(cells).strip():
            blank.append(len(lines))
        lines.append(line)
        if last > line:
            warnings.append(_over_lines(path, line, last, cells, dialect))
    if len(warnings) > MOST_WARNINGS:
        warnings[MOST_WARNINGS:] = [f"{len(warnings) - MOST_WARNINGS} more cells go over several lines."]
    if blank:
        notes.append(f"{len(blank)} rows in which every cell is empty were left out.")
    places = np.array(lines, np.int64), np.array(blank, np.int64)
    return Rows(names, text[begin:], width, *places, spaced, tuple(notes), tuple(warnings))


def _text(path: Path, data: bytes | bytearray, dialect: Dialect, notes: list[str], warnings: list[str]) -> str:
    """The file's characters. A byte order mark says which encoding it is in, whatever was asked for."""
    encoding = dialect.encoding
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            encoding = name
            if name != "utf-8-sig":
                notes.append(f"The file is in {name.upper()}, as its first bytes say.")
            break
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line, at = data.count(b"\n", 0, error.start) + 1, error.start - data.rfind(b"\n", 0, error.start)
        likely = [f"{argument('encoding', name)} ({whose})" for name, whose in _ENCODINGS.items() if _fits(data, name)]
        remedy = f"give the encoding it has, often {' or '.join(likely or [repr('latin-1')])}"
        if data[0] == 0x1F or data.startswith(b"PK"):
            remedy = "it looks like an archive or a workbook: write it as CSV first"
        raise CorruptFileError(
            f"{path}: expected text in {encoding}, but byte {at} of line {line} is 0x{data[error.start]:02x}; {remedy}"
        ) from error
    except (LookupError, UnicodeError, ValueError) as error:
        raise UsageError(f"{argument('encoding')}: {encoding!r} does not turn bytes into text ({error})") from error
    if encoding not in ("utf-8", "utf-8-sig") and encoding == dialect.encoding and not text.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            warnings.append(
                f"Its bytes are text in UTF-8 too, and {encoding} reads other letters from them; leave out "
                f"{argument('encoding')} if they come out wrong."
            )
    text = unicodedata.normalize("NFC", text)  # é may be one letter or two, and looks the same
    if (nul := text.find("\0")) >= 0:
        many = text.count("\0") > len(text) / 8
        remedy = f"{argument('encoding', 'utf-16-le')} or 'utf-16-be'?" if many else "The file is damaged."
        raise CorruptFileError(
            f"{path}: expected text, but line {text.count(chr(10), 0, nul) + 1} holds a NUL, a byte of zero. {remedy}"
        )
    if (joined := re.search("[\r\n]\ufeff", text)) is not None:
        line = len(text[: joined.end()].splitlines())
        raise CorruptFileError(
            f"{path}: line {line} begins with a byte order mark, as where two files were joined. Delete it, and the "
            "header that may follow it"
        )
    if re.search("\r(?!\n)", text) is not None:  # it ends a line; pandas takes some for a blank
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def _fits(data: bytes | bytearray, encoding: str) -> bool:
    """Whether the file may be in that encoding, by its beginning."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(data[:1_000_000])
    except UnicodeDecodeError:
        return False
    return True


def _numbered(path: Path, stream: io.StringIO, dialect: Dialect, spaced: bool) -> Iterator[tuple[int, int, list[str]]]:
    """(first line, last line, cells) of each row, by the strict rules of RFC 4180."""
    reader = csv.reader(stream, delimiter=dialect.separator, strict=True, skipinitialspace=spaced)
    last = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "field limit" in str(error):
                limit = f"{csv.field_size_limit():,} characters"
                raise CorruptFileError(f"{path}: line {last + 1} has a cell of more than {limit}") from error
            head = next((line for line in stream.getvalue().splitlines() if line.strip()), "")
            unquoted = re.sub(r'"[^"]*"', "", head)
            marks = [mark for mark in _SEPARATORS if mark in unquoted and dialect.separator not in unquoted]
            if marks:
                raise _other_mark(path, head, marks[0], dialect) from error
            raise CorruptFileError(
                f"{path}: expected a CSV file with quotes in pairs around whole cells, but in the row that begins in "
                f"line {last + 1}: {error}. Mend the quotes there, or write the table again."
            ) from error
        line, last = last + 1, reader.line_num
        yield line, last, cells


def _check_names(path: Path, names: tuple[str, ...], dialect: Dialect) -> None:
    if len(names) > MOST_COLUMNS:
        raise DataError(
            f"{path}: {len(names):,} columns are more than the {MOST_COLUMNS:,} that a table may have; keep those that "
            "matter, or store the numbers as NPZ"
        )
    if len(names) == 1 and (marks := [m for m in _SEPARATORS if m in names[0] and m != dialect.separator]):
        raise _other_mark(path, names[0], marks[0], dialect)
    where: dict[str, int] = {}
    for i, name in enumerate(names):
        if name and name in where:
            is_data = sum(re.fullmatch(r"[+-]?\d+(\.\d*)?", name) is not None for name in names) > 1
            remedy = f"If the first row is data, give {argument('header', False)}." if is_data else ""
            raise DataError(
                f"{path}: columns {where[name] + 1} and {i + 1} are both called {short(name)!r}; give each column a "
                f"name of its own in the header, or delete one. {remedy}".rstrip()
            )
        where[name] = i


def _other_mark(path: Path, head: str, mark: str, dialect: Dialect) -> DataError:
    return DataError(
        f"{path}: its cells are not parted by {dialect.separator!r}: the only column is {short(head)!r}; give "
        f"{argument('separator', mark)}"
    )


def _other_length(
    path: Path, line: int, cells: list[str], width: int, header: str, dialect: Dialect
) -> CorruptFileError:
    shown = ", ".join(repr(cell) for cell in cells[:6]) + (", ..." if len(cells) > 6 else "")
    hints = "Write a cell that is missing as an empty one, and put a cell that holds the separator into quotes."
    if dialect.comment is None and (cells[0].lstrip().startswith("#") or header.startswith("#")):
        which = "the header" if header.startswith("#") else "it"
        hints = f"Is {which} a comment? {argument('comment', '#')} leaves such lines out."
    elif width == 1 and len(cells) > 2:
        hints = f"Does the table begin in line {line}? Delete what stands before it."
    elif dialect.separator == "," and len(cells) > width and any(re.fullmatch(r"\d+", c.strip()) for c in cells):
        hints += f" If these are decimal commas, part the cells by another mark and give {argument('decimal', ',')}."
    return CorruptFileError(
        f"{path}: expected a CSV file with as many cells in each row as in the first, {width}, but the row in line "
        f"{line} has {len(cells)}: {short(shown)}. {hints}"
    )


def _over_lines(path: Path, line: int, last: int, cells: list[str], dialect: Dialect) -> str:
    """A warning for a cell with line breaks. Raises `CorruptFileError` where what it swallowed looks like rows."""
    for cell in cells:
        inner = cell.splitlines()[1:]
        if inner and len(cells) > 1 and all(part.count(dialect.separator) == len(cells) - 1 for part in inner):
            raise CorruptFileError(
                f"{path}: a quote opens in line {line} and closes in line {last}, and the {len(inner)} lines between "
                "look like rows of the table. Delete the quote, or write two of them where it belongs to the cell."
            )
    return f"The row in line {line} has a cell that goes on to line {last}; mend its quotes if it should not."
