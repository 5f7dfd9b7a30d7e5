"""Four learning rates on one valley, L(w) = (w - 5)²: too slow, good, good, diverging.

Seed 000, example 4. There is no network here: the loss is written on a graph, `gradient` writes the slope beside it,
the update rule writes the next w, and an engine takes the steps. Training a network is the same three lines.

    python examples/p4_learning_rates.py --figures figures
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from talweg import graph as g
from talweg.engines import Reference
from talweg.gradient import gradient
from talweg.insight import plots
from talweg.insight.verdict import verdict
from talweg.optim import SGD

RATES = (0.01, 0.1, 0.5, 1.1)
STEPS = 50


def descend(rate: float) -> list[float]:
    """w before the first step and after each, until it is 50 steps on or beyond ±100."""
    w = g.state_tensor("w", ())
    loss = (w - 5.0) ** 2
    (slope,) = gradient(loss, [w])
    after, _ = SGD(rate).update(w, slope, {}, step=g.constant(1.0), rate=g.constant(rate))
    program = g.Program("descend", inputs=(), states=(w,), outputs={"w": after}, updates={w: after})

    session = Reference("float64").compile(program, {"w": np.array(0.0)})
    path = [0.0]
    while len(path) <= STEPS and abs(path[-1]) <= 100:
        path.append(float(session.run({}, order=np.arange(1), batch_size=1)["w"]))
    return path


def main(figures: str | None = None) -> dict[float, dict[str, Any]]:
    print("LEARNING RATE COMPARISON")
    print("=" * 60)
    found: dict[float, dict[str, Any]] = {}
    for rate in RATES:
        path = descend(rate)
        w, steps = path[-1], len(path) - 1
        losses = [(w - 5) ** 2 for w in path]
        said = verdict(losses)  # from the curve alone: it is not told the rate
        if abs(w) > 100:
            print(f"LR={rate:4.2f}: DIVERGED at step {steps - 1}".ljust(50), said)  # the seed counts steps from 0
        else:
            print(f"LR={rate:4.2f}: Converged to w={w:.4f}, loss={losses[-1]:.4f}".ljust(50), said)
        found[rate] = {"w": w, "steps": steps, "losses": losses, "verdict": said}

    if figures:
        folder = Path(figures)
        folder.mkdir(parents=True, exist_ok=True)
        curves = {rate: each["losses"] for rate, each in found.items()}
        plots.learning_rates(curves).savefig(folder / "p4_learning_rates.png")
    return found


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--figures", metavar="FOLDER", help="where to save the figures (needs matplotlib)")
    main(arguments.parse_args().figures)
