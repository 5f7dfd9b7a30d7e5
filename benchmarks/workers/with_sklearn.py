"""scikit-learn's MLPClassifier, where it can express the network; `partial_fit` is one epoch that forgets nothing.

It measures no accuracy as it goes, which favours it a little.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import sklearn
from serve import EPSILON_OF_ADAM, NotAvailable, serve
from sklearn.neural_network import MLPClassifier


class ScikitLearn:
    adam_form = "scikit-learn"
    version = f"scikit-learn {sklearn.__version__}"

    def __init__(self, setup: SimpleNamespace) -> None:
        spec = setup.workload
        *hidden, last = spec["layers"]
        if any(layer["kind"] != "dense" for layer in spec["layers"]) or last["activation"] != "softmax":
            raise NotAvailable("it has dense networks with cross-entropy only")
        self.names = list(setup.weights)
        self.model = MLPClassifier(
            tuple(layer["units"] for layer in hidden),
            **{"activation": "relu", "solver": "adam", "alpha": 0.0, "batch_size": spec["batch"]},
            **{"learning_rate_init": spec["rate"], "epsilon": EPSILON_OF_ADAM, "random_state": 0},
        )
        inputs, classes = spec["input_shape"][0], last["units"]
        first = np.zeros((spec["batch"], inputs), setup.precision)
        self.model.partial_fit(first, np.zeros(spec["batch"], int), classes=np.arange(classes))  # makes the weights
        kernels = [setup.weights[name] for name in self.names if name.endswith("kernel")]
        biases = [setup.weights[name] for name in self.names if name.endswith("bias")]
        self.model.coefs_, self.model.intercepts_ = [k.copy() for k in kernels], [b.copy() for b in biases]
        del self.model._optimizer  # and the optimizer begins anew

    def load(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def fit(self, epochs: int, shuffle: bool) -> float:
        self.model.shuffle = shuffle
        for _ in range(epochs):
            self.model.partial_fit(self.x, self.y)
        return float(self.model.loss_)

    def weights(self) -> dict[str, Any]:
        pairs = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        return dict(zip(self.names, (a for pair in pairs for a in pair), strict=True))


if __name__ == "__main__":
    serve(ScikitLearn)
