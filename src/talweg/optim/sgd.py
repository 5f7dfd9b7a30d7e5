"""Stochastic gradient descent, with momentum and Nesterov's variant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from talweg.graph import Tensor
from talweg.optim import schedules
from talweg.optim.base import Slots, UpdateRule
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class SGD(UpdateRule):
    r"""$w \leftarrow w - \eta\, g$; with momentum μ, $m \leftarrow \mu m - \eta\, g$ and $w \leftarrow w + m$.

    With `nesterov` the step looks ahead: $w \leftarrow w + \mu m - \eta\, g$ (Sutskever et al., 2013). As in Keras the
    rate is inside m; PyTorch keeps it outside, which differs only where the rate changes.

    >>> SGD(0.1).update(2.0, 0.5, {}, 1, 0.1)[0]        # seed 003, part 3
    1.95
    """

    learning_rate: Any = setting(schedules.get, 0.01)
    momentum: float = 0.0
    nesterov: bool = False

    def slots(self) -> Mapping[str, float]:
        return {"momentum": 0.0} if self.momentum else {}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        if not self.momentum:
            return w - rate * g, {}
        m = self.momentum * s["momentum"] - rate * g
        return w + (self.momentum * m - rate * g if self.nesterov else m), {"momentum": m}
