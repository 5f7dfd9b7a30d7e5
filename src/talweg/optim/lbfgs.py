"""L-BFGS: Newton's method with a curvature remembered from the last few steps.

A step looks at loss and gradient several times, as often as its line search needs, so it is no formula of one step's
graph. What is compiled is the loss and its gradient; the search drives that from here. `talweg.train.searching` brings
the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from talweg.errors import UsageError
from talweg.graph import Array, Tensor, state_tensor
from talweg.optim import schedules
from talweg.optim.base import Constraint, UpdateRule, dims
from talweg.optim.line_search import Point, strong_wolfe
from talweg.registry import setting

Evaluate = Callable[[Array], tuple[float, Array]]
"""The loss at some weights, all of them in one vector, and its gradient there."""


@dataclass(eq=False, repr=False)
class LBFGS(UpdateRule):
    r"""$w \leftarrow w - t\, H g$, at most `max_iter` times a batch, where H is the inverse curvature that the last
    `history_size` changes of w and g suggest, and t is found by a line search.

    max_iter          iterations a batch
    max_eval          evaluations of the loss a batch, by default 1.25 · max_iter; a search may exceed it by one
    tolerance_grad    the batch is done when no element of its gradient is larger
    tolerance_change  or when an iteration changes no weight, or the loss not, by more
    line_search_fn    "strong_wolfe", or None: t = learning_rate (in the very first iteration at most 1 / Σ|g|)

    Liu and Nocedal, "On the limited memory BFGS method for large scale optimization" (1989), as in PyTorch, whose
    default is to take steps of t = learning_rate without a search; Keras has none. Give it the whole data as one batch:
    what it learns of the curvature from one batch misleads it on the next. History, metrics and moving statistics are
    those of the batch before its first iteration, as with other rules. The rate is where a search begins. Raises
    `UsageError` where clipping, decay, averages, accumulation or constraints are asked for: a search needs the loss's
    own gradient, and the weights where it left them.
    """

    searches: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, str]] = {
        **UpdateRule.ranges,
        **dict.fromkeys(("max_iter", "max_eval", "history_size"), "{1, 2, ...}"),
        **dict.fromkeys(("tolerance_grad", "tolerance_change"), "[0, inf)"),
    }

    learning_rate: Any = setting(schedules.get, 1.0)
    max_iter: int = 20
    max_eval: int | None = None
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9
    history_size: int = 100
    line_search_fn: str | None = "strong_wolfe"

    def __post_init__(self) -> None:
        super().__post_init__()
        plain = UpdateRule()
        common = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "gradient_accumulation_steps")
        if given := [name for name in common if getattr(self, name) != getattr(plain, name)]:
            raise UsageError(f"LBFGS searches along the loss's own gradient and takes no {', '.join(given)}")
        if self.line_search_fn not in (None, "strong_wolfe"):
            raise UsageError(f"line_search_fn must be 'strong_wolfe' or None; got {self.line_search_fn!r}")

    # ── what is kept from batch to batch ──────────────────────────────────────────────────────────────────

    def slots(self, w: Tensor) -> Mapping[str, float | Array]:
        """The last direction and gradient, and the last changes of w and of g, the newest at the end."""
        kept = np.zeros((self.history_size, *dims(w)))
        return {"direction": 0.0, "gradient": 0.0, "steps": kept, "changes": kept}

    def memory(self, weights: Sequence[Tensor]) -> dict[str, Array]:
        """The slots, and of all weights together: iterations so far, pairs kept, H's scale, the last step's length."""
        numbers = {"optimizer/searched": 0.0, "optimizer/pairs": 0.0, "optimizer/scale": 1.0, "optimizer/length": 0.0}
        return super().memory(weights) | {name: np.asarray(value) for name, value in numbers.items()}

    def apply(
        self,
        weights: Sequence[Tensor],
        gradients: Sequence[Tensor],
        iterations: Tensor,
        rate: Tensor,
        constraints: Mapping[str, Constraint] | None = None,
    ) -> tuple[list[Tensor], dict[Tensor, Tensor]]:
        """The states that the search keeps; their new values, and the weights', are no formula."""
        if constraints:
            raise UsageError(f"LBFGS takes no constraints; {', '.join(sorted(constraints))} has one")
        return [state_tensor(name, first.shape) for name, first in self.memory(weights).items()], {}

    # ── one batch ─────────────────────────────────────────────────────────────────────────────────────────

    def search(
        self, evaluate: Evaluate, x: Array, loss: float, gradient: Array, memory: dict[str, Array], rate: float
    ) -> Array:
        """The weights after one batch, from those before, `x`, with their loss and gradient; `memory` is changed.

        memory: "direction" and "gradient" (n,), "steps" and "changes" (history_size, n), and the four numbers.
        """
        evaluations, budget = 1, self.max_iter * 5 // 4 if self.max_eval is None else self.max_eval
        if np.abs(gradient).max(initial=0.0) <= self.tolerance_grad:
            return x
        for iteration in range(self.max_iter):
            is_first = memory["searched"] == 0
            if not is_first:
                self._remember(memory, gradient)
            memory["searched"] = memory["searched"] + 1
            direction = memory["direction"] = -gradient if is_first else self._newton(memory, gradient)
            memory["gradient"] = gradient
            length = min(1.0, 1.0 / float(np.abs(gradient).sum())) * rate if is_first else rate
            memory["length"] = np.asarray(length)
            slope, loss_before = float(gradient @ direction), loss
            if slope > -self.tolerance_change:
                break
            if self.line_search_fn is None:
                x = x + length * direction
                if iteration + 1 == self.max_iter:
                    break  # what stands there is not asked for
                loss, gradient = evaluate(x)
                evaluations += 1
            else:
                tried = 0

                def at(t: float, x: Array = x, direction: Array = direction) -> Point:
                    nonlocal tried
                    tried += 1
                    found, there = evaluate(x + t * direction)
                    return Point(t, found, there, float(there @ direction))

                start, longest = Point(0.0, loss, gradient, slope), float(np.abs(direction).max())
                point = strong_wolfe(at, start, length, longest, self.tolerance_change, budget - evaluations)
                x, loss, gradient, length = x + point.t * direction, point.loss, point.gradient, point.t
                memory["length"] = np.asarray(length)
                evaluations += tried
            is_level = np.abs(gradient).max() <= self.tolerance_grad
            stands = np.abs(length * direction).max() <= self.tolerance_change
            if evaluations >= budget or is_level or stands or abs(loss - loss_before) < self.tolerance_change:
                break
        return x

    def _remember(self, memory: dict[str, Array], gradient: Array) -> None:
        """Keeps the last step and the change of the gradient along it, where that curves upwards."""
        step, change = memory["direction"] * memory["length"], gradient - memory["gradient"]
        curvature = float(change @ step)
        if curvature > 1e-10:
            for name, newest in (("steps", step), ("changes", change)):
                memory[name] = np.concatenate([memory[name][1:], newest[None]])
            memory["pairs"] = np.minimum(memory["pairs"] + 1, self.history_size)
            memory["scale"] = np.asarray(curvature / float(change @ change))

    def _newton(self, memory: Mapping[str, Array], gradient: Array) -> Array:
        """- H g, by the two loops over the pairs that are kept (Nocedal and Wright, algorithm 7.4)."""
        first = self.history_size - int(memory["pairs"])
        pairs = list(zip(memory["steps"][first:], memory["changes"][first:], strict=True))
        q, along = -gradient, []
        for s, y in reversed(pairs):
            along.append((s @ q) / (y @ s))
            q = q - along[-1] * y
        q = memory["scale"] * q
        for (s, y), a in zip(pairs, reversed(along), strict=True):
            q = q + (a - (y @ q) / (y @ s)) * s
        return np.asarray(q)
