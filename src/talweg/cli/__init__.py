"""The command line: parse, call, print. Whatever computes is in the other rooms, and is imported when a command runs.

Exit codes: 0 it worked, 1 the run failed (diverged, disk full), 2 it was asked for wrongly, 128 and the number of the
signal that ended it: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
"""

from __future__ import annotations

import gc
from typing import Annotated

import typer

from talweg._version import __version__
from talweg.cli.engine import cache, explain, profile
from talweg.cli.inspecting import evaluate, predict, summary
from talweg.cli.listing import datasets, models
from talweg.cli.rates import lr_find
from talweg.cli.training import train

app = typer.Typer(
    name="talweg",
    help="Small neural networks, every number of which can be seen.",
    epilog="Begin with:  talweg train digits",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (train, evaluate, predict, summary, datasets, models, explain, profile, lr_find):
    app.command()(command)
app.add_typer(cache)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"talweg {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Small neural networks, every number of which can be seen."""


def main() -> None:
    """What the command ``talweg`` runs; ends the process with the exit code."""
    gc.set_threshold(100_000)  # what is imported stays, and to look for garbage in it is a tenth of a start
    app(prog_name="talweg")


__all__ = ["app", "main"]
