"""How data is read: a table of options by the names of the readers' arguments, and what gives a command some of them.

A new argument of `read_csv` becomes an option of every command that reads tables by one entry here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

TABLE = "Tables and pictures"

Given = dict[str, Any]
"""The options that were given, by name: what a command gets for its parameter `reading`."""


def _option(kind: Any, metavar: str | None, help: str, *names: str, **more: Any) -> Any:
    return Annotated[kind | None, typer.Option(*names, metavar=metavar, rich_help_panel=TABLE, help=help, **more)]


OPTIONS = {
    "missing": _option(
        str,
        "error|drop|mean|most_frequent|category",
        "What to do about missing cells: leave their rows out, put the mean there (numbers only), put the most "
        "frequent text into texts too, or make missing texts a category of their own. [dim]Default: error[/dim]",
    ),
    "ignore": _option(list[str], "COLUMN", "A column to leave out; may be given again.", "--ignore", "--drop"),
    "categorical": _option(
        list[str],
        "COLUMN",
        "A column of codes, to be read as categories though its cells are numbers; may be given again.",
    ),
    "max_categories": _option(int, None, "The most different texts in a column. [dim]Default: 100[/dim]", min=2),
    "dates": _option(
        str,
        "elapsed|parts",
        "What a date becomes: days since the first, or year, month, day and weekday. [dim]Default: elapsed[/dim]",
    ),
    "date_order": _option(str, "ymd|dmy|mdy", "How dates are written, where it cannot be seen."),
    "split_by": _option(
        str, "COLUMN", "Train on the earliest rows and test on the latest, by this column of dates or numbers."
    ),
    "separator": _option(str, "MARK", "What parts the cells. [dim]Default: ,[/dim]"),
    "encoding": _option(str, "NAME", "utf-8, cp1252, latin-1, utf-16, ... [dim]Default: utf-8[/dim]"),
    "decimal": _option(str, "MARK", "The decimal mark in numbers. [dim]Default: .[/dim]"),
    "thousands": _option(str, "MARK", "What parts thousands in numbers."),
    "comment": _option(str, "MARK", "Leave out lines that begin with it, for instance '#'."),
    "header": _option(
        bool,
        None,
        "Whether the first row holds names; without it columns are called c1, c2, ...",
        "--header/--no-header",
        show_default=False,
    ),
    "na_values": _option(
        list[str],
        "TEXT",
        "What means missing, besides empty cells; may be given again. [dim]Default: NA, nan, NULL, ...[/dim]",
    ),
    "size": _option(str, "HxW", "Resize pictures, for instance to 28x28."),
    "white": _option(
        float, "X", "What is white in pictures of more than 8 bits whose file does not say it: 1, 255, 4095, ..."
    ),
    "bad_rows": _option(
        str,
        "refuse|fill|skip",
        "What to do about rows with a missing cell, or one whose like training never saw. [dim]Default: refuse[/dim]",
    ),
}
DIALECT = ("separator", "encoding", "decimal", "thousands", "comment", "header", "na_values")  # `Dialect`'s fields
FOR_TRAINING = tuple(name for name in OPTIONS if name != "bad_rows")
FOR_PREDICTION = ("white", "bad_rows", *DIALECT)

Command = Callable[..., None]


def reads(names: tuple[str, ...]) -> Callable[[Command], Command]:
    """A command that takes these options in the place of its parameter `reading`, and gets there what was given."""

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        kind = inspect.Parameter.KEYWORD_ONLY
        options = [inspect.Parameter(name, kind, default=None, annotation=OPTIONS[name]) for name in names]
        own = signature.parameters.values()
        parameters = [p for each in own for p in (options if each.name == "reading" else [each])]

        @functools.wraps(command)
        def called(**arguments: Any) -> None:
            asked = {name: arguments.pop(name) for name in names}
            command(**arguments, reading={k: v for k, v in asked.items() if v not in (None, [])})

        called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return called

    return decorate
