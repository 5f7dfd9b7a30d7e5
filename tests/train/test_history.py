"""What a fit answers: lists, and a picture of them."""

from __future__ import annotations

import builtins
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talweg.errors import MissingExtraError, UnknownNameError, UsageError
from talweg.train.history import TRAINING, VALIDATION, History, unit_label


def curves(epochs: int = 30, validation: bool = True, rate: float | None = None) -> History:
    history = History({"loss": "categorical_crossentropy"})
    for e in range(epochs):
        logs = {"loss": math.exp(-e / 8), "accuracy": 1 - 0.9 * math.exp(-e / 5)}
        if validation:
            logs |= {"val_loss": 0.2 + 0.01 * (e - 12) ** 2 / 10, "val_accuracy": 0.9 - 0.8 * math.exp(-e / 4)}
        history.add(e, logs, 0.1, rate if rate is not None else 0.1 * 0.5 ** (e // 10))
    return history


def labels(figure: Any) -> list[str]:
    return [axis.get_ylabel() for axis in figure.axes]


def test_epochs_in_which_a_quantity_was_not_measured_are_left_out() -> None:
    history = History()
    history.add(0, {"loss": 1.0})
    history.add(1, {"loss": 0.5, "val_loss": 0.7})
    assert history.history == {"loss": [1.0, 0.5], "val_loss": [0.7]}
    assert history.measured_at == {"loss": [0, 1], "val_loss": [1]}
    assert history.last() == {"loss": 0.5, "val_loss": 0.7}
    history.add(2, {"loss": 0.4})
    assert history.last() == {"loss": 0.4}, "the validation loss is an epoch old"
    assert history.best_epoch() == 1
    np.testing.assert_array_equal(history.by_epoch()["val_loss"], [math.nan, 0.7, math.nan])
    drawn = history.plot(metrics="loss").axes[0].get_lines()
    assert [list(line.get_xdata()) for line in drawn[:2]] == [[1, 2, 3], [2]]


def test_to_dict_is_json_and_restores() -> None:
    history, again = curves(3), History()
    kept = json.loads(json.dumps(history.to_dict()))
    again.restore(kept)
    assert again.to_dict() == history.to_dict() and kept["learning_rate"] == [0.1] * 3
    kept["epoch"].append(3)
    with pytest.raises(UsageError, match=r"one entry an epoch.*\[4, 3"):
        again.restore(kept)


def test_to_dict_is_a_copy() -> None:
    history = curves(3)
    history.to_dict()["history"]["loss"].clear()
    assert len(history.history["loss"]) == 3


def test_the_best_epoch_is_that_of_validation() -> None:
    assert curves(30).best_epoch() == 12
    assert curves(30, validation=False).best_epoch() == 29
    broken = History()
    broken.add(0, {"loss": math.nan})
    assert broken.best_epoch() is None


def test_plot_shows_each_quantity_once_with_its_unit(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    history = curves()
    figure = history.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in tmp_path.iterdir()] == ["curves.png"]
    assert labels(figure)[:2] == ["categorical crossentropy (nats)", "accuracy (share of examples)"]
    assert labels(figure)[2].startswith("learning rate")
    assert all(axis.get_xlabel() == "epoch" for axis in figure.axes)
    first, second = figure.axes[0].get_lines()[:2]
    assert (first.get_color(), second.get_color()) == (TRAINING, VALIDATION)
    assert list(second.get_xdata()) == list(range(1, 31)) and list(second.get_ydata()) == history.history["val_loss"]
    assert "best epoch (13)" in [line.get_label() for line in figure.axes[0].get_lines()]
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_plot_leaves_out_a_rate_that_did_not_change() -> None:
    pytest.importorskip("matplotlib")
    assert len(curves(rate=0.1).plot().axes) == 2


def test_plot_passes_over_epochs_without_validation() -> None:
    pytest.importorskip("matplotlib")
    history = History()
    for e in range(6):
        history.add(e, {"loss": 1.0 / (e + 1)} | ({"val_loss": 1.0} if e % 2 else {}))
    assert list(history.plot().axes[0].get_lines()[1].get_xdata()) == [2, 4, 6]


def test_plot_of_chosen_metrics_and_logarithmic_loss() -> None:
    pytest.importorskip("matplotlib")
    figure = curves(rate=0.1).plot(metrics="loss", log_scale=True)
    assert len(figure.axes) == 1 and figure.axes[0].get_yscale() == "log"
    history = History()
    history.add(0, {"loss": -1.0})  # cannot be on a logarithmic axis
    assert history.plot(log_scale=True).axes[0].get_yscale() == "linear"


def test_plot_leaves_out_what_is_no_number_and_survives_nan() -> None:
    pytest.importorskip("matplotlib")
    history = History()
    history.add(0, {"loss": math.nan, "confusion_matrix": np.eye(2)})  # type: ignore[dict-item]
    history.add(1, {"loss": math.inf, "confusion_matrix": np.eye(2)})  # type: ignore[dict-item]
    assert labels(history.plot()) == ["loss"]
    assert "confusion" not in repr(history)


def test_plot_says_what_is_wrong() -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(UsageError, match="no epoch was trained"):
        History().plot()
    with pytest.raises(UnknownNameError, match="did you mean 'accuracy'"):
        curves().plot(metrics=["acuracy"])
    with pytest.raises(UsageError, match="at least one"):
        curves().plot(metrics=[])


def test_plot_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'talweg\[plot\]'"):
        curves().plot()


def test_units() -> None:
    assert unit_label("loss", "mean_squared_error") == "mean squared error (target's unit, squared)"
    assert unit_label("root_mean_squared_error") == "root mean squared error (target's unit)"
    assert unit_label("mean_absolute_percentage_error") == "mean absolute percentage error (%)"
    assert unit_label("loss") == "loss"
