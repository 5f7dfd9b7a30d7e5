"""The names of `tf.keras`: a program written for it runs with its imports changed to ``from talweg import keras``.

Imports only; what stands behind each name is in `talweg.nn`, `talweg.optim`, `talweg.train` and `talweg.data`.
"""

from talweg._version import __version__
from talweg.keras import (
    activations,
    backend,
    callbacks,
    constraints,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
    utils,
)
from talweg.nn.constraints import Constraint
from talweg.nn.initializers import Initializer
from talweg.nn.layers import Input, KerasTensor, Layer, Variable
from talweg.nn.losses import Loss
from talweg.nn.metrics import Metric
from talweg.nn.regularizers import Regularizer
from talweg.optim import UpdateRule as Optimizer
from talweg.train.model import Model
from talweg.train.sequential import Sequential

__all__ = [
    "Sequential",
    "Model",
    "Input",
    "activations",
    "backend",
    "callbacks",
    "constraints",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "utils",
    "Constraint",
    "Initializer",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Optimizer",
    "Regularizer",
    "Variable",
    "__version__",
]
