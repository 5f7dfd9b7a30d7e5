"""Adafactor: the second moments of a matrix from those of its rows and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from talweg.graph import Array, Tensor, expand_dims, maximum, mean, minimum, sqrt, square
from talweg.optim.base import Slots, UpdateRule, dims

EPSILON_1 = {"keras": 1e-30, "torch": float(np.finfo("float32").eps)}
"""ε₁ where none is given, by the form."""


@dataclass(eq=False, repr=False)
class Adafactor(UpdateRule):
    r"""$\beta_t = 1 - t^{\gamma}$; of $q = g^2 + \epsilon_1$ the running means $r$ over each row and $c$ over each
    column of the last two axes, $v = r c^T / \bar r$ (of a vector, the running mean of q itself); $u = g / \sqrt{v}$,
    $w \leftarrow w - \alpha_t u / \max(1, \operatorname{rms} u / d)$ with $\alpha_t = \max(\epsilon_2,
    \operatorname{rms} w)\, \min(\eta, t^{-1/2})$.

    γ is `beta_2_decay`, d `clip_threshold`, and ε₁ 1e-30 where `epsilon_1` is None. Shazeer and Stern, "Adafactor"
    (2018), as in Keras; but where neither a row nor a column has a gradient, so that Keras divides 0 by 0, the weight
    stays. form="torch" adds no ε₁ to g² but keeps $\bar r$ at ε₁ and v at ε₁² or more, and its ε₁ is 1.2e-7, as
    PyTorch's of float32 (of float64 it is 2.2e-16). PyTorch's η is 0.01.
    """

    torch_decouples: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, str]] = {**UpdateRule.ranges, "epsilon_1": "[0, inf)"}

    beta_2_decay: float = -0.8
    epsilon_1: float | None = None
    epsilon_2: float = 1e-3
    clip_threshold: float = 1.0

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        if w.rank < 2:
            return {"velocity": 0.0}
        *others, rows, columns = dims(w)
        return {"rows": np.zeros((*others, rows)), "columns": np.zeros((*others, columns))}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        u, new = self._direction(g, s, 1.0 - step**self.beta_2_decay)
        size = maximum(_rms(w), self.epsilon_2) * minimum(rate, 1.0 / sqrt(step))
        return w - size * u / maximum(_rms(u) / self.clip_threshold, 1.0), new

    def _direction(self, g: Tensor, s: Slots, beta: Tensor) -> tuple[Tensor, Slots]:
        """u, and what v is made of, after the step.

        The roots of r and c are taken before they meet: of a row and a column without a gradient r c is ε₁², which is 0
        in float32, as ε₁² is itself.
        """
        is_torch = self.form == "torch"
        epsilon = EPSILON_1[self.form] if self.epsilon_1 is None else self.epsilon_1
        q = square(g) if is_torch else square(g) + epsilon
        if g.rank < 2:
            v = beta * s["velocity"] + (1 - beta) * q
            return g / (maximum(sqrt(v), epsilon) if is_torch else sqrt(v)), {"velocity": v}
        r = beta * s["rows"] + (1 - beta) * mean(q, -1)
        c = beta * s["columns"] + (1 - beta) * mean(q, -2)
        middle = mean(r, -1, keepdims=True)
        share = expand_dims(sqrt(r) / sqrt(maximum(middle, epsilon) if is_torch else middle), -1)
        across = expand_dims(sqrt(c), -2)
        return g / maximum(share * across, epsilon) if is_torch else g / share / across, {"rows": r, "columns": c}


def _rms(x: Tensor) -> Tensor:
    return sqrt(mean(square(x)))
