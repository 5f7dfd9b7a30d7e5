"""What Talweg and Keras call alike, and what only one of them has.

A class is Keras's if it has its name there; what only Talweg has is listed here, and a test holds the lists against
Keras itself.
"""

from __future__ import annotations

from typing import Any

from talweg.nn.constraints import CONSTRAINTS, Constraint
from talweg.nn.initializers import INITIALIZERS, Initializer
from talweg.nn.layers import LAYERS, Layer
from talweg.nn.losses import Loss
from talweg.nn.metrics import METRICS, Metric
from talweg.nn.regularizers import REGULARIZERS, Regularizer
from talweg.optim import OPTIMIZERS, UpdateRule
from talweg.optim.schedules import SCHEDULES, Schedule
from talweg.registry import Registry

KINDS: dict[str, tuple[type, Registry[Any], str]] = {
    "layer": (Layer, LAYERS, "keras.layers"),
    "initializer": (Initializer, INITIALIZERS, "keras.initializers"),
    "regularizer": (Regularizer, REGULARIZERS, "keras.regularizers"),
    "constraint": (Constraint, CONSTRAINTS, "keras.constraints"),
    "loss": (Loss, Loss.registry, "keras.losses"),
    "metric": (Metric, METRICS, "keras.metrics"),
    "optimizer": (UpdateRule, OPTIMIZERS, "keras.optimizers"),
    "schedule": (Schedule, SCHEDULES, "keras.optimizers.schedules"),
}
"""Each kind of thing: its base, its table, and the module where Keras has it."""

ONLY_HERE: dict[str, frozenset[str]] = {
    "layer": frozenset({"RReLU"}),
    "activation": frozenset({"gaussian", "rrelu", "softmin"}),
    "loss": frozenset(
        {
            *(
                "L1Loss",
                "MSELoss",
                "HuberLoss",
                "SmoothL1Loss",
                "PoissonNLLLoss",
                "GaussianNLLLoss",
                "CrossEntropyLoss",
            ),
            *("CTCLoss", "NLLLoss", "KLDivLoss", "MultiMarginLoss", "BCELoss", "BCEWithLogitsLoss", "SoftMarginLoss"),
            *("HingeEmbeddingLoss", "MultiLabelSoftMarginLoss", "MultiLabelMarginLoss", "MarginRankingLoss"),
            *("CosineEmbeddingLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss"),
        }
    ),
    "metric": frozenset({"ConfusionMatrix", "MatthewsCorrelation"}),
    "optimizer": frozenset({"SparseAdam", "ASGD", "LBFGS", "RAdam", "Rprop"}),
    "schedule": frozenset(
        {
            *("ConstantRate", "LinearRate", "CyclicRate", "OneCycle", "SequentialSchedule", "ChainedSchedule"),
            *("Warmup", "StepDecay", "MultiStepDecay"),
        }
    ),
}
"""Names of Talweg's that Keras has not."""

OWN_OPTIONS = frozenset({"form", "decoupled_weight_decay", "dampening", "lr_decay", "momentum_decay"})
"""Options of optimizers that Keras has not."""

RENAMED: dict[tuple[str, str], str] = {("LeakyReLU", "alpha"): "negative_slope"}
"""Options that Keras 2 called otherwise."""

IGNORED = frozenset(
    {"name", "batch_input_shape", "batch_shape", "input_length", "dtype", "jit_compile", "is_legacy_optimizer"}
)
"""Options of Keras that say nothing which Talweg does not know otherwise."""

SAYS_NOTHING: dict[str, tuple[Any, ...]] = {
    "data_format": ("channels_last",),
    "renorm_momentum": (0.99,),  # of no use without `renorm`, which is an error
    "value_range": ([0, 255],),  # of layers that look at no values
    "decay": (0.0,),
    "relative_step": (True,),  # of Adafactor
}
"""Options that Talweg has not, with the values at which they say nothing. Anywhere, None and False do so."""

OPERATIONS: dict[str, tuple[str | None, Any, Any]] = {
    "Add": ("Add", lambda c: (1.0, c), lambda c: (1.0, c)),
    "Subtract": ("Subtract", lambda c: (1.0, -c), lambda c: (-1.0, c)),
    "Multiply": ("Multiply", lambda c: (c, 0.0), lambda c: (c, 0.0)),
    "TrueDivide": (None, lambda c: (1.0 / c, 0.0), None),
    "Divide": (None, lambda c: (1.0 / c, 0.0), None),
    "Negative": (None, None, None),
}
"""What ``x + y`` on placeholders is: a layer for two of them, and scale and offset for x + c and for c + x."""

PRECISIONS = {
    **{"float32": "float32", "mixed_float16": "float32", "mixed_bfloat16": "float32", "float16": "float32"},
    "float64": "float64",
}
"""In which precision a layer of such a policy is computed here."""
