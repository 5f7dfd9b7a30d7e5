"""A network of 2-8-2 learns whether two numbers have the same sign, which no straight line can tell.

Seed 000, example 3, from the seed's own first weights. The seed writes forward pass, loss and backward pass by hand, in
NumPy; here they are three lines, and come to the same loss. Loss and accuracy are those before the last step, as in the
seed.

    python examples/p3_sign_of_product.py --figures figures
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import talweg as tw
from talweg.insight import plots


def main(figures: str | None = None) -> dict[str, float]:
    np.random.seed(42)
    x = np.random.randn(200, 2)
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    w1, w2 = np.random.randn(2, 8) * 0.1, np.random.randn(8, 2) * 0.1  # the seed draws them in this order

    model = tw.Sequential([tw.layers.Dense(8, activation="relu"), tw.layers.Dense(2, activation="softmax")])
    model.compile(tw.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"], precision="float64")
    model.build((2,))
    model.set_weights([w1, np.zeros(8), w2, np.zeros(2)])
    history = model.fit(x, y, batch_size=len(x), epochs=200, verbose=0)

    loss, accuracy = history.history["loss"][-1], history.history["accuracy"][-1]
    print(f"Final loss: {loss:.4f}")
    print(f"Final accuracy: {accuracy:.2%}")
    print("\nKey insight: Neural networks learn nonlinear decision boundaries!")

    if figures:
        folder = Path(figures)
        folder.mkdir(parents=True, exist_ok=True)
        history.plot().savefig(folder / "p3_training.png")
        boundary = plots.decision_boundary(model, x, y, title=f"Decision boundary (accuracy {accuracy:.2%})")
        boundary.savefig(folder / "p3_decision_boundary.png")
    return {"loss": loss, "accuracy": accuracy}


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--figures", metavar="FOLDER", help="where to save the figures (needs matplotlib)")
    main(arguments.parse_args().figures)
