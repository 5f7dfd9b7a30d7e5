"""What a session promises, on every engine: order, short batches, settings, states, and errors that name what lacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conformance.engines import COMPILED, ENGINES, assert_close
from talweg import graph as g
from talweg.engines import Engine, Reference, engine_by_name
from talweg.errors import ShapeError, UnknownNameError, UsageError
from talweg.gradient import gradient
from talweg.graph import BATCH, Program, input_tensor, state_tensor
from talweg.graph.random import key_of

X = np.arange(22.0).reshape(11, 2)
LABELS = np.arange(11) % 3
PIXELS = (np.arange(22) * 11 % 256).astype(np.uint8).reshape(11, 2)


@pytest.fixture(params=[*(f"{e.name}-{e.precision}" for e in ENGINES), *COMPILED])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each of them in turn; what is not installed is skipped."""
    known = {f"{e.name}-{e.precision}": e for e in ENGINES}
    return known.get(request.param) or COMPILED[request.param]()


def watcher() -> Program:
    """Shows what a step saw: its rows, how many they were, the settings, and the states from before it."""
    x, k, pixels = (
        input_tensor("x", (BATCH, 2)),
        input_tensor("k", (BATCH,), "int"),
        input_tensor("pixels", (BATCH, 2), "uint8"),
    )
    rate, bias = input_tensor("rate", ()), input_tensor("bias", (2,))
    steps, total, last = state_tensor("steps", (), "uint"), state_tensor("total", (2,)), state_tensor("last", ())
    fixed = state_tensor("fixed", (2,))
    outputs = {
        "rows": x + bias,
        "classes": k + g.constant(1),
        "scaled": g.cast(pixels, "float") / 255,
        "size": g.batch_size(),
        "rate": rate * 1.0,
        "before": total * 1.0,
        "fixed": fixed * 3.0,
        "above": g.sum(x, 1) > 20,
    }
    updates = {steps: steps + g.constant(1, "uint"), total: total + g.sum(x, 0) * rate, last: g.cast(steps, "float")}
    return Program("watcher", (x, k, pixels, rate, bias), (steps, total, last, fixed), outputs, updates)


FIRST = {"steps": np.array(0), "total": np.zeros(2), "last": np.array(-1.0), "fixed": np.array([3.0, 4.0])}
DATA: dict[str, Any] = {"x": X, "k": LABELS, "pixels": PIXELS}
SETTINGS: dict[str, Any] = {"rate": np.array(0.5), "bias": np.array([1.0, 2.0])}


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 11, 100])
def test_rows_come_in_order_and_the_last_batch_may_be_short(engine: Engine, batch_size: int) -> None:
    order = np.array([4, 0, 10, 7, 7, 1, 3, 9, 2, 8])  # one row twice, two not at all
    session = engine.compile(watcher(), FIRST)
    out = session.run(DATA, order, batch_size, SETTINGS)
    sizes = [len(order[i : i + batch_size]) for i in range(0, len(order), batch_size)]
    assert_close(out["rows"], X[order] + [1, 2], engine)
    assert out["classes"].tolist() == (LABELS[order] + 1).tolist() and out["classes"].dtype == np.int32
    assert_close(out["scaled"], PIXELS[order] / 255, engine)
    assert out["above"].tolist() == (X[order].sum(1) > 20).tolist() and out["above"].dtype == bool
    assert out["size"] == sizes[-1] and out["rate"] == 0.5, "outputs without a batch axis are the last step's"
    assert_close(out["before"], X[order[: len(order) - sizes[-1]]].sum(0) * 0.5, engine, "updates come after outputs")
    states = session.states()
    assert states["steps"] == len(sizes) and states["steps"].dtype == np.uint32
    assert_close(states["total"], X[order].sum(0) * 0.5, engine)
    assert out["fixed"].tolist() == [9, 12] and states["fixed"].tolist() == [3, 4], "what has no update stays"
    assert states["last"] == len(sizes) - 1, "every new state is computed from the states before the step"


def test_per_step_inputs_change_from_step_to_step(engine: Engine) -> None:
    session = engine.compile(watcher(), FIRST)
    rates = np.array([1.0, 0.0, 2.0])
    out = session.run(DATA, np.arange(6), 2, {"bias": np.zeros(2)}, {"rate": rates})
    assert out["rate"] == 2
    assert_close(session.states()["total"], sum(r * X[2 * i : 2 * i + 2].sum(0) for i, r in enumerate(rates)), engine)
    arrays = np.arange(6.0).reshape(3, 2)
    out = session.run(DATA, np.arange(3), 1, {"rate": np.array(0.0)}, {"bias": arrays})
    assert_close(out["rows"], X[:3] + arrays, engine)


