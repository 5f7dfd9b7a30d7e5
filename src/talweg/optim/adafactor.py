"""Adafactor: the second moments of a matrix from those of its rows and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from talweg.graph import Array, Tensor, expand_dims, maximum, mean, minimum, sqrt, square
from talweg.optim.base import Slots, UpdateRule, dims


@dataclass(eq=False, repr=False)
class Adafactor(UpdateRule):
    r"""$\beta_t = 1 - t^{\gamma}$; of $q = g^2 + \epsilon_1$ the running means $r$ over each row and $c$ over each
    column of the last two axes, $v = r c^T / \bar r$ (of a vector, the running mean of q itself); $u = g / \sqrt{v}$,
    $w \leftarrow w - \alpha_t u / \max(1, \operatorname{rms} u / d)$ with $\alpha_t = \max(\epsilon_2,
    \operatorname{rms} w)\, \min(\eta, t^{-1/2})$.

    γ is `beta_2_decay`, d `clip_threshold`. Shazeer and Stern, "Adafactor" (2018), as in Keras. form="torch" adds no
    ε₁ to g² but keeps $\bar r$ at ε₁ and v at ε₁² or more; PyTorch's ε₁ is 1.2e-7 (of float32), its η 0.01.
    """

    torch_decouples: ClassVar[bool] = True

    beta_2_decay: float = -0.8
    epsilon_1: float = 1e-30
    epsilon_2: float = 1e-3
    clip_threshold: float = 1.0

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        if w.rank < 2:
            return {"velocity": 0.0}
        *others, rows, columns = dims(w)
        return {"rows": np.zeros((*others, rows)), "columns": np.zeros((*others, columns))}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        v, new = self._moments(g, s, 1.0 - step**self.beta_2_decay)
        u = g / sqrt(v)
        size = maximum(_rms(w), self.epsilon_2) * minimum(rate, 1.0 / sqrt(step))
        return w - size * u / maximum(_rms(u) / self.clip_threshold, 1.0), new

    def _moments(self, g: Tensor, s: Slots, beta: Tensor) -> tuple[Tensor, Slots]:
        """v, and what it is made of, after the step."""
        is_torch = self.form == "torch"
        q = square(g) if is_torch else square(g) + self.epsilon_1
        if g.rank < 2:
            v = beta * s["velocity"] + (1 - beta) * q
            return maximum(v, self.epsilon_1**2) if is_torch else v, {"velocity": v}
        r = beta * s["rows"] + (1 - beta) * mean(q, -1)
        c = beta * s["columns"] + (1 - beta) * mean(q, -2)
        middle = mean(r, -1, keepdims=True)
        v = expand_dims(r / (maximum(middle, self.epsilon_1) if is_torch else middle), -1) * expand_dims(c, -2)
        return maximum(v, self.epsilon_1**2) if is_torch else v, {"rows": r, "columns": c}


def _rms(x: Tensor) -> Tensor:
    return sqrt(mean(square(x)))
