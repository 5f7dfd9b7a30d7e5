"""Stochastic gradient descent, with momentum and Nesterov's variant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from talweg.errors import UsageError
from talweg.graph import Array, Tensor, equal, where
from talweg.optim import schedules
from talweg.optim.base import Slots, UpdateRule
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class SGD(UpdateRule):
    r"""$w \leftarrow w - \eta\, g$; with momentum μ, $m \leftarrow \mu m - \eta\, g$ and $w \leftarrow w + m$.

    With `nesterov` the step looks ahead: $w \leftarrow w + \mu m - \eta\, g$ (Sutskever et al., 2013). So does Keras;
    form="torch" keeps the rate outside, which differs where the rate changes: $m \leftarrow \mu m + (1 - \tau) g$ with
    m = g at the first step, and $w \leftarrow w - \eta\, m$ (`nesterov`: $w - \eta\,(g + \mu m)$). τ is `dampening`,
    which only that form has.

    >>> SGD(0.1).update(2.0, 0.5, {}, 1, 0.1)[0]        # seed 003, part 3
    1.95
    """

    learning_rate: Any = setting(schedules.get, 0.01)
    momentum: float = 0.0
    nesterov: bool = False
    dampening: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dampening and (self.form != "torch" or self.nesterov):
            raise UsageError("dampening is for SGD(form='torch') without nesterov")

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        return {"momentum": 0.0} if self.momentum else {}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        if not self.momentum:
            return w - rate * g, {}
        if self.form == "torch":
            m = self.momentum * s["momentum"] + (1 - self.dampening) * g
            m = where(equal(step, 1.0), g, m) if self.dampening else m
            return w - rate * (g + self.momentum * m if self.nesterov else m), {"momentum": m}
        m = self.momentum * s["momentum"] - rate * g
        return w + (self.momentum * m - rate * g if self.nesterov else m), {"momentum": m}
