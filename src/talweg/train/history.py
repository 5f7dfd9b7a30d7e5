"""What happened in a fit: one list of numbers for each quantity, one entry an epoch."""

from __future__ import annotations

from typing import Any


class History:
    """`epoch`: the epochs' numbers, from 0. `history`: for "loss", "val_loss", ..., the value at the end of each.

    `params`: what `fit` was asked for. `seconds`: how long each epoch took, validation included.
    """

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        self.seconds: list[float] = []
        self.params = params or {}

    def add(self, epoch: int, logs: dict[str, float], seconds: float = 0.0) -> None:
        """Appends the end of an epoch. A quantity seen for the first time gets NaN for the epochs before."""
        for name in logs:
            self.history.setdefault(name, [float("nan")] * len(self.epoch))
        self.epoch.append(epoch)
        self.seconds.append(seconds)
        for name, values in self.history.items():
            values.append(logs.get(name, float("nan")))

    def last(self) -> dict[str, float]:
        """The values at the end of the last epoch."""
        return {name: values[-1] for name, values in self.history.items() if values}

    def __repr__(self) -> str:
        last = " ".join(f"{name}={value:.4g}" for name, value in self.last().items())
        return f"<History of {len(self.epoch)} epochs: {last}>"
