"""HTML and SVG by functions. Whatever is not `Markup` already is escaped, so a class's name can never become a tag.

>>> tag("p", "a < b, ", tag("b", "c & d"), class_="note")
'<p class="note">a &lt; b, <b>c &amp; d</b></p>'
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from html import escape
from typing import Any

VOID = frozenset({"br", "img", "meta"})  # HTML elements that have no end tag

# What HTML forbids in text: control characters, and halves of surrogate pairs, which UTF-8 cannot hold.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """A string that is HTML or SVG already."""

    __slots__ = ()


def text(value: Any) -> Markup:
    """`value` as text in a page: escaped unless it is `Markup`."""
    if isinstance(value, Markup):
        return value
    return Markup(escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(value)), quote=True))


def tag(element: str, *children: Any, **attributes: Any) -> Markup:
    """``<element attributes>children</element>``. An attribute that is None is left out; ``class_`` means ``class``."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{text(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if element in VOID:
        return Markup(f"<{element}{written}>")
    return Markup(f"<{element}{written}>{joined(children)}</{element}>")


def joined(parts: Iterable[Any]) -> Markup:
    """The parts one after another; None is nothing."""
    return Markup("".join(text(part) for part in parts if part is not None))


def table(head: Iterable[Any], rows: Iterable[Iterable[Any]], caption: Any = None, class_: str | None = None) -> Markup:
    """A table whose first column names its rows, in a box that can be scrolled sideways, with keys too."""
    header = tag("thead", tag("tr", *[tag("th", cell, scope="col") for cell in head]))
    body = [
        tag("tr", *[tag("th", cell, scope="row") if i == 0 else tag("td", cell) for i, cell in enumerate(row)])
        for row in rows
    ]
    named = None if caption is None else tag("caption", caption)
    inner = tag("table", named, header, tag("tbody", *body), class_=class_)
    return scrolled(inner, "table" if caption is None else caption)


def scrolled(content: Markup, label: Any) -> Markup:
    """A box for what may be wider than the page."""
    return tag("div", content, class_="scroll", tabindex="0", role="region", aria_label=_plain(label))


def name(value: Any, most: int = 60) -> Markup:
    """A name from somebody's file: kept short, and kept from turning the direction of the text around it."""
    value = str(value)
    cut = value if len(value) <= most else f"{value[: most - 1]}…"
    return tag("bdi", cut, title=value if cut != value else None)


def number(value: Any, digits: int = 4) -> str:
    """A number for people: `digits` significant ones, thousands parted, powers of ten where it is very large or small.

    >>> number(0.98765), number(1234567.0), number(3), number(12345), number(0.0000012), number(float("nan"))
    ('0.9877', '1.235e+06', '3', '12,345', '1.2e-06', 'NaN')
    """
    value = float(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value.is_integer() and abs(value) < 1e6:
        return f"{value:,.0f}".replace("-", "−")
    if 1e-4 <= abs(value) < 1e6:
        shown = f"{value:,.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
        shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
    else:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        shown = f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"
    return f"−{shown[1:]}" if shown.startswith("-") else shown


def percent(share: float, decimals: int = 1) -> str:
    """
    >>> percent(0.97825).replace("\N{NO-BREAK SPACE}", " "), percent(float("nan"))
    ('97.8 %', '—')
    """
    return f"{100 * share:.{decimals}f}\N{NO-BREAK SPACE}%" if math.isfinite(share) else "—"


def _plain(label: Any) -> str:
    return re.sub("<[^>]*>", "", label) if isinstance(label, Markup) else str(label)
