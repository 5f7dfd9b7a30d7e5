"""The program that stands for a preset does what the command does, to the bit."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from talweg.errors import UnknownNameError, UsageError
from talweg.nn.layers import Dense, RandomFlip, Rescaling, Reshape
from talweg.train.experiment import Experiment, Wishes
from talweg.train.prepared import Source, prepare
from talweg.train.preset_program import known_of, program, source
from talweg.train.presets import PRESETS

OTHERS = [("linear", "diabetes"), ("mlp", "wine"), ("mlp", "xor"), ("linear", "line")]


@pytest.mark.parametrize(("name", "data"), [*((name, "digits") for name in PRESETS if name != "linear"), *OTHERS])
def test_it_comes_to_the_same_bits(name: str, data: str, tmp_path: Path) -> None:
    experiment = Experiment.begin(Wishes(Source(data), name, epochs=2, engine="reference"), tmp_path / "run")
    experiment.train()
    result, _ = experiment.finish()

    text, changed = re.subn(r"(?m)^(seed, epochs, batch_size = 0), \d+,", r"\1, 2,", program(PRESETS[name], data))
    assert changed == 1
    text, changed = re.subn(r"(?m)^(model.compile\(.*)\)$", r'\1, engine="reference")', text)
    assert changed == 1
    made: dict[str, Any] = {}
    exec(compile(text, "program.py", "exec"), made)
    model, trained = made["model"], experiment.model
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in trained.get_weights()]
    x, y, size = made["x_test"], made["y_test"], made["batch_size"]
    assert model.evaluate(x, y, batch_size=size, verbose=0, return_dict=True) == result["test"]


def test_it_runs_as_it_is(tmp_path: Path) -> None:
    Path(tmp_path / "softmax.py").write_text(program(PRESETS["softmax"], "digits"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "softmax.py"], cwd=tmp_path, capture_output=True, text=True, check=True, env=os.environ
    )
    said = ast.literal_eval(done.stdout.splitlines()[-1].removeprefix("test: "))
    experiment = Experiment.begin(Wishes(Source("digits"), "softmax"), tmp_path / "run")
    experiment.train()
    assert experiment.finish()[0]["test"] == said


@pytest.mark.parametrize("data", ["digits", "diabetes", "iris", "spiral", "line"])
def test_what_is_known_of_a_set_that_is_not_there_is_right(data: str) -> None:
    known, there = known_of(data), prepare(Source(data))
    assert (known.shape, known.outputs, known.task) == (there.input_shape, there.outputs, there.task)
    assert known.rows == there.rows["training"]


@pytest.mark.parametrize("name", PRESETS)
def test_each_can_be_printed_for_the_set_that_it_is_shown_on(name: str) -> None:
    text = program(PRESETS[name])
    assert f"talweg train {PRESETS[name].data} --model {name}" in text
    assert max(map(len, text.splitlines())) <= 120
    ast.parse(text)


def test_layers_are_written_as_one_would() -> None:
    assert source(Dense(3)) == "layers.Dense(3)"
    assert source(Dense(3, "relu", kernel_regularizer="l2")).startswith('layers.Dense(3, activation="relu", kernel_')
    assert source(Dense(3, name="last")) == 'layers.Dense(3, name="last")'
    assert source(Reshape((4, 4))) == "layers.Reshape((4, 4))"
    assert source(RandomFlip("horizontal")) == 'layers.RandomFlip(mode="horizontal")'
    assert source(Rescaling(1 / 254, -1 / 254)) == "layers.Rescaling(1 / 254, offset=-0.003937007874015748)"
    assert source(Rescaling(0.3)) == "layers.Rescaling(0.3)" and source(Dense(1, activation=None)) == "layers.Dense(1)"


def test_sets_that_do_not_fit() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'mnist'"):
        program(PRESETS["cnn"], "mnits")
    with pytest.raises(UsageError, match="looks at pictures"):
        program(PRESETS["cnn"], "iris")
    with pytest.raises(UsageError, match="is for classification"):
        program(PRESETS["softmax"], "diabetes")
