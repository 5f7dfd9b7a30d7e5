"""Losses by number: how wrong a prediction is, as one number.

Seed 000, example 2 (mean squared error, mean absolute error, cross-entropy), and the two calculations by hand of seed
003, part 2. Each loss of Talweg is a formula: given numbers, it answers a number.

    python examples/p2_losses.py --figures figures
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from talweg import losses
from talweg.insight import plots


def main(figures: str | None = None) -> dict[str, float]:
    y_true = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    y_pred = np.array([1.2, 2.1, 2.8, 4.3, 4.9])
    mse = float(losses.mean_squared_error(y_true, y_pred))
    mae = float(losses.mean_absolute_error(y_true, y_pred))

    one_hot = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    each = losses.categorical_crossentropy(one_hot, probabilities)  # -ln of what the true class was given
    cross_entropy = float(losses.CategoricalCrossentropy()(one_hot, probabilities))  # their mean

    print("LOSS FUNCTION COMPARISON")
    print("=" * 50)
    print("\nRegression Losses:")
    print(f"  MSE (Mean Squared Error): {mse:.4f}")
    print(f"  MAE (Mean Absolute Error): {mae:.4f}")
    print("\nClassification Loss:")
    print(f"  Cross-Entropy Loss: {cross_entropy:.4f}, the mean of {', '.join(f'{e:.4f}' for e in each)}")
    print("\nKey insight: MSE penalizes large errors more heavily (squared term)!")

    example = float(losses.mean_squared_error([1.0, 0.0, 1.0], [0.8, 0.2, 0.9]))
    question = float(losses.mean_squared_error([0, 1, 1, 0], [0.1, 0.9, 0.8, 0.2]))
    print("\nBy hand, in seed 003:")
    print(f"  (0.04 + 0.04 + 0.01) / 3 = {example:.4g}")
    print(f"  (0.01 + 0.01 + 0.04 + 0.04) / 4 = {question:.4g}")

    if figures:
        folder = Path(figures)
        folder.mkdir(parents=True, exist_ok=True)
        plots.loss_over_weight([1.0], [2.0]).savefig(folder / "p2_loss_over_weight.png")
        plots.loss_over_prediction(3.0, of=("mse", "mae")).savefig(folder / "p2_loss_over_prediction.png")
        plots.loss_over_prediction(1.0, np.linspace(0.01, 0.99, 99), of=("binary_crossentropy", "mse")).savefig(
            folder / "p2_cross_entropy_over_prediction.png"
        )
    return {"mse": mse, "mae": mae, "cross_entropy": cross_entropy, "example": example, "question": question}


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--figures", metavar="FOLDER", help="where to save the figures (needs matplotlib)")
    main(arguments.parse_args().figures)
