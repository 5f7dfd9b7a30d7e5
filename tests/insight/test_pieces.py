"""What the report is made of: charts, pictures, scores, and the verdict on a curve."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talweg.errors import DataError, ShapeError, UsageError
from talweg.insight.markup import Markup, number, tag
from talweg.insight.png import png, to_pixels, value_range
from talweg.insight.scores import class_scores, classification, confusion, regression_score, wilson_interval
from talweg.insight.svg import LARGEST, SMALLEST, linear_axis, log_axis, thinned
from talweg.insight.verdict import verdict

finite = st.floats(-LARGEST, LARGEST, exclude_min=True, exclude_max=True)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
def test_png_reads_back(shape: tuple[int, ...]) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    read = image.open(io.BytesIO(png(pixels)))
    read.load()  # checks every checksum
    np.testing.assert_array_equal(np.asarray(read).reshape(shape), pixels)


def test_png_refuses_what_is_no_picture() -> None:
    for wrong in (np.zeros((5, 7)), np.zeros((5, 7, 2), np.uint8), np.zeros((0, 7), np.uint8)):
        with pytest.raises(ShapeError, match="png needs uint8"):
            png(wrong)


def test_pixels_use_the_range_of_the_data_and_large_pictures_are_thinned() -> None:
    low, high = value_range(np.array([0, 8, 16]))
    assert to_pixels(np.array([[0, 8, 16]]), low, high).tolist() == [[0, 128, 255]]
    assert value_range(np.array([-1.0, 1.0, math.nan])) == (-1.0, 1.0)
    assert max(to_pixels(np.zeros((1000, 300)), 0, 1).shape) <= 128


@given(st.lists(finite, min_size=1, max_size=20), st.booleans(), st.booleans())
def test_a_linear_axis_holds_all_values_between_few_ticks(values: list[float], whole: bool, tight: bool) -> None:
    axis = linear_axis(values, whole=whole, tight=tight)
    assert axis.low < axis.high and len(axis.ticks) <= 12
    assert all(-1e-9 <= axis.at(v) <= 1 + 1e-9 for v in values)
    assert axis.ticks == sorted(axis.ticks)


@given(st.lists(st.floats(SMALLEST, 1e299), min_size=1, max_size=20))
def test_a_log_axis_holds_all_positive_values(values: list[float]) -> None:
    axis = log_axis(values)
    assert 0 < axis.low < axis.high and 1 <= len(axis.ticks) <= 8
    assert all(-1e-9 <= axis.at(v) <= 1 + 1e-9 for v in values)


def test_thinning_keeps_every_spike() -> None:
    points = [(float(i), 0.0) for i in range(10_000)]
    points[777] = (777.0, 9.0)
    kept = thinned(points)
    assert len(kept) < 1000 and (777.0, 9.0) in kept and kept == sorted(kept)


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_wilson_interval_holds_the_share(right: int, total: int) -> None:
    right = min(right, total)
    low, high = wilson_interval(right, total)
    assert 0 <= low <= right / total + 1e-12 and right / total - 1e-12 <= high <= 1 and low < high


def test_wilson_interval_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="total > 0"):
        wilson_interval(0, 0)


def test_scores_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(1)
    true, predicted = random.integers(0, 5, 300), random.integers(0, 4, 300)
    np.testing.assert_array_equal(confusion(true, predicted, 5), metrics.confusion_matrix(true, predicted))
    p, r, f, n = metrics.precision_recall_fscore_support(true, predicted, zero_division=np.nan)
    ours = class_scores(true, predicted, 5)
    np.testing.assert_allclose([s.precision for s in ours], p)
    np.testing.assert_allclose([s.recall for s in ours], r)
    np.testing.assert_allclose([s.f1 for s in ours], f)
    assert [s.examples for s in ours] == n.tolist()
    y, z = random.normal(size=50), random.normal(size=50)
    score = regression_score(y, z)
    assert score.r2 == pytest.approx(metrics.r2_score(y, z))
    assert score.mae == pytest.approx(metrics.mean_absolute_error(y, z))
    assert score.rmse == pytest.approx(metrics.mean_squared_error(y, z) ** 0.5)


def test_logits_become_probabilities() -> None:
    c = classification([0, 1], [[2.0, 0.0], [0.0, 3.0]])
    np.testing.assert_allclose(c.confidence, [1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-3))])
    assert "logits" in c.notes[0]
    one = classification([0, 1], [-2.0, 2.0])
    np.testing.assert_allclose(one.confidence, 1 / (1 + math.exp(-2)))
    assert not one.wrong.any()


def test_sigmoids_that_do_not_sum_to_one_are_probabilities_already() -> None:
    c = classification([0], [[0.9, 0.8]])
    assert c.confidence.tolist() == [0.9] and c.notes == []


def test_attributes_and_children_are_escaped() -> None:
    assert tag("p", '<"&', title="\"'><") == '<p title="&quot;&#x27;&gt;&lt;">&lt;&quot;&amp;</p>'
    assert tag("p", Markup("<b></b>"), title=None) == "<p><b></b></p>"


@given(st.floats())
def test_every_number_has_a_short_form(value: float) -> None:
    assert 1 <= len(number(value)) <= 11


# ── verdict ───────────────────────────────────────────────────────────────────────────────────────────────


def descend(rate: float, steps: int = 50, w: float = 0.0, stop: float = math.inf) -> list[float]:
    """The losses of gradient descent on (w - 5)², as seed 000's example 4 makes them."""
    losses = [(w - 5) ** 2]
    for _ in range(steps):
        w -= rate * 2 * (w - 5)
        losses.append((w - 5) ** 2)
        if abs(w) > stop:
            break
    return losses


@pytest.mark.parametrize(
    "losses, said",
    [
        (descend(0.01), "TOO SLOW"),
        (descend(0.1), "GOOD"),
        (descend(0.5), "GOOD"),
        (descend(1.1, stop=100), "DIVERGING"),  # the seed stops at |w| > 100
        (descend(1.1), "DIVERGING"),
        (descend(1.001), "DIVERGING"),
        (descend(1e-6), "TOO SLOW"),
        (descend(0.0), "NO PROGRESS"),
        (descend(1.0), "NO PROGRESS"),
        ([3.0, 1.0, math.nan], "DIVERGING"),
        ([3.0, 1.0, math.inf], "DIVERGING"),
        ([10.0, 1.0, 1.0, 1.0, 9.0], "DIVERGING"),  # fell, and rose again
        ([1.0, 0.999, 1.001, 0.998, 1.0], "NO PROGRESS"),  # noise
        ([-1.0, -5.0, -6.0, -6.0, -6.0], "GOOD"),  # losses below 0, such as a log-likelihood of a density
        (list(np.linspace(10, 0, 100)), "TOO SLOW"),
        ([5.0 * 0.7**i + 0.5 for i in range(40)], "GOOD"),
    ],
)
def test_verdict(losses: list[float], said: str) -> None:
    assert verdict(losses) == said


def test_one_bad_batch_at_the_end_decides_nothing() -> None:
    losses = [math.exp(-i / 10) + 0.1 for i in range(100)]
    losses[-1] = 5.0
    assert verdict(losses) == "GOOD"


def test_a_verdict_needs_two_losses() -> None:
    with pytest.raises(UsageError, match="at least two losses; got 1"):
        verdict([1.0])
