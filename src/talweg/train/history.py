"""What happened in a fit: one list of numbers for each quantity, one entry an epoch."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

from talweg.disk.writing import written_whole
from talweg.errors import MissingExtraError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAINING, VALIDATION, QUIET = (
    "#0072b2",
    "#d55e00",
    "#8a8a8a",
)  # of Okabe and Ito's colours, which everybody can tell apart
NAN = float("nan")


class History:
    """What `fit` answers.

    `epoch`: the epochs' numbers, from 0. `history`: for "loss", "val_loss", ..., the value at the end of each epoch in
    which it was measured: as in Keras, epochs without validation are left out of "val_loss". `measured_at`: for each
    quantity, those epochs' numbers. `params`: what `fit` was asked for. `seconds`: how long each epoch took, validation
    included. `rates`: the learning rate of each epoch's last step.
    """

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        self.measured_at: dict[str, list[int]] = {}
        self.seconds: list[float] = []
        self.rates: list[float] = []
        self.params = params or {}

    def add(self, epoch: int, logs: dict[str, float], seconds: float = 0.0, rate: float = NAN) -> None:
        """Appends the end of an epoch."""
        self.epoch.append(epoch)
        self.seconds.append(seconds)
        self.rates.append(rate)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
            self.measured_at.setdefault(name, []).append(epoch)

    def last(self) -> dict[str, float]:
        """What was measured at the end of the last epoch."""
        if not self.epoch:
            return {}
        now = self.epoch[-1]
        return {name: values[-1] for name, values in self.history.items() if self.measured_at[name][-1] == now}

    def by_epoch(self) -> dict[str, list[float]]:
        """`history` with one entry an epoch: NaN for epochs in which the quantity was not measured.

        >>> history = History()
        >>> history.add(0, {"loss": 0.9})
        >>> history.add(1, {"loss": 0.4, "val_loss": 0.5})
        >>> history.history["val_loss"], history.by_epoch()["val_loss"]
        ([0.5], [nan, 0.5])
        """
        known = {name: dict(self.points(name)) for name in self.history}
        return {name: [values.get(epoch, NAN) for epoch in self.epoch] for name, values in known.items()}

    def points(self, name: str) -> list[tuple[int, float]]:
        """(epoch, value) for each epoch in which the quantity was measured; none where it never was."""
        return list(zip(self.measured_at.get(name, ()), self.history.get(name, ()), strict=True))

    def best_epoch(self) -> int | None:
        """The number, from 0, of the epoch with the least validation loss; of training, where there was no validation.

        >>> history = History()
        >>> for epoch, loss in enumerate([0.9, 0.4, 0.5]): history.add(epoch, {"loss": loss})
        >>> history.best_epoch()
        1
        """
        losses = self.points("val_loss") or self.points("loss")
        known = [(value, epoch) for epoch, value in losses if math.isfinite(value)]
        return min(known)[1] if known else None

    def to_dict(self) -> dict[str, Any]:
        """All of it but `params`, as lists: what `restore` takes."""
        return {
            "epoch": list(self.epoch),
            "history": {name: list(values) for name, values in self.history.items()},
            "measured_at": {name: list(epochs) for name, epochs in self.measured_at.items()},
            "seconds": list(self.seconds),
            "learning_rate": list(self.rates),
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Becomes what `to_dict` answered; raises `UsageError` where the lists do not go together."""
        lists = [kept["epoch"], kept["seconds"], kept["learning_rate"]]
        if len({len(each) for each in lists}) > 1:
            raise UsageError(f"a history must have one entry an epoch; its lists have {[len(each) for each in lists]}")
        history, measured_at = kept["history"], kept["measured_at"]
        if {n: len(values) for n, values in history.items()} != {n: len(epochs) for n, epochs in measured_at.items()}:
            raise UsageError("a history must have an epoch for each value; its lists have different lengths")
        self.epoch, self.seconds, self.rates = (list(each) for each in lists)
        self.history = {name: list(values) for name, values in history.items()}
        self.measured_at = {name: list(epochs) for name, epochs in measured_at.items()}

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        metrics: Iterable[str] | str | None = None,
        log_scale: bool = False,
    ) -> Figure:
        """Curves of the loss and the metrics side by side, and of the learning rate if it changed; a matplotlib figure.

        path       also writes it there, in the format that the name's ending says
        metrics    which quantities to draw, without "val_": all that are single numbers by default
        log_scale  losses on a logarithmic axis

        Raises `MissingExtraError` without matplotlib, `UsageError` where no epoch was trained, `UnknownNameError` for a
        quantity that was not measured.
        """
        figure_class = matplotlib_figure()
        names = self._drawn(metrics)
        rate_changed = len({r for r in self.rates if math.isfinite(r)}) > 1
        panels = len(names) + rate_changed
        rows = -(-panels // 4)
        columns = -(-panels // rows)
        figure = figure_class(figsize=(4.4 * columns + 0.4, 3.4 * rows + 0.3), dpi=110, layout="constrained")
        axes = [figure.add_subplot(rows, columns, i + 1) for i in range(panels)]
        for axis, name in zip(axes, names, strict=False):
            is_logarithmic = log_scale and name == "loss" and self._is_positive(name)
            _panel(axis, self, name, is_logarithmic)
        if rate_changed:
            _rate_panel(axes[-1], self)
        for axis in axes:
            _dress(axis, self)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)
        if path is not None:
            with written_whole(path) as file:
                figure.savefig(file, format=os.path.splitext(os.fspath(path))[1].lstrip(".") or "png")
        # A notebook shows what has this method, also where pyplot was never imported.
        figure._repr_png_ = lambda: as_png(figure)  # type: ignore[attr-defined]
        return figure

    def _drawn(self, metrics: Iterable[str] | str | None) -> list[str]:
        """The quantities that get a panel, the loss first."""
        if not self.epoch:
            raise UsageError("there is nothing to draw: no epoch was trained to its end")
        numeric = [n for n, values in self.history.items() if all(isinstance(v, Real) for v in values)]
        plain = dict.fromkeys(n.removeprefix("val_") for n in numeric if n != "learning_rate")
        found = sorted(plain, key=lambda n: n != "loss")
        if metrics is None:
            return found
        asked = [metrics] if isinstance(metrics, str) else list(metrics)
        for name in asked:
            if name not in found:
                raise UnknownNameError("quantity", name, found)
        if not asked:
            raise UsageError("metrics must name at least one quantity; got none")
        return asked

    def _is_positive(self, name: str) -> bool:
        values = [*self.history.get(name, []), *self.history.get(f"val_{name}", [])]
        return all(v > 0 for v in values if math.isfinite(v))

    def __repr__(self) -> str:
        last = " ".join(f"{name}={value:.4g}" for name, value in self.last().items() if isinstance(value, Real))
        return f"<History of {len(self.epoch)} epochs: {last}>"


# ── drawing ─────────────────────────────────────────────────────────────────────────────────────────────────


def matplotlib_figure() -> type[Figure]:
    """Matplotlib's class of figures. One that pyplot does not know needs no display, and goes when it is let go of."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(
            "drawing needs matplotlib, which is not installed: pip install 'talweg[plot]'"
        ) from None
    return Figure


def as_png(figure: Figure) -> bytes:
    """The figure's picture."""
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def _panel(axis: Axes, history: History, name: str, is_logarithmic: bool) -> None:
    """One quantity: training and validation, and where the best epoch lies."""
    best, drawn, shown = history.best_epoch(), None, ""
    dots = "o" if len(history.epoch) < 16 else None
    for key, colour, label in ((name, TRAINING, "training"), (f"val_{name}", VALIDATION, "validation")):
        points = [(e + 1, v) for e, v in history.points(key) if math.isfinite(v)]
        if points:
            xs, ys = zip(*points, strict=True)
            axis.plot(xs, ys, color=colour, linewidth=1.6, marker=dots, markersize=3, label=label, clip_on=not dots)
            drawn, shown = dict(points), label
    if is_logarithmic:
        _make_logarithmic(axis)
    axis.set_ylabel(unit_label(name, history.params.get("loss")))
    axis.set_title(name.replace("_", " "), loc="left", fontsize=10, fontweight="bold")
    if best is not None and drawn is not None and best + 1 in drawn:
        value = drawn[best + 1]
        label = f"best epoch ({best + 1})"
        axis.axvline(best + 1, color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1, label=label)
        axis.plot([best + 1], [value], "o", markersize=7, markerfacecolor="none", markeredgecolor=QUIET, zorder=4)
        axis.set_title(f"{shown} {value:.4g} at epoch {best + 1}", loc="right", fontsize=9, color="#555555")


def _rate_panel(axis: Axes, history: History) -> None:
    points = [(e + 1, r) for e, r in zip(history.epoch, history.rates, strict=True) if math.isfinite(r)]
    xs, ys = zip(*points, strict=True)
    axis.plot(xs, ys, color="#555555", linewidth=1.6, drawstyle="steps-mid")
    if min(ys) > 0 and max(ys) / min(ys) > 20:
        _make_logarithmic(axis)
    axis.set_ylabel("learning rate")
    axis.set_title("learning rate", loc="left", fontsize=10, fontweight="bold")


def _make_logarithmic(axis: Axes) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5 times a power of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axis.dataLim.intervaly
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 1000 * low else (1.0,)))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _dress(axis: Axes, history: History) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1, steps=[1, 2, 5, 10]))
    first, last = history.epoch[0] + 1, history.epoch[-1] + 1
    margin = max(0.02 * (last - first), 0.3 if last - first < 16 else 0)
    axis.set_xlim(first - margin, last + margin)
    axis.grid(True, color="#e6e6e6", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8.5)


UNITS = {  # the first that is part of a name holds
    "percentage": "%",
    "root_mean_squared": "target's unit",
    "rmse": "target's unit",
    "squared": "target's unit, squared",
    "mse": "target's unit, squared",
    "absolute": "target's unit",
    "mae": "target's unit",
    "entropy": "nats",
    "divergence": "nats",
    "acc": "share of examples",
}


def unit_label(name: str, loss: str | None = None) -> str:
    """What stands at an axis: the quantity, and its unit where the name tells it.

    >>> unit_label("loss", "binary_crossentropy"), unit_label("mae"), unit_label("my_score")
    ('binary crossentropy (nats)', "mae (target's unit)", 'my score')
    """
    named = loss if name == "loss" and loss else name
    unit = next((unit for part, unit in UNITS.items() if part in named), None)
    return named.replace("_", " ") + (f" ({unit})" if unit else "")
