"""The sections of the report that judge predictions: the headline, the confusion matrix, the classes, the residuals."""

from __future__ import annotations

import math

import numpy as np

from talweg.graph import Array
from talweg.insight.markup import Markup, joined, name, number, percent, scrolled, table, tag
from talweg.insight.scores import (
    Classification,
    ClassScore,
    RegressionScore,
    class_scores,
    confusion,
    wilson_interval,
)
from talweg.insight.svg import Chart, linear_axis

LARGEST_MATRIX = 30  # classes; more are told as a list of the most frequent confusions
MOST_CONFUSIONS = 20
MOST_CLASSES = 100
MOST_POINTS = 1500
MOST_OUTPUTS = 3


def _fact(value: str, said: str, main: bool = False) -> Markup:
    return tag("div", tag("dt", said), tag("dd", value), class_="main" if main else None)


def _facts(*facts: Markup | None) -> Markup:
    return tag("dl", *facts, class_="facts")


# ── classes ───────────────────────────────────────────────────────────────────────────────────────────────


def classification_headline(c: Classification) -> Markup:
    """Test accuracy with its 95 % interval, beside what the commonest class alone would reach."""
    n, right = len(c.true), int((~c.wrong).sum())
    low, high = wilson_interval(right, n)
    counts = np.bincount(c.true, minlength=len(c.names))
    common = int(counts.argmax())
    f1 = [s.f1 for s in class_scores(c.true, c.predicted, len(c.names)) if s.examples]
    facts = _facts(
        _fact(percent(right / n, 2), "test accuracy", main=True),
        _fact(f"{100 * low:.1f} – {percent(high)}", "95 % interval (Wilson)"),
        _fact(f"{right:,} of {n:,}", "right"),
        _fact(percent(float(np.nanmean(f1))) if np.isfinite(f1).any() else "—", "F1, mean of the classes"),
        _fact(percent(counts[common] / n), "always the commonest class"),
    )
    low_bar = counts[common] / n >= low
    warning = "This is not clearly better than always answering the commonest class." if low_bar else None
    return joined([facts, tag("p", warning, class_="warning") if warning and len(c.names) > 1 else None])


def confusion_section(c: Classification) -> Markup:
    """Counts and shares of each row as a table; with very many classes, the most frequent confusions."""
    counts = confusion(c.true, c.predicted, len(c.names))
    pairs = _confusions(counts)
    said = "No class was taken for another."
    if pairs:
        often, i, j = pairs[0]
        what = joined([name(c.names[i], 40), " taken for ", name(c.names[j], 40)])
        said = joined(["The most frequent confusion: ", what, f", {often:,} time{'s' * (often != 1)}."])
    if len(c.names) <= LARGEST_MATRIX:
        how = " Each row is a true class, and its shares are of that row. The diagonal is right; the rest is not."
        return joined([tag("p", said, how), _matrix(counts, c.names)])
    rows = [
        [name(c.names[i], 40), name(c.names[j], 40), f"{often:,}", percent(often / counts[i].sum())]
        for often, i, j in pairs[:MOST_CONFUSIONS]
    ]
    head = ["true class", "taken for", "times", "share of the true class"]
    many = f" With {len(c.names):,} classes the matrix would not be readable: these are its largest cells."
    return joined([tag("p", said, many), table(head, rows, "Most frequent confusions", "numbers")])


def classes_section(c: Classification) -> Markup:
    """Precision, recall and F1 of each class."""
    scores = class_scores(c.true, c.predicted, len(c.names))
    said = (
        "Precision: of the examples called so, the share that are. Recall: of those that are, the share called so. "
        "F1: their harmonic mean. A dash stands where there is nothing to divide by."
    )
    shown = scores
    if len(scores) > MOST_CLASSES:
        shown = sorted(scores, key=lambda s: s.f1 if math.isfinite(s.f1) else 2.0)[:MOST_CLASSES]
        said += f" The {MOST_CLASSES} classes with the lowest F1, of {len(scores):,}."
    rows = [_class_row(s, c.names[s.index]) for s in shown]
    head = ["class", "examples", "precision", "recall", "F1"]
    return joined([tag("p", said), table(head, rows, "Scores of each class", "numbers")])


def _class_row(s: ClassScore, class_name: str) -> list[Markup | str]:
    return [name(class_name), f"{s.examples:,}", *(percent(v) for v in (s.precision, s.recall, s.f1))]


def _confusions(counts: Array) -> list[tuple[int, int, int]]:
    """(times, true class, predicted class) of what happened, the most frequent first."""
    off = counts.copy()
    np.fill_diagonal(off, 0)
    places = np.argwhere(off)
    return sorted(((int(off[i, j]), int(i), int(j)) for i, j in places), key=lambda p: (-p[0], p[1], p[2]))


