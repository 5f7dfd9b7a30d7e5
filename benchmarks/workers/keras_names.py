"""A network with Keras's names, for the libraries that have them: Talweg, and Keras itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from serve import EPSILON_OF_ADAM, EPSILON_OF_NORMALIZATION

LOSSES = {"cross-entropy": "sparse_categorical_crossentropy", "squared-error": "mean_squared_error"}


def layer_of(layers: Any, layer: dict[str, Any]) -> Any:
    match layer["kind"]:
        case "dense":
            return layers.Dense(layer["units"], activation=layer["activation"], use_bias=layer["bias"])
        case "convolution":
            more = {"strides": layer["stride"], "padding": layer["padding"], "use_bias": layer["bias"]}
            return layers.Conv2D(layer["filters"], layer["size"], activation=layer["activation"], **more)
        case "normalization":
            return layers.BatchNormalization(epsilon=EPSILON_OF_NORMALIZATION)
        case "relu":
            return layers.Activation("relu")
        case "pooling":
            return layers.MaxPooling2D(layer["size"])
        case "flatten":
            return layers.Flatten()
        case "dropout":
            return layers.Dropout(layer["rate"])
    raise ValueError(f"a layer of kind {layer['kind']!r}")


class KerasShaped:
    """A compiled model of `library` (a namespace with Sequential, layers and optimizers), and its fit."""

    adam_form = "keras"

    def __init__(self, library: Any, setup: SimpleNamespace, **compile_arguments: Any) -> None:
        spec = setup.workload
        self.spec = spec
        parts = [layer_of(library.layers, layer) for layer in spec["layers"]]
        self.model = library.Sequential([library.layers.Input(tuple(spec["input_shape"])), *parts])
        self.parts = parts
        optimizers = library.optimizers
        rule = (
            optimizers.SGD(spec["rate"])
            if spec["optimizer"] == "sgd"
            else optimizers.Adam(spec["rate"], epsilon=EPSILON_OF_ADAM)
        )
        self.model.compile(rule, LOSSES[spec["loss"]], metrics=["accuracy"], **compile_arguments)
        for i, part in enumerate(parts):
            given = [w for name, w in setup.weights.items() if name.startswith(f"{i}.")]
            if given:
                part.set_weights([*given, *part.get_weights()[len(given) :]])  # what is left are moving averages
        self.names = list(setup.weights)

    def load(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def fit(self, epochs: int, shuffle: bool) -> float:
        history = self.model.fit(
            self.x, self.y, batch_size=self.spec["batch"], epochs=epochs, shuffle=shuffle, verbose=0
        )
        return float(history.history["loss"][-1])

    def weights(self) -> dict[str, Any]:
        found = {}
        for i, part in enumerate(self.parts):
            of_layer = [name for name in self.names if name.startswith(f"{i}.")]
            found |= dict(zip(of_layer, part.get_weights(), strict=False))
        return found
