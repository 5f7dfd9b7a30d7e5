"""A run from beginning to end: data, model, training, test part, run folder. `talweg train` is this, and printing."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from talweg import optim
from talweg.data.files import corrupt
from talweg.engines.choose import engine_by_name
from talweg.errors import DataError, DataWarning, ShapeError, UnknownNameError, UsageError, argument
from talweg.escapes import file_name
from talweg.graph import Array
from talweg.train import saved
from talweg.train.callbacks.base import Callback
from talweg.train.model import Model
from talweg.train.prepared import CLASSIFICATION, Prepared, Source, prepare
from talweg.train.presets import PRESETS, default_preset, preset
from talweg.train.run_folder import Line, RunFolder, RunRecorder

BATCH_SIZE = 32  # of a model from a file
RUNS = Path("runs")


@dataclass(frozen=True)
class Wishes:
    """What the user asked for; None where the choice is left to us. `model`: a preset's name, or a file."""

    source: Source
    model: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    seed: int = 0
    engine: str = "auto"
    threads: int | None = None  # of the native engine; the result has the same bits for any number


@dataclass
class Experiment:
    """A run that can be trained. `lines`: the epochs so far. `fresh`: whether it begins here, or was resumed."""

    folder: RunFolder
    prepared: Prepared
    model: Model
    epochs: int
    batch_size: int
    lines: list[Line]
    fresh: bool
    seconds: float = 0.0

    @classmethod
    def begin(
        cls, wishes: Wishes, out: Path | None = None, command: str | None = None, private: bool = False
    ) -> Experiment:
        """Reads the data, makes the model and the run folder. Nothing is written before all wishes make sense."""
        prepared, model, name, batch_size, epochs = made(wishes)
        rule = model.optimizer
        source = wishes.source
        config = {
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": command,
            "data": {**asdict(source), "path": None if source.set_name else str(Path(source.data).resolve())},
            "rows": prepared.rows,
            "data_sha256": prepared.fingerprint(),
            "task": prepared.task,
            "class_names": prepared.class_names,
            "model": name,
            "optimizer": rule.to_config(),
            "loss": model.loss.to_config()["class"],
            "epochs": epochs,
            "batch_size": batch_size,
            "seed": wishes.seed,
            "engine": model.engine.name,
            "architecture": model.get_config(),
        }
        stem = f"{file_name(f'{source.short_name}-{name}')}-{datetime.now():%Y%m%d-%H%M%S}"
        folder = RunFolder.create(out or RUNS / stem, config, model, may_rename=out is None, private=private)
        return cls(folder, prepared, model, epochs, batch_size, [], fresh=True)

    @classmethod
    def resume(cls, path: Path, epochs: int | None = None, threads: int | None = None) -> Experiment:
        """A run where its last checkpoint left it. `epochs`, in all, may be more than was asked for at first.

        A run of the native engine goes on where there is no compiler: on the reference, with a warning. It then ends
        as it would have to rounding; to the bit it does on the engine, and the machine, that it began on.
        """
        folder = RunFolder.held(path)
        try:
            return cls._resumed(folder, epochs, threads)
        except BaseException:
            folder.let_go()
            raise

    @classmethod
    def _resumed(cls, folder: RunFolder, epochs: int | None, threads: int | None) -> Experiment:
        prepared = data_of(folder)
        began_on = folder.config["engine"]
        engine = engine_by_name("auto" if began_on == "native" else began_on, threads=threads)
        model, lines = folder.resume(engine)
        if epochs is not None and epochs < len(lines):
            raise UsageError(
                f"{folder.path} is trained for {len(lines)} epochs already; {argument('epochs')} counts them all"
            )
        if epochs is not None and epochs != folder.config["epochs"]:
            folder.write_config(epochs=epochs)
        total, size = folder.config["epochs"], folder.config["batch_size"]
        return cls(folder, prepared, model, total, size, lines, fresh=False)

    def train(self, callbacks: Sequence[Callback] = (), *, checkpoint_seconds: float = 1.0) -> RunRecorder:
        """Trains to the last epoch, Ctrl-C or divergence; the recorder that is answered knows which."""
        recorder = RunRecorder(self.folder, self.lines, seconds=checkpoint_seconds)
        began = time.perf_counter()
        if len(self.lines) < self.epochs:
            p = self.prepared
            try:
                self.model.fit(
                    p.x_train,
                    p.y_train,
                    batch_size=self.batch_size,
                    epochs=self.epochs,
                    initial_epoch=len(self.lines),
                    validation_data=(p.x_validation, p.y_validation),
                    verbose=0,
                    callbacks=[recorder, *callbacks],
                    on_interrupt="return",
                )
                recorder.save_last()
            finally:
                self.folder.let_go()
        self.seconds, self.lines = time.perf_counter() - began, recorder.lines
        return recorder

    @property
    def finished(self) -> bool:
        return len(self.lines) >= self.epochs

    def finish(self) -> tuple[dict[str, Any], Array]:
        """Writes the model, looks at the test part for the first time, answers the result and the predictions on it."""
        self.folder.write_model(self.model)
        predictions = self.model.predict(self.prepared.x_test, verbose=0)
        test = scores_on_test(self.model, self.prepared, self.batch_size)
        last = {k: v for k, v in self.lines[-1].items() if k not in ("epoch", "seconds")} if self.lines else {}
        result = {
            "epochs": len(self.lines),
            "seconds": round(sum(line.get("seconds") or 0.0 for line in self.lines), 3),
            "training": {k: v for k, v in last.items() if not k.startswith("val_")},
            "validation": {k.removeprefix("val_"): v for k, v in last.items() if k.startswith("val_")},
            "test": test,
        }
        return result, predictions


