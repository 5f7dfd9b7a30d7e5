"""The loop: slices, callbacks that stop or fail, Ctrl-C, and what is left behind in each case."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from typing import Any

import numpy as np
import pytest

from talweg.errors import UsageError
from talweg.nn.layers import Dense
from talweg.optim import SGD
from talweg.optim.schedules import ExponentialDecay
from talweg.train import loop
from talweg.train.callbacks.base import Callback
from talweg.train.interrupts import Interrupts
from talweg.train.loop import Pace
from talweg.train.sequential import Sequential

X = np.linspace(-1, 1, 60).reshape(20, 3)
Y = X @ [1.0, 2.0, 3.0]


def network() -> Sequential:
    model = Sequential([Dense(4, "tanh", input_shape=(3,)), Dense(1)], seed=0)
    model.compile("adam", "mse")
    return model


def weights(model: Sequential) -> np.ndarray:
    return np.concatenate([w.ravel() for w in model.get_weights()])


class Told(Callback):
    """Writes down what it is told, and acts at a certain word."""

    def __init__(self, at: str = "", act: Any = None) -> None:
        super().__init__()
        self.words: list[str] = []
        self.at, self.act = at, act

    def _hear(self, word: str) -> None:
        self.words.append(word)
        if word == self.at:
            self.act(self)

    def on_train_begin(self, logs: Any = None) -> None:
        self._hear("begin")

    def on_train_end(self, logs: Any = None) -> None:
        self._hear("end")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._hear(f"epoch {epoch}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._hear(f"epoch {epoch} over")

    def on_test_begin(self, logs: Any = None) -> None:
        self._hear("test")

    def on_test_end(self, logs: Any = None) -> None:
        self._hear("test over")

    def on_predict_begin(self, logs: Any = None) -> None:
        self._hear("predict")


class ToldBatches(Told):
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._hear(f"batch {batch}")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        assert set(logs) == {"loss"}
        self._hear(f"batch {batch} over")


def test_callbacks_are_told_in_order() -> None:
    told = ToldBatches()
    network().fit(X, Y, batch_size=10, epochs=1, callbacks=told, validation_split=0.5, verbose=0)
    batches = ["batch 0", "batch 0 over"]
    assert told.words == ["begin", "epoch 0", *batches, "test", "test over", "epoch 0 over", "end"]
    told = Told()
    model = network()
    model.evaluate(X, Y, callbacks=[told], verbose=0)
    model.predict(X, callbacks=[told])
    assert told.words == ["test", "test over", "predict"]


def test_python_is_come_back_to_after_each_batch_only_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    monkeypatch.setattr(loop, "SLICE_SECONDS", 1e9)
    for callback in (Told(), ToldBatches()):
        model = network()
        runs = 0
        model.fit(X, Y, verbose=0)  # makes the session
        session = next(iter(model._sessions._made.values()))
        plain = session.run

        def counted(*arguments: Any, plain: Any = plain) -> Any:
            nonlocal runs
            runs += 1
            return plain(*arguments)

        session.run = counted  # type: ignore[method-assign]
        model.fit(X, Y, batch_size=1, epochs=4, callbacks=[callback], verbose=0)
        counts.append(runs)
    assert counts[1] == 80 and counts[0] < 12  # 1, 4, 15 steps, then 20 at once


def test_the_batch_hooks_and_the_length_of_slices_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for seconds, callbacks in ((0.0, []), (1e9, []), (0.05, [ToldBatches()])):
        monkeypatch.setattr(loop, "SLICE_SECONDS", seconds)
        model = network()
        history = model.fit(X, Y, batch_size=3, epochs=4, callbacks=callbacks, validation_split=0.2, verbose=0).history
        results.append((history, weights(model)))
    for history, last in results[1:]:
        assert history == results[0][0] and (last == results[0][1]).all()


def test_pace() -> None:
    pace = Pace()
    for steps, seconds, expected in ((1, 1e-6, 4), (4, 4e-6, 16), (16, 1.0, 1), (1, 0.0, 4), (4, 0.1, 2)):
        pace.took(steps, seconds)
        assert pace.steps == expected


def stop(callback: Callback) -> None:
    callback.model.stop_training = True


def test_a_callback_may_stop_after_an_epoch_or_a_batch() -> None:
    model = network()
    assert model.fit(X, Y, epochs=9, callbacks=[Told("epoch 2 over", stop)], verbose=0).epoch == [0, 1, 2]
    told = ToldBatches("batch 1 over", stop)
    history = model.fit(X, Y, batch_size=5, epochs=9, callbacks=[told], validation_split=0.25, verbose=0)
    assert history.epoch == [0] and "batch 2" not in told.words and "test over" in told.words  # as in Keras
    assert len(model.fit(X, Y, epochs=2, verbose=0).epoch) == 2  # the wish to stop was that fit's


@pytest.mark.parametrize("word", ["begin", "epoch 1", "batch 1", "batch 0 over", "test", "epoch 1 over", "end"])
def test_a_callback_that_fails_leaves_the_model_usable(word: str) -> None:
    class MyError(Exception):
        pass

    def fail(callback: Callback) -> None:
        raise MyError

    model, told = network(), ToldBatches(word, fail)
    other = Told()
    with pytest.raises(MyError):
        model.fit(X, Y, batch_size=5, epochs=3, callbacks=[other, told], validation_split=0.2, verbose=0)
    assert other.words[-1] == "end" and model.fitting is None
    assert all(v.live is None for v in model.variables)
    before = weights(model)
    assert (before == weights(model)).all() and np.isfinite(model.predict(X)).all()
    model.fit(X, Y, verbose=0)
    assert (weights(model) != before).any()


def test_variables_are_the_newest_within_a_fit() -> None:
    seen: list[Any] = []
    model = network()

    def look(callback: Callback) -> None:
        seen.extend([weights(callback.model), callback.model.predict(X), callback.model.iterations])
        seen.append(int(callback.model.optimizer_states["optimizer/iterations"]))

    model.fit(X, Y, batch_size=5, epochs=1, callbacks=[Told("epoch 0 over", look)], verbose=0)
    assert (seen[0] == weights(model)).all() and (seen[1] == model.predict(X)).all()
    assert seen[2] == seen[3] == model.iterations == 4


def test_a_callback_may_train_another_model_that_shares_a_layer() -> None:
    shared = Dense(3, "tanh", input_shape=(3,), name="shared")
    outer, inner = Sequential([shared, Dense(1)], seed=0), Sequential([shared, Dense(1)], seed=1)
    for model in (outer, inner):
        model.compile(SGD(0.0), "mse")

    def train(callback: Callback) -> None:
        inner.optimizer.learning_rate = 0.5
        inner.fit(X, Y, verbose=0)

    before = shared.get_weights()[0]
    outer.fit(X, Y, epochs=2, callbacks=[Told("epoch 0 over", train)], verbose=0)  # itself changes nothing
    after = shared.get_weights()[0]
    assert (before != after).any() and all(v.live is None for v in shared.variables)
    alone = Sequential([Dense(3, "tanh", input_shape=(3,)), Dense(1)])
    alone.set_weights(outer.get_weights())
    np.testing.assert_array_equal(outer.predict(X), alone.predict(X))


def test_a_schedule_cannot_be_replaced_within_a_fit() -> None:
    model = network()
    model.compile(SGD(ExponentialDecay(0.1, 2, 0.5)), "mse")

    def replace(callback: Callback) -> None:
        callback.model.optimizer.learning_rate = 0.5

    with pytest.raises(UsageError, match=r"learning_rate was set to 0\.5.*schedule"):
        model.fit(X, Y, epochs=3, callbacks=[Told("epoch 1", replace)], verbose=0)
    model.fit(X, Y, verbose=0)


# ── Ctrl-C ────────────────────────────────────────────────────────────────────────────────────────────────


def interrupt(callback: Callback) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_the_fit_cleanly() -> None:
    handler = signal.getsignal(signal.SIGINT)
    for word, epochs in (("batch 1", [0]), ("epoch 1", [0]), ("epoch 1 over", [0, 1]), ("batch 3 over", [0, 1])):
        model, told = network(), ToldBatches()

        def late(callback: Callback, told: ToldBatches = told) -> None:
            if "epoch 1" in told.words:
                interrupt(callback)

        other = ToldBatches(word, late)
        with pytest.raises(KeyboardInterrupt, match=f"after {len(epochs)} of 50 epochs"):
            model.fit(X, Y, batch_size=5, epochs=50, callbacks=[told, other], verbose=0)
        history = model.history
        assert history is not None and history.epoch == epochs and history.params["interrupted"], word
        assert told.words[-1] == "end" and all(v.live is None for v in model.variables)
        assert signal.getsignal(signal.SIGINT) is handler
        assert model.iterations == int(model.optimizer_states["optimizer/iterations"]) >= 4
        model.fit(X, Y, verbose=0)


def test_ctrl_c_cuts_a_validation_short() -> None:
    for cut in (1, 2):
        model, told, measured = network(), Told(), 0

        def measure(*arguments: Any, plain: Any = loop.measure, cut: int = cut) -> Any:
            nonlocal measured
            measured += 1
            if measured == cut:
                interrupt(Callback())
            return plain(*arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("talweg.train.model.measure", measure)
            validated = {"validation_data": (X, Y), "on_interrupt": "return"}
            history = model.fit(X, Y, epochs=5, callbacks=[told], verbose=0, **validated)
        assert history.epoch == list(range(cut - 1)) and history.params["interrupted"]
        assert told.words[-2:] == ["test", "end"] and all(v.live is None for v in model.variables)
        model.fit(X, Y, validation_data=(X, Y), verbose=0)


def test_an_interrupt_that_is_not_ctrl_c_is_raised() -> None:
    def work() -> None:
        raise KeyboardInterrupt

    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        interrupts.cutting(work)
    with Interrupts() as interrupts:
        assert interrupts.cutting(lambda: 3) == 3
        assert interrupts.cutting(lambda: signal.raise_signal(signal.SIGINT)) is None and interrupts.asked
        assert interrupts.cutting(lambda: 3) is None  # it came before


def test_slices_change_no_bit_of_an_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    model, results = network(), []
    for seconds in (0.0, 1e9):
        monkeypatch.setattr(loop, "SLICE_SECONDS", seconds)
        results.append((model.evaluate(X, Y, batch_size=3, verbose=0), model.predict(X, batch_size=3).tobytes()))
    assert results[0] == results[1]


def test_the_weights_after_ctrl_c_are_the_last() -> None:
    model, other = network(), network()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=5, epochs=9, callbacks=[ToldBatches("batch 2", interrupt)], shuffle=False, verbose=0)
    for at in (0, 5, 10):
        other.train_on_batch(X[at : at + 5], Y[at : at + 5])
    assert (weights(model) == weights(other)).all()


def test_a_second_ctrl_c_is_a_keyboard_interrupt() -> None:
    def twice(callback: Callback) -> None:
        interrupt(callback)
        interrupt(callback)

    model, told = network(), Told("epoch 1", twice)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=9, callbacks=[told], verbose=0)
    assert told.words[-1] == "end" and model.history is not None and model.history.epoch == [0]
    assert all(v.live is None for v in model.variables)


def test_ctrl_c_where_it_cannot_or_shall_not_be_heard() -> None:
    failures = []

    def fit() -> None:
        try:
            network().fit(X, Y, verbose=0)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert failures == []
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process on Windows")
def test_ctrl_c_from_outside() -> None:
    program = textwrap.dedent(
        """
        import numpy as np
        from talweg.nn.layers import Dense
        from talweg.train.callbacks.base import Callback
        from talweg.train.sequential import Sequential
        class Say(Callback):
            def on_epoch_end(self, epoch, logs=None):
                print("epoch", epoch, flush=True)
            def on_train_end(self, logs=None):
                print("end", flush=True)
        model = Sequential([Dense(1, input_shape=(3,))], seed=0)
        model.compile("sgd", "mse")
        try:
            model.fit(np.ones((64, 3)), np.ones(64), batch_size=1, epochs=10**6, callbacks=[Say()], verbose=0)
        except KeyboardInterrupt:
            print("kept", len(model.history.epoch), np.isfinite(model.get_weights()[0]).all(), flush=True)
            raise
        print("it went on", flush=True)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    lines = [process.stdout.readline().strip() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate()
    lines += rest.split("\n")[:-1]
    assert process.returncode in (-signal.SIGINT, 130)
    assert lines[:2] == ["epoch 0", "epoch 1"] and lines[-2] == "end"
    assert lines[-1] == f"kept {len(lines) - 2} True"
