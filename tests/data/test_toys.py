"""Toy sets and rules: the same seed gives the same bits, and the points are where the formulas put them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from talweg.data import TOYS, circles, from_rule, gaussians, line, moons, spiral, xor
from talweg.errors import DataError, UsageError


@pytest.mark.parametrize("name", TOYS)
def test_every_toy(name: str) -> None:
    toy = TOYS[name]
    x, y = toy(n=101, noise=0.1, seed=3)
    assert len(x) == len(y) == 101 and x.dtype == np.float32 and np.isfinite(x).all()
    again, other = toy(n=101, noise=0.1, seed=3), toy(n=101, noise=0.1, seed=4)
    np.testing.assert_array_equal(x, again[0])
    np.testing.assert_array_equal(y, again[1])
    assert not np.array_equal(x, other[0])
    if y.dtype == np.int64:
        assert set(y[-30:]) == set(y), "the last rows, which validation takes, must hold every class"
    for bad in ({"n": 1}, {"noise": -1.0}, {"noise": math.nan}, {"seed": -1}):
        with pytest.raises(UsageError, match=f"{next(iter(bad))}: expected"):
            toy(**bad)


@pytest.mark.parametrize(("name", "table"), [("and", [0, 0, 0, 1]), ("or", [0, 1, 1, 1]), ("xor", [0, 1, 1, 0])])
def test_truth_tables(name: str, table: list[int]) -> None:
    x, y = TOYS[name]()
    assert x.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]] and y.tolist() == table
    x, y = TOYS[name](n=400, noise=0.1, seed=1)
    corner = (x > 0.5).astype(int)
    assert (np.array(table)[corner[:, 0] * 2 + corner[:, 1]] == y).mean() > 0.99
    assert np.bincount(corner[:, 0] * 2 + corner[:, 1]).tolist() == pytest.approx([100] * 4, abs=2)


def test_the_points_are_these() -> None:
    """A change here changes everyone's results: it needs a reason and a line in the change log."""
    assert xor(n=8, noise=0.1, seed=0)[1].tolist() == [0, 1, 0, 0, 0, 1, 1, 1]
    assert spiral(n=4, noise=0.0, seed=0)[1].tolist() == [1, 0, 0, 1]


def test_line_is_recovered() -> None:
    x, y = line(n=2000, noise=2.0)
    slope, intercept = np.polyfit(x[:, 0], y, 1)
    assert slope == pytest.approx(3, abs=0.05) and intercept == pytest.approx(2, abs=0.3)
    assert np.std(y - 3 * x[:, 0] - 2) == pytest.approx(2, rel=0.1)
    assert x.shape == (2000, 1) and (x.min(), x.max()) == (0, 10)


def test_shapes_of_the_clouds() -> None:
    """Without noise, circles and moons are scikit-learn's, in another order."""
    sklearn = pytest.importorskip("sklearn.datasets")
    for ours, theirs in ((circles, sklearn.make_circles), (moons, sklearn.make_moons)):
        options = {"factor": 0.5} if ours is circles else {}
        x, y = ours(n=100, noise=0.0)
        expected_x, expected_y = theirs(n_samples=100, shuffle=False, **options)
        rows = sorted((*map(float, row.round(4)), int(k)) for row, k in zip(x + 0.0, y, strict=True))
        expected = sorted((*map(float, row.round(4)), int(k)) for row, k in zip(expected_x, expected_y, strict=True))
        np.testing.assert_allclose(rows, expected, atol=2e-4)


def test_gaussians_have_the_noise_as_deviation() -> None:
    x, y = gaussians(n=6000, noise=0.7, classes=3)
    for k in range(3):
        assert x[y == k].std(axis=0) == pytest.approx([0.7, 0.7], rel=0.06)
    centres = np.stack([x[y == k].mean(axis=0) for k in range(3)])
    assert np.hypot(*centres.T) == pytest.approx([8**0.5] * 3, rel=0.03)


def test_options_of_the_clouds() -> None:
    with pytest.raises(UsageError, match="classes"):
        spiral(classes=1)
    with pytest.raises(UsageError, match="factor"):
        circles(factor=1.0)


# ── Rules ────────────────────────────────────────────────────────────────────────────────────────────


def test_rules_make_values_or_classes() -> None:
    x, y = from_rule(lambda a, b: a * b > 0, n=50)
    assert x.shape == (50, 2) and y.dtype == np.int64
    assert y.tolist() == [int(a * b > 0) for a, b in x]
    x, y = from_rule(math.sin, n=50, bounds=(0, 3))
    assert y.dtype == np.float32 and y == pytest.approx(np.sin(x[:, 0]), abs=1e-6)
    x, y = from_rule(lambda a, b, c: 2 if a > b else 1 if b > c else 0, n=200)
    assert set(y) == {0, 1, 2}
    x, _ = from_rule(lambda a, b: a + b, bounds=[(0, 1), (5, 6)])
    assert x.min(axis=0)[1] >= 5 and x.max(axis=0)[0] <= 1
    assert from_rule(lambda *columns: sum(columns), bounds=[(0, 1)] * 4)[0].shape == (500, 4)
    assert from_rule(lambda x, power=2: x**power)[0].shape == (500, 1)


def test_noise_of_rules() -> None:
    x, y = from_rule(lambda a: 3 * a + 2, n=5000, noise=0.5)
    assert np.std(y - 3 * x[:, 0] - 2) == pytest.approx(0.5, rel=0.05)
    clean, labels = from_rule(lambda a: a > 0, n=500, seed=2)
    blurred, same = from_rule(lambda a: a > 0, n=500, seed=2, noise=0.1)
    np.testing.assert_array_equal(labels, same)
    assert np.std(blurred - clean) == pytest.approx(0.1, rel=0.15)


@pytest.mark.parametrize(
    ("rule", "options", "error", "message"),
    [
        (lambda: 1, {}, UsageError, "a function of one or more numbers"),
        (lambda a, b: a, {"bounds": [(0, 1)] * 3}, UsageError, r"takes 2 column\(s\)"),
        (lambda *a: 1.0, {}, UsageError, "any number of columns"),
        (lambda a: a, {"bounds": (1, 0)}, UsageError, "low < high"),
        (lambda a: a, {"n": 0}, UsageError, "n=0"),
        (lambda a: 1 / 0, {}, UsageError, "failed for row 0.*ZeroDivisionError"),
        (lambda a: "yes", {}, DataError, "returned 'yes'"),
        (lambda a: [a, a], {}, DataError, "one number or truth value"),
        (np.log, {"bounds": [(-1, 1)]}, DataError, "it returned nan; narrow the bounds"),
        (lambda a: -1 if a < 0 else 1, {}, DataError, "must be 0, 1, 2.*it returned -1"),
    ],
)
def test_rules_that_make_no_data(rule: object, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        from_rule(rule, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            {"n": 2.5},
            {"n": True},
            {"n": None},
            {"n": [3]},
            {"seed": 1.5},
            {"seed": -1},
            {"noise": "a"},
            {"noise": None},
        ),
        *(
            {"bounds": "ab"},
            {"bounds": [[0, 1], 2]},
            {"bounds": {"a": 1}},
            {"bounds": (0, 1e308)},
            {"bounds": (1, 10**400)},
        ),
    ],
    ids=repr,
)
def test_arguments_of_a_rule_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        from_rule(lambda a, b: a > b, **wrong)  # type: ignore[arg-type]


def test_noise_must_leave_numbers() -> None:
    with pytest.raises(DataError, match="too large for float32"):
        from_rule(lambda a: 1.0 * a, noise=1e39)
