"""Layers: each declares what it learns and writes its formula."""

from talweg.nn.layers.base import LAYERS, Context, Layer, Parameter, Variable
from talweg.nn.layers.core import Activation, Dropout, Flatten, Input, Normalization, Rescaling, Reshape
from talweg.nn.layers.dense import Dense

InputLayer = Input

__all__ = [
    "LAYERS",
    "Activation",
    "Context",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "Normalization",
    "Parameter",
    "Rescaling",
    "Reshape",
    "Variable",
]
