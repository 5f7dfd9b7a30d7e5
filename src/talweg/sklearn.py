"""Talweg's models as estimators of scikit-learn: for pipelines, grids of parameters, cross-validation.

>>> from sklearn.datasets import load_iris
>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> x, y = load_iris(return_X_y=True)
>>> network = TalwegClassifier((16,), epochs=60, batch_size=16, random_state=0)
>>> round(make_pipeline(StandardScaler(), network).fit(x, y).score(x, y), 1)
1.0
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from talweg import optim
from talweg.errors import DataError, UsageError
from talweg.graph import Array
from talweg.nn import losses
from talweg.nn.layers import Dense, Dropout, Input, Layer
from talweg.nn.regularizers import L2
from talweg.train import saved
from talweg.train.callbacks import EarlyStopping
from talweg.train.model import Model
from talweg.train.sequential import Sequential
from talweg.train.tensors import HeldTensors

AUTO_BATCH = 200  # examples, or all where there are fewer, as scikit-learn's own networks have it
PICKLED = Path("the pickled estimator")  # named in errors in place of a file

Build = Callable[[tuple[int, ...], int], Any]


class _TalwegEstimator(BaseEstimator):  # type: ignore[misc]
    """What both share: the network, how it is trained, and its state as plain arrays and JSON."""

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: Any = "relu",
        *,
        model: Build | Sequence[Any] | None = None,
        optimizer: Any = "adam",
        learning_rate: Any = None,
        loss: Any = None,
        metrics: Any = None,
        alpha: float = 0.0,
        dropout: float = 0.0,
        epochs: int = 200,
        batch_size: int | Literal["auto"] = "auto",
        shuffle: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        callbacks: Any = None,
        precision: str = "auto",
        engine: Any = "auto",
        verbose: Any = 0,
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.model = model
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.loss = loss
        self.metrics = metrics
        self.alpha = alpha
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.callbacks = callbacks
        self.precision = precision
        self.engine = engine
        self.verbose = verbose
        self.random_state = random_state

    # ── fit and predict ───────────────────────────────────────────────────────────────────────────────────

    def _checked(self, X: Any, y: Any = "no_validation", **how: Any) -> Any:
        """X, and y where it is given, as arrays; pictures may come as they are where the user made the network."""
        dtype = {"auto": (np.float64, np.float32), "float32": np.float32, "float64": np.float64}.get(self.precision)
        if dtype is None:
            raise UsageError(f"precision must be 'auto' (that of X), 'float32' or 'float64'; got {self.precision!r}")
        return validate_data(self, X, y, dtype=dtype, allow_nd=self.model is not None, **how)

    def _fit(self, X: Array, y: Array, network: Model, loss: str, weights: Any, strata: Any = None) -> Any:
        """Trains a network. loss: where none was given. strata: classes, of which the validation part has as many."""
        aim = losses.get(loss if self.loss is None else self.loss)
        if self.loss is None or isinstance(self.loss, str):  # then a weight of 2 is the example twice
            aim = replace(aim, reduction="mean_with_sample_weight")
        network.compile(self._rule(), aim, metrics=self.metrics, engine=self.engine, precision=X.dtype.name)
        callbacks = copy.deepcopy(list(self.callbacks or []))
        rows, kept = np.arange(len(X)), None
        if self.early_stopping:
            rows, kept = train_test_split(
                rows, test_size=self.validation_fraction, random_state=network.seed, stratify=strata
            )
            callbacks.append(
                EarlyStopping("val_loss", self.tol, patience=self.n_iter_no_change, restore_best_weights=True)
            )

        def part(of: Array) -> tuple[Any, ...]:
            return (X[of], y[of]) if weights is None else (X[of], y[of], weights[of])

        size = min(AUTO_BATCH, len(rows)) if self.batch_size == "auto" else self.batch_size
        x, labels, *weight = part(rows)
        history = network.fit(
            x,
            labels,
            size,
            self.epochs,
            self.verbose,
            callbacks,
            validation_data=None if kept is None else part(kept),
            shuffle=self.shuffle,
            sample_weight=weight[0] if weight else None,
        )
        self.model_ = network
        self.history_ = {name: list(values) for name, values in history.history.items()}
        self.loss_curve_ = self.history_["loss"]
        self.loss_ = self.loss_curve_[-1]
        self.n_iter_ = len(self.loss_curve_)
        return self

    def _network(self, shape: tuple[int, ...], outputs: int, activation: str) -> Model:
        """The network that `model` makes, or layers of `hidden_layer_sizes` and one more; its seed is drawn."""
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        made = self.model(shape, outputs) if callable(self.model) else self.model
        if isinstance(made, Model):
            network: Model = type(made).from_config({**made.get_config(), "seed": seed})
            return network
        if made is not None and not (isinstance(made, (list, tuple)) and all(isinstance(each, Layer) for each in made)):
            raise UsageError(
                "model must be a list of layers, or a function of (input_shape, outputs) that answers one or a Model; "
                f"got {self.model!r}"
            )
        layers = [Layer.from_config(each.to_config()) for each in made] if made else self._stack(outputs, activation)
        return Sequential([Input(shape), *layers], seed=seed)

    def _stack(self, outputs: int, activation: str) -> list[Layer]:
        """Dense layers, each with dropout after it where that is asked for, and one for the answer."""
        sizes = self.hidden_layer_sizes
        sizes = [sizes] if isinstance(sizes, (int, np.integer)) else list(sizes)
        penalty = L2(self.alpha) if self.alpha else None
        layers: list[Layer] = []
        for size in sizes:
            layers.append(Dense(int(size), self.activation, kernel_regularizer=penalty))
            layers += [Dropout(self.dropout)] if self.dropout else []
        return [*layers, Dense(outputs, activation, kernel_regularizer=penalty)]

    def _rule(self) -> Any:
        rule = optim.get(self.optimizer)
        return rule if self.learning_rate is None else replace(rule, learning_rate=self.learning_rate)

    def _answers(self, X: Any) -> Array:
        check_is_fitted(self)
        answers: Array = self.model_.predict(self._checked(X, reset=False))
        return answers

    # ── state ─────────────────────────────────────────────────────────────────────────────────────────────

    def __getstate__(self) -> dict[str, Any]:
        """Plain arrays and JSON in place of models and layers, so that nothing of Talweg's need be pickled."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = (saved.describe(self.model_), saved.numbers(self.model_))
        if isinstance(self.model, (list, tuple)):
            state["model"] = [each.to_config() for each in self.model]
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        state = dict(state)
        if isinstance(state.get("model"), list):
            state["model"] = [Layer.from_config(config) for config in state["model"]]
        if "model_" in state:
            document, arrays = state["model_"]
            state["model_"] = saved.revive(document, HeldTensors(PICKLED, arrays), engine=state["engine"])
        super().__setstate__(state)