def test_one_call_or_many_are_the_same(engine: Engine) -> None:
    order = np.array([3, 1, 4, 1, 5, 9, 2, 6])
    whole, parts = engine.compile(watcher(), FIRST), engine.compile(watcher(), FIRST)
    together = whole.run(DATA, order, 2, SETTINGS)
    apart = [parts.run(DATA, order[i : i + 4], 2, SETTINGS) for i in (0, 4)]
    np.testing.assert_array_equal(together["rows"], np.concatenate([p["rows"] for p in apart]))
    for name, value in whole.states().items():
        np.testing.assert_array_equal(parts.states()[name], value)


def test_no_rows_are_no_steps(engine: Engine) -> None:
    session = engine.compile(watcher(), FIRST)
    assert session.run(DATA, np.arange(0), 4, SETTINGS) == {}
    assert session.states()["steps"] == 0


def test_states_are_copies_and_can_be_put_in_place(engine: Engine) -> None:
    mine = np.array([5.0, 6.0])
    session = engine.compile(watcher(), {**FIRST, "total": mine})
    mine[:] = -1
    shown = session.states(["total"])
    assert list(shown) == ["total"] and shown["total"].tolist() == [5, 6], "an array that was given is not shared"
    shown["total"][:] = -1
    assert session.states()["total"].tolist() == [5, 6], "nor is one that was answered"
    session.load({"total": np.array([1, 2])})
    assert session.states()["total"].tolist() == [1, 2] and session.states()["last"] == -1
    before = session.states()
    session.run(DATA, np.arange(2), 2, SETTINGS)
    assert before["total"].tolist() == [1, 2]
    with pytest.raises(ShapeError, match=r"state 'total' has shape \[2\]; got \[3\]"):
        session.load({"total": np.zeros(3)})


def test_two_sessions_know_nothing_of_each_other(engine: Engine) -> None:
    one, two = engine.compile(watcher(), FIRST), engine.compile(watcher(), FIRST)
    one.run(DATA, np.arange(4), 2, SETTINGS)
    assert one.states()["steps"] == 2 and two.states()["steps"] == 0


