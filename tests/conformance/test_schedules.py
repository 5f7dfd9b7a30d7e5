"""Every schedule against Keras and PyTorch at many steps: called with a number, and compiled. Relative tolerance 1e-6.

`StepDecay` is PyTorch's StepLR, which Keras lacks; `ConstantRate` is a number. Where a function is given instead of a
schedule, it is called with the step's number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conformance.engines import every_engine
from support import oracle
from talweg import graph as g
from talweg.engines import Engine
from talweg.errors import UsageError
from talweg.graph import Program
from talweg.optim.schedules import SCHEDULES, Schedule, get

STEPS = [*range(25), 30, 31, 99, 100, 101, 149, 150, 151, 500, 10_000]
Keras = Callable[[Any], Any]

CASES: list[tuple[str, dict[str, Any], Keras | None]] = [
    ("ConstantRate", {"initial_learning_rate": 0.3}, None),
    (
        *("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.96}),
        lambda s: s.ExponentialDecay(0.1, 10, 0.96),
    ),
    (
        *("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "staircase": True}),
        lambda s: s.ExponentialDecay(0.1, 10, 0.5, staircase=True),
    ),
    ("StepDecay", {"initial_learning_rate": 0.1, "step_size": 10}, None),
    ("StepDecay", {"initial_learning_rate": 0.2, "step_size": 7, "gamma": 0.5}, None),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 100}, lambda s: s.CosineDecay(0.1, 100)),
    (
        *("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 100, "alpha": 0.25}),
        lambda s: s.CosineDecay(0.1, 100, 0.25),
    ),
    (
        *("CosineDecay", {"initial_learning_rate": 0.0, "decay_steps": 100, "warmup_target": 0.4, "warmup_steps": 20}),
        lambda s: s.CosineDecay(0.0, 100, warmup_target=0.4, warmup_steps=20),
    ),
    (
        *("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 100, "warmup_target": 0.4}),
        lambda s: s.CosineDecay(0.1, 100, warmup_target=0.4),
    ),
    (
        *("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 100, "warmup_steps": 20}),
        lambda s: s.CosineDecay(0.1, 100, warmup_steps=20),
    ),
]
every_case = pytest.mark.parametrize(
    ("name", "options", "keras_form"), CASES, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(CASES)]
)


def test_every_schedule_has_a_case() -> None:
    assert {name for name, *_ in CASES} == set(SCHEDULES)


@every_case
def test_against_keras_and_pytorch(name: str, options: dict[str, Any], keras_form: Keras | None) -> None:
    ours = SCHEDULES.get(name)(**options)
    if keras_form is not None:
        keras = oracle("keras")
        theirs = keras_form(keras.optimizers.schedules)
        expected = [float(theirs(step)) for step in STEPS]
        np.testing.assert_allclose([ours(step) for step in STEPS], expected, 1e-5, 1e-8)  # Keras's are float32
    elif name == "StepDecay":
        torch = oracle("torch")
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=options["initial_learning_rate"])
        theirs = torch.optim.lr_scheduler.StepLR(optimizer, options["step_size"], options.get("gamma", 0.1))
        for step in range(60):
            np.testing.assert_allclose(ours(step), theirs.get_last_lr()[0], 1e-12)
            optimizer.step()
            theirs.step()
    else:
        assert [ours(step) for step in STEPS] == [options["initial_learning_rate"]] * len(STEPS)


@every_engine
@every_case
def test_in_a_program(name: str, options: dict[str, Any], keras_form: Keras | None, engine: Engine) -> None:
    schedule = SCHEDULES.get(name)(**options)
    step = g.state_tensor("step", (), "uint")
    program = Program("rate", (), (step,), {"rate": schedule(g.cast(step, "float"))}, {})
    session = engine.compile(program, {"step": np.array(0)})
    for at in STEPS:
        session.load({"step": np.array(at)})
        found = session.run({}, np.arange(1), 1)["rate"]
        assert found.shape == ()
        top = max(schedule(s) for s in STEPS)
        np.testing.assert_allclose(found, schedule(at), 5e-6 if engine.precision == "float32" else 1e-12, 1e-6 * top)


@every_case
def test_configuration_goes_round(name: str, options: dict[str, Any], keras_form: Keras | None) -> None:
    schedule = SCHEDULES.get(name)(**options)
    again = get(schedule.to_config())
    assert type(again) is type(schedule) and [again(s) for s in STEPS] == [schedule(s) for s in STEPS]
    assert Schedule.from_config(schedule.to_config()).to_config() == schedule.to_config()


def test_what_a_learning_rate_may_be() -> None:
    assert get(0.5) == 0.5 and get(np.float32(0.5)) == 0.5 and get(0) == 0.0
    halving = get(lambda step: 0.5**step)
    assert callable(halving) and halving(3) == 0.125
    for wrong in (-0.1, float("nan"), None, "fast", True):
        with pytest.raises(UsageError, match="learning_rate must be"):
            get(wrong)