class TalwegClassifier(ClassifierMixin, _TalwegEstimator):  # type: ignore[misc]
    """A network that tells classes apart.

    hidden_layer_sizes   units of the hidden `Dense` layers; `activation` theirs, `alpha` their L2 penalty, `dropout`
                         the part that is dropped after each
    model                in place of these: a list of layers, the last with as many units as there are classes (or one
                         for two classes); or a function of (input_shape, outputs) that answers such a list, or a Model
    optimizer, loss, metrics, callbacks, engine, verbose  as `Model.compile` and `Model.fit` take them; learning_rate
                         in place of the optimizer's own
    epochs, batch_size   "auto" is all examples, 200 at most, as scikit-learn's own networks have it; smaller batches
                         learn more in an epoch. Only where a batch is all examples is a weight of 2 the example twice
    class_weight         for a class how much its examples count, or "balanced"
    early_stopping       stops when the loss on `validation_fraction` of the examples, as many of each class, has not
                         fallen by `tol` for `n_iter_no_change` epochs, and takes the best weights
    precision            "auto": that of X
    random_state         a number makes everything the same each time, to the bit

    Once fitted it has `classes_`, `model_`, `history_`, `loss_curve_`, `loss_`, `n_iter_`, `n_features_in_`. Raises
    `DataError` for labels of one class only.
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: Any = "relu",
        *,
        model: Build | Sequence[Any] | None = None,
        optimizer: Any = "adam",
        learning_rate: Any = None,
        loss: Any = None,
        metrics: Any = None,
        alpha: float = 0.0,
        dropout: float = 0.0,
        epochs: int = 200,
        batch_size: int | Literal["auto"] = "auto",
        shuffle: bool = True,
        class_weight: Any = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        callbacks: Any = None,
        precision: str = "auto",
        engine: Any = "auto",
        verbose: Any = 0,
        random_state: Any = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "class_weight", "__class__")}
        super().__init__(**given)
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> TalwegClassifier:
        """Trains a new network on examples X, (n, features) or as `model` takes them, and their classes y, (n,)."""
        X, y = self._checked(X, y)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(f"y has one class only, {self.classes_[:1].tolist()[0]!r}: there is nothing to tell apart")
        weights = _weights(sample_weight, X)
        if self.class_weight is not None:
            by_class = compute_sample_weight(self.class_weight, y)
            weights = by_class if weights is None else weights * by_class
        activation, outputs = "softmax", len(self.classes_)
        if self.model is None and outputs == 2:
            activation, outputs = "sigmoid", 1
        network = self._network(X.shape[1:], outputs, activation)
        loss = "binary_crossentropy" if network.output_shape[-1] == 1 else "sparse_categorical_crossentropy"
        fitted: TalwegClassifier = self._fit(X, numbers, network, loss, weights, strata=numbers)
        return fitted

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class: (n, classes)."""
        answers = self._answers(X)
        return np.hstack([1 - answers, answers]) if answers.shape[1] == 1 else answers

    def predict_log_proba(self, X: Any) -> Array:
        """Its logarithm."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> Array:
        """The most probable class of each example: (n,)."""
        best = np.argmax(self.predict_proba(X), axis=1)
        found: Array = np.asarray(self.classes_)[best]
        return found


class TalwegRegressor(RegressorMixin, _TalwegEstimator):  # type: ignore[misc]
    """A network that answers numbers: one for each example, or as many as y has columns.

    The arguments are those of `TalwegClassifier`, without class_weight; the last layer of `model` has a unit for each
    number. Scale y as well as X: a network learns slowly what is far from 0 and 1.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> TalwegRegressor:
        """Trains a new network on examples X and numbers y, (n,) or (n, outputs)."""
        X, y = self._checked(X, y, multi_output=True, y_numeric=True)
        self._is_flat = y.ndim == 1
        columns = y.reshape(len(y), -1).astype(X.dtype)
        network = self._network(X.shape[1:], columns.shape[1], "linear")
        fitted: TalwegRegressor = self._fit(X, columns, network, "mean_squared_error", _weights(sample_weight, X))
        return fitted

    def predict(self, X: Any) -> Array:
        """The numbers for each example: (n,), or (n, outputs) where y was so."""
        answers = self._answers(X)
        return answers[:, 0] if self._is_flat else answers

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output, tags.target_tags.multi_output = True, True
        return tags


def _weights(sample_weight: Any, X: Array) -> Array | None:
    """How much each example counts; None where all count alike."""
    from sklearn.utils.validation import _check_sample_weight

    return None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
