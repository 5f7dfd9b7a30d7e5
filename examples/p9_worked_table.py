"""Three calculations by hand from the seeds, done by Talweg.

The worked table of seed 004: one neuron without an activation, w = (0.5, 0.1), b = 0.1, on the four rows of AND. The
error is |y - y_t|; with the squared error as L, the cost J = L1 + ... + L4 is 0.5.

>>> for row in worked_table():
...     print(*row)
0 0 0 0.1 0.1
0 1 0 0.2 0.2
1 0 0 0.6 0.6
1 1 1 0.7 0.3
>>> cost()
0.5

The update of seed 003, part 3: w = 2.0, gradient +0.5, learning rate 0.1.

>>> update(2.0, gradient=0.5, rate=0.1)
1.95

The dense layer of seed 000, question 2: 128 inputs, 64 outputs. Parameters, bytes as float32, bytes as int8.

>>> size_of_dense(128, 64)
(8256, 33024, 8256)

    python examples/p9_worked_table.py
"""

from __future__ import annotations

import numpy as np

import talweg as tw

X, Y_TRUE = tw.datasets.and_()


def neuron() -> tw.Sequential:
    """y = 0.5 x1 + 0.1 x2 + 0.1"""
    model = tw.Sequential([tw.layers.Dense(1, input_shape=(2,))])
    model.set_weights([[[0.5], [0.1]], [0.1]])
    return model


def worked_table() -> list[tuple[float, ...]]:
    """A row (x1, x2, y_t, y, error) for each input."""
    y = neuron().predict(X, verbose=0)[:, 0]
    return [
        (int(x1), int(x2), int(t), round(float(p), 6), round(float(abs(p - t)), 6))
        for (x1, x2), t, p in zip(X, Y_TRUE, y, strict=True)
    ]


def cost() -> float:
    """J, the sum of the four squared errors."""
    y = neuron().predict(X, verbose=0)[:, 0]
    return round(4 * float(tw.losses.mean_squared_error(Y_TRUE, y)), 6)


def update(w: float, gradient: float, rate: float) -> float:
    """w after one step of gradient descent."""
    after, _ = tw.optimizers.SGD(rate).update(w, gradient, {}, step=1, rate=rate)
    return float(after)


def size_of_dense(inputs: int, outputs: int) -> tuple[int, int, int]:
    """How many parameters, their bytes as they are (float32), and as int8."""
    model = tw.Sequential([tw.layers.Dense(outputs, input_shape=(inputs,))])
    weights = model.get_weights()
    return model.count_params(), sum(w.nbytes for w in weights), sum(w.astype(np.int8).nbytes for w in weights)


def main() -> dict[str, object]:
    table, (parameters, as_float32, as_int8) = worked_table(), size_of_dense(128, 64)
    print("x1  x2  y_t     y  error")
    for x1, x2, target, y, error in table:
        print(f"{x1:2}  {x2:2}  {target:3}  {y:4}  {error:5}")
    print(f"J = {cost()}")
    print(f"\nw = 2.0 - 0.1 · 0.5 = {update(2.0, 0.5, 0.1)}")
    print(f"\nDense, 128 to 64: {parameters:,} parameters, {as_float32:,} bytes as float32, {as_int8:,} as int8")
    return {"table": table, "cost": cost(), "update": update(2.0, 0.5, 0.1), "size": size_of_dense(128, 64)}


if __name__ == "__main__":
    main()