def made(wishes: Wishes) -> tuple[Prepared, Model, str, int, int]:
    """The data and the compiled model that were asked for, its name, batch size and epochs. Nothing is written."""
    asked = None if wishes.optimizer is None else optim.get(wishes.optimizer)  # a wrong name is said at once
    if wishes.model is not None and wishes.model not in PRESETS:
        _model_file(wishes.model)
    prepared = prepare(wishes.source, wishes.seed)
    model, name, rule, batch_size, epochs = _model(wishes, prepared, asked)
    engine = engine_by_name(wishes.engine, threads=wishes.threads)
    model.compile(rule, _loss(model, prepared), metrics=_metrics(prepared), engine=engine)
    model.preprocessing, model.class_names = prepared.preprocessing, prepared.class_names
    _check_output(model, prepared)
    return prepared, model, name, batch_size, epochs


def scores_on_test(model: Model, prepared: Prepared, batch_size: int) -> dict[str, float]:
    """Loss and metrics on the test part. With the training's batches, the validation's program does it."""
    scores = model.evaluate(prepared.x_test, prepared.y_test, batch_size=batch_size, verbose=0, return_dict=True)
    return {name: float(value) for name, value in scores.items()}


def data_of(folder: RunFolder) -> Prepared:
    """The data that a run was made with. Raises `DataError` where it has changed since."""
    told = dict(folder.config["data"])
    path = told.pop("path", None)
    if path is not None:
        if not Path(path).exists():
            raise DataError(f"{folder.path} was trained on {path}, which is not there any more; put it back")
        told["data"] = path
    try:
        source = Source(**told)
    except TypeError as error:
        raise corrupt(folder.path / "config.json", "the source of the data", str(error)) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # they were given when the run began
        prepared = prepare(source, folder.config["seed"])
    if prepared.fingerprint() != folder.config["data_sha256"]:
        raise DataError(
            f"the data {told['data']!r} is not what {folder.path} was trained on: it has changed since (or the library "
            "that splits it has). Begin a new run with it."
        )
    return prepared


