"""Rprop: only the gradient's sign counts, and each weight has a step of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from talweg.graph import Array, Tensor, clip, equal, sign, where
from talweg.optim import schedules
from talweg.optim.base import Slots, UpdateRule, as_form
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class Rprop(UpdateRule):
    r"""Each weight has a step Δ, η at first: times `etas[1]` while its gradient keeps its sign, times `etas[0]` when
    that changes, within `step_sizes`. $w \leftarrow w - \Delta \operatorname{sgn} g$; after a change of sign it waits a
    step.

    Riedmiller and Braun (1993), in the variant of PyTorch, whose defaults these are; Keras has none. For batches that
    are the whole data: signs of different batches have little to do with each other.
    """

    learning_rate: Any = setting(schedules.get, 0.01)
    etas: tuple[float, float] = setting(tuple, (0.5, 1.2))
    step_sizes: tuple[float, float] = setting(tuple, (1e-6, 50.0))
    _: KW_ONLY
    form: str = setting(as_form, "torch")

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        return {"gradient": 0.0, "size": 0.0}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        agreement, before = g * s["gradient"], where(equal(step, 1.0), rate, s["size"])
        factor = where(agreement > 0.0, self.etas[1], where(agreement < 0.0, self.etas[0], 1.0))
        size = clip(before * factor, *self.step_sizes)
        heeded = where(agreement < 0.0, 0.0, g)
        return w - size * sign(heeded), {"gradient": heeded, "size": size}
