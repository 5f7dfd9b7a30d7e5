"""Pictures with matplotlib: what a network decides, what it learned, how its loss lies. Each function answers a Figure.

The figures are not pyplot's: nothing stays behind when they are dropped, and threads may draw. Save one with
``figure.savefig("name.png")``; in a notebook, a cell that ends with it shows it. Needs ``pip install 'talweg[plot]'``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from talweg import graph as g
from talweg.errors import DataError, ShapeError, UsageError
from talweg.gradient import gradient
from talweg.graph import Array
from talweg.insight.png import is_image, value_range
from talweg.insight.scores import classification
from talweg.insight.verdict import verdict
from talweg.nn import activations, losses

Figure = Any  # matplotlib.figure.Figure; named so that importing this module does not import matplotlib

# Okabe and Ito (2008): eight colours that are told apart with any kind of colour vision. Black stays the text's.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
MARKERS = "os^DvP*"
VERDICT_COLOURS = {"GOOD": "#009E73", "TOO SLOW": "#E69F00", "DIVERGING": "#D55E00", "NO PROGRESS": "#777777"}


# ── seed 000, examples 1, 2 and 4 ─────────────────────────────────────────────────────────────────────────


def fit_line(
    x: Any,
    y: Any,
    weight: float,
    bias: float,
    *,
    true: tuple[float, float] | None = None,
    losses: Sequence[float] | None = None,
) -> Figure:
    """Data, the fitted line and, where it is known, the true one; beside them the loss curve, where losses are given.

    x, y: (n,) or (n, 1). true: its weight and bias.
    """
    x, y = _column(x, "x"), _column(y, "y")
    _same_length(x, y)
    figure, axes = _figure(1, 1 if losses is None else 2)
    ends = np.array([x.min(), x.max()])
    data_axes = axes[0, 0]
    data_axes.scatter(x, y, s=22, alpha=0.55, color=COLOURS[5], edgecolors="none", label="data")
    if true is not None:
        label = f"true line (y = {_equation(*true)})"
        data_axes.plot(ends, true[0] * ends + true[1], "--", color=COLOURS[2], lw=2, label=label)
    label = f"fitted line (y = {_equation(weight, bias)})"
    data_axes.plot(ends, weight * ends + bias, color=COLOURS[1], lw=2, label=label)
    _finish(data_axes, "Fitted line", "x", "y", legend=True)
    if losses is not None:
        axes[0, 1].plot(np.arange(len(losses)), losses, color=COLOURS[0], lw=2)
        _finish(axes[0, 1], "Loss", "epoch", "loss")
    return figure


def loss_over_weight(
    x: Any = (1.0,), y: Any = (2.0,), *, weights: Any = None, loss: Any = "mse", at: Sequence[float] = ()
) -> Figure:
    """The loss of the model ŷ = w x over its weight, the lowest point marked; by default that of seed 000, example 2.

    x, y: (n,). weights: those to try, by default 401 of them from 4 below to 4 above the least-squares weight.
    loss: a name or a loss. at: weights to mark, such as those that training went through.
    """
    x, y = _column(x, "x"), _column(y, "y")
    _same_length(x, y)
    if weights is None:
        centre = float(x @ y / (x @ x)) if x.any() else 0.0
        weights = np.linspace(centre - 4, centre + 4, 401)
    weights, measure = np.asarray(weights, np.float64), losses.get(loss)
    surface = [_mean_loss(measure, y, w * x) for w in weights]
    figure, axes = _figure(1, 1)
    best = float(weights[int(np.argmin(surface))])
    axes[0, 0].plot(weights, surface, color=COLOURS[0], lw=2, label=_loss_name(measure))
    axes[0, 0].axvline(best, color=COLOURS[1], ls="--", label=f"lowest at w = {best:.4g}")
    if len(at):
        marked = [_mean_loss(measure, y, w * x) for w in at]
        axes[0, 0].plot(at, marked, "o-", color=COLOURS[4], ms=5, lw=1, label="steps")
    _finish(axes[0, 0], f"{_loss_name(measure)} over the weight", "weight w", "loss", legend=True)
    return figure


def loss_over_prediction(
    true_value: float = 3.0, predictions: Any = None, *, of: Sequence[Any] = ("mse", "mae")
) -> Figure:
    """What each loss charges for one example whose true value is `true_value`, over what was predicted for it.

    of: names or losses. For a loss of probabilities give a `true_value` of 0 or 1 and predictions between them.
    """
    if predictions is None:
        predictions = np.linspace(true_value - 3, true_value + 3, 241)
    figure, axes = _figure(1, 1)
    measures = [losses.get(each) for each in of]
    for i, measure in enumerate(measures):
        charged = [_mean_loss(measure, np.array([true_value]), np.array([p])) for p in predictions]
        style = ("-", "--", "-.", ":")[i % 4]
        axes[0, 0].plot(predictions, charged, style, color=COLOURS[i % 7], lw=2, label=_loss_name(measure))
    axes[0, 0].axvline(true_value, color="0.4", ls=":", label=f"true value {true_value:g}")
    names = " and ".join(_loss_name(m) for m in measures)
    _finish(axes[0, 0], f"{names} over the prediction", "predicted value", "loss", legend=True)
    return figure


def learning_rates(curves: Mapping[Any, Sequence[float]]) -> Figure:
    """One panel for each rate's curve of losses, with its `verdict`, decided from the curve and not from the rate.

    curves: ``{rate: losses step by step}``. A scale of powers of ten where the losses span more than two of them.
    """
    if not curves:
        raise UsageError("learning_rates needs at least one curve: {rate: losses}")
    columns = min(2, len(curves))
    figure, axes = _figure(-(-len(curves) // columns), columns)
    for axis, (rate, curve) in zip(axes.flat, curves.items(), strict=False):
        said, values = verdict(curve), np.asarray(curve, np.float64)
        axis.plot(np.arange(len(values)), values, color=VERDICT_COLOURS[said], lw=2)
        if (values > 0).all() and values.max() > 100 * values.min():
            axis.set_yscale("log")
        box = {"boxstyle": "round", "facecolor": VERDICT_COLOURS[said], "alpha": 0.25, "edgecolor": "none"}
        axis.text(0.5, 0.9, said, transform=axis.transAxes, ha="center", bbox=box)
        _finish(axis, f"learning rate {rate:g}" if isinstance(rate, (int, float)) else str(rate), "step", "loss")
    for axis in axes.flat[len(curves) :]:
        axis.remove()
    return figure


# ── activations ───────────────────────────────────────────────────────────────────────────────────────────


def activation_values(activation: Any, x: Any) -> tuple[Array, Array]:
    """f(x) and f'(x) at each x: (n,), float64. The derivative is what backpropagation uses, `talweg.gradient`.

    Softmax and its kin need a row: they are taken of (x, 0), and their first number is answered.

    >>> values, slopes = activation_values("sigmoid", [0.0])
    >>> float(values[0]), float(slopes[0])
    (0.5, 0.25)
    """
    function, given = activations.get(activation), _column(x, "x")
    points = g.input_tensor("x", given.shape)
    if function.of_rows:
        column = g.expand_dims(points, 1)
        both = function.formula(g.concat([column, g.zeros_like(column)], axis=1))
        y = g.reshape(g.slice(both, [None, (0, 1)]), given.shape)
    else:
        y = function.formula(points)
    [slope] = gradient(g.sum(y), [points])
    values = g.evaluate([y, slope], {points: given}, precision="float64")
    return values[y], values[slope]


def activation(name: Any, *, low: float = -5.0, high: float = 5.0) -> Figure:
    """An activation over its input, and its derivative."""
    x = np.linspace(low, high, 1001)
    y, slope = activation_values(name, x)
    function = activations.get(name)
    called = function.__name__
    figure, axes = _figure(1, 1)
    axes[0, 0].axhline(0, color="0.7", lw=0.8)
    axes[0, 0].axvline(0, color="0.7", lw=0.8)
    axes[0, 0].plot(x, y, color=COLOURS[0], lw=2, label=f"{called}(x)")
    axes[0, 0].plot(x, slope, "--", color=COLOURS[1], lw=2, label="derivative")
    title = f"{called} of (x, 0), first output" if function.of_rows else called
    _finish(axes[0, 0], title, "x", "", legend=True)
    return figure


# ── networks ──────────────────────────────────────────────────────────────────────────────────────────────


def decision_boundary(
    model: Any,
    x: Any,
    y: Any,
    *,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] = ("x0", "x1"),
    resolution: int = 200,
    margin: float = 0.1,
    title: str = "Decision boundary",
) -> Figure:
    """What a classifier of two features answers over the plane: probability as shade, the boundary as a line, the data.

    model: anything with ``predict(points)`` that answers (n, 1), the probability of class 1, or (n, classes).
    y: class numbers or one-hot rows. resolution: points along each side. margin: beyond the data, a share of its width.
    Raises `ShapeError` where x does not have two columns.
    """
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ShapeError(f"decision_boundary needs x with two columns; got an array of shape {list(x.shape)}")
    low, high = x.min(axis=0), x.max(axis=0)
    room = margin * np.where(high > low, high - low, 1.0)
    sides = [np.linspace(a, b, resolution) for a, b in zip(low - room, high + room, strict=True)]
    grid = np.stack([m.ravel() for m in np.meshgrid(*sides)], axis=1)
    shown = classification(np.zeros(len(grid), int), _answers(model, grid), class_names)
    shares = shown.probabilities / np.maximum(shown.probabilities.sum(axis=1, keepdims=True), 1e-12)
    labels = classification(y, np.zeros((len(x), len(shown.names)))).true
    _same_length(x, labels)
    figure, axes = _figure(1, 1, size=(6.4, 5.2))
    axis, extent = axes[0, 0], (sides[0][0], sides[0][-1], sides[1][0], sides[1][-1])
    colours = np.array([_rgb(COLOURS[k % 7]) for k in range(shares.shape[1])])
    mixed = (1 - 0.55) + 0.55 * (shares @ colours)  # each class's colour by its probability, paled towards white
    picture = np.clip(mixed, 0, 1).reshape(resolution, resolution, 3)
    axis.imshow(picture, extent=extent, origin="lower", aspect="auto", interpolation="bilinear")
    for k in range(1 if shares.shape[1] == 2 else 0, shares.shape[1]):
        others = np.delete(shares, k, axis=1).max(axis=1)
        lead = (shares[:, k] - others).reshape(resolution, resolution)
        if lead.min() < 0 < lead.max():
            axis.contour(*sides, lead, levels=[0], colors="black", linewidths=1.2)
    names = shown.names + [str(k) for k in range(len(shown.names), int(labels.max(initial=0)) + 1)]
    for k in np.unique(labels):
        here = labels == k
        look = {"color": COLOURS[k % 7], "marker": MARKERS[k % 7], "edgecolors": "white", "linewidths": 0.6}
        axis.scatter(*x[here].T, s=28, label=str(names[k]), **look)
    axis.set(xlim=extent[:2], ylim=extent[2:])
    _finish(axis, title, *feature_names[:2], legend=True, grid=False)
    return figure


def predictions(
    model: Any,
    x: Any,
    y: Any,
    *,
    class_names: Sequence[str] | None = None,
    rows: int = 3,
    columns: int = 8,
    image_shape: Sequence[int] | None = None,
) -> Figure:
    """Pictures with what was predicted for them: the most confident mistakes, then the least confident right answers.

    model: anything with ``predict(x)``, or the predictions themselves. image_shape: of one, where x is flattened.
    Raises `ShapeError` where the examples are not pictures.
    """
    x = np.asarray(x)
    images = x if image_shape is None else x.reshape(len(x), *image_shape)
    if not is_image(images.shape[1:]):
        raise ShapeError(
            f"predictions needs pictures, (height, width) or (height, width, 1 or 3); got {list(images.shape[1:])}. "
            "For flattened ones, give image_shape=(height, width)."
        )
    c = classification(y, _answers(model, x), class_names)
    order = np.lexsort((np.where(c.wrong, -c.confidence, c.confidence), ~c.wrong))[: rows * columns]
    rows = -(-len(order) // columns)
    figure, axes = _figure(rows, columns, size=(1.25 * columns, 1.55 * rows + 0.4))
    low, high = value_range(images)
    for axis, i in zip(axes.flat, order, strict=False):
        picture = images[i, :, :, 0] if images.shape[-1:] == (1,) and images.ndim == 4 else images[i]
        shown = np.clip((picture.astype(np.float64) - low) / (high - low), 0, 1)
        axis.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        predicted = c.names[c.predicted[i]] if c.predicted[i] >= 0 else "none"
        said = f"{predicted}, not {c.names[c.true[i]]}" if c.wrong[i] else predicted
        axis.set_title(f"{said}\n{100 * c.confidence[i]:.0f} %", fontsize=8, color=COLOURS[1] if c.wrong[i] else "0.2")
    for axis in axes.flat:
        axis.set_axis_off()
    wrong = int(c.wrong.sum())
    figure.suptitle(f"{wrong:,} of {len(c.true):,} wrong; the most confident mistakes first", fontsize=10)
    return figure


def first_layer_weights(model: Any, *, image_shape: Sequence[int] | None = None, units: int = 32) -> Figure:
    """What the first units look for: the weights from the input to each unit as a picture; red raises it, blue lowers.

    image_shape: (height, width), by default the model's input shape where that is a picture; without one, the weights
    are drawn as one matrix of inputs by units. units: how many are drawn. Raises `UsageError` where there is no kernel.
    """
    kernel, layer = _first_kernel(model)
    shape = tuple(image_shape or getattr(model, "example_shape", None) or ())
    if not all(isinstance(length, int) for length in shape):  # of several inputs
        shape = ()
    if kernel.ndim == 4:  # a convolution: one small picture a filter, averaged over its input channels
        pictures = kernel.mean(axis=2).transpose(2, 0, 1)
    elif is_image(shape) and int(np.prod(shape)) == kernel.shape[0]:
        pictures = kernel.T.reshape(-1, *shape)
        pictures = pictures.mean(axis=3) if pictures.ndim == 4 else pictures
    elif image_shape is not None:
        raise ShapeError(f"layer {layer!r} sees {kernel.shape[0]} numbers; image_shape is {list(shape)}")
    else:
        pictures = None
    largest = float(np.abs(kernel).max()) or 1.0
    look = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest, "interpolation": "nearest"}
    if pictures is None:
        figure, axes = _figure(1, 1)
        drawn = axes[0, 0].imshow(kernel[:, :units], aspect="auto", **look)
        _finish(axes[0, 0], f"Weights of layer {layer}", "unit", "input", grid=False)
    else:
        pictures = pictures[:units]
        columns = min(8, len(pictures))
        rows = -(-len(pictures) // columns)
        figure, axes = _figure(rows, columns, size=(1.1 * columns + 1, 1.2 * rows + 0.6))
        for i, (axis, picture) in enumerate(zip(axes.flat, pictures, strict=False)):
            drawn = axis.imshow(picture, **look)
            axis.set_title(str(i), fontsize=7, pad=2)
        for axis in axes.flat:
            axis.set_axis_off()
        figure.suptitle(f"Weights of layer {layer}, unit by unit", fontsize=10)
    figure.colorbar(drawn, ax=axes.ravel().tolist(), shrink=0.8, label="weight")
    return figure


# ── inside ────────────────────────────────────────────────────────────────────────────────────────────────


def _figure(rows: int, columns: int, size: tuple[float, float] | None = None) -> tuple[Figure, Any]:
    """A figure and its axes, (rows, columns). Raises `ImportError`, saying what to install, without matplotlib."""
    try:
        import matplotlib.pyplot  # in a notebook this is what lets a figure show itself  # noqa: F401
        from matplotlib.figure import Figure as Made
    except ModuleNotFoundError as error:
        raise ImportError("pictures need matplotlib: pip install 'talweg[plot]'") from error
    figure = Made(figsize=size or (5.6 * columns, 3.9 * rows), layout="constrained", dpi=110)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _finish(axis: Any, title: str, x: str, y: str, *, legend: bool = False, grid: bool = True) -> None:
    axis.set(title=title, xlabel=x, ylabel=y)
    if grid:
        axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    if legend:
        axis.legend(frameon=True, framealpha=0.85, fontsize=9)


def _column(values: Any, name: str) -> Array:
    array = np.asarray(values, np.float64)
    if not array.size:
        raise DataError(f"{name} is empty")
    if array.ndim > 1 and array.size != len(array):
        raise ShapeError(f"{name} must be (n,) or (n, 1); got an array of shape {list(array.shape)}")
    return array.reshape(-1)


def _same_length(x: Array, y: Array) -> None:
    if len(x) != len(y):
        raise ShapeError(f"x has {len(x)} rows, y has {len(y)}")


def _answers(model: Any, x: Array) -> Array:
    """The outputs for x of a model, of a function, or as they were given."""
    ask: Callable[..., Any] | None = getattr(model, "predict", model if callable(model) else None)
    return np.asarray(model if ask is None else ask(x))


def _mean_loss(measure: Any, y: Array, predicted: Array) -> float:
    return float(measure(y[:, None], predicted[:, None]))


def _loss_name(measure: Any) -> str:
    words = measure.formula.__name__
    return {"mean_squared_error": "MSE", "mean_absolute_error": "MAE"}.get(words, words.replace("_", " "))


def _equation(weight: float, bias: float) -> str:
    return f"{weight:.2f}x {'+' if bias >= 0 else '−'} {abs(bias):.2f}"


def _first_kernel(model: Any) -> tuple[Array, str]:
    for layer in model.layers:
        for variable in layer.variables:
            if variable.name.rpartition("/")[2] == "kernel":
                return np.asarray(variable), layer.name
    raise UsageError("the model has no layer with a kernel, or is not built yet: fit it, or give it an input shape")


def _rgb(colour: str) -> tuple[float, float, float]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))  # type: ignore[return-value]
