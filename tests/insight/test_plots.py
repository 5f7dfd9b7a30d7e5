"""The pictures: what is drawn in each, and what is refused."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="pictures need matplotlib: pip install 'talweg[plot]'")

from talweg.errors import DataError, ShapeError, UnknownNameError, UsageError
from talweg.insight import plots
from talweg.nn import activations
from talweg.nn.layers import Dense, Flatten
from talweg.train.sequential import Sequential


def legend(axis: Any) -> list[str]:
    return [t.get_text() for t in axis.get_legend().get_texts()]


def draw(figure: Any) -> None:
    """Renders it: what cannot be drawn fails here."""
    figure.canvas.draw()


def test_fit_line_shows_data_both_lines_and_the_loss() -> None:
    figure = plots.fit_line([0, 1, 2], [2, 5, 8.1], 3.1348, 0.9415, true=(3, -2), losses=[9.0, 4.0, 3.39])
    data, curve = figure.axes
    assert legend(data) == ["data", "true line (y = 3.00x − 2.00)", "fitted line (y = 3.13x + 0.94)"]
    assert data.lines[1].get_ydata().tolist() == pytest.approx([0.9415, 0.9415 + 2 * 3.1348])
    assert curve.lines[0].get_ydata()[-1] == 3.39
    draw(figure)


def test_loss_over_weight_is_the_seeds_curve() -> None:
    [axis] = plots.loss_over_weight().axes
    w, surface = axis.lines[0].get_data()
    assert (w[0], w[-1]) == (-2, 6)
    np.testing.assert_allclose(surface, (2 - w) ** 2, rtol=1e-5, atol=1e-6)
    assert legend(axis) == ["MSE", "lowest at w = 2"]
    marked = plots.loss_over_weight([1, 2], [2, 4], loss="mae", at=[0.0, 1.0])
    assert marked.axes[0].lines[2].get_ydata() == pytest.approx([3.0, 1.5])
    draw(marked)


def test_loss_over_prediction_compares_mse_and_mae() -> None:
    figure = plots.loss_over_prediction(3.0, np.linspace(0, 5, 101))
    squared, absolute, _ = figure.axes[0].lines
    at = squared.get_xdata()
    np.testing.assert_allclose(squared.get_ydata(), (at - 3) ** 2, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(absolute.get_ydata(), np.abs(at - 3), rtol=1e-5, atol=1e-6)
    assert legend(figure.axes[0]) == ["MSE", "MAE", "true value 3"]
    draw(figure)


def test_learning_rates_carry_their_verdicts() -> None:
    def descend(rate: float) -> list[float]:
        return [25 * (1 - 2 * rate) ** (2 * i) for i in range(51)]

    figure = plots.learning_rates({rate: descend(rate) for rate in (0.01, 0.1, 0.5, 1.1)})
    assert [a.texts[0].get_text() for a in figure.axes] == ["TOO SLOW", "GOOD", "GOOD", "DIVERGING"]
    assert [a.get_title() for a in figure.axes] == [f"learning rate {r}" for r in (0.01, 0.1, 0.5, 1.1)]
    assert [a.get_yscale() for a in figure.axes] == ["linear", "log", "linear", "log"]
    draw(figure)
    three = plots.learning_rates({"a": [1.0, 0.5], "b": [1.0, float("nan")], "c": [1.0, 1.0]})
    assert len(three.axes) == 3
    draw(three)
    with pytest.raises(UsageError, match="at least one curve"):
        plots.learning_rates({})


@pytest.mark.parametrize("name", list(activations.ACTIVATIONS))
def test_every_activation_and_its_derivative(name: str) -> None:
    x = np.array([-3.3, -0.7, 0.4, 1.9])
    values, slopes = plots.activation_values(name, x)
    step = 1e-6
    above, below = (plots.activation_values(name, x + s)[0] for s in (step, -step))
    np.testing.assert_allclose(slopes, (above - below) / (2 * step), rtol=1e-5, atol=1e-8)
    assert values.shape == (4,)
    figure = plots.activation(name)
    assert legend(figure.axes[0])[1] == "derivative"


def test_known_slopes() -> None:
    assert plots.activation_values("relu", [-1.0, 2.0])[1].tolist() == [0.0, 1.0]
    assert plots.activation_values("tanh", [0.0])[1].tolist() == [1.0]
    assert plots.activation_values("softmax", [0.0])[1].tolist() == [0.25]
    with pytest.raises(UnknownNameError, match="did you mean 'relu'"):
        plots.activation("rleu")


def sign_of_first(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-5 * x[:, :1]))


def test_decision_boundary_of_two_classes_lies_where_the_probability_is_half() -> None:
    x = np.random.default_rng(0).normal(size=(60, 2))
    y = (x[:, 0] > 0).astype(int)
    figure = plots.decision_boundary(sign_of_first, x, y, class_names=["left", "right"], feature_names=("a", "b"))
    [axis] = figure.axes
    assert legend(axis) == ["left", "right"] and axis.get_xlabel() == "a" and len(axis.images) == 1
    [boundary] = [c for c in axis.collections if len(c.get_paths()) and c.get_paths()[0].vertices.shape[0] > 50]
    np.testing.assert_allclose(boundary.get_paths()[0].vertices[:, 0], 0, atol=0.02)
    points = [c for c in axis.collections if c is not boundary]
    assert sum(len(c.get_offsets()) for c in points) == 60
    draw(figure)


def test_decision_boundary_of_a_model_of_three_classes() -> None:
    x = np.random.default_rng(0).normal(size=(30, 2))
    model = Sequential([Dense(3, activation="softmax", input_shape=(2,))], seed=0)
    figure = plots.decision_boundary(model, x, np.eye(3)[np.arange(30) % 3], resolution=40)
    assert legend(figure.axes[0]) == ["0", "1", "2"]
    draw(figure)
    with pytest.raises(ShapeError, match="two columns"):
        plots.decision_boundary(model, np.zeros((3, 3)), [0, 1, 2])


def test_predictions_put_the_most_confident_mistakes_first() -> None:
    images = np.random.default_rng(0).integers(0, 16, (5, 8, 8))
    outputs = [[0.9, 0.1], [0.4, 0.6], [0.05, 0.95], [0.8, 0.2], [0.45, 0.55]]
    figure = plots.predictions(outputs, images, [0, 0, 0, 0, 1], class_names=["no", "yes"], columns=3, rows=2)
    titles = [a.get_title().split("\n") for a in figure.axes]
    assert titles[:5] == [
        ["yes, not no", "95 %"],
        ["yes, not no", "60 %"],
        ["yes", "55 %"],
        ["no", "80 %"],
        ["no", "90 %"],
    ]
    assert figure.get_suptitle() == "2 of 5 wrong; the most confident mistakes first"
    draw(figure)
    flat = plots.predictions(outputs, images.reshape(5, 64), [0, 0, 0, 0, 1], image_shape=(8, 8), rows=1, columns=2)
    assert len(flat.axes) == 2
    with pytest.raises(ShapeError, match=r"give image_shape=\(height, width\)"):
        plots.predictions(outputs, images.reshape(5, 64), [0, 0, 0, 0, 1])


def test_first_layer_weights_are_pictures_where_the_input_is_one() -> None:
    model = Sequential([Flatten(input_shape=(8, 8)), Dense(5), Dense(2)], seed=0)
    figure = plots.first_layer_weights(model)
    kernel = model.layers[1].get_weights()[0]
    np.testing.assert_allclose(figure.axes[3].images[0].get_array(), kernel[:, 3].reshape(8, 8))
    assert len(figure.axes) == 6  # five units and the colour bar
    draw(figure)
    table = Sequential([Dense(5, input_shape=(3,))], seed=0)
    assert plots.first_layer_weights(table).axes[0].images[0].get_array().shape == (3, 5)
    with pytest.raises(ShapeError, match=r"sees 3 numbers; image_shape is \[2, 2\]"):
        plots.first_layer_weights(table, image_shape=(2, 2))
    with pytest.raises(UsageError, match="no layer with a kernel"):
        plots.first_layer_weights(Sequential([Flatten(input_shape=(2, 2))]))


def test_bad_data_is_refused() -> None:
    with pytest.raises(ShapeError, match="x has 2 rows, y has 3"):
        plots.fit_line([1, 2], [1, 2, 3], 1, 0)
    with pytest.raises(DataError, match="x is empty"):
        plots.fit_line([], [], 1, 0)
    with pytest.raises(ShapeError, match=r"x must be \(n,\) or \(n, 1\)"):
        plots.loss_over_weight(np.zeros((3, 2)), [1, 2, 3])


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'talweg\[plot\]'"):
        plots.activation("relu")
