"""XOR by back-propagation, one example at a time: which networks learn it, from which starts, and how often.

Seed 003, part 5: shape [2, 4, 1], sigmoids, squared error, α = 0.5, 1000 epochs of the four examples in order; before
and after. Then the seed's claims about shapes are tried with many starts each. Seed 004: a single neuron learns AND,
but not without a bias, and a bias is no more than a weight on an input that is always 1.

    python examples/p8_xor.py --starts 100
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

import talweg as tw
from talweg import graph as g
from talweg.engines import Reference
from talweg.gradient import gradient

EPOCHS, ALPHA = 1000, 0.5
INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
XOR, AND = np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.0, 0.0, 0.0, 1.0])
SHAPES = ([2, 1], [2, 2, 1], [2, 3, 1], [2, 4, 1], [2, 5, 1], [2, 100, 50, 1])


def network(shape: Sequence[int], seed: int, start: str = "glorot_uniform", use_bias: bool = True) -> tw.Sequential:
    """Layers of sigmoids: [2, 4, 1] has two inputs, four hidden neurons and one output."""
    options = {"activation": "sigmoid", "kernel_initializer": start, "use_bias": use_bias}
    model = tw.Sequential([tw.layers.Dense(units, **options) for units in shape[1:]], seed=seed)
    model.build(shape[0])
    return model


def train(model: tw.Sequential, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the model says of each row of x before training, and after."""
    model.compile(tw.optimizers.SGD(ALPHA), loss="mse")
    before = model.predict(x)[:, 0]
    model.fit(x, y, batch_size=1, epochs=EPOCHS, shuffle=False, verbose=0)
    return before, model.predict(x)[:, 0]


def train_many(models: Sequence[tw.Sequential], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same for many networks of one shape at once: what each says of each row after training, (models, rows).

    Their weights stand one upon another, so one graph is a step of all of them. The loss is the sum of theirs: no
    network's weight is in another's loss, so each gets its own gradient.
    """
    first = [np.stack(arrays) for arrays in zip(*(model.get_weights() for model in models), strict=True)]
    weights = [g.state_tensor(f"weights {i}", array.shape) for i, array in enumerate(first)]
    example, label = g.input_tensor("x", (g.BATCH, x.shape[1])), g.input_tensor("y", (g.BATCH,))

    a = g.broadcast_to(g.sum(example, axis=0), (len(models), x.shape[1]))  # the batch is one row: its sum is that row
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        a = g.sigmoid(g.sum(g.expand_dims(a, 2) * kernel, axis=1) + bias)
    loss = g.sum(g.square(a - g.sum(label)))
    updates = {w: w - ALPHA * slope for w, slope in zip(weights, gradient(loss, weights), strict=True)}

    program = g.Program("many", (example, label), tuple(weights), {"outputs": a}, updates)
    session = Reference().compile(program, {w.name: array for w, array in zip(weights, first, strict=True)})
    session.run({"x": x, "y": y}, order=np.tile(np.arange(len(x)), EPOCHS), batch_size=1)

    last = session.states()
    for i, model in enumerate(models):
        model.set_weights([last[w.name][i] for w in weights])
    return np.stack([model.predict(x)[:, 0] for model in models])


def count(answers: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """How many of many networks learned y: on the right side of ½ for every row; and how far off the median one is."""
    learned = ((answers > 0.5) == (y > 0.5)).all(axis=1)
    worst = np.abs(answers - y).max(axis=1)
    return {"starts": len(answers), "learned": int(learned.sum()), "median_worst_error": float(np.median(worst))}


def main(starts: int = 30) -> dict[str, dict]:
    found: dict[str, dict] = {"shapes": {}, "starts": {}, "and": {}}

    before, after = train(network([2, 4, 1], seed=0), INPUTS, XOR)
    found["before"], found["after"] = before, after
    print(f"XOR, [2, 4, 1], {EPOCHS} epochs, one example at a time, α = {ALPHA}\n")
    print("x1  x2   target   before   after")
    for (x1, x2), target, b, a in zip(INPUTS, XOR, before, after, strict=True):
        print(f"{x1:2.0f}  {x2:2.0f}   {target:6.0f}   {b:6.2f}   {a:5.2f}")

    print("\nWhich shapes learn it (Glorot's uniform start)\n")
    print("shape             learned     median worst error")
    for shape in SHAPES:
        n = starts if max(shape) < 10 else min(starts, 10)  # the largest takes as long as all others together
        row = count(train_many([network(shape, seed) for seed in range(n)], INPUTS, XOR), XOR)
        found["shapes"][str(shape)] = row
        print(f"{shape!s:16} {row['learned']:4} of {row['starts']:<4} {row['median_worst_error']:14.3f}")

    print("\nWhich starts lead [2, 4, 1] there\n")
    print("weights at the start           learned     median worst error")
    for name, start in {
        "all 0": "zeros",
        "normal, deviation 0.01": tw.initializers.RandomNormal(0, 0.01),
        "Glorot's uniform, ±√(6/(in+out))": "glorot_uniform",
        "normal, deviation 1": tw.initializers.RandomNormal(0, 1),
        "normal, deviation 5": tw.initializers.RandomNormal(0, 5),
    }.items():
        row = count(train_many([network([2, 4, 1], seed, start) for seed in range(starts)], INPUTS, XOR), XOR)
        found["starts"][name] = row
        print(f"{name:32} {row['learned']:2} of {row['starts']:<4} {row['median_worst_error']:14.3f}")

    print("\nAND with one neuron\n")
    print("                          f(0,0)  f(0,1)  f(1,0)  f(1,1)")
    with_one = np.column_stack([np.ones(4), INPUTS])  # seed 004: x = [1, x1, x2], w = [b, w1, w2]
    for name, x, use_bias in (
        ("with bias", INPUTS, True),
        ("without", INPUTS, False),
        ("bias as a weight on 1", with_one, False),
    ):
        _, after = train(network([x.shape[1], 1], seed=0, start="zeros", use_bias=use_bias), x, AND)
        found["and"][name] = after
        print(f"{name:24} {'  '.join(f'{a:6.2f}' for a in after)}")
    return found


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--starts", type=int, default=30, help="how many networks of each kind")
    main(arguments.parse_args().starts)
