"""Adam, Adam with decoupled weight decay, and Adam for gradients with few rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from talweg.graph import Array, Tensor, maximum, sqrt, where
from talweg.graph import max as max_over
from talweg.optim.base import Slots, UpdateRule


@dataclass(eq=False, repr=False)
class Adam(UpdateRule):
    r"""$m \leftarrow \beta_1 m + (1 - \beta_1) g$, $v \leftarrow \beta_2 v + (1 - \beta_2) g^2$, and with
    $\eta_t = \eta \sqrt{1 - \beta_2^t} / (1 - \beta_1^t)$: $w \leftarrow w - \eta_t\, m / (\sqrt{v} + \epsilon)$.

    Kingma and Ba, "Adam: a method for stochastic optimization" (2015), in the order of computation that section 2 of
    the paper gives, which Keras follows. form="torch" corrects v before the root, as the paper's algorithm 1 does:
    $w \leftarrow w - \eta\, \hat m / (\sqrt{\hat v} + \epsilon)$ with $\hat m = m / (1 - \beta_1^t)$ and $\hat v = v /
    (1 - \beta_2^t)$, so that ε weighs less in the first steps; PyTorch's ε is 1e-8. `amsgrad` divides by the largest v
    so far (Reddi et al., 2018).
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        return {"momentum": 0.0, "velocity": 0.0} | ({"largest_velocity": 0.0} if self.amsgrad else {})

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        m = self.beta_1 * s["momentum"] + (1 - self.beta_1) * g
        v = self.beta_2 * s["velocity"] + (1 - self.beta_2) * g * g
        new, size = {"momentum": m, "velocity": v}, v
        if self.amsgrad:
            size = new["largest_velocity"] = maximum(s["largest_velocity"], v)
        root_of_correction = sqrt(1 - self.beta_2**step)
        if self.form == "torch":
            return w - rate / (1 - self.beta_1**step) * m / (sqrt(size) / root_of_correction + self.epsilon), new
        rate_t = rate * root_of_correction / (1 - self.beta_1**step)
        return w - rate_t * m / (sqrt(size) + self.epsilon), new


@dataclass(eq=False, repr=False)
class AdamW(Adam):
    r"""`Adam` after $w \leftarrow w - \eta \lambda w$ (Loshchilov and Hutter, 2019).

    λ is 0.004 as in Keras; in PyTorch it is 0.01.
    """

    torch_decouples: ClassVar[bool] = True

    weight_decay: float | None = field(default=0.004, kw_only=False)  # the second argument, as in Keras


@dataclass(eq=False, repr=False)
class SparseAdam(UpdateRule):
    r"""`Adam`, in Keras's form, of those rows alone whose gradient is not 0 throughout: of a weight (rows, ...) the
    others stay, and so do their m and v. The bias is corrected by the number of all steps.

    For embeddings, of which a batch touches few rows; PyTorch's rule of this name. A row that a batch does touch, with
    a gradient of exactly 0, is left alone here and decays its m there: its sparse tensors know of it.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        return {"momentum": 0.0, "velocity": 0.0}

    def update(self, w: Tensor, g: Tensor, s: Slots, step: Tensor, rate: Tensor) -> tuple[Tensor, Slots]:
        touched = max_over(abs(g), tuple(range(1, w.rank)), keepdims=True) > 0.0 if w.rank > 1 else abs(g) > 0.0
        m = where(touched, self.beta_1 * s["momentum"] + (1 - self.beta_1) * g, s["momentum"])
        v = where(touched, self.beta_2 * s["velocity"] + (1 - self.beta_2) * g * g, s["velocity"])
        rate_t = rate * sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        return where(touched, w - rate_t * m / (sqrt(v) + self.epsilon), w), {"momentum": m, "velocity": v}
