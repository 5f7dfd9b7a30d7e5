"""Every update rule with every option: ten steps on three arrays, at a rate that changes, against Keras and PyTorch.

Tolerance, relative to the way gone: 2e-5 against Keras in both precisions (it keeps its rate and some of its scalars in
float32), 1e-9 against PyTorch in float64. Where frameworks disagree, Keras is followed:
- SGD's momentum: the rate is inside the velocity (PyTorch: outside); equal while the rate stays.
- Adam: ε is added to √v, uncorrected (PyTorch corrects v first); equal for ε → 0.
- RMSprop, Adagrad: ε is inside the root (PyTorch: outside); equal for ε → 0.
- weight_decay is decoupled for every rule (PyTorch: for AdamW only; elsewhere it is L2).
- clipnorm: PyTorch adds 1e-6 to the length.
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
from talweg.errors import FrozenError, UnknownNameError, UsageError
from talweg.graph import Array, Program
from talweg.optim import OPTIMIZERS, UpdateRule, get
from talweg.train.programs import apply_rule, first_values

STEPS = 10
SHAPES = ((3, 2), (2,), (1,))
random = np.random.default_rng(3)
FIRST = [random.normal(size=s) for s in SHAPES]
GRADIENTS = [random.normal(size=(STEPS, *s)) * np.geomspace(0.3, 3, STEPS).reshape(-1, *[1] * len(s)) for s in SHAPES]
RATES = np.array([0.125, 0.125, 0.0625, 0.25, 0.25, 0.03125, 0.125, 0.5, 0.0625, 0.125]) / 4  # exact in float32

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"nesterov": True}],
    "RMSprop": [
        {},
        {"rho": 0.8},
        {"momentum": 0.7},
        {"centered": True},
        {"centered": True, "momentum": 0.5, "epsilon": 1e-3},
    ],
    "Adagrad": [{}, {"initial_accumulator_value": 0.0}, {"epsilon": 1e-2}],
    "Adam": [{}, {"beta_1": 0.8, "beta_2": 0.9}, {"amsgrad": True}, {"epsilon": 1e-2}],
    "AdamW": [{}, {"amsgrad": True}, {"beta_1": 0.5, "beta_2": 0.99, "epsilon": 1e-3}],
}
COMMON: list[dict[str, Any]] = [
    {"weight_decay": 0.1},
    {"clipnorm": 1.0},
    {"clipvalue": 0.4},
    {"global_clipnorm": 1.5},
    {"weight_decay": 0.05, "global_clipnorm": 100.0},
]
CASES = [(name, {**own, **common}) for name, owns in OPTIONS.items() for own in owns for common in ({}, *COMMON)]
BRIEF = [(name, own) for name, owns in OPTIONS.items() for own in owns]


def test_every_optimizer_and_every_option_has_a_case() -> None:
    assert set(OPTIONS) == set(OPTIMIZERS)
    for name in OPTIMIZERS:
        fields = set(OPTIMIZERS.get(name).__dataclass_fields__) - {
            "registry",
            "assignable",
            "learning_rate",
            "name",
            "_",
        }
        assert fields == {k for n, options in CASES if n == name for k in options}, name


def ours(engine: Engine, rule: UpdateRule, rates: Array = RATES) -> list[Array]:
    """The weights after each rule step, in one run of a compiled program whose gradients and rate change each step."""
    weights = [g.state_tensor(f"w{i}", s) for i, s in enumerate(SHAPES)]
    slopes = [g.input_tensor(f"g{i}", s) for i, s in enumerate(SHAPES)]
    iterations, rate = g.state_tensor("optimizer/iterations", (), "uint"), g.input_tensor("rate", ())
    slots, new = apply_rule(rule, weights, slopes, iterations, rate)
    new[iterations] = iterations + g.constant(1, "uint")
    program = Program("rule", (*slopes, rate), (*weights, *slots, iterations), {}, new)
    g.check(program)
    first = first_values(program, {}, rule) | {f"w{i}": w for i, w in enumerate(FIRST)}
    session = engine.compile(program, first)
    per_step = {f"g{i}": d for i, d in enumerate(GRADIENTS)} | {"rate": rates}
    session.run({}, np.arange(STEPS), 1, per_step=per_step)
    states = session.states()
    assert states["optimizer/iterations"] == STEPS
    return [states[f"w{i}"] for i in range(len(SHAPES))]


@every_engine
@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}{o or ''}" for n, o in CASES])
def test_against_keras(name: str, options: dict[str, Any], engine: Engine) -> None:
    keras = oracle("keras")
    variables = [keras.Variable(w.astype(engine.precision), dtype=engine.precision) for w in FIRST]
    theirs = getattr(keras.optimizers, name)(learning_rate=0.5, **options)
    theirs.build(variables)
    for step in range(STEPS):
        theirs.learning_rate = RATES[step]
        slopes = [keras.ops.convert_to_tensor(d[step].astype(engine.precision)) for d in GRADIENTS]
        theirs.apply(slopes, variables)
    rtol, atol = (2e-5, 2e-5) if engine.precision == "float32" else (2e-5, 1e-6)
    for found, variable, began in zip(ours(engine, OPTIMIZERS.get(name)(**options)), variables, FIRST, strict=True):
        expected = keras.ops.convert_to_numpy(variable)
        np.testing.assert_allclose(found - began, expected - began, rtol, atol)
        assert (found != began).all(), "every weight moved"


TINY = 1e-30
Torch = Callable[[Any, list[Any]], Any]
TORCH: list[tuple[str, dict[str, Any], Torch]] = [
    ("SGD", {}, lambda o, p: o.SGD(p, lr=0.1)),
    ("SGD", {"momentum": 0.9}, lambda o, p: o.SGD(p, lr=0.1, momentum=0.9)),
    ("SGD", {"momentum": 0.9, "nesterov": True}, lambda o, p: o.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    ("RMSprop", {"epsilon": TINY}, lambda o, p: o.RMSprop(p, lr=0.1, alpha=0.9, eps=TINY)),
    (
        "RMSprop",
        {"epsilon": TINY, "momentum": 0.7},
        lambda o, p: o.RMSprop(p, lr=0.1, alpha=0.9, eps=TINY, momentum=0.7),
    ),
    (
        "RMSprop",
        {"epsilon": TINY, "centered": True},
        lambda o, p: o.RMSprop(p, lr=0.1, alpha=0.9, eps=TINY, centered=True),
    ),
    ("Adagrad", {"epsilon": TINY}, lambda o, p: o.Adagrad(p, lr=0.1, initial_accumulator_value=0.1, eps=TINY)),
    ("Adam", {"epsilon": TINY}, lambda o, p: o.Adam(p, lr=0.1, eps=TINY)),
    (
        "Adam",
        {"epsilon": TINY, "beta_1": 0.8, "beta_2": 0.9},
        lambda o, p: o.Adam(p, lr=0.1, eps=TINY, betas=(0.8, 0.9)),
    ),
    ("Adam", {"epsilon": TINY, "amsgrad": True}, lambda o, p: o.Adam(p, lr=0.1, eps=TINY, amsgrad=True)),
    ("AdamW", {"epsilon": TINY, "weight_decay": 0.02}, lambda o, p: o.AdamW(p, lr=0.1, eps=TINY, weight_decay=0.02)),
    ("SGD", {"clipnorm": 1.0}, lambda o, p: o.SGD(p, lr=0.1)),
    ("SGD", {"global_clipnorm": 1.5}, lambda o, p: o.SGD(p, lr=0.1)),
    ("SGD", {"clipvalue": 0.4}, lambda o, p: o.SGD(p, lr=0.1)),
]


@pytest.mark.parametrize(("name", "options", "make"), TORCH, ids=[f"{n}{o or ''}" for n, o, _ in TORCH])
@every_engine
def test_against_pytorch(name: str, options: dict[str, Any], make: Torch, engine: Engine) -> None:
    """At a constant rate, in float64, with ε = 1e-30. Relative tolerance 1e-9, and 1e-5 for PyTorch's clipping."""
    torch = oracle("torch")
    assert {n for n, *_ in TORCH} == set(OPTIMIZERS)
    if engine.precision == "float32":
        return  # 1e-30 under a root is 0 there; Keras is the judge of float32
    parameters = [torch.nn.Parameter(torch.tensor(w)) for w in FIRST]
    theirs = make(torch.optim, parameters)
    for step in range(STEPS):
        for p, d in zip(parameters, GRADIENTS, strict=True):
            p.grad = torch.tensor(d[step])
        for kind, clip in (
            ("clipnorm", torch.nn.utils.clip_grad_norm_),
            ("clipvalue", torch.nn.utils.clip_grad_value_),
        ):
            if kind in options:
                for p in parameters:
                    clip([p], options[kind])
        if "global_clipnorm" in options:
            torch.nn.utils.clip_grad_norm_(parameters, options["global_clipnorm"])
        theirs.step()
    found = ours(engine, OPTIMIZERS.get(name)(**options), np.full(STEPS, 0.1))
    for mine, p, began in zip(found, parameters, FIRST, strict=True):
        rtol, atol = (1e-5, 1e-6) if "clipnorm" in str(options) else (1e-9, 0)
        np.testing.assert_allclose(mine - began, p.detach().numpy() - began, rtol, atol)


