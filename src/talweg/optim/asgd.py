"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from talweg.graph import Array, Tensor, maximum
from talweg.optim import schedules
from talweg.optim.base import Slots, UpdateRule, as_form
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class ASGD(UpdateRule):
    r"""$\eta_t = \eta / (1 + \lambda \eta\, (t - 1))^\alpha$, $w \leftarrow w - \eta_t\, (g + \lambda w)$, and from
    step t₀ on the mean of all w since then is kept beside it, as the slot "average".

    Polyak and Juditsky (1992), as in PyTorch; Keras has none. The slot is there to be looked at; to train and end with
    an average of the weights, give any rule `use_ema`.
    """

    learning_rate: Any = setting(schedules.get, 0.01)
    lambd: float = 1e-4
    alpha: float = 0.75
    t0: float = 1e6
    _: KW_ONLY
    form: str = setting(as_form, "torch")

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        return {"average": 0.0}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        rate_t = rate / (1.0 + self.lambd * rate * (step - 1.0)) ** self.alpha
        new = w * (1.0 - self.lambd * rate_t) - rate_t * g
        share = 1.0 / maximum(step - 1.0 - self.t0, 1.0)
        return new, {"average": s["average"] + share * (new - s["average"])}
