"""What stands under Keras's names takes Keras's arguments: the same names, in the same order, with the same defaults.

Held against Keras itself, class by class and function by function. What differs is in the tables below, with the
reason; an entry that is no longer true fails, so the tables say what is so.
"""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import Any

import pytest

from support import oracle
from talweg.registry import encode, snake_case

keras = oracle("keras")

MODULES = [
    *("activations", "callbacks", "initializers", "layers", "losses", "metrics", "models"),
    *(
        "optimizers",
        "optimizers.schedules",
        "regularizers",
        "constraints",
        "utils",
        "datasets.mnist",
        "datasets.fashion_mnist",
    ),
]

LARGE_MODELS = "made for adapting or shrinking large trained models"
ONE_BATCH = "a batch is as long as it is: the batch axis is symbolic, decision 001"
ONE_ARRAY = "a model takes one dense array"
RENORM = "for batches of very few examples, whose statistics say little; take larger ones"
NO_NAME = "a schedule is part of an optimizer and needs no name"

# Arguments of Keras that Talweg does not take, wherever they occur.
ABSENT = {
    "lora_rank": LARGE_MODELS,
    "lora_alpha": LARGE_MODELS,
    "quantization_config": LARGE_MODELS,
    "input_axes": "kernels have their inputs and outputs along the last two axes",
    "output_axes": "kernels have their inputs and outputs along the last two axes",
    "loss_scale_factor": "for 16-bit floats, which no engine has",
    "double_checkpoint": "a checkpoint is put in place whole, or the one before stays",
    "zipped": "the name's ending says whether it is a file or a folder",
}
# The same, of one class or function.
ABSENT_IN = {
    ("Flatten", "data_format"): "channels are last",
    ("Embedding", "weights"): "set_weights, once the layer is built",
    ("Bidirectional", "weights"): "Keras takes it and does nothing with it; set_weights, once the layer is built",
    ("Normalization", "invert"): "undoing a normalization is the scaler's: talweg.data.Scaling",
    ("Input", "sparse"): ONE_ARRAY,
    ("Input", "ragged"): ONE_ARRAY,
    ("Input", "tensor"): "a placeholder is made by Input, of no other tensor",
    ("Input", "optional"): ONE_ARRAY,
    ("InputLayer", "batch_size"): ONE_BATCH,
    ("InputLayer", "batch_shape"): ONE_BATCH,
    ("InputLayer", "sparse"): ONE_ARRAY,
    ("InputLayer", "ragged"): ONE_ARRAY,
    ("InputLayer", "input_tensor"): "a placeholder is made by Input, of no other tensor",
    ("InputLayer", "optional"): ONE_ARRAY,
    ("BatchNormalization", "renorm"): RENORM,
    ("BatchNormalization", "renorm_clipping"): RENORM,
    ("BatchNormalization", "renorm_momentum"): RENORM,
    ("BatchNormalization", "synchronized"): "one program computes the whole batch",
    ("ExponentialDecay", "name"): NO_NAME,
    ("CosineDecay", "name"): NO_NAME,
    ("CosineDecayRestarts", "name"): NO_NAME,
    ("InverseTimeDecay", "name"): NO_NAME,
    ("PiecewiseConstantDecay", "name"): NO_NAME,
    ("PolynomialDecay", "name"): NO_NAME,
    ("Adafactor", "relative_step"): "it changes nothing: Keras too holds the rate below 1 / sqrt(step) in either case",
    ("mnist.load_data", "path"): "looked for in $TALWEG_DATA, then the user's cache",
}
# Arguments with another default.
CHANGED = {
    ("InputLayer", "shape"): "an Input without a shape says nothing",
    ("Huber", "name"): "histories call it loss, whatever its name",
    ("categorical_generalized_cross_entropy", "q"): "½, as of the class",
    ("threshold", "threshold"): "0, so that the name alone is an activation",
    ("threshold", "default_value"): "0, so that the name alone is an activation",
    ("Adafactor", "epsilon_1"): "None: Keras's 1e-30, and PyTorch's in its form",
    ("F1Score", "average"): "one number, that a progress line can show; Keras answers one a class",
    ("FBetaScore", "average"): "one number, that a progress line can show; Keras answers one a class",
}
# Arguments that Keras hides behind **kwargs, or that are Talweg's own.
OWN = {
    "name": "in Keras, part of **kwargs",
    "input_shape": "in Keras, part of **kwargs",
    "trainable": "in Keras, part of **kwargs",
    "dtype": "in Keras, part of **kwargs",
    "input_dim": "in Keras, part of **kwargs",
    "zero_output_for_mask": "in Keras, part of **kwargs",
    "min_val": "of PyTorch's hardtanh",
    "max_val": "of PyTorch's hardtanh",
    "options": "of the function that is averaged; in Keras **kwargs",
    "y_pred": "by which metrics.get finds what fits the labels",
    "y_true": "by which metrics.get finds what fits the labels",
    "engine": "what computes is a value that is passed in",
    "seed": "of all that is random in a model",
    "form": "Keras's formula of an update rule, or PyTorch's",
    "decoupled_weight_decay": "of PyTorch's rules",
    "dampening": "of PyTorch's SGD",
    "lr_decay": "of PyTorch's Adagrad",
    "momentum_decay": "of PyTorch's NAdam",
    "include_optimizer": "in Keras, part of **kwargs",
}
# What is not compared: it is not for users to call, or it is named as in Keras and means another thing.
APART = {
    ("layers", "Layer"): "the base; a layer of one's own writes call(x, p, context): see docs",
    ("metrics", "Metric"): "the base",
    ("initializers", "Initializer"): "the base",
    ("regularizers", "Regularizer"): "the base",
    ("constraints", "Constraint"): "the base",
    ("losses", "Loss"): "the base",
    ("optimizers", "Optimizer"): "the base; one's own writes update(w, g, s, step, rate)",
    ("optimizers.schedules", "LearningRateSchedule"): "the base",
    ("losses", "circle"): "it takes what the class takes, in that order; Keras's also compares with another batch",
    ("callbacks", "History"): "what fit answers; it need not be passed to it",
    ("models", "Model"): "Keras's takes anything, and looks whether it is called with inputs and outputs",
}