@pytest.mark.parametrize(("name", "options"), BRIEF, ids=[f"{n}{o or ''}" for n, o in BRIEF])
def test_configuration_goes_round_and_nothing_can_be_changed(name: str, options: dict[str, Any]) -> None:
    rule = OPTIMIZERS.get(name)(0.02, **options)
    again = get(rule.to_config())
    assert type(again) is type(rule) and again.to_config() == rule.to_config()
    assert again.learning_rate == 0.02 and all(getattr(again, k) == v for k, v in options.items())
    rule.learning_rate = 0.5
    assert rule.learning_rate == 0.5
    for field in options or {"clipnorm": 1}:
        with pytest.raises(FrozenError, match=r"dataclasses\.replace"):
            setattr(rule, field, 0.3)
    assert type(get(name)) is type(get(name.lower())) is type(get(type(rule))) is type(rule)


def test_bad_arguments_name_what_was_expected() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'Adam'"):
        get("adm")
    with pytest.raises(UsageError, match="give one of clipnorm"):
        get("sgd").__class__(clipnorm=1, clipvalue=1)
    with pytest.raises(UsageError, match="must be above 0"):
        get("sgd").__class__(clipvalue=0)
    for rate in (-1, float("nan"), float("inf"), "fast", True):
        with pytest.raises(UsageError, match="learning_rate must be"):
            get("sgd").__class__(rate)
    with pytest.raises(UsageError, match="optimizer must be"):
        get(3)
