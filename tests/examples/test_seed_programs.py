"""P5 and P6 of the mission: the programs of seed 001, letter for letter, with nothing but their imports changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import talweg
from support import ROOT

Load = Callable[[str], ModuleType]

ONE_NEURON = """
import tensorflow as tf
import numpy as np
from tensorflow import keras

# define a neural network with one neuron
my_layer = keras.layers.Dense(units=1, input_shape=[1])
model = tf.keras.Sequential([my_layer])

# use stochastic gradient descent for optimization and
# the mean squared error loss function
model.compile(optimizer='sgd', loss='mean_squared_error')

# define some training data (xs as inputs and ys as outputs)
xs = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0], dtype=float)
ys = np.array([-3.0, -1.0, 1.0, 3.0, 5.0, 7.0], dtype=float)

# fit the model to the data (aka train the model)
model.fit(xs, ys, epochs=500)

print(model.predict([10.0]))
print(model.predict(xs))
print(my_layer.get_weights())
"""

FASHION = """
import tensorflow as tf
mnist = tf.keras.datasets.fashion_mnist
(training_images, training_labels), (val_images, val_labels) = mnist.load_data()
training_images=training_images / 255.0
val_images=val_images / 255.0
model = tf.keras.models.Sequential([
    tf.keras.layers.Flatten(),
    tf.keras.layers.Dense(20, activation=tf.nn.relu),
    tf.keras.layers.Dense(10, activation=tf.nn.softmax)
])
model.compile(optimizer='adam', loss='sparse_categorical_crossentropy', metrics=['accuracy'])
model.fit(training_images, training_labels, validation_data=(val_images, val_labels), epochs=20)

model.evaluate(val_images, val_labels)

classifications = model.predict(val_images)
print(classifications[0])
print(val_labels[0])
"""


def with_talweg(program: str) -> str:
    """The program with its imports, and nothing else, changed."""
    changed = program.replace("import tensorflow as tf", "import talweg as tf")
    changed = changed.replace("from tensorflow import keras", "from talweg import keras")
    assert "tensorflow" not in changed
    return changed


def run(program: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(with_talweg(program), "the program of the seed", "exec"), names)
    return names


@pytest.mark.parametrize(("name", "program"), [("p5_one_neuron", ONE_NEURON), ("p6_fashion_mnist", FASHION)])
def test_the_example_is_the_seed_s_program(name: str, program: str) -> None:
    lines = [line.strip() for line in (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8").splitlines()]
    wanted = [line.strip() for line in with_talweg(program).splitlines() if line.strip()]
    body = [line for line in wanted if not line.startswith(("import", "from"))]
    start = lines.index(body[0])
    assert [line for line in lines[start:] if line][: len(body)] == body
    assert {line for line in wanted if line not in body} <= set(lines[:start])


@pytest.mark.parametrize("seed", range(10))
def test_one_neuron_comes_to_the_seed_s_numbers_from_any_start(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    talweg.set_random_seed(seed)
    names = run(ONE_NEURON)
    kernel, bias = names["my_layer"].get_weights()
    assert kernel.shape == (1, 1) and bias.shape == (1,) and kernel.dtype == bias.dtype == np.float32
    # The seed's run ended at 1.997509, -0.992277 and 18.982813. What is left of the start's error shrinks at the same
    # rate from every start and lies along one direction: all ends are on one short line through (2, -1) and the seed's.
    assert 1.99 < kernel[0, 0] < 2.005
    assert (bias[0] + 1) / (kernel[0, 0] - 2) == pytest.approx((-0.992277 + 1) / (1.997509 - 2), rel=1e-3)
    assert names["model"].predict([10.0])[0, 0] == pytest.approx(18.98, abs=0.04)
    printed = capsys.readouterr().out
    assert "Epoch 500/500" in printed and "loss: " in printed
    assert printed.rstrip().endswith("dtype=float32)]")


def test_the_example_answers_the_numbers(example: Load) -> None:
    talweg.set_random_seed(1)
    found = example("p5_one_neuron").main()
    assert found["prediction"] == pytest.approx(10 * found["w"] + found["b"], abs=1e-5)
    assert found["prediction"] == pytest.approx(18.98, abs=0.04)


def test_fashion_mnist_comes_to_the_seed_s_accuracy(
    fashion_mnist_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talweg.set_random_seed(0)
    names = run(FASHION)
    history = names["model"].history.history
    assert sorted(history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert len(history["loss"]) == 20
    assert history["val_accuracy"][-1] >= 0.85
    assert history["accuracy"][-1] > history["accuracy"][0]
    assert names["classifications"].shape == (10000, 10)
    assert names["classifications"][0].sum() == pytest.approx(1, abs=1e-5)
    printed = capsys.readouterr().out
    assert "Epoch 20/20" in printed and "1875/1875" in printed and "val_accuracy: 0.8" in printed
    assert printed.rstrip().endswith("\n9")  # the first picture is an ankle boot
    assert names["classifications"][0].argmax() == 9
