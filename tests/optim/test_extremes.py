"""Every rule in float32, in both forms, with gradients that vanish, underflow or nearly overflow: nothing becomes NaN.

And every name that `--optimizer` takes trains digits by the command line's own defaults.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conformance.engines import every_engine
from conformance.test_optimizers import COMMON, OPTIONS, TORCH
from support import oracle
from talweg import graph as g
from talweg.data.datasets import load
from talweg.engines import Engine
from talweg.engines.reference import Reference
from talweg.graph import Array, Program
from talweg.nn import layers
from talweg.nn.losses import SparseCategoricalCrossentropy
from talweg.optim import OPTIMIZERS, UpdateRule
from talweg.train.callbacks import LambdaCallback
from talweg.train.experiment import Source, Wishes, made
from talweg.train.sequential import Sequential

SHAPES = ((4, 3), (3,))
STEPS = 25
SCALES = (0.0, 1e-42, 1e-22, 1.0, 1e17)  # the square of the last, 25 times, is near float32's largest
FORMULAS = [(name, options) for name, every in OPTIONS.items() for options in every]
FORMULAS += [(name, options) for name, options, _ in TORCH if "weight_decay" not in options]
FORMULAS += [(name, {"form": form}) for name in OPTIMIZERS for form in ("keras", "torch")]
FORMULAS += [("Adam", options) for options in COMMON]
FORMULAS += [("Ftrl", {"initial_accumulator_value": 0.0}), ("Adafactor", {"form": "torch", "epsilon_1": 1e-30})]
FORMULAS += [("RMSprop", {"centered": True, "rho": 0.5, "form": form}) for form in ("keras", "torch")]
FORMULAS = [each for i, each in enumerate(FORMULAS) if each not in FORMULAS[:i]]
FORMULAS = [(name, options) for name, options in FORMULAS if not OPTIMIZERS.get(name).searches]


def gradients(scale: float) -> list[Array]:
    """(patterns, steps, ...) each: dense; 0 in a row and a column; 0 but for ten steps; constant; growing."""
    random, found = np.random.default_rng(0), []
    for shape in SHAPES:
        dense = random.normal(size=(STEPS, *shape)) * scale
        corner, brief, constant, growing = (dense.copy() for _ in range(4))
        corner[:, 0] = corner[..., 0] = brief[:5] = brief[15:] = 0.0
        constant[:] = dense[0]
        growing[: STEPS // 2] *= 1e-12
        found.append(np.stack([dense, corner, brief, constant, growing]))
    return found


def steps_of(rule: UpdateRule, engine: Engine) -> Callable[[list[Array], float], list[dict[str, Array]]]:
    """What takes gradients and a rate to all states after `STEPS` steps, for each pattern."""
    weights = [g.state_tensor(f"w{i}", shape) for i, shape in enumerate(SHAPES)]
    given = [g.input_tensor(f"g{i}", shape) for i, shape in enumerate(SHAPES)]
    iterations, step_size = g.state_tensor("optimizer/iterations", (), "uint"), g.input_tensor("rate", ())
    slots, new = rule.apply(weights, given, iterations, step_size)
    new[iterations] = iterations + g.constant(1, "uint")
    program = Program("rule", (*given, step_size), (*weights, *slots, iterations), {}, new)
    random = np.random.default_rng(1)
    first = rule.memory(weights) | {f"w{i}": random.normal(size=shape) for i, shape in enumerate(SHAPES)}
    first |= {iterations.name: np.array(0)}
    session = engine.compile(program, first)

    def states_after(slopes: list[Array], rate: float) -> list[dict[str, Array]]:
        found = []
        for pattern in range(len(slopes[0])):
            session.load(first)
            per_step = {f"g{i}": each[pattern] for i, each in enumerate(slopes)} | {"rate": np.full(STEPS, rate)}
            with np.errstate(all="ignore"):
                session.run({}, np.arange(STEPS), 1, per_step=per_step)
            found.append(session.states())
        return found

    return states_after


@pytest.mark.parametrize(("name", "options"), FORMULAS, ids=[f"{n}{o or ''}" for n, o in FORMULAS])
def test_gradients_of_any_size_leave_numbers(name: str, options: dict[str, Any]) -> None:
    states_after = steps_of(OPTIMIZERS.get(name)(1e-3, **options), Reference("float32"))
    for scale in SCALES:
        for pattern, states in enumerate(states_after(gradients(scale), 1e-3)):
            broken = [state for state, value in states.items() if not np.isfinite(value).all()]
            assert not broken, f"scale {scale}, pattern {pattern}"


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if not OPTIMIZERS.get(name).searches])
def test_a_rate_of_zero_leaves_the_weights(name: str) -> None:
    """Schedules end there. Rprop's steps have a least size of their own, whatever the rate."""
    first, *_ = steps_of(OPTIMIZERS.get(name)(0.0), Reference("float32"))(gradients(1.0), 0.0)
    random = np.random.default_rng(1)
    for i, shape in enumerate(SHAPES):
        before = random.normal(size=shape)
        if name == "Rprop":
            assert np.isfinite(first[f"w{i}"]).all()
        else:
            np.testing.assert_array_equal(first[f"w{i}"], before.astype("float32"))