def of_keras(module: str) -> ModuleType:
    home: Any = keras
    for part in module.split("."):
        home = getattr(home, part)
    return home


def pairs() -> list[tuple[str, str]]:
    """(module, name) of everything that stands in both."""
    found = []
    for module in MODULES:
        ours = importlib.import_module(f"talweg.keras.{module}")
        found += [(module, n) for n in ours.__all__ if callable(getattr(of_keras(module), n, None))]
    return [p for p in found if p not in APART]


def arguments(thing: Any) -> dict[str, inspect.Parameter]:
    given = inspect.signature(thing).parameters
    if list(given) == ["args", "kwargs"]:  # a class that hides what its __init__ takes
        given = inspect.signature(thing.__init__).parameters
    return {n: p for n, p in given.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and n != "self"}


def positional(given: dict[str, inspect.Parameter]) -> list[str]:
    return [p.name for p in given.values() if p.kind is not p.KEYWORD_ONLY]


def both(module: str, name: str) -> tuple[dict[str, inspect.Parameter], dict[str, inspect.Parameter]]:
    ours = getattr(importlib.import_module(f"talweg.keras.{module}"), name)
    return arguments(ours), arguments(getattr(of_keras(module), name))


def label(module: str, name: str) -> str:
    return "mnist.load_data" if (module, name) == ("datasets.mnist", "load_data") else name


def same_default(name: str, ours: inspect.Parameter, theirs: inspect.Parameter) -> bool:
    if ours.name == "name" and ours.default is None and theirs.default in (None, name, snake_case(name)):
        return True  # None: the class's name is used, which is what Keras writes there
    try:
        return bool(encode(ours.default) == encode(theirs.default))
    except ValueError:
        return ours.default is theirs.default is inspect.Parameter.empty


@pytest.mark.parametrize(("module", "name"), pairs())
def test_arguments_are_keras_s(module: str, name: str) -> None:
    ours, theirs = both(module, name)
    called = label(module, name)
    missing = [a for a in theirs if a not in ours and a not in ABSENT and (called, a) not in ABSENT_IN]
    assert not missing, f"{name} does not take {missing}"
    unknown = [a for a in ours if a not in theirs and a not in OWN]
    assert not unknown, f"{name} takes {unknown}, which Keras does not know"
    order = [a for a in positional(ours) if a in theirs]
    assert order == positional(theirs)[: len(order)], "the positions differ"
    defaults = {
        a: (p.default, theirs[a].default)
        for a, p in ours.items()
        if a in theirs and (called, a) not in CHANGED and not same_default(name, p, theirs[a])
    }
    assert not defaults, f"{name} has other defaults: {defaults}"


def test_the_tables_say_what_is_so() -> None:
    absent, changed, own = set(), set(), set()
    for module, name in pairs():
        ours, theirs = both(module, name)
        called = label(module, name)
        absent |= {a for a in theirs if a not in ours} | {(called, a) for a in theirs if a not in ours}
        own |= {a for a in ours if a not in theirs}
        changed |= {(called, a) for a in ours if a in theirs and not same_default(name, ours[a], theirs[a])}
    assert set(ABSENT) <= absent, f"not absent any more: {set(ABSENT) - absent}"
    assert set(ABSENT_IN) <= absent, f"not absent any more: {set(ABSENT_IN) - absent}"
    assert set(CHANGED) <= changed, f"not changed any more: {set(CHANGED) - changed}"
    assert set(OWN) <= own, f"not Talweg's own any more: {set(OWN) - own}"
    assert len(pairs()) > 70


@pytest.mark.parametrize("method", ["compile", "fit", "evaluate", "predict", "train_on_batch", "summary", "get_layer"])
def test_a_model_s_methods_take_keras_s_arguments(method: str) -> None:
    import talweg

    ours = arguments(getattr(talweg.Sequential, method))
    theirs = arguments(getattr(keras.Sequential, method))
    own = {"compile": {"engine", "precision"}, "fit": {"on_interrupt"}}.get(method, set())
    absent = {"show_trainable", "layer_range"} if method == "summary" else set()
    assert set(theirs) - set(ours) == absent
    assert set(ours) - set(theirs) == own
    assert [a for a in positional(ours) if a in theirs] == [a for a in positional(theirs) if a not in absent]
    for name in set(ours) & set(theirs):
        assert same_default(method, ours[name], theirs[name]), (name, ours[name].default, theirs[name].default)