def test_what_is_missing_is_named(engine: Engine) -> None:
    with pytest.raises(UsageError, match="'watcher' has states without a first value: last"):
        engine.compile(watcher(), {k: v for k, v in FIRST.items() if k != "last"})
    session = engine.compile(watcher(), FIRST)
    with pytest.raises(UsageError, match="'watcher' was run without its inputs rate"):
        session.run(DATA, np.arange(2), 2, {"bias": np.zeros(2)})
    with pytest.raises(UsageError, match="'watcher' was run without its inputs x, bias"):
        session.run({k: v for k, v in DATA.items() if k != "x"}, np.arange(2), 2, {"rate": np.array(0.1)})
    assert session.states()["steps"] == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"order": np.array([0, 11])}, r"order names rows from 0 to 11; 'x' has 11"),
        ({"order": np.array([-1, 0])}, r"order names rows from -1 to 0"),
        ({"data": {**DATA, "x": X[:, :1]}}, r"input 'x' has rows of shape \[2\]; got \[1\]"),
        ({"data": {**DATA, "pixels": PIXELS[:1]}}, r"order names rows from 0 to 3; 'pixels' has 1"),
        ({"settings": {**SETTINGS, "rate": np.zeros(1)}}, r"input 'rate' has shape \[\]; got \[1\]"),
        ({"per_step": {"rate": np.zeros(1)}}, r"input 'rate' has 1 values for 2 steps"),
        ({"per_step": {"bias": np.zeros((2, 3))}}, r"input 'bias' has shape \[2\]; got \[3\]"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_step(
    engine: Engine, wrong: dict[str, Any], message: str
) -> None:
    session = engine.compile(watcher(), FIRST)
    with pytest.raises((UsageError, ShapeError), match=message):
        session.run(**{"data": DATA, "order": np.arange(4), "batch_size": 2, "settings": SETTINGS, **wrong})
    assert session.states()["steps"] == 0


def test_a_batch_may_have_more_rows_than_the_data_set(engine: Engine) -> None:
    session, order = engine.compile(watcher(), FIRST), np.arange(50) % 11
    out = session.run(DATA, order, 20, SETTINGS)
    assert out["size"] == 10 and session.states()["steps"] == 3
    assert_close(out["rows"], X[order] + [1, 2], engine)


def test_precision_is_the_engines(engine: Engine) -> None:
    session = engine.compile(watcher(), FIRST)
    out = session.run({**DATA, "x": X.astype(np.float32)}, np.arange(3), 2, SETTINGS)
    assert out["rows"].dtype == out["before"].dtype == session.states()["total"].dtype == engine.precision


def test_a_state_may_become_anothers_value_or_a_constant(engine: Engine) -> None:
    a, b, c = (state_tensor(n, ()) for n in "abc")
    program = Program("swap", (), (a, b, c), {"a": a}, {a: b, b: a, c: g.constant(7.0)})
    session = engine.compile(program, {"a": np.array(1.0), "b": np.array(2.0), "c": np.array(3.0)})
    assert session.run({}, np.arange(3), 1)["a"] == 1
    assert [float(v) for v in session.states().values()] == [2, 1, 7]


def network() -> Program:
    """Two layers with dropout, softmax, a gradient and a step: what training is made of."""
    x, y, seed = input_tensor("x", (BATCH, 2)), input_tensor("y", (BATCH,), "int"), input_tensor("seed", (2,), "uint")
    w, v, step = state_tensor("w", (2, 5)), state_tensor("v", (5, 3)), state_tensor("step", (), "uint")
    kept = g.random_uniform(seed, step, (BATCH, 5), 2) >= 0.25
    hidden = (g.where(kept, g.tanh(x @ w) / 0.75, 0.0)).named("hidden")
    probabilities = g.softmax(hidden @ v).named("probabilities")
    loss = (-g.mean(g.sum(g.one_hot(y, 3) * g.log(probabilities), 1))).named("loss")
    dw, dv = (d.named(f"gradient/{t.name}") for t, d in zip((w, v), gradient(loss, [w, v]), strict=True))
    updates = {w: w - 0.1 * dw, v: v - 0.1 * dv, step: step + g.constant(1, "uint")}
    return Program("network", (x, y, seed), (w, v, step), {"loss": loss, "probabilities": probabilities}, updates)


RANDOM = np.random.default_rng(0)
BEGIN = {"w": RANDOM.normal(size=(2, 5)), "v": RANDOM.normal(size=(5, 3)), "step": np.array(0)}
POINTS = {"x": RANDOM.normal(size=(11, 2)), "y": LABELS}


def test_thirty_steps_agree_with_the_reference_in_float64(engine: Engine) -> None:
    order = np.tile(np.random.default_rng(1).permutation(11), 10)
    run = lambda e: (s := e.compile(network(), BEGIN), s.run(POINTS, order, 4, {"seed": key_of(5)}))  # noqa: E731
    (session, out), (exact, expected) = run(engine), run(Reference("float64"))
    rtol, atol = (1e-4, 1e-5) if engine.precision == "float32" else (1e-10, 1e-12)
    np.testing.assert_allclose(out["loss"], expected["loss"], rtol, atol)
    np.testing.assert_allclose(out["probabilities"], expected["probabilities"], rtol, atol)
    for name, value in exact.states().items():
        np.testing.assert_allclose(session.states()[name], value, rtol, atol)
    again, same = run(engine)
    for name, value in session.states().items():
        np.testing.assert_array_equal(again.states()[name], value, err_msg="the same seed gives the same bits")
    np.testing.assert_array_equal(same["probabilities"], out["probabilities"])


def test_nan_and_infinity_survive_and_are_not_warned_of(engine: Engine) -> None:
    x = POINTS["x"].copy()
    x[0] = np.nan
    session = engine.compile(network(), BEGIN)
    with np.errstate(all="raise"):
        out = session.run({**POINTS, "x": x}, np.arange(1), 1, {"seed": key_of(5)})
    assert np.isnan(out["loss"]) and np.isnan(session.states()["w"]).any()


# ── the glass box, and finding engines ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_trace_answers_everything_that_has_a_name(precision: str) -> None:
    engine, program = Reference(precision), network()
    settings = {"seed": key_of(5)}
    seen = engine.trace(program, POINTS, BEGIN, settings)
    assert {"x", "y", "seed", "w", "v", "step", "hidden", "probabilities", "loss", "gradient/w", "gradient/v"} == set(
        seen
    )
    session = engine.compile(program, BEGIN)
    out = session.run(POINTS, np.arange(11), 11, settings)
    np.testing.assert_allclose(seen["loss"], out["loss"], 1e-6)
    np.testing.assert_allclose(seen["probabilities"].sum(1), 1, 1e-6)
    assert seen["hidden"].shape == (11, 5) and seen["hidden"].dtype == precision
    np.testing.assert_allclose(BEGIN["w"] - 0.1 * seen["gradient/w"], session.states()["w"], 1e-5)
    np.testing.assert_array_equal(seen["w"], BEGIN["w"].astype(precision))
    with pytest.raises(UsageError, match="without its inputs seed"):
        engine.trace(program, POINTS, BEGIN)


def test_engines_by_name() -> None:
    assert engine_by_name("reference", "float64").precision == "float64"
    assert isinstance(engine_by_name("auto"), Engine)
    assert repr(Reference()) == "Reference('float32')"
    with pytest.raises(UnknownNameError, match="did you mean 'reference'"):
        engine_by_name("refrence")
    with pytest.raises(UsageError, match="precision must be one of float32, float64; got 'float16'"):
        Reference("float16")
