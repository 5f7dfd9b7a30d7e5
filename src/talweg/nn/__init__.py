"""The vocabulary: layers, activations, initializers, losses, metrics and regularizers.

The activations also stand here by name, so that ``tf.nn.relu`` works with ``import talweg as tf``.
"""

from talweg.nn import activations, initializers, layers, losses, metrics, regularizers
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
