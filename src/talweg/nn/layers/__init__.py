"""Layers: each declares what it learns and writes its formula."""

from talweg.nn.layers.base import LAYERS, Context, Layer, Parameter, Variable
from talweg.nn.layers.convolution import Conv2D
from talweg.nn.layers.core import Activation, Dropout, Flatten, Input, Normalization, Rescaling, Reshape
from talweg.nn.layers.dense import Dense
from talweg.nn.layers.normalization import BatchNormalization
from talweg.nn.layers.pooling import MaxPool2D, MaxPooling2D

InputLayer = Input

__all__ = [
    "LAYERS",
    "Activation",
    "BatchNormalization",
    "Context",
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
    "Parameter",
    "Rescaling",
    "Reshape",
    "Variable",
]
