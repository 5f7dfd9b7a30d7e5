"""``talweg train``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talweg.cli.options import (
    MODEL,
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
    as_option,
    wishes_of,
)
from talweg.cli.output import FAILED, INTERRUPTED, Output, rates, reporting, scores
from talweg.cli.reading import FOR_TRAINING, Given, reads
from talweg.errors import RunFolderError

if TYPE_CHECKING:
    from talweg.train.experiment import Experiment, Wishes
    from talweg.train.run_folder import RunRecorder

RUN = "The run"

EXAMPLES = """[bold]Examples[/bold]

talweg train digits

talweg train mnist --model softmax --epochs 5

talweg train fruit.csv --target kind

talweg train photos/ --size 32x32     (photos/cats/*.jpg, photos/dogs/*.jpg)

talweg train --resume runs/digits-dropout-20260102-030405"""


@reads(FOR_TRAINING)
def train(
    data: Data = None,
    model: ModelName = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=MODEL, help="Passes over the training part.")
    ] = None,
    batch_size: BatchSize = None,
    optimizer: Optimizer = None,
    learning_rate: Annotated[
        float | None, typer.Option(metavar="X", rich_help_panel=MODEL, help="The size of the steps.")
    ] = None,
    seed: Seed = None,
    engine: EngineName = None,
    threads: Threads = None,
    target: Target = None,
    task: Task = None,
    *,
    reading: Given,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=RUN,
            help="The run folder. [dim]Default: runs/<data>-<model>-<date-time>[/dim]",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            rich_help_panel=RUN,
            help="Go on with a run that was interrupted, or (with more --epochs) that ended.",
        ),
    ] = None,
    private: Annotated[
        bool,
        typer.Option(
            "--private",
            envvar="TALWEG_PRIVATE",
            rich_help_panel=RUN,
            help="Let no other user look into the run folder. [dim]Otherwise the umask decides.[/dim]",
        ),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network on data, test it, and keep all of it in a run folder.

    The validation part is taken from the training part; the test part is not looked at until the end.
    """
    output = Output(json, quiet)
    running: list[Any] = []

    def how_to_go_on() -> str:
        if not running:
            return "Interrupted before anything was written."
        return f"Interrupted. What was trained is kept. {_go_on(str(running[0].folder.path))}"

    with reporting(output, how_to_go_on):
        training = {"model": model, "batch_size": batch_size, "optimizer": optimizer, "learning_rate": learning_rate}
        training |= {"seed": seed, "engine": engine}
        if resume is not None:
            others = {"data": data, "target": target, "task": task, "out": out} | reading | training
            also = [as_option(name) for name, value in others.items() if value is not None]
            experiment = _resumed(resume, epochs, threads, also)
        else:
            training |= {"epochs": epochs, "threads": threads}
            experiment = _begun(wishes_of("train", data, target, task, reading, training), out, private)
        running.append(experiment)
        try:
            _run(experiment, output)
        except RunFolderError as error:
            raise RunFolderError(f"{error}. {_go_on(str(experiment.folder.path))}") from error


train.__doc__ = f"{train.__doc__}\n\n{EXAMPLES}"


def _begun(wishes: Wishes, out: Path | None, private: bool) -> Experiment:
    from talweg.train.experiment import Experiment

    return Experiment.begin(wishes, out, shlex.join(["talweg", *sys.argv[1:]]), private)


def _resumed(run: Path, epochs: int | None, threads: int | None, others: list[str]) -> Experiment:
    from talweg.errors import UsageError
    from talweg.train.experiment import Experiment

    if others:
        raise UsageError(
            "--resume goes on as the run began; only --epochs and --threads may be given with it, not "
            f"{', '.join(others)}"
        )
    return Experiment.resume(run, epochs, threads)


def _run(experiment: Experiment, output: Output) -> None:
    """Trains, tests, writes, and prints what came of it."""
    from talweg.cli.progress import EpochDisplay

    _introduce(experiment, output)
    began = len(experiment.lines)
    recorder = experiment.train([] if output.quiet else [EpochDisplay(output)])
    run = str(experiment.folder.path)
    if recorder.diverged is not None:
        output.error("Diverged", _divergence(experiment, recorder), run=run)
        raise typer.Exit(FAILED)
    if not experiment.finished:
        message = f"Interrupted after {len(experiment.lines)} of {experiment.epochs} epochs."
        output.error("Interrupted", f"{message} {_go_on(run)}", run=run)
        raise typer.Exit(INTERRUPTED)
    if experiment.epochs == began:
        output.say(f"All {began} epochs were trained before; give more with --epochs.")
    result, predictions = experiment.finish()
    _write_report(experiment, predictions)
    experiment.folder.write_result(result)
    _conclude(experiment, result, output)


def _introduce(experiment: Experiment, output: Output) -> None:
    prepared, config, model = experiment.prepared, experiment.folder.config, experiment.model
    rows, shape = prepared.rows, " x ".join(map(str, prepared.input_shape))
    parts = f"{rows['training']:,} training, {rows['validation']:,} validation and {rows['test']:,} test examples"
    what = f"{len(prepared.class_names)} classes" if prepared.class_names else "a number to predict"
    output.tell("data", f"{config['data']['data']}: {parts} of {shape} numbers; {what}", *prepared.notes)
    output.tell("model", f"{config['model']}: {model.count_params():,} parameters{_lesson(config['model'])}")
    steps = -(-rows["training"] // experiment.batch_size)
    rate = rates(model.optimizer.learning_rate, experiment.epochs * steps)
    output.tell(
        "training",
        f"{experiment.epochs} epochs of {steps:,} steps, {experiment.batch_size} examples a step; "
        f"{type(model.optimizer).__name__}, {rate}; seed {config['seed']}",
    )
    is_other = model.engine.name != config["engine"]
    changed = [f"The run began on {config['engine']}: it agrees with it to rounding."] if is_other else []
    output.tell("engine", f"{model.engine}, {model.engine.precision}", *changed)
    output.tell("run", str(experiment.folder.path))
    if not experiment.fresh:
        output.tell("resumed", f"after {len(experiment.lines)} of {experiment.epochs} epochs")
    output.say()


def _go_on(run: str) -> str:
    return f"Go on with\n  talweg train --resume {shlex.quote(run)}"


def _lesson(name: str) -> str:
    from talweg.train.presets import PRESETS

    return f". {PRESETS[name].lesson}" if name in PRESETS else ""


def _moral(config: dict[str, Any]) -> list[str]:
    """What to make of the result, where the preset has something to say and was trained by its own optimizer."""
    from talweg.train.presets import PRESETS

    preset = PRESETS.get(config["model"])
    if preset is None or preset.moral is None or config["optimizer"]["class"] != preset.optimizer:
        return []
    return [preset.moral]


def _divergence(experiment: Experiment, recorder: RunRecorder) -> str:
    assert recorder.diverged is not None
    name, value, epoch = recorder.diverged
    rate = experiment.model.optimizer.learning_rate
    advice = f" with a smaller --learning-rate (it was {rate:g})" if isinstance(rate, float) else ""
    return (
        f"The training diverged: in epoch {epoch} {name} is {value}. The steps are too long: try again{advice}. "
        f"The epochs before are kept in {experiment.folder.path}"
    )


def _write_report(experiment: Experiment, predictions: Any) -> None:
    from talweg.insight.report import environment, write_report
    from talweg.train.run_folder import history_of

    prepared, config = experiment.prepared, experiment.folder.config
    write_report(
        experiment.folder.report,
        history=history_of(experiment.lines),
        config=config,
        environment={**environment(), "engine": str(experiment.model.engine)},
        task=prepared.task,
        class_names=prepared.class_names,
        x_test=prepared.x_test,
        y_test=prepared.y_test,
        predictions=predictions,
        input_shape=prepared.input_shape,
        notes=[*prepared.notes, *prepared.warnings, *_moral(config)],
        feature_names=prepared.feature_names,
        command=config["command"],
    )


def _conclude(experiment: Experiment, result: dict[str, Any], output: Output) -> None:
    prepared, config, folder = experiment.prepared, experiment.folder.config, experiment.folder
    summary = {
        "run": str(folder.path),
        "report": str(folder.report),
        "data": config["data"]["data"],
        "task": prepared.task,
        "model": config["model"],
        "parameters": experiment.model.count_params(),
        "engine": experiment.model.engine.name,
        "seed": config["seed"],
        "rows": prepared.rows,
        "notes": [*prepared.notes, *_moral(config)],
        "warnings": prepared.warnings,
        **result,
    }
    if output.as_json:
        output.result(summary)
        return
    quiet, output.quiet = output.quiet, False  # the result is what --quiet leaves
    if quiet:
        output.say(f"{scores(result['test'])}   {folder.path}")
        return
    output.say()
    output.tell("test", f"{scores(result['test'])}   (on {prepared.rows['test']:,} examples never seen in training)")
    for moral in _moral(config):
        output.tell("lesson", moral)
    output.tell("time", f"{result['seconds']:.1f} s for {result['epochs']} epochs")
    output.tell("report", str(folder.report))
    output.tell("predict", f"talweg predict {shlex.quote(str(folder.path))} FILE")
