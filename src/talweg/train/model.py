"""The model that a user holds: compile, fit, evaluate, predict, with Keras's names, argument order and defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from talweg.engines.base import Engine, Session
from talweg.engines.choose import engine_by_name, native_source
from talweg.errors import UsageError
from talweg.graph import Array, Program
from talweg.nn.layers import Context, KerasTensor
from talweg.nn.layers.symbolic import call, flat, packed, single
from talweg.optim import LBFGS, UpdateRule
from talweg.registry import snake_case
from talweg.train import programs, usual
from talweg.train.arguments import epochs_to_validate, listed, part, verbosity, whole, whole_or_none
from talweg.train.callbacks.arguments import one_of
from talweg.train.callbacks.base import CallbackList
from talweg.train.callbacks.progress import ProgressLine
from talweg.train.compiled import Aim, Compiled, compiled
from talweg.train.doubts import tell_doubts
from talweg.train.doubts.divergence import tell_if_not_finite, tell_of_predictions
from talweg.train.history import History
from talweg.train.intake import (
    by_class,
    evaluation_source,
    prediction_pieces,
    rows_of,
    taken,
    training_source,
    unbuilt_on_error,
    validation_source,
)
from talweg.train.interrupts import interrupted
from talweg.train.layered import Layered
from talweg.train.loop import (
    Batches,
    Fitting,
    Plan,
    Progress,
    in_slices,
    logs_of,
    measure,
    one_batch,
    run_epochs,
    schedule_of,
)
from talweg.train.lr_find import RateSearch, lr_find
from talweg.train.network import Network
from talweg.train.profiling import profile
from talweg.train.programs import Form, Goal, Y, feed
from talweg.train.searching import Searching
from talweg.train.sessions import Sessions, living_in, memory_of
from talweg.train.sources import is_stream

if TYPE_CHECKING:
    from talweg.engines.choose import Profile

PREDICTED_AT_ONCE = 256  # rows; the results do not depend on it


class Model(Layered):
    """A network of layers with variables, and what trains it.

    inputs   what `Input` answered, or several in a list or dictionary; other placeholders will do, and what leads to
             them is then left out, so ``Model(model.input, model.get_layer("hidden").output)`` shows a hidden layer
    outputs  what layers answered, alone or in a list or dictionary: so does `predict` answer
    seed     makes all that is random here, now and in training, the same each time; else the model picks `model.seed`

    Layers are shared: a layer that stands in two models is trained by both. A model called on a placeholder is a layer.
    Raises `UsageError` where an output needs an `Input` that is not among the inputs, or two layers have one name.

    >>> from talweg.nn.layers import Add, Dense, Input
    >>> x = Input((8,))
    >>> h = Add()([x, Dense(8, "relu")(x)])
    >>> model = Model(x, Dense(1)(h), seed=0)
    >>> model.count_params(), [layer.name for layer in model.layers]
    (81, ['input_layer', 'dense', 'add', 'dense_1'])
    """

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        name: str | None = None,
        trainable: bool = True,
        *,
        seed: int | None = None,
    ) -> None:
        if type(self) is Model and (inputs is None or outputs is None):
            raise UsageError(
                "Model needs inputs and outputs: x = Input((784,)); Model(x, Dense(10)(x)). For layers one after "
                "another there is Sequential([Input((784,)), Dense(10)])."
            )
        super().__init__(name, seed, snake_case(type(self).__name__))
        self.stop_training = self.stop_evaluating = self.stop_predicting = False
        self.history: History | None = None
        self.epochs_trained = 0
        self.fitting: Fitting | None = None  # the fit that runs just now
        self.preprocessing: dict[str, Any] | None = None  # how a run made x of a file; saved with the model
        self.class_names: list[str] | None = None  # what output k means; saved with the model
        self._compiled: Compiled | None = None
        self._memory: dict[str, Array] = {}  # the optimizer's, between fits
        self._sessions = Sessions()
        if inputs is not None:
            self.connect(Network(inputs, outputs))
            if not trainable:
                self.trainable = False

    def changed(self) -> None:
        """Forgets the programs that were written for the layers as they were."""
        super().changed()
        self._sessions.clear()

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

        optimizer, loss, metrics: names, objects, or functions. Sample and class weights count in the loss and in
        `weighted_metrics`, not in `metrics`, as in Keras. engine: "auto", "native", "jax", "reference", or an `Engine`.
        precision: float32 or float64. `run_eagerly`, `steps_per_execution`, `jit_compile` and `auto_scale_loss` are
        taken for Keras's sake and change nothing: a model is always compiled, as one program.

        Several outputs: one loss for all, or a list in their order, or a dictionary by `output_names`; an output
        without a loss is not trained. What becomes small is the sum of the losses, each times its entry in
        `loss_weights`. Metrics are a list with an entry for each output, or a dictionary. Histories say
        ``output_loss``, which `loss_weights` does not change, and ``output_metric``.

        Raises `UnknownNameError` for a name that is in no table, `UsageError` for what cannot be meant.
        """
        maker = engine if isinstance(engine, Engine) else engine_by_name(engine, precision)
        asked = (loss, loss_weights, metrics, weighted_metrics)
        self._compiled = compiled(optimizer, *asked, maker, self.output_names)
        self._sessions.clear()
        self._memory = {}
        for v in self.variables:
            v.cast(self.precision)

    @property
    def compiled(self) -> bool:
        return self._compiled is not None

    @property
    def optimizer(self) -> UpdateRule:
        return self._told().rule

    @property
    def aims(self) -> list[Aim]:
        """What `compile` was told of each output."""
        return self._told().aims

    @property
    def loss(self) -> Any:
        """The loss; of a model with several outputs those of each, None where one has none."""
        return single([aim.loss for aim in self.aims])

    @property
    def engine(self) -> Engine:
        """What computes this model's programs."""
        return self._told().engine

    @property
    def metrics(self) -> list[Any]:
        """What `compile` was told to measure: names, objects or functions; a list for each of several outputs."""
        return single([aim.metrics for aim in self.aims])

    @property
    def weighted_metrics(self) -> list[Any]:
        """The metrics that heed the examples' weights."""
        return single([aim.weighted_metrics for aim in self.aims])

    @property
    def precision(self) -> str:
        return self._compiled.engine.precision if self._compiled else "float32"

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` answers, in order."""
        return ["loss", *self._told().labels]

    @property
    def optimizer_states(self) -> dict[str, Array]:
        """What the update rule remembers, by name: its slots and the count of steps; may be assigned."""
        return memory_of(self.fitting.session) if self.fitting is not None else self._memory

    @optimizer_states.setter
    def optimizer_states(self, states: Mapping[str, Array]) -> None:
        self._memory = dict(states)
        if self.fitting is not None:
            self.fitting.session.load(self._memory)

    @property
    def iterations(self) -> int:
        """How many steps this model has been trained for."""
        if self.fitting is not None:
            return self.fitting.progress.iterations
        return int(self._memory.get("optimizer/iterations", 0))

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
        validation_freq: int | Sequence[int] = 1,
        *,
        on_interrupt: str = "raise",
    ) -> History:
        """Trains for `epochs` passes over the data, and answers what happened.

        x, y              lists, arrays, pandas frames; or x alone: a `Dataset`, a generator, batches of (x, y);
                          for several inputs or outputs a list in their order, or a dictionary with their names
        batch_size        examples a step, 32 by default; 1 updates after every example, len(x) once an epoch
        verbose           0 nothing, 1 a progress line, 2 a line an epoch
        validation_split  this part of the rows, the last ones, is kept for validation
        validation_data   (x, y) or (x, y, sample_weight), or a stream; `validation_split` then does nothing
        class_weight      for a class's number, how much its examples count
        sample_weight     how much each example counts; for several outputs also a list or a dictionary of such arrays
        steps_per_epoch   batches in an epoch, where it is not one pass; the next epoch goes on where it
                          ended; one that comes to the end of the data ends there, and warns
        validation_freq   validation follows every so many epochs, or those listed, counted from 1
        on_interrupt      "raise", or "return": what follows when Ctrl-C has ended the fit

        Raises `DataError` or `ShapeError` for data that cannot be trained on, before anything has changed. Ctrl-C ends
        the fit after the batches at hand, by `KeyboardInterrupt`, so that no program goes on as if it had trained;
        weights and `model.history`, of the epochs before, are kept. What is doubtful is told by a `TalwegWarning`.
        """
        told = self._told()
        size = whole_or_none(batch_size, "batch_size", 1)
        validation_size = whole_or_none(validation_batch_size, "validation_batch_size", 1) or size
        epochs, initial_epoch = whole(epochs, "epochs", 0), whole(initial_epoch, "initial_epoch", 0)
        steps = whole_or_none(steps_per_epoch, "steps_per_epoch", 1)
        validation_steps = whole_or_none(validation_steps, "validation_steps", 1)
        one_of(on_interrupt, "on_interrupt", ("raise", "return"))
        split = part(validation_split, "validation_split") if validation_data is None else 0.0
        shown = [ProgressLine()] if (verbose := verbosity(verbose)) else []
        with unbuilt_on_error(self):
            given = (x, y, sample_weight)
            source, kept = training_source(self, given, size, bool(shuffle), class_weight, split, steps)
            validated = kept if validation_data is None else validation_data
            validation = validation_source(self, validated, validation_size, validation_steps)
            session = self._session("train", source.form)
            session.prepare(source.batch_size)
            if validation is not None:  # it compiles while the training does, or runs already
                self._session("evaluate", validation.form).prepare(validation.batch_size)

        def validate() -> dict[str, Any]:
            assert validation is not None
            return measure(self._session("evaluate", validation.form), validation, self, told_all)

        plan = Plan(source, epochs, initial_epoch, epochs_to_validate(validation_freq), self.seed)
        plan.schedule, plan.validation = schedule_of(self.optimizer), validation
        params = {"epochs": epochs, "steps": source.steps, "verbose": verbose, "batch_size": size or source.batch_size}
        params |= {"validation_freq": validation_freq, "loss": told.loss_name}
        told_all = CallbackList([*listed(callbacks), *shown], self, params)
        history = self.history = History(params)
        tell_doubts(self, plan, kept is not None, told_all.may_set_rates)
        self.stop_training = False
        began = self.iterations
        fitting = Fitting(session, plan, Progress(self.epochs_trained, began))
        with living_in(session, self.named_variables):
            self.fitting = fitting
            try:
                told_all.tell("on_train_begin", {})
                run_epochs(fitting, self, told_all, None if validation is None else validate, history)
                if self.iterations > began:
                    session.load(self.optimizer.final_weights(memory_of(session)))
            finally:
                try:
                    told_all.tell("on_train_end", history.last())
                finally:
                    self.fitting = None
                    self._memory |= memory_of(session)
        if on_interrupt == "raise" and history.params.get("interrupted"):
            raise interrupted(len(history.epoch), epochs)
        return history

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One step on one batch; answers the loss and metrics on it alone, from before the step."""
        self._told()
        with unbuilt_on_error(self):
            rows = by_class(self, rows_of(self, x, y, sample_weight), class_weight)
            session = self._session("train", rows.form)
        with living_in(session, self.named_variables):
            outputs = one_batch(session, rows, self.optimizer, self.seed, self.iterations)
        self._memory |= memory_of(session)
        return self._answer(logs_of(outputs), return_dict)

    def lr_find(self, x: Any = None, y: Any = None, batch_size: int | None = None, **options: Any) -> RateSearch:
        """Tries growing rates, one a batch, and suggests one to train with: see `talweg.train.lr_find.lr_find`."""
        return lr_find(self, x, y, batch_size, **options)

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
        self._told()
        size, steps = whole_or_none(batch_size, "batch_size", 1), whole_or_none(steps, "steps", 1)
        verbose = verbosity(verbose)
        with unbuilt_on_error(self):
            source = evaluation_source(self, (x, y, sample_weight), size, steps)
            session = self._session("evaluate", source.form)
        told_all = CallbackList(
            listed(callbacks), self, {"verbose": verbose, "epochs": 1, "steps": steps or source.steps}
        )
        told_all.tell("on_test_begin", {})
        logs = measure(session, source, self, told_all)
        told_all.tell("on_test_end", logs)
        tell_if_not_finite(logs["loss"])
        if verbose:
            ProgressLine.print_result(logs)
        return self._answer(logs, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """`evaluate` on one batch, in silence."""
        with unbuilt_on_error(self):
            size = None if is_stream(x) else len(next(iter(taken(self, x).values())))
        return self.evaluate(x, y, size, verbose=0, sample_weight=sample_weight, return_dict=return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The network's output for each example: an array (n, ...). Prints nothing, whatever `verbose` says.

        Of several outputs a list or a dictionary of arrays, as `outputs` was; a list of one is that one, as in Keras.
        """
        steps = whole_or_none(steps, "steps", 1)
        params: dict[str, Any] = {"verbose": verbosity(verbose), "epochs": 1, "steps": None}
        told_all = CallbackList(listed(callbacks), self, params)
        batches = Batches("predict", told_all)
        size = whole_or_none(batch_size, "batch_size", 1) or (None if batches.told or steps else PREDICTED_AT_ONCE)
        params["steps"], size, pieces = prediction_pieces(self, x, size, steps)
        self.stop_predicting = False
        told_all.tell("on_predict_begin", {})
        parts: list[dict[str, Array]] = []
        for rows in pieces:
            session = self._session("predict", rows.form)
            for outputs in in_slices(session, rows, np.arange(len(rows)), size or len(rows), batches):
                parts.append(outputs)
                batches.end(lambda: {"outputs": self._answers(parts[-1:])})
                if self.stop_predicting:
                    break
            if self.stop_predicting:
                break
        if not parts:
            raise UsageError("x gave no batches to predict")
        told_all.tell("on_predict_end", {})
        tell_of_predictions(flat(answers := self._answers(parts)))
        return answers

    def _answers(self, parts: list[dict[str, Array]]) -> Any:
        """The outputs of some batches, in the structure that `outputs` had."""
        names = self.output_names
        answers = [np.concatenate([part[feed(Y, name, names)] for part in parts]) for name in names]
        return packed(answers, single(self.network.outputs))

    def predict_on_batch(self, x: Any) -> Any:
        """`predict` on one batch."""
        return self.predict(x)

    def __call__(self, x: Any, training: bool | None = None, mask: None = None) -> Any:
        """Of numbers, the network's output as `predict` gives it; of placeholders, the model used as a layer."""
        if any(isinstance(leaf, KerasTensor) for leaf in flat(x)):
            return call(self, x, training, Context(training=False))
        if training:
            raise UsageError("call with training=True is not available; train_on_batch does a training step")
        return self.predict(x)

    def _answer(self, logs: dict[str, Any], as_dict: bool) -> Any:
        """What Keras answers: a dict, or the values in the order of `metrics_names`, a single one by itself."""
        values = [logs[name] for name in self.metrics_names]
        return logs if as_dict else values[0] if len(values) == 1 else values

    # ── files ─────────────────────────────────────────────────────────────────────────────────────────────

    def save(self, filepath: Any, overwrite: bool = True, include_optimizer: bool = True) -> None:
        """Writes the model: a file where the name ends in ``.safetensors`` or ``.keras``, or a folder; see `saved`."""
        from talweg.train import saved

        saved.save(self, filepath, overwrite, include_optimizer)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Writes the weights alone, to a file whose name ends in ``.safetensors``, or ``.weights.h5`` for Keras."""
        from talweg.train import saved

        saved.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: Any) -> None:
        """Puts the weights of such a file, or of a saved model, in place; nothing changes unless all of them fit."""
        from talweg.train import saved

        saved.load_weights(self, filepath)

    # ── programs ──────────────────────────────────────────────────────────────────────────────────────────

    def program(self, kind: str, form: Form | None = None) -> Program:
        """The graph of "train", "evaluate" or "predict" for data of the given form, or of the usual."""
        form = form or self.usual_form(kind != "predict")
        network = self.network
        if kind == "predict":
            return programs.prediction_program(network, form)
        goals = self.goals(form)
        if kind == "evaluate":
            return programs.evaluation_program(network, form, goals)
        return programs.training_program(network, form, goals, self.optimizer)

    def goals(self, form: Form) -> list[Goal]:
        """What each output is trained for and measured by, where the data has that form."""
        return self._told().goals(form.inputs(), [y.tensor for y in self.outputs])

    def usual_form(self, with_labels: bool = True) -> Form:
        """The form of the data that this network and its losses are for: numbers, and class numbers or numbers."""
        return usual.form(self, with_labels)

    def native_source(self, batch_size: int = 32) -> str:
        """The C of one step of this model's training, as the native engine compiles it for batches of `batch_size`.

        Raises `UsageError` for a model that is not compiled or not built, and on a machine without a C compiler.
        """
        return native_source(self.program("train"), whole(batch_size, "batch_size", 1), self.precision)

    def native_profile(
        self, x: Any = None, y: Any = None, batch_size: int = 32, seconds: float = 1.0, threads: int | None = None
    ) -> Profile:
        """Where the time of a step of training goes on the native engine, kernel by kernel.

        Trains a copy for `seconds`, on x and y or, without them, on random numbers: how long a step takes depends on
        shapes, hardly on values. Raises `UsageError` as `native_source` does.
        """
        return profile(self, x, y, whole(batch_size, "batch_size", 1), seconds, threads)

    def _session(self, kind: str, form: Form) -> Session:
        """A session for the form, made on first use, holding the model's present values.

        The program depends also on what is trained, and on the learning rate where that is a formula.
        """
        key: tuple[Any, ...] = (kind, form)
        rule, memory = None, None
        if kind != "predict":
            key += (*self.trainable_variables, *self.modes())
        if kind == "train":
            rule, memory = self.optimizer, self._memory
            key += (schedule_of(rule),)
        engine = self._compiled.engine if self._compiled else engine_by_name("auto", self.precision)
        if isinstance(rule, LBFGS):
            engine = Searching(engine, rule)
        return self._sessions.get(key, engine, lambda: self.program(kind, form), self.named_variables, rule, memory)
