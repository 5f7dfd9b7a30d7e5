"""``talweg lr-find``: which learning rate to train with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talweg.cli.options import (
    BatchSize,
    Data,
    EngineName,
    Json,
    ModelName,
    Optimizer,
    Quiet,
    Seed,
    Target,
    Task,
    Threads,
    wishes_of,
)
from talweg.cli.output import Output, reporting
from talweg.cli.reading import FOR_TRAINING, Given, reads

if TYPE_CHECKING:
    from talweg.train.lr_find import RateSearch

SEARCH = "The search"
ROWS = 15  # of the table, about evenly among the rates


@reads(FOR_TRAINING)
def lr_find(
    data: Data = None,
    model: ModelName = None,
    batch_size: BatchSize = None,
    optimizer: Optimizer = None,
    seed: Seed = None,
    engine: EngineName = None,
    threads: Threads = None,
    target: Target = None,
    task: Task = None,
    *,
    reading: Given,
    min_lr: Annotated[
        float, typer.Option(metavar="X", rich_help_panel=SEARCH, help="The rate of the first step.")
    ] = 1e-6,
    max_lr: Annotated[float, typer.Option(metavar="X", rich_help_panel=SEARCH, help="The rate of the last.")] = 10.0,
    steps: Annotated[int, typer.Option(min=10, rich_help_panel=SEARCH, help="How many rates are tried.")] = 100,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel=SEARCH, help="Also draw the curve, for instance to rates.png."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Try learning rates from small to large, one a batch, and suggest the one at which the loss falls fastest.

    Nothing is kept: the model is not trained by it, and no run folder is written.

    [bold]Examples[/bold]

    talweg lr-find digits

    talweg lr-find mnist --model softmax --optimizer sgd --plot rates.png
    """
    output = Output(json, quiet)
    with reporting(output):
        from talweg.train.experiment import made

        training = {"model": model, "batch_size": batch_size, "optimizer": optimizer, "seed": seed, "engine": engine}
        wishes = wishes_of("lr-find", data, target, task, reading, training | {"threads": threads})
        prepared, network, name, examples, _ = made(wishes)
        rule = type(network.optimizer).__name__
        output.tell("data", f"{wishes.source.data}: {prepared.rows['training']:,} training examples", *prepared.notes)
        output.tell("model", f"{name}: {network.count_params():,} parameters; {rule}, {examples} examples a step")
        found = network.lr_find(prepared.x_train, prepared.y_train, examples, min_lr=min_lr, max_lr=max_lr, steps=steps)
        if plot is not None:
            found.plot(plot)
        _conclude(found, plot, output)


def _conclude(found: RateSearch, plot: Path | None, output: Output) -> None:
    curve: dict[str, Any] = {"learning_rate": found.rates, "loss": found.losses, "smoothed": found.smoothed}
    drawn = None if plot is None else str(plot)
    output.result({"suggestion": found.suggestion, "diverged": found.diverged, "plot": drawn, "curve": curve})
    stride = max(1, len(found.rates) // ROWS)
    best = None if found.suggestion is None else found.rates.index(found.suggestion)
    shown = sorted({*range(0, len(found.rates), stride), len(found.rates) - 1, *([] if best is None else [best])})
    if not output.quiet:
        rows = [
            (f"{found.rates[i]:.2e}", f"{found.losses[i]:.4f}", f"{found.smoothed[i]:.4f}", "<-" if i == best else "")
            for i in shown
        ]
        output.table(("learning rate", "loss", "smoothed", ""), rows, numeric=(0, 1, 2))
    output.quiet = False  # the result is what --quiet leaves
    if found.suggestion is None:
        output.say("The loss falls at none of these rates: try others with --min-lr and --max-lr.")
        return
    output.tell("suggested", f"--learning-rate {found.suggestion:.2g}", "There the loss falls fastest.")
    if found.diverged:
        output.tell("too large", f"{found.rates[-1]:.2g} and more: the loss grows")
    if drawn is not None:
        output.tell("curve", drawn)
