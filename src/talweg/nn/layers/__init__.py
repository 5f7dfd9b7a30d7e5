"""Layers: each declares what it learns and writes its formula."""

from talweg.nn.layers.base import LAYERS, Context, Layer
from talweg.nn.layers.convolution import Conv2D
from talweg.nn.layers.core import Activation, Dropout, Flatten, Normalization, Rescaling, Reshape
from talweg.nn.layers.dense import Dense
from talweg.nn.layers.input import Input, InputLayer
from talweg.nn.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from talweg.nn.layers.normalization import BatchNormalization
from talweg.nn.layers.pooling import MaxPool2D, MaxPooling2D
from talweg.nn.layers.symbolic import KerasTensor
from talweg.nn.layers.variable import Parameter, Variable

__all__ = [
    "LAYERS",
    "Activation",
    "Add",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "Context",
    "Conv2D",
    "Dense",
    "Dot",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "KerasTensor",
    "Layer",
    "MaxPool2D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "Parameter",
    "Rescaling",
    "Reshape",
    "Subtract",
    "Variable",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
