"""The model that a user holds: compile, fit, evaluate, predict, with Keras's names, argument order and defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from talweg import graph as g
from talweg.engines.base import Engine, Session
from talweg.engines.choose import engine_by_name
from talweg.errors import DataError, UsageError
from talweg.graph import Array, Program
from talweg.graph.random import key_of
from talweg.nn import losses, metrics
from talweg.nn.layers import Layer, Variable
from talweg.nn.layers.base import set_weights
from talweg.nn.losses import Loss
from talweg.nn.metrics import Metric
from talweg.optim import UpdateRule
from talweg.optim import get as get_optimizer
from talweg.optim.schedules import Schedule
from talweg.train import programs
from talweg.train import rows as rows_
from talweg.train.callbacks.base import Callback, CallbackList
from talweg.train.callbacks.progress import ProgressLine
from talweg.train.history import History
from talweg.train.loop import Plan, Progress, measure, run_epochs
from talweg.train.programs import Form
from talweg.train.rows import Rows
from talweg.train.seeds import next_seed

EngineMaker = Callable[[str, str], Engine]


@dataclass
class Compiled:
    """What `compile` was told."""

    rule: UpdateRule
    loss: Loss
    metrics: list[Any]
    engine: Engine


class Model:
    """Layers with variables, and what trains them. `Sequential` says how the layers follow one another."""

    def __init__(self, name: str | None = None, seed: int | None = None) -> None:
        self.name = name or "sequential"
        self.seed = next_seed() if seed is None else seed
        self.stop_training = False
        self.history: History | None = None
        self.epochs_trained = 0
        self.optimizer_states: dict[str, Array] = {}
        self._compiled: Compiled | None = None
        self._sessions: dict[Any, Session] = {}

    # ── what a kind of model says of itself ───────────────────────────────────────────────────────────────

    @property
    def layers(self) -> list[Layer]:
        raise UsageError(f"{type(self).__name__} has no layers of its own; use Sequential")

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of one example, or None where it is not known yet."""
        raise UsageError(f"{type(self).__name__} has no input of its own; use Sequential")

    def build(self, input_shape: Any = None) -> None:
        """Makes the variables, for examples of `input_shape`."""
        raise UsageError(f"{type(self).__name__} cannot be built; use Sequential")

    # ── weights ───────────────────────────────────────────────────────────────────────────────────────────

    @property
    def variables(self) -> list[Variable]:
        """Every variable, each once, layer by layer."""
        return list({id(v): v for layer in self.layers for v in layer.variables}.values())

    weights = variables

    @property
    def trainable_variables(self) -> list[Variable]:
        return list({id(v): v for layer in self.layers for v in layer.trainable_variables}.values())

    trainable_weights = trainable_variables

    @property
    def built(self) -> bool:
        return self.input_shape is not None

    def get_weights(self) -> list[Array]:
        """Copies of all weight arrays, layer by layer."""
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Puts other values in place; nothing changes unless the number and all shapes fit (`ShapeError`)."""
        set_weights(self.variables, weights, f"model {self.name!r}")

    def count_params(self) -> int:
        """The number of numbers in all variables."""
        return sum(int(np.prod(v.shape)) for v in self.variables)

    # ── compile ───────────────────────────────────────────────────────────────────────────────────────────

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        *,
        engine: Any = "auto",
        precision: str = "float32",
    ) -> None:
        """Says how to train: the update rule, the loss, what to measure, and what computes it.

        optimizer, loss, metrics: names, objects, or functions. engine: "auto", "native", "reference", or an `Engine`.
        precision: float32 or float64. `loss_weights`, `run_eagerly`, `steps_per_execution`, `jit_compile` and
        `auto_scale_loss` are taken for Keras's sake; a model with one output, compiled as one program, has no use for them.
        Raises `UnknownNameError` for a name that is in no table.
        """
        if loss is None:
            raise UsageError("compile() needs a loss, for instance loss='mse'")
        asked = [*_listed(metrics), *_listed(weighted_metrics)]
        for name in (m for m in asked if isinstance(m, str)):
            known_metric(name)
        maker = engine if isinstance(engine, Engine) else engine_by_name(engine, precision)
        self._compiled = Compiled(get_optimizer(optimizer), losses.get(_only(loss)), asked, maker)
        self._sessions.clear()
        self.optimizer_states = {}

    @property
    def compiled(self) -> bool:
        return self._compiled is not None

    @property
    def optimizer(self) -> UpdateRule:
        return self._told().rule

    @property
    def loss(self) -> Loss:
        return self._told().loss

    @property
    def engine(self) -> Engine:
        """What computes this model's programs."""
        return self._told().engine

    @property
    def precision(self) -> str:
        return self._compiled.engine.precision if self._compiled else "float32"

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` answers, in order."""
        return ["loss", *(m if isinstance(m, str) else getattr(m, "label", str(m)) for m in self._told().metrics)]

    @property
    def iterations(self) -> int:
        """How many steps this model has been trained for."""
        return int(self.optimizer_states.get("optimizer/iterations", 0))

    def _told(self) -> Compiled:
        if self._compiled is None:
            raise UsageError("the model must be compiled first: model.compile(optimizer='adam', loss=...)")
        return self._compiled

    # ── fit ───────────────────────────────────────────────────────────────────────────────────────────────

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Trains for `epochs` passes over the data, and answers what happened.

        x, y              lists, arrays, pandas frames; or x alone: a `Dataset`, generator or other stream of (x, y) batches
        batch_size        examples a step, 32 by default; 1 updates after every example, len(x) once an epoch
        verbose           0 nothing, 1 a progress line, 2 a line an epoch
        validation_split  this part of the rows, the last ones, is kept for validation
        validation_data   (x, y) or (x, y, sample_weight), or a stream
        class_weight      for a class's number, how much its examples count
        sample_weight     how much each example counts

        Raises `DataError` or `ShapeError` for data that cannot be trained on, before anything has changed. Ctrl-C ends the
        fit after the batches at hand; the history of the epochs before is kept.
        """
        told = self._told()
        batch_size = _whole(batch_size if batch_size is not None else 32, "batch_size", 1)
        epochs, initial_epoch = _whole(epochs, "epochs", 0), _whole(initial_epoch, "initial_epoch", 0)
        streams = rows_.is_stream(x)
        if streams:
            if y is not None:
                raise UsageError("y must not be given beside a data set that gives (x, y) batches")
            if validation_split:
                raise UsageError("validation_split needs arrays; give validation_data beside a stream")
            opened = _Stream(self, x, class_weight)
            first, rows = opened.first(), None
        else:
            if y is None:
                raise UsageError("fit needs labels: fit(x, y)")
            rows = self._rows(x, y, sample_weight, class_weight)
            rows, kept = _split(rows, validation_split)
            first = rows
            validation_data = kept if kept is not None and validation_data is None else validation_data
        session = self._session("train", first.form())
        validation = self._validation(validation_data, validation_batch_size or batch_size, validation_steps)

        plan = Plan(
            rows,
            opened.batches if streams else None,
            batch_size,
            epochs,
            initial_epoch,
            shuffle,
            steps_per_epoch,
            validation_freq,
            self.seed,
        )
        params = {"epochs": epochs, "steps": plan.steps, "verbose": verbose, "batch_size": batch_size}
        self.history, self.stop_training = History(params), False
        progress = Progress(self.epochs_trained, lambda: self._rate(), self.iterations, lambda: self.stop_training)
        shown = [ProgressLine()] if verbose in (1, 2, "auto", True) else []
        told_all = CallbackList([*_listed(callbacks), *shown], self, params)
        self._alive(session)
        try:
            told_all.tell("on_train_begin", {})
            run_epochs(session, plan, progress, told_all, validation, self.history)
        finally:
            self.epochs_trained = progress.epochs_trained
            self._read_optimizer(session)
            try:
                told_all.tell("on_train_end", self.history.last())
            finally:
                self._rest()
        return self.history

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One step on one batch; answers the loss and metrics on it, from before the step."""
        rows = self._rows(x, y, sample_weight, class_weight)
        session = self._session("train", rows.form())
        session.load(
            {
                s.name: np.zeros(s.shape)
                for s in session.program.states  # type: ignore[arg-type]
                if s.name.startswith("metrics/")
            }
        )
        rate = self._rate()
        at = rate(self.iterations) if callable(rate) else rate
        settings = {"seed": key_of(self.seed)} | ({} if at is None else {"learning_rate": np.asarray(at)})
        outputs = session.run(rows.feeds(), np.arange(len(rows)), len(rows), settings)
        self._read_optimizer(session)
        self._alive(session)
        self._rest()
        logs = {k: v.item() if v.size == 1 else v for k, v in outputs.items() if k != "learning_rate"}
        return logs if return_dict else _as_keras_answers(logs)

    # ── evaluate and predict ──────────────────────────────────────────────────────────────────────────────

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and the metrics on some data: a number, or a list in the order of `metrics_names`, or a dict."""
        told_all = CallbackList(_listed(callbacks), self, {})
        told_all.tell("on_test_begin", {})
        data = x if rows_.is_stream(x) else (x, y, sample_weight)
        validate = self._validation(data, batch_size or 32, steps)
        assert validate is not None
        logs = validate()
        told_all.tell("on_test_end", logs)
        if verbose in (1, 2, "auto", True):
            ProgressLine.print_result(logs)
        return logs if return_dict else _as_keras_answers(logs)

    test_on_batch = evaluate

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Array:
        """The network's output for each example: an array (n, ...)."""
        told_all = CallbackList(_listed(callbacks), self, {})
        told_all.tell("on_predict_begin", {})
        parts: list[Array] = []
        for features in self._prediction_pieces(x, steps):
            rows = Rows(features)
            session = self._session("predict", rows.form())
            parts.append(session.run(rows.feeds(), np.arange(len(rows)), batch_size or 256)["y"])
        if not parts:
            raise DataError("the data set gave no batches to predict")
        told_all.tell("on_predict_end", {})
        return np.concatenate(parts)

    predict_on_batch = predict

    def __call__(self, x: Any, training: bool = False) -> Array:
        """The network's output, as `predict` gives it."""
        if training:
            raise UsageError("call with training=True is not available; train_on_batch does a training step")
        return self.predict(x, verbose=0)

    def _prediction_pieces(self, x: Any, steps: int | None) -> Iterator[Array]:
        sources = (b[0] for b in rows_.batches_of(x)) if rows_.is_stream(x) else iter([x])
        for i, source in enumerate(sources):
            if steps is not None and i >= steps:
                return
            if not self.built:
                self.build(rows_.features(source, None, self.precision).shape[1:])
            yield rows_.features(source, self.input_shape, self.precision)

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────────

    def program(self, kind: str, form: Form) -> Program:
        """The graph of "train", "evaluate" or "predict" for data of the given form."""
        if kind == "predict":
            return programs.prediction_program(self.layers, form)
        told = self._told()
        measured = self._metrics(form)
        if kind == "evaluate":
            return programs.evaluation_program(self.layers, form, told.loss, measured)
        return programs.training_program(self.layers, form, told.loss, measured, told.rule)

    def _metrics(self, form: Form) -> list[Metric]:
        """The metrics that were asked for, found now that the form of labels and predictions is known."""
        y_pred = g.input_tensor("y_pred", (g.BATCH, *self.output_shape))
        y_true = g.input_tensor("y", (g.BATCH, *form.y_shape), form.y_dtype)
        return [metrics.get(m, y_pred, y_true) for m in self._told().metrics]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of what the network answers for one example."""
        if self.input_shape is None:
            raise UsageError("the model is not built yet: give its first layer an input_shape, or fit it")
        return programs.output_shape(self.layers, self.input_shape)

    def _rows(self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> Rows:
        """Checked arrays. Builds the model where its input shape comes from the data."""
        if x is None:
            raise UsageError("x is missing")
        precision = self.precision
        features = rows_.features(x, self.input_shape, precision)
        y_array = None if y is None else rows_.as_array(y, "y")
        rows_.same_length(features, y_array)
        if not self.built:
            self.build(features.shape[1:])
        if y_array is not None:
            y_array = rows_.labels(y_array, self._told().loss, self.output_shape, precision)
        return Rows(features, y_array, rows_.weights_of(y_array, len(features), sample_weight, class_weight, precision))

    def _session(self, kind: str, form: Form) -> Session:
        """A session for the form, made on first use, holding the model's present values."""
        key = (
            kind,
            form,
            id(self.optimizer.learning_rate)
            if kind == "train" and isinstance(self.optimizer.learning_rate, Schedule)
            else None,
        )
        engine = self._compiled.engine if self._compiled else engine_by_name("auto", "float32")
        variables = {v.name: v for v in self.variables}
        if key not in self._sessions:
            program = self.program(kind, form)
            rule = self._compiled.rule if self._compiled and kind == "train" else None
            first = programs.first_values(program, variables, rule)
            self._sessions[key] = engine.compile(program, first)
        session = self._sessions[key]
        session.load(
            {name: v.value for name, v in variables.items()} | (self.optimizer_states if kind == "train" else {})
        )
        return session

    def _validation(self, data: Any, batch_size: int, steps: int | None) -> Callable[[], dict[str, Any]] | None:
        """What measures loss and metrics on validation data, whenever it is called."""
        if data is None:
            return None
        if rows_.is_stream(data):
            stream = _Stream(self, data, None)
            form, pieces, size = stream.first().form(), lambda: stream.batches(steps), None
        else:
            rows = data if isinstance(data, Rows) else self._rows(*data) if len(data) > 1 else None
            if rows is None or rows.y is None:
                raise UsageError("validation data must be (x, y) or (x, y, sample_weight)")
            cut = rows if steps is None else rows.part(0, steps * batch_size)
            form, pieces, size = rows.form(), lambda: iter([cut]), batch_size  # type: ignore[assignment]

        def validate() -> dict[str, Any]:
            return measure(self._session("evaluate", form), pieces(), size)

        return validate

    def _rate(self) -> Any:
        """The rate as the loop feeds it: a number, a function of the step, or None where a schedule is in the program."""
        rate = self.optimizer.learning_rate
        return None if isinstance(rate, Schedule) else rate

    def _alive(self, session: Session) -> None:
        """From now on the variables' values are the session's."""
        for v in self.variables:
            v.live = session

    def _rest(self) -> None:
        """From now on the variables' values are their own again."""
        for v in self.variables:
            _ = v.value  # the last that the session had
            v.live = None

    def _read_optimizer(self, session: Session) -> None:
        names = [s.name for s in session.program.states if s.name.startswith("optimizer/")]
        self.optimizer_states = session.states(names)


class _Stream:
    """Batches from something that can be iterated, checked one by one."""

    def __init__(self, model: Model, source: Any, class_weight: Any) -> None:
        self._model, self._source, self._class_weight = model, source, class_weight
        self._is_once = iter(source) is source if hasattr(source, "__iter__") else False
        self._ahead: list[Rows] = []
        self._open: Iterator[Rows] | None = None

    def first(self) -> Rows:
        """The first batch, from which the model is built and its programs written; it will be given again."""
        self._open = self._checked()
        batch = next(self._open, None)
        if batch is None:
            raise DataError("the data set gave no batches")
        self._ahead = [batch]
        return batch

    def batches(self, limit: int | None = None) -> Iterator[Rows]:
        """One pass over the source. A generator that can be iterated once only goes on where it was."""
        given = 0
        opened = self._open if self._open is not None else self._checked()
        self._open = opened if self._is_once else None
        while limit is None or given < limit:
            batch = self._ahead.pop() if self._ahead else next(opened, None)
            if batch is None:
                return
            given += 1
            yield batch

    def _checked(self) -> Iterator[Rows]:
        for x, y, weight in rows_.batches_of(self._source):
            if y is None:
                raise DataError("each batch of the data set must be (x, y) or (x, y, sample_weight)")
            yield self._model._rows(x, y, weight, self._class_weight)


def known_metric(name: str) -> None:
    """Raises `UnknownNameError` for a metric's name that is in no table."""
    shape = g.input_tensor("y", (g.BATCH, 2))
    metrics.get(name, shape, shape)


def _split(rows: Rows, part: float) -> tuple[Rows, Rows | None]:
    """The rows without the last part of them, and that part."""
    if not part:
        return rows, None
    if not 0 < part < 1:
        raise UsageError(f"validation_split must be between 0 and 1; got {part}")
    at = int(len(rows) * (1 - part))
    if at in (0, len(rows)):
        raise UsageError(f"validation_split={part} of {len(rows)} examples leaves one part empty")
    return rows.part(0, at), rows.part(at, len(rows))


def _as_keras_answers(logs: dict[str, Any]) -> Any:
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _only(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


def _whole(value: Any, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise UsageError(f"{name} must be a whole number of at least {least}; got {value!r}")
    return int(value)


__all__ = ["Callback", "Model"]
