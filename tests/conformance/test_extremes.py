"""Activations and losses in float32 where numbers vanish or nearly overflow: NaN or infinity only where float64 has it.

Value and slope, on the reference engine; that the others agree with it is for the tables of this folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from talweg import graph as g
from talweg.gradient import gradient
from talweg.graph import Array, Tensor
from talweg.nn.activations import ACTIVATIONS
from talweg.nn.losses import Loss

SIZES = [0.0, 1e-42, 1e-20, 1e-7, 1.0, 20.0, 90.0, 110.0, 1e4, 1e15, 1e19, 1e30, 3e38]
VALUES = np.float32([sign * size for size in SIZES for sign in (1, -1)]).astype("float64")
ROWS = np.stack([VALUES, VALUES[::-1], np.full(len(VALUES), 3e38), np.zeros(len(VALUES))])
PROBABILITIES = np.float32([0.0, 1e-42, 1e-20, 1e-7, 0.3, 1 - 1e-7, 1.0]).astype("float64")
LOGITS = np.float32([0.0, 1e-30, -1e-20, 1.0, -1.0, 20.0, -20.0, 110.0, -110.0, 1e4, -1e4, 1e15, -1e15]).astype(
    "float64"
)
APART = ("values", "binary", "signs", "one_hot", "classes", "classes_or_rows")  # what labels are made for here


def broken(formula: Callable[[Tensor], Tensor], x: Array) -> list[str]:
    """Where float32 has NaN, or an infinity that float64's value, rounded to float32, is not."""
    t = g.input_tensor("x", x.shape)
    y = formula(t)
    wanted = [y, gradient(g.sum(y), [t])[0]]
    found, exact = (g.evaluate(wanted, {t: x.astype(p)}, precision=p) for p in ("float32", "float64"))
    said = []
    for what, node in zip(("value", "slope"), wanted, strict=True):
        with np.errstate(all="ignore"):
            right = np.asarray(exact[node]).astype("float32")
        wrong = (np.isnan(found[node]) & ~np.isnan(right)) | (np.isinf(found[node]) & np.isfinite(right))
        said += [f"{what} at {np.argwhere(wrong)[0].tolist()}"] if wrong.any() else []
    return said


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activations(name: str) -> None:
    function = ACTIVATIONS.get(name)
    assert not broken(function, ROWS if function.of_rows else VALUES)


def losses() -> Iterator[Any]:
    for name in Loss.registry:
        made = Loss.registry.get(name)
        settings = [{}, {"from_logits": True}] if "from_logits" in made.__dataclass_fields__ else [{}]
        if made.formula.targets in APART and made.formula.parts == 1:
            yield from (pytest.param(made(**given), id=f"{name}{given or ''}") for given in settings)


def labelled(loss: Loss, values: Array) -> tuple[Tensor, Array]:
    """Rows of predictions, and labels for them."""
    n, kind = len(values), loss.targets
    if kind in ("values", "binary", "signs"):
        return g.constant(np.stack([np.zeros(n), np.ones(n)], axis=1)), np.stack([values, values], axis=1)
    rows = np.stack([np.roll(values, i)[:3] for i in range(n)])
    return g.constant(np.eye(3)[np.arange(n) % 3]) if kind == "one_hot" else g.constant(np.arange(n) % 3, "int"), rows


@pytest.mark.parametrize("values", [PROBABILITIES, LOGITS], ids=["probabilities", "logits"])
@pytest.mark.parametrize("loss", list(losses()))
def test_losses(loss: Loss, values: Array) -> None:
    labels, predictions = labelled(loss, values)
    assert not broken(lambda y_pred: loss.formula(labels, y_pred, **loss.options), predictions)
