"""The vocabulary: layers, activations, initializers, losses, metrics, regularizers and constraints.

The activations also stand here by name, so that ``tf.nn.relu`` works with ``import talweg as tf``.
"""

from talweg.nn import activations, constraints, initializers, layers, losses, metrics, regularizers
from talweg.nn.activations import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    swish,
    tanh,
)

__all__ = [
    "activations",
    "constraints",
    "elu",
    "gelu",
    "initializers",
    "layers",
    "leaky_relu",
    "log_softmax",
    "losses",
    "metrics",
    "regularizers",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "swish",
    "tanh",
]
