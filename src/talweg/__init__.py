"""Small neural networks with Keras's names and an engine of their own, every number of which can be seen.

>>> import talweg
>>> model = talweg.Sequential([talweg.layers.Dense(1, input_shape=(2,))], seed=0)
>>> model.count_params()
3

Nothing but the errors is imported before it is asked for (PEP 562), so that a program pays for what it uses.
Programs written for `tf.keras` find its names in `talweg.keras`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from talweg import errors
from talweg._version import __version__
from talweg.formats import FORMATS

if TYPE_CHECKING:
    from talweg import data, datasets, engines, export, graph, insight, keras, nn
    from talweg import optim as optimizers
    from talweg.keras import utils
    from talweg.nn import activations, constraints, initializers, layers, losses, metrics, regularizers
    from talweg.nn.layers import Input
    from talweg.nn.seeds import set_random_seed
    from talweg.optim import schedules
    from talweg.train import callbacks
    from talweg.train.model import Model
    from talweg.train.saved import load
    from talweg.train.sequential import Sequential

# Where each name lives: a module, or "module:attribute".
_HOMES = {
    "Sequential": "talweg.train.sequential:Sequential",
    "Model": "talweg.train.model:Model",
    "Input": "talweg.nn.layers:Input",
    "load": "talweg.train.saved:load",
    "set_random_seed": "talweg.nn.seeds:set_random_seed",
    "layers": "talweg.nn.layers",
    "activations": "talweg.nn.activations",
    "initializers": "talweg.nn.initializers",
    "regularizers": "talweg.nn.regularizers",
    "constraints": "talweg.nn.constraints",
    "losses": "talweg.nn.losses",
    "metrics": "talweg.nn.metrics",
    "optimizers": "talweg.optim",
    "schedules": "talweg.optim.schedules",
    "callbacks": "talweg.train.callbacks",
    "datasets": "talweg.datasets",
    "data": "talweg.data",
    "nn": "talweg.nn",
    "keras": "talweg.keras",
    "utils": "talweg.keras.utils",
    "graph": "talweg.graph",
    "engines": "talweg.engines",
    "insight": "talweg.insight",
    "export": "talweg.export",
}

for _ending in (".keras", ".h5", ".hdf5"):  # so that `talweg.train` finds what it may not import
    FORMATS[_ending] = lambda: import_module("talweg.export.keras")

__all__ = [
    "Sequential",
    "Model",
    "Input",
    "load",
    "set_random_seed",
    "layers",
    "activations",
    "initializers",
    "regularizers",
    "constraints",
    "losses",
    "metrics",
    "optimizers",
    "schedules",
    "callbacks",
    "datasets",
    "data",
    "nn",
    "keras",
    "utils",
    "graph",
    "engines",
    "insight",
    "export",
    "errors",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'talweg' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    module, _, attribute = _HOMES[name].partition(":")
    found = import_module(module)
    globals()[name] = value = getattr(found, attribute) if attribute else found
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
