"""What callbacks are told, and when: the sequence of calls and the names in `logs`, beside Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support import oracle
from talweg import keras as ours
from talweg.train.callbacks import Callback, LambdaCallback
from talweg.train.model import Model

MODES = ("train", "test", "predict")
HOOKS = [*(f"on_{mode}{of}_{end}" for mode in MODES for of in ("", "_batch") for end in ("begin", "end"))]
HOOKS += ["on_epoch_begin", "on_epoch_end"]
X = np.random.default_rng(0).normal(size=(70, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True)


def recorder(keras: Any) -> Any:
    """A callback of that library that notes each call: the hook, numbers, the names in `logs`, and `params`."""
    seen: list[tuple[Any, ...]] = []

    def noting(hook: str) -> Any:
        def note(self: Any, *numbers: Any, logs: Any = None) -> None:
            *numbers, last = [*numbers, logs] if logs is not None else numbers  # type: ignore[assignment]
            given = {k: self.params.get(k) for k in ("epochs", "steps")}
            seen.append((hook, *numbers, sorted(last), given))

        return note

    made = type("Recorder", (keras.callbacks.Callback,), {hook: noting(hook) for hook in HOOKS})()
    made.seen = seen
    return made


def compiled(keras: Any) -> Any:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


RUNS: dict[str, Any] = {
    "fit": lambda m, c: m.fit(X, Y, epochs=2, verbose=0, callbacks=c),
    "fit that validates": lambda m, c: m.fit(X, Y, verbose=0, validation_data=(X[:40], Y[:40]), callbacks=c),
    "fit with a split": lambda m, c: m.fit(X, Y, 16, 3, 0, c, validation_split=0.3, validation_freq=2),
    "fit in short epochs": lambda m, c: m.fit(X, Y, 16, 4, 0, c, steps_per_epoch=2),
    "fit in too long epochs": lambda m, c: m.fit(X, Y, 16, 2, 0, c, steps_per_epoch=9),
    "few steps of validation": lambda m, c: m.fit(
        X, Y, verbose=0, validation_data=(X, Y), validation_steps=1, callbacks=c
    ),
    "too many of validation": lambda m, c: m.fit(
        X, Y, verbose=0, validation_data=(X, Y), validation_steps=9, callbacks=c
    ),
    "evaluate": lambda m, c: m.evaluate(X, Y, verbose=0, callbacks=c),
    "evaluate in steps": lambda m, c: m.evaluate(X, Y, 16, 0, steps=2, callbacks=c),
    "evaluate in too many": lambda m, c: m.evaluate(X, Y, 16, 0, steps=7, callbacks=c),
    "predict": lambda m, c: m.predict(X, verbose=0, callbacks=c),
    "predict in steps": lambda m, c: m.predict(X, 16, 0, steps=2, callbacks=c),
    "predict in too many": lambda m, c: m.predict(X, 16, 0, steps=7, callbacks=c),
}


@pytest.mark.filterwarnings("ignore:.*ran out of data")
@pytest.mark.parametrize("run", RUNS)
def test_the_sequence_of_calls_is_keras_s(run: str) -> None:
    theirs: Any = oracle("keras")
    calls = {}
    for library in (ours, theirs):
        told = recorder(library)
        RUNS[run](compiled(library), [told])
        calls[library] = told.seen
    assert calls[ours] == calls[theirs]
    assert {call[0] for call in calls[ours]} > {"on_test_batch_end"} or "validat" not in run


def network() -> Model:
    model: Model = compiled(ours)
    return model


def test_batches_of_evaluate_and_predict_without_keras() -> None:
    seen: list[Any] = []
    model, plain = network(), network()
    told = LambdaCallback(
        on_test_batch_end=lambda batch, logs: seen.append((batch, sorted(logs))),
        on_predict_batch_end=lambda batch, logs: seen.append((batch, logs["outputs"].shape)),
    )
    model.set_weights(plain.get_weights())
    assert model.evaluate(X, Y, verbose=0, callbacks=[told]) == pytest.approx(plain.evaluate(X, Y, verbose=0))
    assert seen == [(k, ["loss", "mae"]) for k in range(3)]
    seen.clear()
    np.testing.assert_allclose(model.predict(X, verbose=0, callbacks=[told]), plain.predict(X, verbose=0), 1e-6)
    assert seen == [(0, (32, 1)), (1, (32, 1)), (2, (6, 1))]


def test_evaluations_and_predictions_are_stopped() -> None:
    class Stop(Callback):
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_evaluating = True

        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_predicting = True

    model = network()
    assert model.evaluate(X, Y, 16, 0, callbacks=[Stop()]) == model.evaluate(X[:16], Y[:16], 16, 0)
    assert len(model.predict(X, 16, 0, callbacks=[Stop()])) == 16
    assert len(model.predict(X, verbose=0)) == 70


def test_who_writes_no_hook_of_batches_costs_nothing() -> None:
    class AtEnd(Callback):
        def on_test_end(self, logs: Any = None) -> None: ...

    assert not any(AtEnd().writes(kind) for kind in MODES)
    late = AtEnd()
    late.on_test_batch_end = lambda batch, logs=None: None  # type: ignore[method-assign]
    assert late.writes("test") and not late.writes("train")


def test_steps_beyond_the_data_are_told() -> None:
    model = network()
    with pytest.warns(UserWarning, match=r"x ran out of data: it has 5 more batches, and steps_per_epoch asks for 9"):
        model.fit(X, Y, 16, verbose=0, steps_per_epoch=9)
    assert model.iterations == 5
    with pytest.warns(UserWarning, match=r"x ran out of data.* steps asks for 9"):
        assert len(model.predict(X, 16, 0, steps=9)) == 70
    with pytest.warns(UserWarning, match=r"x ran out of data: it has 2 more batches, and steps_per_epoch asks for 3"):
        model.fit(((X[k : k + 8], Y[k : k + 8]) for k in (0, 8)), verbose=0, steps_per_epoch=3)
    assert len(model.predict(X, 16, 0, steps=2)) == 32