def _matrix(counts: Array, names: list[str]) -> Markup:
    totals = counts.sum(axis=1)

    def cell(i: int, j: int) -> Markup:
        n = int(counts[i, j])
        if not n:
            return tag("td", "0", class_="zero")
        share = n / totals[i]
        # The shade grows with the square root of the share, so that one mistake in a hundred is seen.
        shade = math.sqrt(share)
        kind, light, dark = ("hit", 0.78, 0.58) if i == j else ("miss", 0.9, 0.5)
        # Where the shade is so deep that the text needs another colour: on a light page, and on a dark one.
        kind += " deep" if shade > light else " mid" if shade > dark else ""
        inner = [f"{n:,}", tag("small", percent(share, 1 if 0.001 <= share < 0.9995 else 0))]
        return tag("td", *inner, class_=kind, style=f"--s:{shade:.2f}")

    head = tag("tr", tag("th", "true ↓", tag("br"), "predicted →", scope="col"), *[_th(n, "col") for n in names])
    rows = [tag("tr", _th(names[i], "row"), *[cell(i, j) for j in range(len(names))]) for i in range(len(names))]
    size = "matrix" if len(names) <= 12 else "matrix small"
    inner = tag("table", tag("caption", "Confusion matrix"), tag("thead", head), tag("tbody", *rows), class_=size)
    return scrolled(inner, "Confusion matrix")


def _th(class_name: str, scope: str) -> Markup:
    return tag("th", name(class_name, 18), scope=scope)


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────────────


def regression_headline(scores: list[RegressionScore]) -> Markup:
    """R², mean absolute error and root of the mean squared error; of each output where there are several."""
    first = scores[0]
    if len(scores) == 1:
        r2 = number(first.r2) if math.isfinite(first.r2) else "—"
        return _facts(
            _fact(r2, "R² (1 is perfect, 0 is the mean)", main=True),
            _fact(number(first.mae), "mean absolute error"),
            _fact(number(first.rmse), "root of the mean squared error"),
            _fact(number(first.mae_of_mean), "mean absolute error of always answering the mean"),
        )
    rows = [[f"output {i}", *(number(v) for v in (s.r2, s.mae, s.rmse, s.mae_of_mean))] for i, s in enumerate(scores)]
    head = ["output", "R²", "mean absolute error", "root of the mean squared error", "mean absolute error of the mean"]
    mean = _facts(_fact(number(float(np.mean([s.r2 for s in scores]))), "R², mean of the outputs", main=True))
    return joined([mean, table(head, rows, "Scores of each output", "numbers")])


def residuals_section(true: Array, predicted: Array) -> Markup:
    """Predicted against true, and how the residuals are distributed; of the first outputs where there are many."""
    figures = []
    for k in range(min(true.shape[1], MOST_OUTPUTS)):
        of = f" of output {k}" if true.shape[1] > 1 else ""
        with np.errstate(over="ignore", invalid="ignore"):
            residual = predicted[:, k] - true[:, k]
            drawn = np.isfinite(residual) & (np.abs(true[:, k]) < 1e300) & (np.abs(predicted[:, k]) < 1e300)
        if drawn.any():
            t, p = true[drawn, k], predicted[drawn, k]
            figures += [_scatter(t, p, of, len(true)), _histogram(residual[drawn], of)]
    if not figures:
        return tag("p", "No prediction is a finite number, so there is nothing to draw.", class_="warning")
    return tag("div", *figures, class_="panels")


def _scatter(t: Array, p: Array, of: str, total: int) -> Markup:
    axis = linear_axis([*t.tolist(), *p.tolist()])
    chart = Chart(axis, axis, "true", "predicted")
    some = np.unique(np.linspace(0, len(t) - 1, MOST_POINTS).astype(int)) if len(t) > MOST_POINTS else np.arange(len(t))
    marks = [chart.line([(axis.low, axis.low), (axis.high, axis.high)], "ideal")]
    marks += [chart.dot(t[i], p[i], "point", 3, f"true {number(t[i])}, predicted {number(p[i])}") for i in some]
    how = f"{len(some):,} of {total:,} examples; " if len(some) < total else ""
    caption = tag("figcaption", tag("b", f"Predicted against true{of}"), tag("small", f"{how}on the line is right"))
    return tag("figure", caption, chart.draw(*marks, says=f"Predicted against true value{of}, {len(some)} points."))


def _histogram(residual: Array, of: str) -> Markup:
    bins = int(np.clip(np.sqrt(len(residual)), 5, 40))
    low, high = float(residual.min()), float(residual.max())
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-300):  # all the same: one bar
        room = max(abs(low) * 0.1, 0.5)
        low, high, bins = low - room, high + room, 1
    counts, edges = np.histogram(residual, bins=bins, range=(low, high))
    chart = Chart(
        linear_axis(edges.tolist()), linear_axis([0, int(counts.max())], whole=True), "predicted − true", "examples"
    )
    bars = [
        chart.bar(a, b, int(n), f"{number(a)} to {number(b)}: {n:,}")
        for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    zero = chart.rule(0.0, "ideal line") if chart.x.low <= 0 <= chart.x.high else None
    with np.errstate(over="ignore", invalid="ignore"):
        spread = f"mean {number(residual.mean())}, standard deviation {number(residual.std())}"
    caption = tag("figcaption", tag("b", f"Residuals{of}"), tag("small", spread))
    return tag("figure", caption, chart.draw(*bars, zero, says=f"Histogram of the residuals{of}: {spread}."))
