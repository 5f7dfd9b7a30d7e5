"""``talweg datasets`` and ``talweg models``: what there is to choose from."""

from __future__ import annotations

from typing import Annotated

import typer

from talweg.cli.output import Output, reporting

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


def models(json: Json = False) -> None:
    """List the models that have a name, and what each is there to teach."""
    output = Output(json)
    with reporting(output):
        from talweg.train.presets import DEFAULTS, PRESETS

        if json:
            listed = {
                p.name: {
                    "lesson": p.lesson,
                    "tasks": p.tasks,
                    "optimizer": p.optimizer,
                    "learning_rate": p.learning_rate,
                }
                | {"batch_size": p.batch_size}
                for p in PRESETS.values()
            }
            output.result({"models": listed, "defaults": {data: name for data, (name, _) in DEFAULTS.items()}})
            return
        rows = [
            (p.name, " or ".join(p.tasks), f"{p.optimizer} {p.learning_rate:g}", str(p.batch_size), p.lesson)
            for p in PRESETS.values()
        ]
        output.table(("name", "task", "optimizer", "batch", "lesson"), rows, numeric=(3,))
        chosen = ", ".join(f"{name} for {data}" for data, (name, _) in DEFAULTS.items())
        output.say(f"Without --model: {chosen}, relu for other pictures, mlp for other tables.")
        output.say("Your own: --model model.json for its architecture, or the folder of a saved model to go on from.")
