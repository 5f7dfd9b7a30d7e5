"""Text from strangers, made harmless for where it goes: each boundary has one function here.

Names of layers, classes, features and files are text like any other, and may have been chosen to do harm: to steer a
terminal, to leave a folder, to be a formula in a spreadsheet. Pages have `talweg.insight.markup`, generated C has
`talweg.engines.native.comments`. Letters of every script stay as they are.
"""

from __future__ import annotations

import re
import unicodedata

MOST_BYTES = 100  # of a name within a path: file systems allow 255, of which some go to endings and dates

_JOINERS = "\u200c\u200d"  # parts of words and of emoji; they steer nothing
_PARTS_OF_PATHS = re.compile(r"[^\w.\-+=@]+")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str) -> str:
    """For a terminal: what steers one, or turns the direction of the text, is written as its number instead.

    >>> visible("café 中文"), visible("a\\x1b[31mb"), visible("a\\u202eb"), visible("two\\nlines")
    ('café 中文', 'a\\\\x1b[31mb', 'a\\\\u202eb', 'two\\nlines')
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == "\n" or _is_plain(c) else _numbered(c) for c in text)


def on_one_line(text: str) -> str:
    """For one line of a terminal, such as a cell of a table, where a new line could look like one of ours.

    >>> on_one_line("a\\nerror: b")
    'a\\\\nerror: b'
    """
    return visible(text).replace("\n", "\\n")


def in_json(text: str) -> str:
    """The same JSON, which may be shown in a terminal: what JSON leaves as it is, and terminals do not, has its number.

    >>> in_json('{"a\x9b": "é"}')
    '{"a\\\\u009b": "é"}'
    """
    import json  # only here, since every program imports this module

    return "".join(c if c == "\n" or _is_plain(c) else json.dumps(c)[1:-1] for c in text)


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold the text: it has no half of a surrogate pair."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


def columns(text: str) -> int:
    """How many columns of a terminal the text takes: two for a letter of Chinese, none for an accent of its own.

    >>> columns("abc"), columns("中文"), columns("e\\u0301")
    (3, 4, 1)
    """
    return sum(_width(c) for c in text)


def file_name(text: str, otherwise: str = "unnamed") -> str:
    """For a part of a path: no separator, no dot in front, no character that some system forbids, and not too long.

    >>> file_name("../../etc/passwd"), file_name("früh stück.csv"), file_name("\\0"), len(file_name("x" * 999))
    ('etc-passwd', 'früh-stück.csv', 'unnamed', 100)
    """
    plain = _PARTS_OF_PATHS.sub("-", unicodedata.normalize("NFC", text)).strip(".-")
    cut = plain.encode(errors="ignore")[:MOST_BYTES].decode(errors="ignore")
    return cut.strip(".-") or otherwise


def cell(text: str) -> str:
    """For a cell of a table that a spreadsheet may open: what it would take for a formula has a quote before it.

    >>> cell("val_loss"), cell("=1+1")
    ('val_loss', "'=1+1")
    """
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _is_plain(c: str) -> bool:
    return c.isprintable() or c in _JOINERS or unicodedata.category(c) == "Zs"


def _numbered(c: str) -> str:
    return repr(c)[1:-1]


def _width(c: str) -> int:
    if unicodedata.combining(c) or c in _JOINERS:
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1
