"""``talweg evaluate``, ``talweg predict`` and ``talweg summary``: what a run came to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talweg.cli.output import Output, reporting, scores
from talweg.cli.reading import FOR_PREDICTION, Given, reads
from talweg.escapes import columns, on_one_line, visible

if TYPE_CHECKING:
    from talweg.train.inputs import Inputs

Run = Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="A run folder, or a saved model.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; all else on stderr.")]

MOST_ROWS = 50  # of a table in a terminal
MOST_REASONS = 5  # why rows were skipped
MOST_CLASSES = 12  # whose probabilities all get a column


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="A run folder.")], json: Json = False
) -> None:
    """Measure a run's model on its test part again.

    [bold]Example[/bold]

    talweg evaluate runs/digits-dropout-20260102-030405
    """
    output = Output(json)
    with reporting(output):
        from talweg.train.experiment import data_of, scores_on_test
        from talweg.train.run_folder import RunFolder, trained_model

        folder = RunFolder(run)
        model, note = trained_model(run)
        prepared = data_of(folder)
        test = scores_on_test(model, prepared, folder.config["batch_size"])
        if note:
            output.say(note)
        output.tell("test", f"{scores(test)}   (on {prepared.rows['test']:,} examples never seen in training)")
        output.result({"run": str(run), "test": test, "examples": prepared.rows["test"]})


@reads(FOR_PREDICTION)
def predict(
    run: Run,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="A CSV file, a picture, several or a folder of them, an .npz or an IDX file.",
        ),
    ],
    invert: Annotated[
        bool, typer.Option("--invert", help="Make dark light in pictures: ink on paper for a model of light digits.")
    ] = False,
    *,
    reading: Given,
    json: Json = False,
) -> None:
    """Let a trained model answer for new data, read as its training data was.

    Pictures are brought to the size of the training's. Light and dark stay as they are, with a note where the
    training's were the other way round: --invert.

    [bold]Examples[/bold]

    talweg predict runs/digits-dropout-20260102-030405 three.png

    talweg predict runs/fruit-mlp-20260102-030405 more-fruit.csv --json
    """
    output = Output(json)
    with reporting(output):
        from talweg.train.inputs import answers_of, read_inputs
        from talweg.train.run_folder import trained_model

        model, note = trained_model(run)
        inputs = read_inputs(files, model, invert=invert, **reading)
        answers = answers_of(model, inputs)
        if note:
            output.say(note)
        for told in inputs.notes:
            print(f"note: {visible(told)}", file=sys.stderr, flush=True)
        if inputs.skipped:
            print(f"note: {visible(_skipped(inputs))}", file=sys.stderr, flush=True)
        skipped = [{inputs.header: name, "reason": reason} for name, reason in inputs.skipped.items()]
        named = [str(file) for file in files]
        found = {"predictions": answers, "skipped": skipped, "notes": list(inputs.notes)}
        output.result({"run": str(run), "file": named[0] if len(named) == 1 else named, **found})
        if not json:
            _print_answers(output, inputs, answers)


def _skipped(inputs: Inputs) -> str:
    reasons = list(inputs.skipped.values())
    more = f"; and {len(reasons) - MOST_REASONS:,} more" if len(reasons) > MOST_REASONS else ""
    listed = "; ".join(reasons[:MOST_REASONS])
    return f"{len(reasons):,} of {len(reasons) + len(inputs.names):,} rows got no prediction: {listed}{more}."


def _print_answers(output: Output, inputs: Inputs, answers: list[dict[str, Any]]) -> None:
    shown = answers[:MOST_ROWS] if output.is_terminal else answers
    first = answers[0]
    if "class" in first:
        classes = list(first["probabilities"]) if 2 < len(first["probabilities"]) <= MOST_CLASSES else []
        headings = [inputs.header, "class", "probability", *classes]
        rows = [
            [
                a[inputs.header],
                a["class"],
                f"{a['probability']:.4f}",
                *(f"{a['probabilities'][c]:.3f}" for c in classes),
            ]
            for a in shown
        ]
    elif "value" in first:
        headings, rows = [inputs.header, "value"], [[a[inputs.header], f"{a['value']:.6g}"] for a in shown]
    else:
        headings = [inputs.header, *(f"output {i}" for i in range(len(first["outputs"])))]
        rows = [[a[inputs.header], *(f"{v:.6g}" for v in a["outputs"])] for a in shown]
    lines = [[on_one_line(str(c)) for c in row] for row in (headings, *rows)]
    widths = [max(columns(line[i]) for line in lines) for i in range(len(headings))]
    for i, row in enumerate(lines):
        cells = [
            f"{c}{' ' * (w - columns(c))}" if k < 2 and headings[1] == "class" else f"{' ' * (w - columns(c))}{c}"
            for k, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        output.say("  ".join(cells).rstrip(), style="bold" if i == 0 else None)
    if len(shown) < len(answers):
        output.say(f"... and {len(answers) - len(shown):,} more; all of them in a pipe, or with --json.")


def summary(run: Run, json: Json = False) -> None:
    """Show a run's layers, how it was trained, and what came of it."""
    output = Output(json)
    with reporting(output):
        from talweg.train.run_folder import CONFIG, RunFolder, trained_model

        model, note = trained_model(run)
        folder = RunFolder(run) if (run / CONFIG).is_file() else None
        result = None if folder is None else folder.result()
        if json:
            output.result(
                {
                    "run": str(run),
                    "parameters": model.count_params(),
                    "architecture": model.get_config(),
                    "config": None if folder is None else folder.config,
                    "finished": None if folder is None else result is not None,
                    "result": result,
                }
            )
            return
        model.summary(print_fn=output.say)
        if folder is None:
            return
        config = folder.config
        output.say()
        output.tell("data", f"{config['data']['data']}, {config['task']}, {sum(config['rows'].values()):,} examples")
        made = f"{config['model']}, {config['optimizer']['class']}, {config['epochs']} epochs"
        output.tell(
            "training", f"{made}, batches of {config['batch_size']}, seed {config['seed']}, engine {config['engine']}"
        )
        command = config.get("command")
        output.tell("made", f"{config['created']}{f' by {command}' if command else ''}")
        if note or result is None:
            output.tell("state", note or "not finished", f"talweg train --resume {run}")
        else:
            output.tell("test", scores(result["test"]))
            output.tell("report", str(folder.report))
