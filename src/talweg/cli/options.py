"""What commands that train have in common: how data, a model and its training are named on the command line."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talweg.cli.reading import TABLE, Given

if TYPE_CHECKING:
    from talweg.train.experiment import Wishes

MODEL, SHOWN = "Model and training", "What is printed"

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

Json = Annotated[
    bool, typer.Option("--json", rich_help_panel=SHOWN, help="One JSON object on stdout; all else on stderr.")
]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", rich_help_panel=SHOWN, help="Only the result and errors.")]


_OTHERWISE = {"data": "DATA", "order_by": "--split-by"}


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
    reading: Given,
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
