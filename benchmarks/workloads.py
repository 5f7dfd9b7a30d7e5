"""The six workloads: networks as data that every worker can read, their first weights, their arithmetic, their bars."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Layer = dict[str, Any]
Shape = tuple[int, ...]


def dense(units: int, activation: str | None = None, bias: bool = True) -> Layer:
    return {"kind": "dense", "units": units, "activation": activation, "bias": bias}


def convolution(filters: int, size: int, activation: str | None = None, **more: Any) -> Layer:
    given = {"stride": 1, "padding": "valid", "bias": True} | more
    return {"kind": "convolution", "filters": filters, "size": size, "activation": activation, **given}


NORMALIZED = [{"kind": "normalization"}, {"kind": "relu"}]
POOLING, FLATTEN = {"kind": "pooling", "size": 2}, {"kind": "flatten"}


def dropout(rate: float) -> Layer:
    return {"kind": "dropout", "rate": rate}


@dataclass(frozen=True)
class Workload:
    """What is trained, and what is expected of it.

    optimizer, rate       "adam" or "sgd", and its learning rate
    loss                  "cross-entropy" of the last layer's softmax, or "squared-error"
    data                  "pictures" (60,000 rows of 784 pixels) or "xor" (60,000 rows of two bits)
    bar                   how many times faster than the best peer Talweg has to be; `bar_set_by` was the best then
    check_steps           after how many steps all must agree with the float64 run, and
    tolerance             how far, relatively, the loss of the last of these steps may be from it
    weight_tolerance      and how far the weights, relatively to the way that they went. One ReLU that opens a step
                          sooner is already some 0.003, and Keras's form of Adam in float32 is exact to five digits
    """

    name: str
    title: str
    batch: int
    input_shape: Shape
    layers: tuple[Layer, ...]
    bar: float
    bar_set_by: str = "PyTorch"
    optimizer: str = "adam"
    rate: float = 1e-3
    loss: str = "cross-entropy"
    data: str = "pictures"
    check_steps: int = 50
    tolerance: float = 1e-3
    weight_tolerance: float = 0.02

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _mlp(name: str, units: tuple[int, ...], batch: int, bar: float) -> Workload:
    layers = (*(dense(u, "relu") for u in units), dense(10, "softmax"))
    return Workload(name, "-".join(map(str, (784, *units, 10))), batch, (784,), layers, bar, "JAX, scan")


W3 = (
    *(convolution(6, 3, padding="same", bias=False), *NORMALIZED),
    *(convolution(12, 6, stride=2, padding="same", bias=False), *NORMALIZED),
    *(convolution(24, 6, stride=2, padding="same", bias=False), *NORMALIZED),
    *(FLATTEN, dense(200, bias=False), *NORMALIZED, dropout(0.4), dense(10, "softmax")),
)
W4 = (
    *(convolution(32, 3, "relu"), POOLING, convolution(64, 3, "relu"), POOLING),
    *(FLATTEN, dropout(0.5), dense(10, "softmax")),
)
PICTURE = (28, 28, 1)
# Batch normalization magnifies rounding, and W4 is chaotic after some ten steps: float32 itself is about this far off.
LOOSE: dict[str, Any] = {"tolerance": 0.02, "weight_tolerance": 0.2}
XOR = (dense(4, "sigmoid"), dense(1, "sigmoid"))

TRAINED = {
    w.name: w
    for w in (
        _mlp("W1", (20,), 32, 5.0),
        _mlp("W2", (200, 60), 64, 2.0),
        _mlp("W2b", (200, 60), 128, 1.6),
        Workload("W3", "conv 6, 12, 24 with BN; dense 200", 64, PICTURE, W3, 3.0, **LOOSE),
        Workload(
            "W4", "conv 32, pool, conv 64, pool", 128, PICTURE, W4, 3.0, "Keras on TensorFlow", check_steps=10, **LOOSE
        ),
        Workload(
            "W5", "XOR 2-4-1, one example a step", 1, (2,), XOR, 500.0, "PyTorch", "sgd", 0.5, "squared-error", "xor"
        ),
    )
}
NEURON, NEURON_BAR, NEURON_BAR_SET_BY = (
    "W6",
    30.0,
    "Keras on TensorFlow",
)  # one neuron, 6 points, 500 epochs, the whole process: see whole_process.py
LIMIT_BAR, LIMITED = 1.5, ("W1", "W2", "W2b", "W3", "W4")  # at most so many times the hand-written C


def shapes(workload: Workload) -> Iterator[tuple[Layer, Shape, Shape]]:
    """Each layer with the shape of one example before and after it."""
    before = workload.input_shape
    for layer in workload.layers:
        after: Shape = before
        if layer["kind"] == "dense":
            after = (*before[:-1], layer["units"])
        elif layer["kind"] == "convolution":
            same = layer["padding"] == "same"
            lengths = (math.ceil((n if same else n - layer["size"] + 1) / layer["stride"]) for n in before[:2])
            after = (*lengths, layer["filters"])
        elif layer["kind"] == "pooling":
            after = (*(n // layer["size"] for n in before[:2]), before[2])
        elif layer["kind"] == "flatten":
            after = (math.prod(before),)
        yield layer, before, after
        before = after


def first_weights(workload: Workload, seed: int = 0) -> dict[str, np.ndarray]:
    """The same for all: Glorot's uniform numbers, float32, by the layer's number and the parameter's name.

    Kernels are (inputs, units), or (height, width, channels, filters).
    """
    random, weights = np.random.default_rng(seed), {}
    for i, (layer, before, after) in enumerate(shapes(workload)):
        if layer["kind"] in ("dense", "convolution"):
            window = (layer["size"],) * 2 if layer["kind"] == "convolution" else ()
            field = math.prod(window)
            bound = math.sqrt(6 / (field * before[-1] + field * after[-1]))
            weights[f"{i}.kernel"] = random.uniform(-bound, bound, (*window, before[-1], after[-1])).astype(np.float32)
            if layer["bias"]:
                weights[f"{i}.bias"] = np.zeros(after[-1], np.float32)
        elif layer["kind"] == "normalization":
            weights[f"{i}.gamma"] = np.ones(before[-1], np.float32)
            weights[f"{i}.beta"] = np.zeros(before[-1], np.float32)
    return weights


def flops(workload: Workload) -> float:
    """Floating-point operations of the contractions in one step: output, kernel's gradient, input's gradient.

    The first contraction needs no gradient of its input. All else (activations, the update) is left out: the fraction
    of the peak says how near a step is to nothing but these contractions at full speed.
    """
    total, is_first = 0.0, True
    for layer, before, after in shapes(workload):
        if layer["kind"] in ("dense", "convolution"):
            window = layer["size"] ** 2 if layer["kind"] == "convolution" else 1
            once = 2.0 * math.prod(after) * window * before[-1]
            total += once * (2 if is_first else 3)
            is_first = False
    return total * workload.batch
