"""`keras.layers`: what a model is made of."""

from talweg.nn.layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    InputLayer,
    Layer,
    MaxPool2D,
    MaxPooling2D,
    Normalization,
    Rescaling,
    Reshape,
)

__all__ = [
    "Activation",
    "BatchNormalization",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "MaxPool2D",
    "MaxPooling2D",
    "Normalization",
    "Rescaling",
    "Reshape",
]
