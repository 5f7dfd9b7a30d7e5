"""Every operation of the closed table, on every engine: values, shapes, dtypes, slopes, NaN, and what simplify does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.cases import CASES, NO_GRADIENT, SPECIAL, TIES, Case
from conformance.differences import assert_gradients
from conformance.engines import assert_close, every_engine, every_float64_engine, run_once
from talweg import graph as g
from talweg.engines import Engine
from talweg.gradient import gradient
from talweg.graph import BATCH, TABLE, Array, Program, Tensor
from talweg.graph.ops.leaves import _fed
from talweg.passes import simplify

every_operation = pytest.mark.parametrize("name", TABLE)
ROWS = (1, 2, 7)


def test_every_operation_has_cases_and_no_case_lacks_an_operation() -> None:
    assert set(CASES) == set(TABLE)
    assert set(SPECIAL) | set(TIES) <= set(TABLE)


@every_operation
def test_every_operation_is_whole(name: str) -> None:
    op = TABLE[name]
    assert op.name == name and op.formula.strip() and op.family
    assert callable(op.shape) and callable(op.dtype) and callable(op.meaning)
    assert (op.gradient is None) == (name in NO_GRADIENT), f"{name}: a gradient rule, or a reason in NO_GRADIENT"
    assert op.gradient is not None or NO_GRADIENT[name]
    assert op.meaning is not _fed or name in ("input", "state"), "only leaves that are fed have no meaning"


def feeds(case: Case, rows: int, precision: str) -> dict[str, Array]:
    return {f"x{i}": a for i, a in enumerate(case.arrays(rows, precision))}


def rows_of(case: Case) -> tuple[int, ...]:
    return ROWS if case.is_batched or not case.operands else ROWS[:1]


@every_engine
@every_operation
@settings(max_examples=15)
@given(data=st.data())
def test_values_shapes_and_dtypes(name: str, engine: Engine, data: st.DataObject) -> None:
    """One compiled program, run with 1, 2 and 7 rows, gives what the oracle gives, in the shape and dtype declared."""
    case = data.draw(CASES[name])
    tensors = case.tensors()
    y = case.write(*tensors)
    program = case.program(tensors, y=y)
    g.check(program)
    for rows in rows_of(case):
        values = feeds(case, rows, engine.precision)
        out = run_once(engine, program, values, rows)["y"]
        assert out.shape == tuple(rows if d is BATCH else d for d in y.shape)
        assert out.dtype == g.numpy_dtype(y.dtype, engine.precision)
        wide = [v.astype(np.float64) if v.dtype.kind == "f" else v for v in values.values()]
        assert_close(out, np.asarray(case.oracle(rows, *wide)), engine, name)


@every_float64_engine
@every_operation
@settings(max_examples=15)
@given(data=st.data())
def test_slopes_against_central_differences(name: str, engine: Engine, data: st.DataObject) -> None:
    """Relative tolerance 1e-6 in float64. Operations without a rule send nothing back: 0, as differences find too."""
    case = data.draw(CASES[name])
    tensors = case.tensors()
    y = case.write(*tensors)
    movable = [t for t, o in zip(tensors, case.operands, strict=True) if t.dtype == "float" and case.nan != "whole"]
    if y.dtype != "float" or not movable or name == "stop_gradient":
        return
    loss = weighted_sum(y)
    rows = 3
    values = dict(zip(tensors, case.arrays(rows, "float64"), strict=True))
    assert_gradients(loss, movable, values, rows)

    slopes = {f"d{i}": d for i, d in enumerate(gradient(loss, movable))}
    program = case.program(tensors, **slopes)
    g.check(program)
    found = run_once(engine, program, feeds(case, rows, "float64"), rows)
    expected = g.evaluate(slopes.values(), values, rows, "float64")
    for label, slope in slopes.items():
        assert_close(found[label], expected[slope], engine, label)


def weighted_sum(y: Tensor) -> Tensor:
    """A number in which every element of y has a weight of its own."""
    return g.sum(y * g.sin(y) + y * 0.3) if y.rank else y * 0.7


@every_operation
@settings(max_examples=10)
@given(data=st.data())
def test_float32_and_float64_are_one_program(name: str, data: st.DataObject) -> None:
    """On the same operands, values and slopes agree within 1e-4 (relative) or 1e-5 (absolute)."""
    case = data.draw(CASES[name])
    tensors = case.tensors()
    y = case.write(*tensors)
    results = [y]
    if y.dtype == "float" and case.nan != "whole":
        results += gradient(weighted_sum(y), [t for t in tensors if t.dtype == "float"])
    values = dict(zip(tensors, case.arrays(2, "float32"), strict=True))
    single, double = (g.evaluate(results, values_as(values, p), 2, p) for p in ("float32", "float64"))
    for r in results:
        np.testing.assert_allclose(single[r], double[r], 1e-4, 1e-5)


def values_as(values: dict[Tensor, Array], precision: str) -> dict[Tensor, Array]:
    return {t: v.astype(g.numpy_dtype(t.dtype, precision)) for t, v in values.items()}


@every_engine
@every_operation
@settings(max_examples=8)
@given(data=st.data())
def test_nan_goes_in_and_comes_out(name: str, engine: Engine, data: st.DataObject) -> None:
    case = data.draw(CASES[name].filter(lambda c: c.nan != "whole"))
    tensors = case.tensors()
    program = case.program(tensors, y=case.write(*tensors))
    rows = 2
    for i, operand in enumerate(case.operands):
        values = feeds(case, rows, engine.precision)
        if operand.dtype != "float" or not case.nan or not values[f"x{i}"].size:
            continue
        if case.nan == "elementwise":
            values[f"x{i}"].flat[-1] = np.nan
            out = run_once(engine, program, values, rows)["y"]
            assert np.isnan(out.flat[-1]) and not np.isnan(out.flat[:-1]).any()
        else:
            values[f"x{i}"][...] = np.nan
            assert np.isnan(run_once(engine, program, values, rows)["y"]).all()


@every_engine
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str, engine: Engine) -> None:
    *operands, expected = (np.array(column) for column in zip(*SPECIAL[name], strict=True))
    tensors = [g.input_tensor(f"x{i}", (BATCH,)) for i in range(len(operands))]
    program = Program("special", tuple(tensors), (), {"y": TABLE[name](*tensors)}, {})
    out = run_once(engine, program, {f"x{i}": v for i, v in enumerate(operands)}, len(expected))["y"]
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=0, err_msg=f"{name}{operands}")


@every_engine
@pytest.mark.parametrize("name", TIES)
def test_slopes_that_are_chosen(name: str, engine: Engine) -> None:
    at, expected = TIES[name]
    tensors = [g.input_tensor(f"x{i}", ()) for i in range(len(at))]
    slopes = {f"d{i}": d for i, d in enumerate(gradient(TABLE[name](*tensors), tensors))}
    program = Program("tie", tuple(tensors), (), slopes, {})
    out = run_once(engine, program, {f"x{i}": np.array(v) for i, v in enumerate(at)})
    assert [float(v) for v in out.values()] == list(expected)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_what_is_not_chosen_receives_nothing(name: str) -> None:
    """Also where what comes back is infinite: 0 · ∞ must not appear."""
    a, b, c = (g.input_tensor(n, ()) for n in "abc")
    da, db = gradient(TABLE[name](a, b) * c, [a, b])
    values = g.evaluate([da, db], {a: np.array(1.0), b: np.array(2.0), c: np.array(np.inf)})
    assert sorted([float(values[da]), float(values[db])]) == [0.0, np.inf]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@every_operation
@settings(max_examples=12)
@given(data=st.data())
def test_simplify_keeps_every_bit(name: str, precision: str, data: st.DataObject) -> None:
    """With operands that are fed, and with operands that are constants, so that everything is folded."""
    case = data.draw(CASES[name])
    rows, fed = 2, case.tensors()
    arrays = case.arrays(rows, precision)
    sets: list[tuple[Any, ...]] = [fed]
    if not case.is_batched:
        sets.append(tuple(g.constant(a, o.dtype) for a, o in zip(arrays, case.operands, strict=True)))
    for tensors in sets:
        y = case.write(*tensors)
        outputs = {"y": y}
        if y.dtype == "float" and case.nan != "whole":
            slopes = gradient(weighted_sum(y), [t for t in tensors if t.dtype == "float"])
            outputs |= {f"d{i}": d for i, d in enumerate(slopes)}
        program = case.program(fed, **outputs)
        g.check(program)
        simple = simplify(program, precision)
        g.check(simple)
        assert len(simple.order) <= len(program.order)
        values = dict(zip(fed, arrays, strict=True))
        before, after = (g.evaluate(p.results, values, rows, precision) for p in (program, simple))
        for label, t in program.outputs.items():
            assert simple.outputs[label].shape == t.shape
            np.testing.assert_array_equal(after[simple.outputs[label]], before[t], strict=True)
