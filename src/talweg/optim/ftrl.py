"""FTRL: follow the regularized leader, for weights most of which should be 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from talweg.graph import Array, Tensor, clip, where
from talweg.optim.base import Slots, UpdateRule


@dataclass(eq=False, repr=False)
class Ftrl(UpdateRule):
    r"""$n' = n + g^2$, $\sigma = (n'^{-p} - n^{-p}) / \eta$, $z \leftarrow z + g + 2 s w - \sigma w$,
    $w \leftarrow (\operatorname{clip}(z, -\lambda_1, \lambda_1) - z) \,/\, ((n'^{-p} + \beta) / \eta + 2 \lambda_2)$,
    so that w is 0 where |z| stays within λ₁.

    p is `learning_rate_power`, s the shrinkage. At a rate of 0, and where n' is 0 and nothing regularizes, w stays.
    McMahan et al., "Ad click prediction: a view from the trenches" (2013), as in Keras; PyTorch has none.
    """

    ranges: ClassVar[Mapping[str, str]] = {
        **UpdateRule.ranges,
        "learning_rate_power": "(-inf, 0]",
        **dict.fromkeys(
            ("initial_accumulator_value", "l1_regularization_strength", "l2_regularization_strength"), "[0, inf)"
        ),
    }

    learning_rate_power: float = -0.5
    initial_accumulator_value: float = 0.1
    l1_regularization_strength: float = 0.0
    l2_regularization_strength: float = 0.0
    l2_shrinkage_regularization_strength: float = 0.0
    beta: float = 0.0

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        moves = rate > 0.0
        new, fresh = self._moved(w, g, s, where(moves, rate, 1.0))
        return where(moves, new, w), {name: where(moves, value, s[name]) for name, value in fresh.items()}

    def _moved(self, w: Tensor, g: Tensor, s: Slots, rate: Tensor) -> tuple[Tensor, Slots]:
        n, l1 = s["accumulator"] + g * g, self.l1_regularization_strength
        root, root_before = n**-self.learning_rate_power, s["accumulator"] ** -self.learning_rate_power
        z = s["linear"] + g - (root - root_before) / rate * w
        if self.l2_shrinkage_regularization_strength:
            z = z + 2 * self.l2_shrinkage_regularization_strength * w
        curvature = (root + self.beta) / rate + 2 * self.l2_regularization_strength
        is_curved = curvature > 0.0
        new = where(is_curved, (clip(z, -l1, l1) - z) / where(is_curved, curvature, 1.0), w)
        return new, {"accumulator": n, "linear": z}
