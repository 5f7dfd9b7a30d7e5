"""Muon: the momentum of a matrix, made orthogonal."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from talweg.graph import Array, Tensor, l2_norm, sqrt, transpose
from talweg.optim.base import Slots, UpdateRule, dims
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class Muon(UpdateRule):
    r"""For a matrix: $m \leftarrow \mu m + g$, $w \leftarrow w - \eta\, \rho \sqrt{\max(\text{rows}, \text{columns})}\,
    \operatorname{NS}(g + \mu m)$ (without `nesterov`, NS(m)). NS turns the singular values to about 1: of
    $X_0 = M / \|M\|$, `ns_steps` times $X \leftarrow a X + (b A + c A^2) X$ with $A = X X^T$. Everything else (vectors,
    kernels of convolutions, embeddings) is trained by `Adam` in Keras's form, at η times `adam_lr_ratio`.

    Jordan et al. (2024), as in Keras. ρ is `rms_rate`; with None there is neither it nor the root. PyTorch's Muon
    takes matrices only, iterates in bfloat16 and has $\sqrt{\max(1, \text{rows} / \text{columns})}$ of its own layout.
    """

    torch_decouples: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, str]] = {
        **UpdateRule.ranges,
        **{"adam_beta_1": "[0, 1)", "adam_beta_2": "[0, 1)", "adam_weight_decay": "[0, inf)"},
        "ns_steps": "{1, 2, ...}",
    }

    adam_beta_1: float = 0.9
    adam_beta_2: float = 0.999
    adam_weight_decay: float | None = 0.004
    epsilon: float = 1e-7
    _: KW_ONLY
    weight_decay: float | None = 0.004
    exclude_layers: tuple[str, ...] | None = setting(lambda names: None if names is None else tuple(names), None)
    exclude_embeddings: bool = True
    muon_a: float = 3.4445
    muon_b: float = -4.7750
    muon_c: float = 2.0315
    adam_lr_ratio: float = 1.0
    momentum: float = 0.95
    ns_steps: int = 5
    nesterov: bool = True
    rms_rate: float | None = 0.2

    def by_adam(self, w: Tensor) -> bool:
        """Whether `w` is no matrix to be made orthogonal; `exclude_layers` are regular expressions on names."""
        is_embedding = self.exclude_embeddings and "embedding" in w.name.lower()
        return w.rank != 2 or is_embedding or any(re.search(name, w.name) for name in self.exclude_layers or ())

    def decay_of(self, w: Tensor) -> float | None:
        return self.adam_weight_decay if self.by_adam(w) else self.weight_decay

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        return {"momentum": 0.0} | ({"velocity": 0.0} if self.by_adam(w) else {})

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        if self.by_adam(w):
            m = self.adam_beta_1 * s["momentum"] + (1 - self.adam_beta_1) * g
            v = self.adam_beta_2 * s["velocity"] + (1 - self.adam_beta_2) * g * g
            rate_t = self.adam_lr_ratio * rate * sqrt(1 - self.adam_beta_2**step) / (1 - self.adam_beta_1**step)
            return w - rate_t * m / (sqrt(v) + self.epsilon), {"momentum": m, "velocity": v}
        m = self.momentum * s["momentum"] + g
        direction = self._orthogonal(g + self.momentum * m if self.nesterov else m)
        scale = 1.0 if self.rms_rate is None else self.rms_rate * math.sqrt(max(dims(w)))
        return w - rate * scale * direction, {"momentum": m}

    def _orthogonal(self, m: Tensor) -> Tensor:
        """The iteration of Newton and Schulz, on the wider of m and its transpose: A is then the smaller."""
        rows, columns = dims(m)
        is_tall = rows > columns
        x = transpose(m) if is_tall else m
        x = x / (l2_norm([x]) + 1e-7)
        for _ in range(self.ns_steps):
            a = x @ transpose(x)
            x = self.muon_a * x + (self.muon_b * a + self.muon_c * (a @ a)) @ x
        return transpose(x) if is_tall else x
