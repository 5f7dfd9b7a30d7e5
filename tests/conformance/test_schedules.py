"""Every schedule against Keras and PyTorch at many steps: called with a number, and compiled. Relative tolerance 1e-6.

Those that only PyTorch has are held against its schedulers, stepped once a step. `Warmup` and `ConstantRate` (a number)
are judged by their formulas. Where a function is given instead of a schedule, it is called with the step's number.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from conformance.engines import every_engine
from support import oracle
from talweg import graph as g
from talweg.engines import Engine, Reference
from talweg.errors import UsageError
from talweg.graph import Program
from talweg.optim.schedules import (
    SCHEDULES,
    ConstantRate,
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    LinearRate,
    Schedule,
    StepDecay,
    Warmup,
    get,
)

STEPS = [*range(25), 30, 31, 99, 100, 101, 149, 150, 151, 500, 10_000]
Oracle = Callable[[Any], Any] | None
Torch = Callable[[Any, Any], Any]  # of torch.optim.lr_scheduler and an optimizer with the first rate

CASES: list[tuple[str, dict[str, Any], Oracle]] = [
    (
        "ExponentialDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.96},
        lambda s: s.ExponentialDecay(0.1, 10, 0.96),
    ),
    (
        "ExponentialDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "staircase": True},
        lambda s: s.ExponentialDecay(0.1, 10, 0.5, staircase=True),
    ),
    (
        "InverseTimeDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
        lambda s: s.InverseTimeDecay(0.1, 10, 0.5),
    ),
    (
        "InverseTimeDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 8, "decay_rate": 2.0, "staircase": True},
        lambda s: s.InverseTimeDecay(0.1, 8, 2.0, staircase=True),
    ),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 50}, lambda s: s.PolynomialDecay(0.1, 50)),
    (
        "PolynomialDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 32, "end_learning_rate": 0.01, "power": 0.5, "cycle": True},
        lambda s: s.PolynomialDecay(0.1, 32, 0.01, 0.5, cycle=True),
    ),
    (
        "PolynomialDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 100, "end_learning_rate": 0.02, "power": 2.0},
        lambda s: s.PolynomialDecay(0.1, 100, 0.02, 2.0),
    ),
    (
        "PiecewiseConstantDecay",
        {"boundaries": [10, 30, 100], "values": [1.0, 0.5, 0.25, 0.125]},
        lambda s: s.PiecewiseConstantDecay([10, 30, 100], [1.0, 0.5, 0.25, 0.125]),
    ),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 100}, lambda s: s.CosineDecay(0.1, 100)),
    (
        "CosineDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 100, "alpha": 0.25},
        lambda s: s.CosineDecay(0.1, 100, 0.25),
    ),
    (
        "CosineDecay",
        {"initial_learning_rate": 0.0, "decay_steps": 100, "warmup_target": 0.4, "warmup_steps": 20},
        lambda s: s.CosineDecay(0.0, 100, warmup_target=0.4, warmup_steps=20),
    ),
    (
        "CosineDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 100, "warmup_target": 0.4},
        lambda s: s.CosineDecay(0.1, 100, warmup_target=0.4),
    ),
    (
        "CosineDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 100, "warmup_steps": 20},
        lambda s: s.CosineDecay(0.1, 100, warmup_steps=20),
    ),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.1, "first_decay_steps": 9},
        lambda s: s.CosineDecayRestarts(0.1, 9),
    ),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.1, "first_decay_steps": 20, "t_mul": 1.0, "m_mul": 0.5, "alpha": 0.1},
        lambda s: s.CosineDecayRestarts(0.1, 20, 1.0, 0.5, 0.1),
    ),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.1, "first_decay_steps": 9, "t_mul": 1.5, "m_mul": 0.9},
        lambda s: s.CosineDecayRestarts(0.1, 9, 1.5, 0.9),
    ),
]
TORCH: list[tuple[str, dict[str, Any], Torch]] = [
    ("ConstantRate", {"factor": 0.25, "total_steps": 7}, lambda s, o: s.ConstantLR(o, 0.25, 7)),
    ("LinearRate", {}, lambda s, o: s.LinearLR(o)),
    (
        "LinearRate",
        {"start_factor": 0.1, "end_factor": 0.7, "total_steps": 20},
        lambda s, o: s.LinearLR(o, 0.1, 0.7, 20),
    ),
    ("StepDecay", {"step_size": 10}, lambda s, o: s.StepLR(o, 10)),
    ("StepDecay", {"step_size": 7, "gamma": 0.5}, lambda s, o: s.StepLR(o, 7, 0.5)),
    ("MultiStepDecay", {"milestones": [5, 20, 21]}, lambda s, o: s.MultiStepLR(o, [5, 20, 21])),
    ("MultiStepDecay", {"milestones": [30], "gamma": 0.5}, lambda s, o: s.MultiStepLR(o, [30], 0.5)),
    ("ExponentialDecay", {"decay_steps": 1, "decay_rate": 0.9}, lambda s, o: s.ExponentialLR(o, 0.9)),
    (
        "PolynomialDecay",
        {"decay_steps": 30, "end_learning_rate": 0.0, "power": 3.0},
        lambda s, o: s.PolynomialLR(o, 30, 3.0),
    ),
    ("CosineDecay", {"decay_steps": 59, "alpha": 0.1}, lambda s, o: s.CosineAnnealingLR(o, 59, 0.02)),
    (
        "CosineDecayRestarts",
        {"first_decay_steps": 8, "t_mul": 2.0, "alpha": 0.1},
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 8, 2, 0.02),
    ),
    ("CosineDecayRestarts", {"first_decay_steps": 10, "t_mul": 1.0}, lambda s, o: s.CosineAnnealingWarmRestarts(o, 10)),
    (
        "CyclicRate",
        {"max_learning_rate": 0.5, "step_size_up": 8},
        lambda s, o: s.CyclicLR(o, 0.2, 0.5, 8, cycle_momentum=False),
    ),
    (
        "CyclicRate",
        {"max_learning_rate": 0.5, "step_size_up": 8, "step_size_down": 12, "mode": "triangular2"},
        lambda s, o: s.CyclicLR(o, 0.2, 0.5, 8, 12, mode="triangular2", cycle_momentum=False),
    ),
    (
        "CyclicRate",
        {"max_learning_rate": 0.5, "step_size_up": 5, "mode": "exp_range", "gamma": 0.95},
        lambda s, o: s.CyclicLR(o, 0.2, 0.5, 5, mode="exp_range", gamma=0.95, cycle_momentum=False),
    ),
    (
        "OneCycle",
        {"max_learning_rate": 0.5, "total_steps": 60},
        lambda s, o: s.OneCycleLR(o, 0.5, 60, cycle_momentum=False),
    ),
    (
        "OneCycle",
        {
            "max_learning_rate": 0.5,
            "total_steps": 60,
            "pct_start": 0.4,
            "anneal_strategy": "linear",
            "three_phase": True,
        },
        lambda s, o: s.OneCycleLR(
            o, 0.5, 60, pct_start=0.4, anneal_strategy="linear", three_phase=True, cycle_momentum=False
        ),
    ),
    (
        "OneCycle",
        {"max_learning_rate": 0.5, "total_steps": 60, "pct_start": 0.25, "div_factor": 10.0, "final_div_factor": 100.0},
        lambda s, o: s.OneCycleLR(
            o, 0.5, 60, pct_start=0.25, div_factor=10.0, final_div_factor=100.0, cycle_momentum=False
        ),
    ),
    (
        "SequentialSchedule",
        {
            "schedules": [LinearRate(0.2, 0.1, 1.0, 10), StepDecay(0.2, 7, 0.5), CosineDecay(0.2, 20)],
            "milestones": [10, 40],
        },
        lambda s, o: s.SequentialLR(
            o, [s.LinearLR(o, 0.1, 1.0, 10), s.StepLR(o, 7, 0.5), s.CosineAnnealingLR(o, 20)], [10, 40]
        ),
    ),
    (
        "ChainedSchedule",
        {"schedules": [ConstantRate(0.2, 0.1, 20), ExponentialDecay(0.2, 1, 0.9), StepDecay(0.2, 15, 0.3)]},
        lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.9), s.StepLR(o, 15, 0.3)], o),
    ),
]
FIRST_RATE = 0.2
OURS = [("ConstantRate", {"initial_learning_rate": 0.3}), ("Warmup", {"schedule": 0.4, "warmup_steps": 9})]
OURS += [("Warmup", {"schedule": StepDecay(0.4, 7, 0.5), "warmup_steps": 9})]


def with_first_rate(name: str, options: dict[str, Any]) -> dict[str, Any]:
    takes_one = "initial_learning_rate" in SCHEDULES.get(name).__dataclass_fields__
    return {"initial_learning_rate": FIRST_RATE, **options} if takes_one else options


ALL = [(n, o) for n, o, _ in CASES] + [(n, with_first_rate(n, o)) for n, o, _ in TORCH] + OURS
every_case = pytest.mark.parametrize(("name", "options"), ALL, ids=[f"{n}-{i}" for i, (n, _) in enumerate(ALL)])


def test_every_schedule_has_a_case() -> None:
    assert {name for name, _ in ALL} == set(SCHEDULES)


@pytest.mark.parametrize(("name", "options", "keras_form"), CASES, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(CASES)])
def test_against_keras(name: str, options: dict[str, Any], keras_form: Callable[[Any], Any]) -> None:
    ours = SCHEDULES.get(name)(**options)
    theirs = keras_form(oracle("keras").optimizers.schedules)
    for step in STEPS:
        expected = float(theirs(np.float32(step)))  # Keras's are float32, and at 10,000 steps their part has 4 digits
        np.testing.assert_allclose(ours(step), expected, 1e-4 if step > 1000 else 1e-5, 1e-8)


@pytest.mark.parametrize(("name", "options", "torch_form"), TORCH, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(TORCH)])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # PyTorch's, of its own schedulers
def test_against_pytorch(name: str, options: dict[str, Any], torch_form: Torch) -> None:
    torch = oracle("torch")
    ours = SCHEDULES.get(name)(**with_first_rate(name, options))
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=FIRST_RATE)
    theirs = torch_form(torch.optim.lr_scheduler, optimizer)
    for step in range(60):
        np.testing.assert_allclose(ours(step), optimizer.param_groups[0]["lr"], 1e-9, 1e-15, err_msg=f"step {step}")
        if step < 59:
            optimizer.step()
            theirs.step()


def test_ours_alone() -> None:
    assert [ConstantRate(0.3)(step) for step in STEPS] == [0.3] * len(STEPS)
    steady, falling = Warmup(0.4, 9), Warmup(StepDecay(0.4, 7, 0.5), 9)
    for step in range(40):
        expected = 0.4 * min(1.0, (step + 1) / 10)
        np.testing.assert_allclose(steady(step), expected, 1e-12)
        np.testing.assert_allclose(falling(step), expected if step < 9 else 0.4 * 0.5 ** ((step - 9) // 7), 1e-12)


@pytest.mark.parametrize("t_mul", [1.0, 1.5, 2.0, 3.0])
def test_restarts_begin_where_they_should(t_mul: float) -> None:
    """Also in float32, where the logarithm of a restart's place may be rounded to the run before."""
    schedule, begins = CosineDecayRestarts(1.0, 16, t_mul), [0.0]
    while (next_one := begins[-1] + 16 * t_mul ** (len(begins) - 1)).is_integer() and next_one < 1e5:
        begins.append(next_one)
    step = g.input_tensor("step", ())
    session = Reference("float32").compile(Program("rate", (step,), (), {"rate": schedule(step)}, {}), {})
    for begin, end in pairwise(begins):
        for at in (begin, (begin + end) / 2):
            found = session.run({}, np.arange(1), 1, {"step": np.array(at)})["rate"]
            np.testing.assert_allclose(found, 0.5 * (1 + np.cos(np.pi * (at - begin) / (end - begin))), 0, 5e-3)