# ── the model ───────────────────────────────────────────────────────────────────────────────────────────────


def _model(
    wishes: Wishes, prepared: Prepared, asked: optim.UpdateRule | None
) -> tuple[Model, str, optim.UpdateRule, int, int]:
    """The model, its name, its optimizer (its own, unless another was `asked` for), batch size and epochs."""
    examples = len(prepared.x_train)
    if wishes.model is None or wishes.model in PRESETS:
        chosen = (
            preset(wishes.model) if wishes.model else default_preset(wishes.source.short_name, prepared.input_shape)
        )
        model: Model = chosen.make(
            prepared.input_shape,
            prepared.outputs,
            prepared.task,
            seed=wishes.seed,
            first=prepared.first_layers(),
            last=prepared.last_layers(),
        )
        name, batch_size = chosen.name, wishes.batch_size or chosen.batch_size
        epochs = wishes.epochs or chosen.epochs(examples, batch_size)
        rule = chosen.rule(epochs * math.ceil(examples / batch_size), asked, wishes.learning_rate)
    else:
        path = _model_file(wishes.model)
        model = _model_from(path, wishes.seed)
        name, batch_size = path.stem or "model", wishes.batch_size or BATCH_SIZE
        epochs = wishes.epochs or PRESETS["mlp"].epochs(examples, batch_size)
        rule = asked or (model.optimizer if model.compiled else optim.get("adam"))
        if wishes.learning_rate is not None:
            rule = replace(rule, learning_rate=wishes.learning_rate)
        if model.example_shape != prepared.input_shape:
            raise ShapeError(
                f"the model in {path} takes examples of shape {list(model.example_shape or ())}; those of "
                f"{wishes.source.data} have {list(prepared.input_shape)}"
            )
    return model, name, rule, batch_size, epochs


def _model_file(name: str) -> Path:
    """The path, if `name` is one; else the error for an unknown model."""
    path = Path(name)
    if not path.exists():
        if path.suffix or path.name != name:
            raise UsageError(
                f"{argument('model', name)}: no such file. Give a preset's name or a file: {', '.join(PRESETS)}"
            )
        raise UnknownNameError("model", name, PRESETS)
    return path


def _model_from(path: Path, seed: int) -> Model:
    """A model from a file: its architecture with fresh weights, where it is JSON, else with those it was saved with."""
    if path.suffix == ".json":
        model = saved.untrained(path, seed)
    else:
        model = saved.load(path)
        model.seed, model.epochs_trained = seed, 0
    return model


def _check_output(model: Model, prepared: Prepared) -> None:
    """The last layer must answer what the task asks for: probabilities of the classes, or one number."""
    shape = model.output_shape[1:]
    if prepared.task != CLASSIFICATION:
        if shape != (1,):
            raise ShapeError(f"regression needs a last layer with one output, Dense(1); the model has {list(shape)}")
        return
    end, classes = _last_activation(model), prepared.outputs
    if not ((shape == (classes,) and end == "softmax") or (shape == (1,) and classes == 2 and end == "sigmoid")):
        wanted = f"Dense({classes}, activation='softmax')" + (
            " or Dense(1, activation='sigmoid')" if classes == 2 else ""
        )
        raise ShapeError(
            f"{classes} classes need a last layer {wanted}; the model ends with outputs {list(shape)} and "
            f"activation {end!r}"
        )


def _last_activation(model: Model) -> str | None:
    origin = model.outputs[0].tensor.origin
    return None if origin is None else origin.function


def _loss(model: Model, prepared: Prepared) -> str:
    if prepared.task != CLASSIFICATION:
        return "mean_squared_error"
    return "binary_crossentropy" if model.output_shape == (None, 1) else "sparse_categorical_crossentropy"


def _metrics(prepared: Prepared) -> list[str]:
    return ["accuracy"] if prepared.task == CLASSIFICATION else ["mae", "r2"]
