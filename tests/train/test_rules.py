"""Update rules in a whole fit: what they keep is saved and resumed to the same bits; averages; accumulation; L-BFGS."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import talweg
from support import oracle
from talweg.errors import UsageError
from talweg.nn.layers import BatchNormalization, Dense, Dropout
from talweg.optim import LBFGS, OPTIMIZERS, SGD, Adam, UpdateRule, get
from talweg.optim.schedules import StepDecay
from talweg.train.callbacks import BackupAndRestore, LambdaCallback
from talweg.train.sequential import Sequential

draw = np.random.default_rng(0)
X = draw.normal(size=(48, 3))
Y = np.sin(X @ draw.normal(size=(3, 1))) + 0.1 * draw.normal(size=(48, 1))

AVERAGED = {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 5, "gradient_accumulation_steps": 2}
RULES: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in OPTIMIZERS]
RULES += [(name, AVERAGED) for name in OPTIMIZERS if name != "LBFGS"]
RULES += [("SGD", {"momentum": 0.9, "form": "torch"}), ("Adam", {"amsgrad": True, "learning_rate": StepDecay(0.1, 3)})]
every_rule = pytest.mark.parametrize(("name", "options"), RULES, ids=[f"{n}{sorted(o)}" for n, o in RULES])


def model(rule: Any, engine: str = "reference", precision: str = "float32") -> Sequential:
    made = Sequential(
        [Dense(5, "tanh", input_shape=(3,), kernel_constraint=None), BatchNormalization(), Dropout(0.1), Dense(1)],
        seed=1,
    )
    made.compile(rule, "mse", engine=engine, precision=precision)
    return made


def fit(made: Sequential, epochs: int, **options: Any) -> Any:
    return made.fit(X, Y, batch_size=10, epochs=epochs, verbose=0, **options)


def same(a: Sequential, b: Sequential) -> None:
    for mine, theirs in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert a.optimizer_states.keys() == b.optimizer_states.keys()
    for name, value in a.optimizer_states.items():
        np.testing.assert_array_equal(value, b.optimizer_states[name], err_msg=name)


@every_rule
def test_an_interrupted_fit_goes_on_to_the_same_bits(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Cut within an epoch, and within a group of batches whose gradients are summed."""
    unbroken = model(OPTIMIZERS.get(name)(**options))
    fit(unbroken, 3)
    broken = model(OPTIMIZERS.get(name)(**options))

    def fail(batch: int, logs: Any) -> None:
        if broken.iterations == 8:
            raise RuntimeError("cut")

    with pytest.raises(RuntimeError):
        fit(broken, 3, callbacks=[BackupAndRestore(tmp_path, 1), LambdaCallback(on_train_batch_end=fail)])
    resumed = model(OPTIMIZERS.get(name)(**options))
    history = fit(resumed, 3, callbacks=[BackupAndRestore(tmp_path, 1)])
    same(resumed, unbroken)
    assert history.history == unbroken.history.history


@every_rule
def test_a_saved_model_trains_on_to_the_same_bits(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    first = model(OPTIMIZERS.get(name)(**options))
    fit(first, 2)
    first.save(tmp_path / "m.safetensors")
    second = talweg.load(tmp_path / "m.safetensors", engine="reference")
    assert second.optimizer.to_config() == first.optimizer.to_config()
    same(second, first)
    fit(first, 2)
    fit(second, 2)
    same(second, first)


def test_averages_are_keras_s_and_stand_in_the_weights_when_a_fit_ends() -> None:
    keras = oracle("keras")
    options = {"use_ema": True, "ema_momentum": 0.8}
    ours = Sequential([Dense(4, "tanh", input_shape=(3,)), Dense(1)], seed=0)
    theirs = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)])
    theirs.set_weights(ours.get_weights())
    ours.compile(Adam(0.05, **options), "mse", engine="reference")
    theirs.compile(keras.optimizers.Adam(0.05, **options), "mse")
    for _ in range(2):  # the second goes on from the averages
        seen: list[Any] = []
        look = LambdaCallback(on_epoch_end=lambda epoch, logs, seen=seen: seen.append(ours.get_weights()))
        ours.fit(X, Y, batch_size=16, epochs=2, verbose=0, shuffle=False, callbacks=[look])
        theirs.fit(X, Y, batch_size=16, epochs=2, verbose=0, shuffle=False)
        for found, expected, during in zip(ours.get_weights(), theirs.get_weights(), seen[-1], strict=True):
            np.testing.assert_allclose(found, expected, 1e-4, 1e-6)
            assert (found != during).any(), "until the end the weights are the rule's own"


