"""What commands that train have in common: how data, a model and its training are named on the command line."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from talweg.train.experiment import Wishes

TABLE, MODEL, SHOWN = "Tables and pictures", "Model and training", "What is printed"

Data = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        show_default=False,
        help="A data set's name (see [bold]talweg datasets[/bold]), a CSV file, or a folder with a folder of "
        "pictures for each class.",
    ),
]

ModelName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        rich_help_panel=MODEL,
        help="A model's name (see [bold]talweg models[/bold]), a model.json for its architecture, or a saved model "
        "to go on from. [dim]Default: what fits the data.[/dim]",
    ),
]

BatchSize = Annotated[int | None, typer.Option(min=1, rich_help_panel=MODEL, help="Examples a step.")]

Optimizer = Annotated[str | None, typer.Option(metavar="NAME", rich_help_panel=MODEL, help="sgd, adam, rmsprop, ...")]

Seed = Annotated[
    int | None,
    typer.Option(
        min=0,
        rich_help_panel=MODEL,
        help="Decides all that is random: equal seeds, equal runs. [dim]Default: 0[/dim]",
    ),
]

EngineName = Annotated[
    str | None,
    typer.Option(
        metavar="auto|native|jax|reference", rich_help_panel=MODEL, help="What computes. [dim]Default: auto[/dim]"
    ),
]

Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel=MODEL,
        help="Threads that share the native engine's work; the result is the same to the bit. "
        "[dim]Default: $TALWEG_THREADS, else the cores there are[/dim]",
    ),
]

Target = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", rich_help_panel=TABLE, help="The column of a CSV file to be predicted."),
]

Task = Annotated[
    str | None,
    typer.Option(
        metavar="classification|regression",
        rich_help_panel=TABLE,
        help="[dim]Default: decided by the target, and said.[/dim]",
    ),
]

Missing = Annotated[
    str | None,
    typer.Option(
        metavar="error|drop|mean|most_frequent|category",
        rich_help_panel=TABLE,
        help="What to do about missing cells: leave their rows out, put the mean there (numbers only), put the most "
        "frequent text into texts too, or make missing texts a category of their own. [dim]Default: error[/dim]",
    ),
]

Ignore = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        "--drop",
        metavar="COLUMN",
        rich_help_panel=TABLE,
        help="A column to leave out; may be given again.",
    ),
]

Separator = Annotated[
    str | None,
    typer.Option(metavar="MARK", rich_help_panel=TABLE, help="What parts the cells. [dim]Default: ,[/dim]"),
]

Encoding = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", rich_help_panel=TABLE, help="utf-8, cp1252, latin-1, utf-16, ... [dim]Default: utf-8[/dim]"
    ),
]

Decimal = Annotated[
    str | None,
    typer.Option(metavar="MARK", rich_help_panel=TABLE, help="The decimal mark in numbers. [dim]Default: .[/dim]"),
]

Thousands = Annotated[
    str | None, typer.Option(metavar="MARK", rich_help_panel=TABLE, help="What parts thousands in numbers.")
]

Comment = Annotated[
    str | None,
    typer.Option(metavar="MARK", rich_help_panel=TABLE, help="Leave out lines that begin with it, for instance '#'."),
]

Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        show_default=False,
        rich_help_panel=TABLE,
        help="Whether the first row holds names; without it columns are called c1, c2, ...",
    ),
]

NaValues = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        rich_help_panel=TABLE,
        help="What means missing, besides empty cells; may be given again. [dim]Default: NA, nan, NULL, ...[/dim]",
    ),
]

Categorical = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        rich_help_panel=TABLE,
        help="A column of codes, to be read as categories though its cells are numbers; may be given again.",
    ),
]

MaxCategories = Annotated[
    int | None,
    typer.Option(min=2, rich_help_panel=TABLE, help="The most different texts in a column. [dim]Default: 100[/dim]"),
]

Dates = Annotated[
    str | None,
    typer.Option(
        metavar="elapsed|parts",
        rich_help_panel=TABLE,
        help="What a date becomes: days since the first, or year, month, day and weekday. [dim]Default: elapsed[/dim]",
    ),
]

DateOrder = Annotated[
    str | None,
    typer.Option(metavar="ymd|dmy|mdy", rich_help_panel=TABLE, help="How dates are written, where it cannot be seen."),
]

SplitBy = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        rich_help_panel=TABLE,
        help="Train on the earliest rows and test on the latest, by this column of dates or numbers.",
    ),
]

BadRows = Annotated[
    str | None,
    typer.Option(
        metavar="refuse|fill|skip",
        rich_help_panel=TABLE,
        help="What to do about rows with a missing cell, or one whose like training never saw. "
        "[dim]Default: refuse[/dim]",
    ),
]

Size = Annotated[
    str | None, typer.Option(metavar="HxW", rich_help_panel=TABLE, help="Resize pictures, for instance to 28x28.")
]

White = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        rich_help_panel=TABLE,
        help="What is white in pictures of more than 8 bits whose file does not say it: 1, 255, 4095, ...",
    ),
]

Json = Annotated[
    bool, typer.Option("--json", rich_help_panel=SHOWN, help="One JSON object on stdout; all else on stderr.")
]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", rich_help_panel=SHOWN, help="Only the result and errors.")]


DIALECT = ("separator", "encoding", "decimal", "thousands", "comment", "header", "na_values")
READING = (
    *DIALECT,
    *("missing", "ignore", "categorical", "max_categories", "dates", "date_order", "split_by"),
    *("size", "white"),
)  # the options that say how data is read, by the names of the reader's arguments
_OTHERWISE = {"data": "DATA", "order_by": "--split-by"}


def given(asked: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Those of a command's arguments that have a name of `names` and were given."""
    return {name: asked[name] for name in names if asked[name] not in (None, [])}


def as_option(name: str, value: Any = ...) -> str:
    """An argument of Python as it stands on a command line.

    >>> as_option("missing", "drop"), as_option("ignore", ["zip code", "id"]), as_option("header", False)
    ('--missing drop', "--ignore 'zip code' --ignore id", '--no-header')
    """
    option = _OTHERWISE.get(name, "--" + name.replace("_", "-"))
    if value is ... or value is True:
        return option
    if value is False:
        return option.replace("--", "--no-", 1)
    if name == "size":
        return f"{option} {'x'.join(map(str, value))}"
    return " ".join(f"{option} {shlex.quote(str(v))}" for v in (value if isinstance(value, list | tuple) else [value]))


def wishes_of(
    command: str,
    data: str | None,
    target: str | None,
    task: str | None,
    reading: dict[str, Any],
    training: dict[str, Any],
) -> Wishes:
    """What was asked for, checked as far as it can be without the data."""
    from talweg.errors import UnknownNameError, UsageError
    from talweg.train.experiment import Wishes
    from talweg.train.prepared import Source

    if data is None:
        raise UsageError(
            f"{command} what? Give DATA: a data set's name (talweg datasets lists them), a CSV file or a folder"
        )
    if task not in (None, "classification", "regression"):
        raise UnknownNameError("task", task, ["classification", "regression"])
    if "size" in reading:
        reading = {**reading, "size": _size(reading["size"])}
    return Wishes(Source(data, target, task, reading), **{k: v for k, v in training.items() if v is not None})


def _size(text: str) -> list[int]:
    from talweg.errors import UsageError

    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdecimal() and 0 < int(p) <= 4096 for p in parts):
        raise UsageError(f"--size must be height x width in pixels, for instance 28x28; got {text!r}")
    return [int(p) for p in parts]
