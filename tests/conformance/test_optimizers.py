"""Every update rule with every option: ten steps on three arrays, at a rate that changes, against Keras and PyTorch.

Tolerance, relative to the way gone: 2e-5 against Keras in both precisions (it keeps its rate and some of its scalars in
float32), 1e-9 against PyTorch in float64 with its own ε. Where the frameworks disagree, `form` says whose formula is
meant; PyTorch's clipping adds 1e-6 to the length, and agrees to 1e-5.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from conformance.engines import every_engine, every_float64_engine
from support import oracle
from talweg import graph as g
from talweg.engines import Engine
from talweg.errors import FrozenError, UnknownNameError, UsageError
from talweg.graph import Array, Program
from talweg.nn import layers
from talweg.optim import OPTIMIZERS, UpdateRule, get
from talweg.train.sequential import Sequential

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
    "Adadelta": [{}, {"rho": 0.8, "epsilon": 1e-3}],
    "Adafactor": [{}, {"beta_2_decay": -0.5, "epsilon_1": 1e-3, "epsilon_2": 0.1, "clip_threshold": 0.5}],
    "Adam": [{}, {"beta_1": 0.8, "beta_2": 0.9}, {"amsgrad": True}, {"epsilon": 1e-2}],
    "AdamW": [{}, {"amsgrad": True}, {"beta_1": 0.5, "beta_2": 0.99, "epsilon": 1e-3}],
    "Adamax": [{}, {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-2}],
    "Nadam": [{}, {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-2}],
    "Lion": [{}, {"beta_1": 0.5, "beta_2": 0.7}],
    "Lamb": [{}, {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-2}],
    "Muon": [
        {},
        {"nesterov": False, "momentum": 0.5, "ns_steps": 3, "rms_rate": None},
        {"exclude_layers": ["w0"], "adam_lr_ratio": 0.5, "adam_weight_decay": None, "epsilon": 1e-3},
        {"muon_a": 2.0, "muon_b": -1.5, "muon_c": 0.5, "adam_beta_1": 0.8, "adam_beta_2": 0.9},
        {"exclude_embeddings": False, "adam_weight_decay": 0.1},
    ],
    "Ftrl": [
        {},
        {"l1_regularization_strength": 0.2, "l2_regularization_strength": 0.1},
        {"learning_rate_power": -0.3, "initial_accumulator_value": 0.5},
        {"l2_shrinkage_regularization_strength": 0.1, "beta": 0.3},
    ],
}
"""Those that Keras has, and what only it can judge."""

COMMON: list[dict[str, Any]] = [
    {"weight_decay": 0.1},
    {"clipnorm": 1.0},
    {"clipvalue": 0.4},
    {"global_clipnorm": 1.5},
    {"weight_decay": 0.05, "global_clipnorm": 100.0},
    {"use_ema": True, "ema_momentum": 0.7},
    {"use_ema": True, "ema_momentum": 0.6, "ema_overwrite_frequency": 3},
    {"gradient_accumulation_steps": 3},
    {"gradient_accumulation_steps": 2, "weight_decay": 0.1, "clipnorm": 0.5},
    {"gradient_accumulation_steps": 3, "use_ema": True, "ema_momentum": 0.6, "ema_overwrite_frequency": 2},
]
CASES = [(name, {**own, **common}) for name, owns in OPTIONS.items() for own in owns[:1] for common in COMMON]
CASES += [(name, own) for name, owns in OPTIONS.items() for own in owns]
CASES += [("Adam", {"amsgrad": True, **COMMON[0]}), ("SGD", {"momentum": 0.9, "nesterov": True, **COMMON[0]})]
CASES += [("SGD", {"momentum": 0.9, **common}) for common in COMMON[-3:]]


def test_every_optimizer_and_every_option_has_a_case() -> None:
    cases = CASES + [(name, ours) for name, ours, _ in TORCH] + [("LBFGS", ours) for ours in SEARCHES]
    apart = {"learning_rate", "name", "decoupled_weight_decay", "form"}  # the last two: of PyTorch's cases
    common = {k for _, options in CASES for k in options if k in UpdateRule.__dataclass_fields__}
    assert {n for n, _ in cases} == set(OPTIMIZERS)
    for name in OPTIMIZERS:
        fields = {f.name for f in dataclasses.fields(OPTIMIZERS.get(name))} - apart
        covered = {k for n, options in cases if n == name for k in options}
        assert fields - common <= covered, f"{name}: {fields - common - covered}"
        if name in OPTIONS:
            assert common - apart <= covered, f"{name}: {common - apart - covered}"


def ours(engine: Engine, rule: UpdateRule, rates: Array = RATES) -> list[Array]:
    """The weights after each rule step, in one run of a compiled program whose gradients and rate change each step."""
    weights = [g.state_tensor(f"w{i}", s) for i, s in enumerate(SHAPES)]
    slopes = [g.input_tensor(f"g{i}", s) for i, s in enumerate(SHAPES)]
    iterations, rate = g.state_tensor("optimizer/iterations", (), "uint"), g.input_tensor("rate", ())
    slots, new = rule.apply(weights, slopes, iterations, rate)
    new[iterations] = iterations + g.constant(1, "uint")
    program = Program("rule", (*slopes, rate), (*weights, *slots, iterations), {}, new)
    g.check(program)
    first = rule.memory(weights) | {f"w{i}": w for i, w in enumerate(FIRST)}
    session = engine.compile(program, first | {iterations.name: np.array(0)})
    per_step = {f"g{i}": d for i, d in enumerate(GRADIENTS)} | {"rate": rates}
    session.run({}, np.arange(STEPS), 1, per_step=per_step)
    states = session.states()
    assert states["optimizer/iterations"] == STEPS
    return [states[f"w{i}"] for i in range(len(SHAPES))]


@every_engine
@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}{o or ''}" for n, o in CASES])
def test_against_keras(name: str, options: dict[str, Any], engine: Engine) -> None:
    keras = oracle("keras")
    variables = [
        keras.Variable(w.astype(engine.precision), dtype=engine.precision, name=f"w{i}") for i, w in enumerate(FIRST)
    ]
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
        assert (found != began).any()


Torch = dict[str, Any]
TORCH_FORM: dict[str, list[tuple[dict[str, Any], Torch]]] = {
    # ours with form="torch", and PyTorch's
    "SGD": [
        ({}, {}),
        ({"momentum": 0.9}, {"momentum": 0.9}),
        ({"momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "nesterov": True}),
        ({"momentum": 0.9, "dampening": 0.3}, {"momentum": 0.9, "dampening": 0.3}),
        ({"clipnorm": 1.0}, {}),
        ({"global_clipnorm": 1.5}, {}),
        ({"clipvalue": 0.4}, {}),
    ],
    "RMSprop": [
        ({"rho": 0.99, "epsilon": 1e-8}, {}),
        ({"rho": 0.9, "momentum": 0.7, "epsilon": 1e-2}, {"alpha": 0.9, "momentum": 0.7, "eps": 1e-2}),
        ({"rho": 0.9, "centered": True, "epsilon": 1e-2}, {"alpha": 0.9, "centered": True, "eps": 1e-2}),
    ],
    "Adagrad": [
        ({"initial_accumulator_value": 0.0, "epsilon": 1e-10}, {}),
        (
            {"initial_accumulator_value": 0.1, "epsilon": 1e-2, "lr_decay": 0.1},
            {"initial_accumulator_value": 0.1, "eps": 1e-2, "lr_decay": 0.1},
        ),
    ],
    "Adadelta": [({"rho": 0.9, "epsilon": 1e-6}, {}), ({"rho": 0.8, "epsilon": 1e-2}, {"rho": 0.8, "eps": 1e-2})],
    "Adam": [
        ({"epsilon": 1e-8}, {}),
        ({"epsilon": 1e-2, "beta_1": 0.8, "beta_2": 0.9}, {"eps": 1e-2, "betas": (0.8, 0.9)}),
        ({"epsilon": 1e-2, "amsgrad": True}, {"eps": 1e-2, "amsgrad": True}),
        ({"epsilon": 1e-8, "decoupled_weight_decay": True, "weight_decay": 0.1}, {"decoupled_weight_decay": True}),
    ],
    "AdamW": [
        ({"epsilon": 1e-8, "weight_decay": 0.01}, {}),
        ({"epsilon": 1e-2, "weight_decay": 0.01, "amsgrad": True}, {"eps": 1e-2, "amsgrad": True}),
    ],
    "Adamax": [({"epsilon": 1e-8}, {}), ({"epsilon": 1e-2, "beta_1": 0.8}, {"eps": 1e-2, "betas": (0.8, 0.999)})],
    "Nadam": [
        ({"epsilon": 1e-8, "momentum_decay": 0.004}, {}),
        (
            {"epsilon": 1e-2, "momentum_decay": 0.5, "beta_2": 0.9},
            {"eps": 1e-2, "momentum_decay": 0.5, "betas": (0.9, 0.9)},
        ),
    ],
    "Adafactor": [
        ({"epsilon_1": np.finfo("f8").eps}, {}),
        (
            {"epsilon_1": 0.3, "epsilon_2": 0.1, "beta_2_decay": -0.5, "clip_threshold": 1.5},
            {"eps": (0.3, 0.1), "beta2_decay": -0.5, "d": 1.5},
        ),
    ],
    "ASGD": [({}, {}), ({"lambd": 0.1, "alpha": 0.5, "t0": 3.0}, {"lambd": 0.1, "alpha": 0.5, "t0": 3.0})],
    "RAdam": [
        ({}, {}),
        ({"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-2}, {"betas": (0.8, 0.9), "eps": 1e-2}),
        (
            {"beta_2": 0.9, "decoupled_weight_decay": True, "weight_decay": 0.1},
            {"betas": (0.9, 0.9), "decoupled_weight_decay": True},
        ),
    ],
    "Rprop": [
        ({}, {}),
        ({"etas": (0.3, 1.5), "step_sizes": (1e-2, 0.2)}, {"etas": (0.3, 1.5), "step_sizes": (1e-2, 0.2)}),
    ],
    "SparseAdam": [({}, {}), ({"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-2}, {"betas": (0.8, 0.9), "eps": 1e-2})],
}
NO_DECAY = ("Rprop", "SparseAdam", "Adafactor")  # PyTorch's have none, or (Adafactor) measure w before it
TORCH = [
    (name, {"form": "torch", **ours, **decay}, {**theirs, **decay})
    for name, pairs in TORCH_FORM.items()
    for ours, theirs in pairs
    for decay in ({}, {"weight_decay": 0.1})
    if not (decay and name in NO_DECAY) and (decay or "decoupled_weight_decay" not in ours)
]


@pytest.mark.parametrize(("name", "options", "theirs"), TORCH, ids=[f"{n}{o}" for n, o, _ in TORCH])
@every_float64_engine
def test_against_pytorch(name: str, options: dict[str, Any], theirs: Torch, engine: Engine) -> None:
    """In float64 and with PyTorch's own ε; at a rate that changes, but for ASGD, which there uses the step before's."""
    torch = oracle("torch")
    rates = np.full(STEPS, 0.1) if name == "ASGD" else RATES
    parameters = [torch.nn.Parameter(torch.tensor(w)) for w in FIRST]
    names = {"Nadam": "NAdam"}
    rule = getattr(torch.optim, names.get(name, name))(parameters, lr=0.1, **theirs)
    for step in range(STEPS):
        rule.param_groups[0]["lr"] = rates[step]
        for p, d in zip(parameters, GRADIENTS, strict=True):
            p.grad = torch.tensor(d[step])
            p.grad = p.grad.to_sparse(1) if name == "SparseAdam" else p.grad
        for kind, clip in (
            ("clipnorm", torch.nn.utils.clip_grad_norm_),
            ("clipvalue", torch.nn.utils.clip_grad_value_),
        ):
            if kind in options:
                for p in parameters:
                    clip([p], options[kind])
        if "global_clipnorm" in options:
            torch.nn.utils.clip_grad_norm_(parameters, options["global_clipnorm"])
        rule.step()
    found = ours(engine, OPTIMIZERS.get(name)(**options), rates)
    for mine, p, began in zip(found, parameters, FIRST, strict=True):
        single = name in ("ASGD", "Nadam")  # PyTorch keeps their numbers beside the slots in float32
        rtol, atol = (1e-5, 1e-6) if "clipnorm" in str(options) else (2e-6, 1e-7) if single else (1e-9, 1e-14)
        np.testing.assert_allclose(mine - began, p.detach().numpy() - began, rtol, atol)
        assert (mine != began).any()


SEARCHES: list[dict[str, Any]] = [
    {},
    {"line_search_fn": None},
    {"history_size": 3, "max_iter": 4},
    {"max_eval": 7, "tolerance_grad": 1e-3, "tolerance_change": 1e-4},
    {"line_search_fn": None, "max_iter": 1, "history_size": 2},
    {"max_iter": 1},
]


@pytest.mark.parametrize("batch_size", [60, 25])
@pytest.mark.parametrize("options", SEARCHES, ids=str)
@every_float64_engine
def test_searches_against_pytorch(options: dict[str, Any], batch_size: int, engine: Engine) -> None:
    """L-BFGS on a network, batch by batch: every weight after every batch, and the loss before it.

    In up to 100 iterations the search makes roundings grow: tolerance 1e-5 and 1e-6.
    """
    torch = oracle("torch")
    draw = np.random.default_rng(5)
    x = draw.normal(size=(60, 3))
    y = np.tanh(x @ draw.normal(size=(3, 3))) @ draw.normal(size=(3, 2)) + 0.1 * draw.normal(size=(60, 2))
    model = Sequential([layers.Dense(3, "tanh", input_shape=(3,)), layers.Dense(2)], seed=3)
    model.compile(OPTIMIZERS.get("LBFGS")(**options), "mse", engine=engine)
    theirs = [torch.nn.Parameter(torch.tensor(w)) for w in model.get_weights()]
    wolfe = {"line_search_fn": "strong_wolfe", **options}
    rule = torch.optim.LBFGS(theirs, lr=options.get("learning_rate", 1.0), **wolfe)

    for step in range(5):
        rows = np.arange(60)[step * batch_size % 60 :][:batch_size]
        x_t, y_t = torch.tensor(x[rows]), torch.tensor(y[rows])

        def closure(x_t: Any = x_t, y_t: Any = y_t) -> Any:
            rule.zero_grad()
            k1, b1, k2, b2 = theirs
            loss = torch.mean((torch.tanh(x_t @ k1 + b1) @ k2 + b2 - y_t) ** 2)
            loss.backward()
            return loss

        expected = rule.step(closure)
        found = model.train_on_batch(x[rows], y[rows])
        np.testing.assert_allclose(found, float(expected.detach()), 1e-6)
        for mine, p in zip(model.get_weights(), theirs, strict=True):
            np.testing.assert_allclose(mine, p.detach().numpy(), 1e-5, 1e-6)
    assert model.iterations == 5


@every_float64_engine
def test_rows_that_a_batch_does_not_touch(engine: Engine) -> None:
    """SparseAdam: of a (5, 2) table, two rows a step; of the others neither weight nor memory moves."""
    torch = oracle("torch")
    first, touched = random.normal(size=(5, 2)), [[0, 1], [1, 4], [0, 3], [1, 3], [0, 4], [1, 2]]
    slopes = np.zeros((len(touched), 5, 2))
    theirs = torch.nn.Parameter(torch.tensor(first))
    rule = torch.optim.SparseAdam([theirs], lr=0.1)
    w, d = g.state_tensor("w", (5, 2)), g.input_tensor("d", (5, 2))
    iterations, mine = g.state_tensor("n", (), "uint"), OPTIMIZERS.get("SparseAdam")(0.1)
    slots, new = mine.apply([w], [d], iterations, g.constant(0.1))
    program = Program(
        "sparse", (d,), (w, *slots, iterations), {}, {**new, iterations: iterations + g.constant(1, "uint")}
    )
    session = engine.compile(program, {"w": first, "n": np.array(0), **mine.memory([w])})
    for step, rows in enumerate(touched):
        slopes[step, rows] = random.normal(size=(2, 2))
        theirs.grad = torch.sparse_coo_tensor([rows], slopes[step, rows], (5, 2))
        rule.step()
        session.run({}, np.arange(1), 1, {"d": slopes[step]})
        np.testing.assert_allclose(session.states()["w"], theirs.detach().numpy(), 1e-12)


BRIEF = [(name, own) for name, owns in OPTIONS.items() for own in owns]
BRIEF += [(name, {**COMMON[-1], **options}) for name, options, _ in TORCH] + [("LBFGS", {**o}) for o in SEARCHES]


@pytest.mark.parametrize(("name", "options"), BRIEF, ids=[f"{n}{o or ''}" for n, o in BRIEF])
def test_configuration_goes_round_and_nothing_can_be_changed(name: str, options: dict[str, Any]) -> None:
    rule = OPTIMIZERS.get(name)(0.02, **options)
    again = get(rule.to_config())
    assert type(again) is type(rule) and again.to_config() == rule.to_config()
    assert again.learning_rate == 0.02 and all(getattr(again, k) == getattr(rule, k) for k in options)
    rule.learning_rate = 0.5
    assert rule.learning_rate == 0.5
    for field in options or {"clipnorm": 1}:
        with pytest.raises(FrozenError, match=r"dataclasses\.replace"):
            setattr(rule, field, 0.3)
    assert type(get(name)) is type(get(name.lower())) is type(get(type(rule))) is type(rule)


OUT_OF_RANGE: list[tuple[str, dict[str, Any]]] = [
    *(("SGD", {"clipvalue": 0}), ("SGD", {"momentum": 1.5}), ("SGD", {"weight_decay": -0.1})),
    *(("Adam", {"beta_1": 1.0}), ("Adam", {"beta_2": float("nan")}), ("Adam", {"epsilon": "small"})),
    *(("RMSprop", {"rho": -0.1}), ("Muon", {"ns_steps": 2.5}), ("Ftrl", {"learning_rate_power": 0.5})),
    *(("LBFGS", {"max_iter": 0}), ("LBFGS", {"max_eval": 0}), ("Ftrl", {"l1_regularization_strength": -1.0})),
]


def test_bad_arguments_name_what_was_expected() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'Adam'"):
        get("adm")
    with pytest.raises(UsageError, match="give one of clipnorm"):
        get("sgd").__class__(clipnorm=1, clipvalue=1)
    for name, wrong in OUT_OF_RANGE:
        with pytest.raises(UsageError, match=f"{name}: {next(iter(wrong))} must be a number in"):
            OPTIMIZERS.get(name)(**wrong)
    for rate in (-1, float("nan"), float("inf"), "fast", True):
        with pytest.raises(UsageError, match="learning_rate must be"):
            get("sgd").__class__(rate)
    with pytest.raises(UsageError, match="optimizer must be"):
        get(3)