# ── on digits ─────────────────────────────────────────────────────────────────────────────────────────────


def digits() -> tuple[Array, Array]:
    data = load("digits")
    return data.x_train.reshape(len(data.x_train), -1).astype("float32") / 16, data.y_train


@every_engine
def test_adafactor_in_pytorch_s_form_trains_as_pytorch(engine: Engine) -> None:
    """64-64-10 on digits, four epochs of batches in one order, by PyTorch's own ε."""
    torch = oracle("torch")
    x, y = digits()
    model = Sequential([layers.Dense(64, "relu", input_shape=(64,)), layers.Dense(10)], seed=0)
    given = {} if engine.precision == "float32" else {"epsilon_1": float(np.finfo("float64").eps)}
    rule = OPTIMIZERS.get("Adafactor")(1e-3, form="torch", **given)
    model.compile(rule, SparseCategoricalCrossentropy(from_logits=True), engine=engine)
    kind = torch.float32 if engine.precision == "float32" else torch.float64
    k1, b1, k2, b2 = (torch.nn.Parameter(torch.tensor(w, dtype=kind)) for w in model.get_weights())
    theirs = torch.optim.Adafactor([k1, b1, k2, b2], lr=1e-3)
    labels = torch.tensor(y.astype("int64"))
    rows = torch.tensor(x, dtype=kind)
    expected = []
    for _ in range(4):
        total = 0.0
        for at in range(0, len(x), 32):
            piece = slice(at, at + 32)
            theirs.zero_grad()
            logits = torch.relu(rows[piece] @ k1 + b1) @ k2 + b2
            loss = torch.nn.functional.cross_entropy(logits, labels[piece])
            loss.backward()
            theirs.step()
            total += float(loss.detach()) * len(labels[piece])
        expected.append(total / len(x))
    history = model.fit(x, y, epochs=4, shuffle=False, verbose=0)
    np.testing.assert_allclose(history.history["loss"], expected, 1e-4)
    assert expected[-1] < expected[0]


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_name_of_the_command_line_trains_digits(name: str) -> None:
    """As ``talweg train digits --optimizer NAME`` does, but for the engine and the number of epochs."""
    wishes = Wishes(Source("digits"), epochs=4, optimizer=name, engine="reference")
    prepared, model, _, batch_size, epochs = made(wishes)
    seen, before = list[float](), model.get_weights()
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))
    rows = 128 if OPTIMIZERS.get(name).searches else len(prepared.x_train)  # a search looks at each batch many times
    model.fit(
        prepared.x_train[:rows],
        prepared.y_train[:rows],
        batch_size=batch_size,
        epochs=1 if rows == 128 else epochs,
        verbose=0,
        callbacks=[keep],
    )
    assert np.isfinite(seen).all()
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
