"""A line found by gradient descent: y = 3x + 2 with noise, one neuron, 100 steps on all points at once.

Seed 000, example 1. The seed writes the two gradients by hand,

    grad_w = -2 · mean((y - ŷ) · x)        grad_b = -2 · mean(y - ŷ)

and Talweg finds them: the neuron is w · x + b, the loss is the mean squared error, and an epoch is one step of gradient
descent because the batch is the whole data set. The last loss in the history, as in the seed, is that before the last
step.

    python examples/p1_line.py --figures figures
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import talweg as tw
from talweg.insight import plots


def main(figures: str | None = None) -> dict[str, float]:
    np.random.seed(42)  # the seed's own numbers
    x = np.linspace(0, 10, 100)
    y = 3 * x + 2 + np.random.randn(100) * 2

    neuron = tw.layers.Dense(1, kernel_initializer="zeros", input_shape=(1,))
    model = tw.Sequential([neuron])
    model.compile(optimizer=tw.optimizers.SGD(0.01), loss="mse", precision="float64")
    history = model.fit(x, y, epochs=100, batch_size=100, verbose=0)

    kernel, bias = neuron.get_weights()
    w, b, loss = float(kernel[0, 0]), float(bias[0]), history.history["loss"][-1]
    print(f"Final parameters: w={w:.4f}, b={b:.4f}")
    print("True parameters: w=3.0000, b=2.0000")
    print(f"Final loss: {loss:.4f}")
    print("\nKey insight: Gradient descent found parameters close to the true values!")

    if figures:
        folder = Path(figures)
        folder.mkdir(parents=True, exist_ok=True)
        figure = plots.fit_line(x, y, w, b, true=(3, 2), losses=history.history["loss"])
        figure.savefig(folder / "p1_line.png")
    return {"w": w, "b": b, "loss": loss}


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--figures", metavar="FOLDER", help="where to save the figures (needs matplotlib)")
    main(arguments.parse_args().figures)
