"""The summary: Keras's table."""

from __future__ import annotations

from typing import Any

import pytest

from support import oracle
from talweg.nn.layers import Dense, Flatten, Input
from talweg.train.sequential import Sequential


def test_the_table() -> None:
    model = Sequential([Dense(64, "relu", input_shape=(128,)), Dense(10)], name="tiny", seed=0)
    model.layers[1].trainable = False
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert "\n".join(lines) == "\n".join(
        [
            'Model: "tiny"',
            "┏━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━┓",
            "┃ Layer (type)    ┃ Output Shape ┃ Param # ┃",
            "┡━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━┩",
            "│ dense (Dense)   │ (None, 64)   │   8,256 │",
            "├─────────────────┼──────────────┼─────────┤",
            "│ dense_1 (Dense) │ (None, 10)   │     650 │",
            "└─────────────────┴──────────────┴─────────┘",
            " Total params: 8,906 (34.79 KB)",
            " Trainable params: 8,256 (32.25 KB)",
            " Non-trainable params: 650 (2.54 KB)",
        ]
    )


def test_the_same_cells_as_keras() -> None:
    keras = oracle("keras")

    def cells(model: Any) -> list[list[str]]:
        lines: list[str] = []
        model.summary(print_fn=lambda text, **_: lines.extend(text.split("\n")))
        rows = [
            [c.strip() for c in line.strip("│┃").replace("┃", "│").split("│")] for line in lines if line[:1] in "│┃"
        ]
        return [row for row in rows if row != [""]] + [[line.strip()] for line in lines if "params" in line]

    ours = Sequential([Input((28, 28)), Flatten(name="f"), Dense(20, name="a"), Dense(10, name="b")], seed=0)
    k = keras.layers
    theirs = keras.Sequential(
        [keras.Input((28, 28)), k.Flatten(name="f"), k.Dense(20, name="a"), k.Dense(10, name="b")]
    )
    assert cells(ours) == cells(theirs)


def test_a_model_that_is_not_built(capsys: pytest.CaptureFixture[str]) -> None:
    Sequential([Dense(3, name="a")], seed=0).summary()
    printed = capsys.readouterr().out
    assert "│ a (Dense)    │ ?            │       ? │" in printed and "Total params: 0 (0.00 B)" in printed


def test_bytes_follow_the_precision_and_width_the_line() -> None:
    model = Sequential([Dense(3, input_shape=(2,))], seed=0)
    model.compile("sgd", "mse", precision="float64")
    lines: list[str] = []
    model.summary(80, print_fn=lines.append)
    assert "9 (72.00 B)" in lines[0] and len(lines[0].split("\n")[1]) == 80
