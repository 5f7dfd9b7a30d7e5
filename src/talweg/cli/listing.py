"""``talweg datasets`` and ``talweg models``: what there is to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from talweg.cli.output import Output, rates, reporting
from talweg.errors import UsageError

if TYPE_CHECKING:
    from talweg.train.presets import Preset

Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def datasets(json: Json = False) -> None:
    """List the data sets that have a name.

    Those marked [bold]download[/bold] are looked for in $TALWEG_DATA, then in the cache, and fetched once.
    """
    output = Output(json)
    with reporting(output):
        from talweg.data import DATASETS, TOYS
        from talweg.train.prepared import CLASSIFICATION, TOY_ROWS, TOY_TASKS

        if json:
            from dataclasses import asdict

            toys = {name: {"task": TOY_TASKS.get(name, CLASSIFICATION), "rows": TOY_ROWS} for name in TOYS}
            output.result({"datasets": {name: asdict(info) for name, info in DATASETS.items()}, "toys": toys})
            return
        rows = []
        for info in DATASETS.values():
            shape = " x ".join(map(str, info.input_shape))
            what = f"{info.description}{' (download)' if info.download else ''}"
            rows.append((info.name, info.task, f"{info.rows[0]:,}", f"{info.rows[1]:,}", shape, what))
        output.table(("name", "task", "training", "test", "inputs", "what it is"), rows, numeric=(2, 3, 4))
        output.say(f"Toy sets, {TOY_ROWS:,} points made on the spot: {', '.join(TOYS)}")
        output.say("Your own: a CSV file with --target COLUMN, or a folder with a folder of pictures for each class.")


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", show_default=False, help="The model to show; all of them without.")
    ] = None,
    python: Annotated[bool, typer.Option("--python", help="Print it as a program, to be run and changed.")] = False,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="The data set to show it on. [dim]Default: the one that it is for.[/dim]"),
    ] = None,
    json: Json = False,
) -> None:
    """List the models that have a name and what each is there to teach, or show one of them.

    [bold]Examples[/bold]

    talweg models cnn --data digits

    talweg models cnn --python > cnn.py
    """
    output = Output(json)
    with reporting(output):
        from talweg.train.presets import preset

        if name is None and (python or data is not None):
            raise UsageError("which model? Give its NAME: talweg models NAME --python. talweg models lists them")
        if name is None:
            _list(output)
        elif python:
            from talweg.train.preset_program import program

            text = program(preset(name), data)
            output.result({"model": name, "program": text})
            if not json:
                print(text, end="")
        else:
            _show(name, data, output)


def _list(output: Output) -> None:
    from talweg.train.presets import DEFAULTS, PRESETS

    output.result({"models": {p.name: _told(p) for p in PRESETS.values()}, "defaults": DEFAULTS})
    if output.as_json:
        return
    output.table(("name", "what it teaches"), [(p.name, p.lesson) for p in PRESETS.values()])
    chosen = {name: [data for data, other in DEFAULTS.items() if other == name] for name in DEFAULTS.values()}
    listed = ", ".join(f"{name} for {' and '.join(sets)}" for name, sets in chosen.items())
    output.say(f"Without --model: {listed}, relu for other pictures, mlp for other tables.")
    output.say("Your own: --model model.json for its architecture, or the folder of a saved model to go on from.")
    output.say("One of them: talweg models NAME, and as a program: talweg models NAME --python")


def _show(name: str, data: str | None, output: Output) -> None:
    """One model: its layers on a data set, and how it is trained there."""
    from talweg.train.preset_program import known_of
    from talweg.train.presets import preset

    chosen = preset(name)
    shown = data or chosen.data
    known = known_of(shown)
    model = chosen.make(known.shape, known.outputs, known.task, seed=0)
    epochs, steps = chosen.epochs(known.rows, chosen.batch_size), -(-known.rows // chosen.batch_size)
    output.result({"model": name, **_told(chosen), "architecture": model.get_config(), "epochs": epochs})
    if output.as_json:
        return
    output.tell("model", f"{name}. {chosen.lesson}")
    model.summary(print_fn=output.say)
    rate = rates(chosen.rule(epochs * steps).learning_rate, epochs * steps)
    output.tell(
        "training",
        f"{epochs} epochs of {steps:,} steps, {chosen.batch_size} examples a step; {chosen.optimizer}, {rate}",
    )
    if chosen.moral:
        output.tell("lesson", chosen.moral)
    output.tell("train", f"talweg train {shown} --model {name}")
    output.tell("program", f"talweg models {name} --python" + (f" --data {data}" if data else ""))


def _told(preset: Preset) -> dict[str, Any]:
    listed = ("lesson", "tasks", "pictures", "optimizer", "learning_rate", "decay", "batch_size", "data")
    return {name: getattr(preset, name) for name in listed}
