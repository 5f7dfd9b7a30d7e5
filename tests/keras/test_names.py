"""The ways in which programs reach for names: `talweg`'s own, and those of `tf.keras`."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import talweg

MODULES = [
    *("activations", "backend", "callbacks", "datasets", "initializers", "layers", "losses", "metrics", "models"),
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

PROGRAMS = [
    "from talweg import keras; keras.layers.Dense(1); keras.Sequential(); keras.Input((2,))",
    "import talweg as tf; tf.keras.layers.Dense(1, activation=tf.nn.relu); tf.keras.models.Sequential()",
    "import talweg as tf; tf.keras.layers.Dense(1, activation=tf.nn.softmax); tf.nn.sigmoid([0.0])",
    "from talweg.keras.layers import Dense; Dense(1)",
    "from talweg.keras import Input, Model, layers; x = Input((2,)); Model(x, layers.add([x, layers.Dense(2)(x)]))",
    "import talweg as tf; x = tf.keras.layers.Input(shape=(2,)); tf.keras.models.Model(inputs=x, outputs=x + x)",
    "from talweg.keras import layers, models; models.Sequential([layers.Flatten()])",
    "import talweg.keras as keras; keras.utils.to_categorical([0, 1])",
    "from talweg.keras.models import Sequential, load_model",
    "from talweg.keras.optimizers import Adam; Adam(learning_rate=1e-3)",
    "from talweg.keras.optimizers.schedules import ExponentialDecay; ExponentialDecay(0.1, 10, 0.5)",
    "from talweg.keras.utils import to_categorical, set_random_seed; set_random_seed(1)",
    "from talweg.keras.datasets import mnist, fashion_mnist; mnist.load_data, fashion_mnist.load_data",
    "from talweg.keras.datasets.mnist import load_data",
    "from talweg.keras import backend as K; assert K.epsilon() == 1e-7 and K.floatx() == 'float32'; K.clear_session()",
    "from talweg.keras.callbacks import EarlyStopping; EarlyStopping(patience=3)",
    "from talweg.keras import regularizers; regularizers.l2(0.001)",
    "from talweg.keras.constraints import max_norm, NonNeg; max_norm(3.0), NonNeg()",
    "import talweg; talweg.constraints.UnitNorm(), talweg.optimizers.LBFGS(), talweg.schedules.OneCycle(0.1, 100)",
    "import talweg as tf; tf.keras.utils.set_random_seed(42); tf.keras.backend.clear_session()",
    "import talweg; talweg.utils.to_categorical([0, 1]); talweg.data.Dataset; talweg.datasets.xor()",
    "from talweg import Sequential, layers, load; Sequential([layers.Dense(1)])",
    "from talweg import *; Sequential([layers.Dense(1)]); keras.layers",
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_reaches_the_names(program: str) -> None:
    # in a process of its own: whether a name is reached must not depend on what was imported before
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("name", talweg.__all__)
def test_every_name_of_the_front_door_is_there(name: str) -> None:
    program = f"import talweg; assert talweg.{name} is talweg.{name}; assert {name!r} in dir(talweg)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("name", ["", *MODULES])
def test_what_a_module_lists_it_has(name: str) -> None:
    module = importlib.import_module(f"talweg.keras.{name}".rstrip("."))
    assert module.__all__ and len(set(module.__all__)) == len(module.__all__)
    for listed in module.__all__:
        assert hasattr(module, listed)


def test_the_front_door_and_keras_lead_to_the_same_things() -> None:
    keras = talweg.keras
    assert keras.Sequential is keras.models.Sequential is talweg.Sequential
    assert keras.layers.Dense is talweg.layers.Dense is talweg.nn.layers.Dense
    assert keras.optimizers.Adam is talweg.optimizers.Adam
    assert keras.optimizers.schedules.CosineDecay is talweg.schedules.CosineDecay
    assert keras.models.load_model is talweg.load
    assert keras.utils is talweg.utils


def test_every_class_of_a_room_has_its_name_in_keras() -> None:
    """Adding a layer, a loss, ... to its room without adding its name to `talweg.keras` fails here."""
    from talweg.nn import constraints, initializers, losses, metrics, regularizers
    from talweg.nn.layers import LAYERS
    from talweg.optim import OPTIMIZERS
    from talweg.optim.schedules import SCHEDULES

    own = {"ConstantRate"}  # a plain number is one
    rooms = {
        "layers": LAYERS,
        "losses": losses.Loss.registry,
        "metrics": metrics.METRICS,
        "initializers": initializers.INITIALIZERS,
        "regularizers": regularizers.REGULARIZERS,
        "constraints": constraints.CONSTRAINTS,
        "optimizers": OPTIMIZERS,
        "optimizers.schedules": SCHEDULES,
    }
    for name, registry in rooms.items():
        module = importlib.import_module(f"talweg.keras.{name}")
        ours = [registry.get(n) for n in registry]
        # tests of other files may have registered classes of their own
        classes = {c.__name__ for c in ours if c.__module__.startswith("talweg.") and not c.__name__.startswith("_")}
        assert classes - own <= set(module.__all__), (
            f"not in talweg.keras.{name}: {classes - own - set(module.__all__)}"
        )
    activations = set(talweg.activations.ACTIVATIONS) - set(talweg.keras.activations.__all__)
    assert not {a for a in activations if hasattr(talweg.activations, a)}


def test_an_unknown_name_is_an_attribute_error_that_names_the_nearest() -> None:
    program = "import talweg; talweg.Sequental"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "AttributeError: module 'talweg' has no attribute 'Sequental'" in ran.stderr
    assert "Did you mean: 'Sequential'?" in ran.stderr
    assert not hasattr(talweg, "no_such_name")


def test_keras_brings_no_heavy_library() -> None:
    heavy = [
        "matplotlib",
        "sklearn",
        "pandas",
        "scipy",
        "rich",
        "typer",
        "PIL",
        "pooch",
        "tensorflow",
        "torch",
        "keras",
    ]
    program = (
        "import sys, talweg.keras, talweg; [getattr(talweg, n) for n in talweg.__all__]; "
        f"found = {{m.split('.')[0] for m in sys.modules}} & set({heavy!r}); assert not found, found"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_the_import_is_light() -> None:
    # not even NumPy: the front door opens before anyone goes through
    program = "import sys, talweg; assert 'numpy' not in sys.modules and 'talweg.graph' not in sys.modules"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