def test_gradients_are_summed_over_batches_and_a_schedule_counts_steps() -> None:
    rates: list[float] = []
    summed = Sequential([Dense(1, input_shape=(3,))], seed=0)
    summed.compile(SGD(StepDecay(0.1, 1, 0.5), gradient_accumulation_steps=3), "mse", engine="reference")
    summed.fit(X, Y, batch_size=8, epochs=1, verbose=0, shuffle=False)
    by_function = Sequential([Dense(1, input_shape=(3,))], seed=0)
    rule = SGD(lambda step: rates.append(step) or 0.1 * 0.5**step, gradient_accumulation_steps=3)
    by_function.compile(rule, "mse", engine="reference")
    by_function.fit(X, Y, batch_size=8, epochs=1, verbose=0, shuffle=False)
    at_once = Sequential([Dense(1, input_shape=(3,))], seed=0)
    at_once.compile(SGD(StepDecay(0.1, 1, 0.5)), "mse", engine="reference")
    at_once.fit(X, Y, batch_size=24, epochs=1, verbose=0, shuffle=False)
    for a, b, c in zip(summed.get_weights(), at_once.get_weights(), by_function.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, 1e-5)
        np.testing.assert_allclose(c, b, 1e-5)
    assert rates == [0, 0, 0, 1, 1, 1] and summed.iterations == 6


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_lbfgs_learns_in_a_fit_and_counts_a_batch_as_a_step(precision: str) -> None:
    made = Sequential([Dense(5, "tanh", input_shape=(3,)), Dense(1)], seed=1)
    made.compile("L-BFGS", "mse", metrics=["mae"], engine="reference", precision=precision)
    history = made.fit(X, Y, batch_size=48, epochs=5, verbose=0)
    first, last = history.history["loss"][0], history.history["loss"][-1]
    assert made.iterations == 5 and last < first / 10 and "mae" in history.history
    np.testing.assert_allclose(made.predict(X).shape, (48, 1))
    assert made.evaluate(X, Y, verbose=0, return_dict=True)["loss"] <= last


def test_lbfgs_says_what_it_cannot_do() -> None:
    for wrong in ({"clipnorm": 1.0}, {"use_ema": True}, {"gradient_accumulation_steps": 2}, {"weight_decay": 0.1}):
        with pytest.raises(UsageError, match=f"takes no {next(iter(wrong))}"):
            LBFGS(**wrong)
    with pytest.raises(UsageError, match="line_search_fn must be"):
        LBFGS(line_search_fn="armijo")
    held = Sequential([Dense(1, input_shape=(3,), kernel_constraint="non_neg")])
    held.compile("lbfgs", "mse", engine="reference")
    with pytest.raises(UsageError, match="no constraints; dense/kernel has one"):
        held.fit(X, Y, verbose=0)


def test_bad_options_name_what_was_expected() -> None:
    for options, said in (
        ({"ema_momentum": 1.5}, r"ema_momentum must be a number in \[0, 1\]"),
        ({"ema_overwrite_frequency": 0}, "ema_overwrite_frequency must be a number in {1, 2, "),
        ({"gradient_accumulation_steps": 1}, "gradient_accumulation_steps must be a number in {2, 3, "),
        ({"form": "jax"}, "form must be 'keras' or 'torch'"),
    ):
        with pytest.raises(UsageError, match=said):
            Adam(**options)
    with pytest.raises(UsageError, match="dampening is for"):
        SGD(momentum=0.9, dampening=0.5)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_copy_with_one_change(name: str) -> None:
    rule: UpdateRule = get(name)
    assert dataclasses.replace(rule, learning_rate=0.5).learning_rate == 0.5