@every_engine
@every_case
def test_in_a_program(name: str, options: dict[str, Any], engine: Engine) -> None:
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
def test_configuration_goes_round(name: str, options: dict[str, Any]) -> None:
    schedule = SCHEDULES.get(name)(**options)
    again = get(schedule.to_config())
    assert type(again) is type(schedule) and [again(s) for s in STEPS] == [schedule(s) for s in STEPS]
    assert Schedule.from_config(json.loads(json.dumps(schedule.to_config()))).to_config() == schedule.to_config()


def test_what_a_learning_rate_may_be() -> None:
    assert get(0.5) == 0.5 and get(np.float32(0.5)) == 0.5 and get(0) == 0.0
    halving = get(lambda step: 0.5**step)
    assert callable(halving) and halving(3) == 0.125
    for wrong in (-0.1, float("nan"), None, "fast", True):
        with pytest.raises(UsageError, match="learning_rate must be"):
            get(wrong)


def test_bad_arguments_name_what_was_expected() -> None:
    for name, options in (
        ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 0, "decay_rate": 0.5}),
        ("PiecewiseConstantDecay", {"boundaries": [1, 2], "values": [0.1, 0.2]}),
        ("MultiStepDecay", {"initial_learning_rate": 0.1, "milestones": [5, 3]}),
        ("OneCycle", {"max_learning_rate": 0.1, "total_steps": 10, "pct_start": 0}),
        ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 9, "t_mul": 0.5}),
        ("CyclicRate", {"initial_learning_rate": 0.1, "max_learning_rate": 0.2, "mode": "square"}),
        ("SequentialSchedule", {"schedules": [StepDecay(0.1, 2)], "milestones": [3]}),
        ("ChainedSchedule", {"schedules": []}),
        ("Warmup", {"schedule": lambda step: 0.1}),
    ):
        with pytest.raises(UsageError, match=r"must be|not of functions"):
            SCHEDULES.get(name)(**options)
