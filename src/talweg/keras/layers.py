"""`keras.layers`: what a model is made of."""

from talweg.nn.layers import (
    Activation,
    Dense,
    Dropout,
    Flatten,
    Input,
    InputLayer,
    Layer,
    Normalization,
    Rescaling,
    Reshape,
)

__all__ = [
    "Activation",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "Normalization",
    "Rescaling",
    "Reshape",
]
