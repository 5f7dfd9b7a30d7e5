"""PyTorch: the loop that its users write, rows in memory, Adam in its fused form; eager, or ("compile") compiled.

In float64 it is the run that all others are held against, with Adam written out in the form that is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from serve import EPSILON_OF_ADAM, EPSILON_OF_NORMALIZATION, padding_of, serve
from torch import nn
from torch.nn import functional as F

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}  # softmax is in the loss


class Adam(torch.optim.Optimizer):
    """Adam in plain steps, for the float64 run. All forms but "torch" have ε beside the root of the uncorrected moment.

    "keras": with what float32 makes of the decays 0.9 and 0.999, as all have that compute their powers in float32:
    1 - 0.999ᵗ is 1e-5 smaller at first. PyTorch and scikit-learn compute it in float64.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], rate: float, form: str) -> None:
        super().__init__(parameters, {"rate": rate})
        self.form, self.t = form, 0
        self.decays = [float(np.float32(b)) if form == "keras" else b for b in (0.9, 0.999)]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        self.t += 1
        c1, c2 = (1 - b**self.t for b in self.decays)
        for p in self.param_groups[0]["params"]:
            m, v = self.state[p].get("m", 0 * p), self.state[p].get("v", 0 * p)
            m, v = 0.9 * m + 0.1 * p.grad, 0.999 * v + 0.001 * p.grad**2
            self.state[p].update(m=m, v=v)
            root = v.sqrt() + EPSILON_OF_ADAM * (c2**0.5 if self.form == "torch" else 1)
            p.sub_(self.param_groups[0]["rate"] * c2**0.5 / c1 * m / root)


class PyTorch:
    adam_form = "torch"

    def __init__(self, setup: SimpleNamespace) -> None:
        torch.set_num_threads(setup.threads)
        self.version = f"torch {torch.__version__}"
        self.spec, self.dtype = setup.workload, getattr(torch, setup.precision)
        self.places: dict[str, tuple[Any, Any, Any]] = {}  # where a weight lives, and how it is turned there and back
        self.network = nn.Sequential(*self._modules()).to(self.dtype)
        for name, (tensor, there, _) in self.places.items():
            tensor.data = torch.tensor(np.ascontiguousarray(there(setup.weights[name])), dtype=self.dtype)
        if len(self.spec["input_shape"]) == 3:
            self.network = self.network.to(memory_format=torch.channels_last)
        parameters, rate = list(self.network.parameters()), self.spec["rate"]
        self.optimizer: Any
        if self.spec["optimizer"] == "sgd":
            self.optimizer = torch.optim.SGD(parameters, rate)
        elif setup.precision == "float64":
            self.optimizer = Adam(parameters, rate, setup.adam_form)
        else:
            self.optimizer = torch.optim.Adam(parameters, rate, eps=EPSILON_OF_ADAM, fused=True)
        self.forward = self._loss_and_hits
        if setup.argument == "compile":
            self.forward = torch.compile(self._loss_and_hits)

    def _modules(self) -> Iterable[nn.Module]:
        shape = self.spec["input_shape"]
        picture: list[int] = []  # the shape before a Flatten: PyTorch's rows are channels first
        for i, layer in enumerate(self.spec["layers"]):
            match layer["kind"]:
                case "dense":
                    module = nn.Linear(shape[-1], layer["units"], bias=layer["bias"])
                    self._place(i, module, *_turned_dense(picture))
                    shape, picture = [layer["units"]], []
                case "convolution":
                    padding = padding_of(layer, shape[0])
                    options = {"stride": layer["stride"], "padding": padding, "bias": layer["bias"]}
                    module = nn.Conv2d(shape[2], layer["filters"], layer["size"], **options)
                    self._place(i, module, lambda k: k.transpose(3, 2, 0, 1), lambda k: k.transpose(2, 3, 1, 0))
                    length = (shape[0] + 2 * padding - layer["size"]) // layer["stride"] + 1
                    shape = [length, length, layer["filters"]]
                case "normalization":
                    kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
                    module = kind(shape[-1], eps=EPSILON_OF_NORMALIZATION)
                    self.places[f"{i}.gamma"] = module.weight, np.asarray, np.asarray
                    self.places[f"{i}.beta"] = module.bias, np.asarray, np.asarray
                case "pooling":
                    module = nn.MaxPool2d(layer["size"])
                    shape = [shape[0] // 2, shape[1] // 2, shape[2]]
                case "flatten":
                    module, picture, shape = nn.Flatten(), shape, [int(np.prod(shape))]
                case "relu":
                    module = nn.ReLU()
                case "dropout":
                    module = nn.Dropout(layer["rate"])
            yield module
            if layer.get("activation") in ACTIVATIONS:
                yield ACTIVATIONS[layer["activation"]]()

    def _place(self, i: int, module: Any, there: Any, back: Any) -> None:
        self.places[f"{i}.kernel"] = module.weight, there, back
        if module.bias is not None:
            self.places[f"{i}.bias"] = module.bias, np.asarray, np.asarray

    def _loss_and_hits(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        output = self.network(x)
        if self.spec["loss"] == "cross-entropy":
            return F.cross_entropy(output, y), (output.argmax(1) == y).sum()
        return F.mse_loss(output, y), ((output > 0.5) == (y > 0.5)).sum()

    def load(self, x: Any, y: Any) -> None:
        self.x = torch.as_tensor(x, dtype=self.dtype)
        if self.x.ndim == 4:
            self.x = self.x.permute(0, 3, 1, 2)  # the rows stay as they are: channels last
        self.y = torch.as_tensor(y, dtype=torch.int64 if self.spec["loss"] == "cross-entropy" else self.dtype)

    def fit(self, epochs: int, shuffle: bool) -> float:
        self.network.train()
        n, batch = len(self.x), self.spec["batch"]
        for _ in range(epochs):
            total, hits = torch.zeros((), dtype=self.dtype), torch.zeros((), dtype=torch.int64)
            order = torch.randperm(n) if shuffle else torch.arange(n)
            for rows in order.split(batch):
                loss, hit = self.forward(self.x[rows], self.y[rows])
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                total += loss.detach() * len(rows)
                hits += hit
            mean = float(total) / n
            self.accuracy = int(hits) / n
        return mean

    def weights(self) -> dict[str, Any]:
        return {name: back(tensor.detach().numpy()) for name, (tensor, _, back) in self.places.items()}


def _turned_dense(picture: list[int]) -> tuple[Any, Any]:
    """(inputs, units) to (units, inputs) and back; after a Flatten, from channels last to channels first and back."""
    if not picture:
        return np.transpose, np.transpose
    height, width, channels = picture
    return (
        lambda k: k.reshape(height, width, channels, -1).transpose(3, 2, 0, 1).reshape(k.shape[1], -1),
        lambda k: k.reshape(-1, channels, height, width).transpose(2, 3, 1, 0).reshape(-1, k.shape[0]),
    )


if __name__ == "__main__":
    serve(PyTorch, *sys.argv[1:2])
