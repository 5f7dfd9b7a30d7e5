"""What commands that train have in common: how data, a model and its training are named on the command line."""

from __future__ import annotations

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
        metavar="error|drop|mean",
        rich_help_panel=TABLE,
        help="What to do about missing cells. [dim]Default: error[/dim]",
    ),
]

Ignore = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", rich_help_panel=TABLE, help="A column to leave out; may be given again."),
]

Separator = Annotated[
    str | None,
    typer.Option(metavar="MARK", rich_help_panel=TABLE, help="What parts the cells. [dim]Default: ,[/dim]"),
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
    given = {name: value for name, value in reading.items() if value is not None}
    if "size" in given:
        given["size"] = _size(given["size"])
    return Wishes(Source(data, target, task, given), **{k: v for k, v in training.items() if v is not None})


def _size(text: str) -> list[int]:
    from talweg.errors import UsageError

    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdecimal() and 0 < int(p) <= 4096 for p in parts):
        raise UsageError(f"--size must be height x width in pixels, for instance 28x28; got {text!r}")
    return [int(p) for p in parts]
