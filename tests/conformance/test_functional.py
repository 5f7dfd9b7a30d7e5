"""Networks that branch, against Keras: the same weights, the same training, the same names, the same summary.

Each network is written once, in words that both libraries understand. Weights come from Keras in its order; History,
predictions, evaluation, the summary's cells and the weights after training must agree, as in `test_models`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import talweg
from conformance.engines import ENGINES, native
from support import oracle
from talweg.engines import Reference
from talweg.errors import TalwegError
from talweg.graph import Array

N = 44
random = np.random.default_rng(5)
A, B = random.normal(size=(N, 4)).astype(np.float32), random.normal(size=(N, 3)).astype(np.float32)
REAL = (A[:, :1] - B[:, :1] + 0.1 * random.normal(size=(N, 1))).astype(np.float32)
CLASS = (A[:, 0] > 0).astype(int) + (B[:, 1] > 0.3)
W, V = (random.choice([0.25, 1.0, 3.0], N).astype(np.float32) for _ in range(2))
SPARSE = "sparse_categorical_crossentropy"


@dataclass(frozen=True)
class Net:
    """How to make a network, and one way of training it. `k` has Input, Model, Sequential and layers."""

    make: Callable[[Any], Any]
    loss: Any
    x: Any = field(default_factory=lambda: A)
    y: Any = field(default_factory=lambda: REAL)
    compile: dict[str, Any] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)


def residual(k: Any) -> Any:
    x = k.Input((4,))
    h = k.layers.Dense(5, activation="tanh")(x)
    h = k.layers.Add()([h, k.layers.Dense(5, activation="tanh")(h)])
    h = k.layers.Add()([h, k.layers.Dense(5, activation="tanh")(h)])
    return k.Model(x, k.layers.Dense(1)(h))


def residual_cnn(k: Any) -> Any:
    x = k.Input((4, 4, 1))
    h = k.layers.Conv2D(3, 3, padding="same", activation="tanh")(x)
    inner = k.layers.BatchNormalization()(k.layers.Conv2D(3, 3, padding="same", use_bias=False)(h))
    h = k.layers.Activation("relu")(k.layers.add([h, inner]))
    return k.Model(x, k.layers.Dense(3, activation="softmax")(k.layers.Flatten()(h)))


def two_by_two(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((3,), name="b")
    h = k.layers.Concatenate()([k.layers.Dense(4, activation="tanh")(a), k.layers.Dense(3, activation="tanh")(b)])
    outputs = [k.layers.Dense(1, name="out1")(h), k.layers.Dense(3, activation="softmax", name="out2")(h)]
    return k.Model(inputs=[a, b], outputs=outputs)


def by_keys(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((3,), name="b")
    h = k.layers.concatenate([b, a])
    q, p = k.layers.Dense(3, activation="softmax", name="second")(h), k.layers.Dense(1, name="first")(h)
    return k.Model({"a": a, "b": b}, {"q": q, "p": p})


def shared(k: Any) -> Any:
    a, b = k.Input((4,)), k.Input((4,))
    tower = k.layers.Dense(3, activation="tanh", kernel_regularizer="l2", activity_regularizer="l1")
    distance = k.layers.Subtract()([tower(a), tower(b)])
    return k.Model([a, b], k.layers.Dense(1)(k.layers.Multiply()([distance, distance])))


def shared_at_two_depths(k: Any) -> Any:
    x = k.Input((4,))
    again, other = k.layers.Dense(4, activation="tanh"), k.layers.Dense(4)
    return k.Model(x, k.layers.Average()([other(again(again(x))), again(x), k.layers.Dense(4, use_bias=False)(x)]))


def nested(k: Any) -> Any:
    tower = k.Sequential([k.Input((4,)), k.layers.Dense(5, activation="tanh"), k.layers.Dense(2)], name="tower")
    i = k.Input((4,))
    parts = k.Model(i, [k.layers.Dense(2, name="left")(i), k.layers.Dense(2, name="right")(i)], name="parts")
    x = k.Input((4,))
    left, right = parts(x)
    return k.Model(x, k.layers.Dense(1)(k.layers.Maximum()([tower(x), left, k.layers.minimum([right, tower(x)])])))


def stacked(k: Any) -> Any:
    body = k.Sequential([k.Input((4,)), k.layers.Dense(3, activation="tanh")], name="body")
    return k.Sequential([body, k.layers.Dense(2, name="end"), k.Sequential([k.layers.Dense(1)], name="head")])


def frozen(k: Any) -> Any:
    base = k.Sequential([k.Input((4,)), k.layers.Dense(5), k.layers.BatchNormalization(), k.layers.Activation("tanh")])
    base.trainable = False
    x = k.Input((4,))
    return k.Model(x, k.layers.Dense(1)(base(x, training=False)))


def inner_part(k: Any) -> Any:
    x = k.Input((4,))
    h = k.layers.Dense(4, activation="tanh", name="h")(x)
    whole = k.Model(x, k.layers.Dense(1)(k.layers.Dense(3, activation="tanh")(h)))
    return k.Model(whole.get_layer("h").output, whole.output)


def products(k: Any) -> Any:
    x = k.Input((4,))
    u, v = k.layers.Dense(3)(x), k.layers.Dense(3)(x)
    return k.Model(x, k.layers.Concatenate()([k.layers.Dot(axes=-1, normalize=True)([u, v]), k.layers.dot([u, v], 1)]))


def arithmetic(k: Any) -> Any:
    x = k.Input((4,))
    h = k.layers.Dense(4, activation="sigmoid")(x)
    return k.Model(x, k.layers.Dense(1)(h * x + h - x))


TWO: dict[str, Any] = {"x": [A, B], "y": [REAL, CLASS]}
NAMED: dict[str, Any] = {"x": {"b": B, "a": A}, "y": {"out2": CLASS, "out1": REAL}}
BY_KEY: dict[str, Any] = {"x": NAMED["x"], "y": {"p": REAL, "q": CLASS}}
PICTURES = np.resize(A, (N, 4, 4, 1)) + random.normal(size=(N, 4, 4, 1)).astype(np.float32)

NETS: dict[str, Net] = {
    "residual": Net(residual, "mse", compile={"metrics": ["mae"]}),
    "residual CNN": Net(residual_cnn, SPARSE, PICTURES, CLASS, {"metrics": ["accuracy"]}),
    "lists": Net(two_by_two, ["mse", SPARSE], **TWO, compile={"metrics": [["mae"], ["accuracy"]]}),
    "dictionaries": Net(
        two_by_two,
        {"out1": "mse", "out2": SPARSE},
        **NAMED,
        compile={"metrics": {"out2": "accuracy"}, "loss_weights": {"out1": 0.5, "out2": 2.0}},
    ),
    "loss_weights and validation_split": Net(
        two_by_two,
        ["mae", SPARSE],
        **TWO,
        compile={"loss_weights": [0.3, 1.5], "metrics": ["mse", "accuracy"]},
        fit={"validation_split": 0.25},
    ),
    "one loss for all": Net(two_by_two, "mse", [A, B], [REAL, np.eye(3)[CLASS]]),
    "an output without a loss": Net(two_by_two, ["mse", None], **TWO, compile={"metrics": [["mae"], None]}),
    "weights for each output": Net(
        two_by_two,
        ["mse", SPARSE],
        **TWO,
        compile={"weighted_metrics": [["mae"], ["accuracy"]], "metrics": [["mae"], []]},
        fit={"sample_weight": [W, V]},
    ),
    "weights for all outputs": Net(two_by_two, ["mse", SPARSE], **TWO, fit={"sample_weight": W}),
    "validation_data": Net(two_by_two, ["mse", SPARSE], **TWO, fit={"validation_data": ([A, B], [REAL, CLASS])}),
    "keys": Net(by_keys, {"p": "mse", "q": SPARSE}, **BY_KEY, compile={"metrics": {"p": ["mae"], "q": ["accuracy"]}}),
    "shared layers": Net(shared, "mse", [A, A[::-1].copy()]),
    "shared at two depths": Net(shared_at_two_depths, "mse", y=A),
    "models within": Net(nested, "mse"),
    "a Sequential of Sequentials": Net(stacked, "mse"),
    "frozen within": Net(frozen, "mse"),
    "from an inner tensor": Net(inner_part, "mse"),
    "products": Net(products, "mse", y=np.hstack([REAL, REAL])),
    "arithmetic": Net(arithmetic, "mse"),
}
HOW = {"epochs": 3, "batch_size": 16, "shuffle": False, "verbose": 0}


def close(found: Any, wanted: Any, name: str = "") -> None:
    if isinstance(wanted, dict):
        assert set(found) == set(wanted)
        pairs = [(found[key], wanted[key]) for key in wanted]
    else:
        pairs = list(zip(found, wanted, strict=True)) if isinstance(wanted, list) else [(found, wanted)]
    for a, b in pairs:
        np.testing.assert_allclose(a, np.asarray(b), 1e-3, 1e-4, err_msg=name)


def ours() -> Any:
    return SimpleNamespace(Input=talweg.Input, Model=talweg.Model, Sequential=talweg.Sequential, layers=talweg.layers)


@pytest.mark.parametrize("engine", [e for e in ENGINES if e.precision == "float32"], ids=lambda e: e.name)
@pytest.mark.parametrize("name", NETS)
def test_against_keras(name: str, engine: Any) -> None:
    keras, net = oracle("keras"), NETS[name]
    theirs, mine = net.make(keras), net.make(ours())
    mine.set_weights(theirs.get_weights())
    close(mine.predict(net.x), theirs.predict(net.x, verbose=0), name)

    theirs.compile(keras.optimizers.Adam(0.01), net.loss, jit_compile=False, **net.compile)
    expected = theirs.fit(net.x, net.y, **HOW, **net.fit).history
    mine.compile(talweg.optimizers.Adam(0.01), net.loss, engine=engine, **net.compile)
    history = mine.fit(net.x, net.y, **HOW, **net.fit).history
    assert set(history) == set(expected)
    for key in expected:
        np.testing.assert_allclose(history[key], expected[key], 5e-4, 1e-5, err_msg=f"{name}: {key}")
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, 2e-3, 2e-4)
    close(mine.predict(net.x), theirs.predict(net.x, verbose=0), name)
    close(
        mine.evaluate(net.x, net.y, verbose=0, return_dict=True),
        theirs.evaluate(net.x, net.y, verbose=0, return_dict=True),
    )
    close(mine.evaluate(net.x, net.y, verbose=0), theirs.evaluate(net.x, net.y, verbose=0), "as a list")


@pytest.mark.parametrize(
    "name", ["residual CNN", "weights for each output", "frozen within", "products", "models within"]
)
def test_the_native_engine_trains_the_same(name: str) -> None:
    """Against the reference; a few networks, for each program is compiled."""
    net, trained = NETS[name], []
    for engine in (Reference("float32"), native()):
        talweg.set_random_seed(4)
        model = net.make(ours())
        model.compile(talweg.optimizers.Adam(0.01), net.loss, engine=engine, **net.compile)
        trained.append((model.fit(net.x, net.y, **HOW, **net.fit).history, model.get_weights(), model.predict(net.x)))
    (history, weights, answers), (found, others, same) = trained
    assert set(history) == set(found)
    for key in history:
        np.testing.assert_allclose(found[key], history[key], 1e-4, 1e-5, err_msg=key)
    close(others, weights)
    close(same, answers)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", [n for n in NETS if n != "arithmetic"])  # what Keras makes of + is no layer there
def test_the_summary_has_keras_s_cells(name: str, nested: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    keras = oracle("keras")
    monkeypatch.setenv("COLUMNS", "200")  # Keras cuts what is longer than the terminal is wide

    def cells(model: Any) -> list[list[str]]:
        """What stands in the table, each row in one line, and the totals."""
        lines: list[str] = []
        model.summary(line_length=200, print_fn=lambda text, **_: lines.extend(text.split("\n")), expand_nested=nested)
        rows: list[list[str]] = []
        for line in lines:
            if line[:1] in "├┡":
                rows.append([])
            elif line[:1] == "│":
                texts = [cell.strip() for cell in line.strip("│").split("│")]
                rows[-1] = [f"{a} {b}".strip() for a, b in zip(rows[-1] or [""] * len(texts), texts, strict=True)]
        return [row for row in rows if row] + [[line.strip()] for line in lines if "params" in line]

    theirs, mine = NETS[name].make(keras), NETS[name].make(ours())
    names = renamed(theirs, mine)
    wanted = [[translated(cell, names) for cell in row] for row in cells(theirs)]
    assert cells(mine) == wanted


def renamed(theirs: Any, mine: Any) -> dict[str, str]:
    """Our names for Keras's, which counts through the whole process."""
    names = {}
    for a, b in zip(theirs.layers, mine.layers, strict=True):
        names[a.name] = b.name
        if hasattr(a, "layers"):
            names |= renamed(a, b)
    return names


def translated(cell: str, names: dict[str, str]) -> str:
    """The cell with our names, which stand before a bracket or before the class."""
    import re

    words = re.split(r"(?=\[)|(?<=\s)|(?=\s\()", cell)
    text = "".join(names.get(word, word) for word in words)
    return text.replace("(Functional)", "(Model)").replace("keras_tensor", "input_layer").replace(",  ", ", ")


@pytest.mark.parametrize("name", NETS)
def test_a_file_holds_all(name: str, tmp_path: Any) -> None:
    net = NETS[name]
    model = net.make(ours())
    model.compile("adam", net.loss, **net.compile)
    model.fit(net.x, net.y, **HOW, **net.fit)
    model.save(tmp_path / "it.safetensors")
    again = talweg.load(tmp_path / "it.safetensors")
    assert again.get_config() == model.get_config()
    for each in (model, again):
        each.fit(net.x, net.y, **HOW, **net.fit)
    assert [w.tobytes() for w in again.get_weights()] == [w.tobytes() for w in model.get_weights()]
    assert again.history.history == model.history.history
    fresh = type(model).from_config(model.get_config())
    assert [w.shape for w in fresh.get_weights()] == [w.shape for w in model.get_weights()]


MERGING: list[tuple[str, dict[str, Any], list[tuple[int, ...]]]] = [
    *((name, {}, [(3,), (3,), (3,)]) for name in ("Add", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")),
    *((name, {}, [(2, 3), (2, 3)]) for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")),
    *((name, {}, [(2, 3), (1, 3)]) for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")),
    *((name, {}, [(3,), (2, 3)]) for name in ("Add", "Subtract", "Multiply", "Maximum", "Minimum")),
    ("Concatenate", {"axis": 1}, [(2, 3), (4, 3)]),
    ("Concatenate", {"axis": -2}, [(2, 3), (4, 3)]),
    ("Dot", {"axes": 1}, [(4,), (4,)]),
    ("Dot", {"axes": 1, "normalize": True}, [(4,), (4,)]),
    ("Dot", {"axes": (2, 1)}, [(2, 3), (3, 5)]),
    ("Dot", {"axes": (1, 2)}, [(2, 3), (4, 2)]),
    ("Dot", {"axes": (1, 2)}, [(3,), (4, 3)]),
    ("Dot", {"axes": -1, "normalize": True}, [(2, 3), (4, 3)]),
]


@pytest.mark.parametrize("engine", [e for e in ENGINES if e.precision == "float32"], ids=lambda e: e.name)
@pytest.mark.parametrize(("name", "options", "shapes"), MERGING)
def test_merging_layers(name: str, options: dict[str, Any], shapes: list[tuple[int, ...]], engine: Any) -> None:
    """Values, and slopes by way of a dense layer that is trained before the merging."""
    keras = oracle("keras")
    x = [random.normal(size=(5, *shape)).astype(np.float32) for shape in shapes]

    def make(k: Any) -> Any:
        ends = [k.Input(shape) for shape in shapes]
        return k.Model(ends, getattr(k.layers, name)(**options)([k.layers.Dense(end.shape[-1])(end) for end in ends]))

    theirs, mine = make(keras), make(ours())
    assert mine.outputs[0].shape == theirs.outputs[0].shape
    mine.set_weights(theirs.get_weights())
    y: Array = random.normal(size=(5, *mine.output_shape[1:])).astype(np.float32)
    theirs.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    mine.compile("sgd", "mse", engine=engine)
    mine.optimizer.learning_rate = 0.1
    for model in (theirs, mine):
        model.fit(x, y, epochs=2, batch_size=5, verbose=0)
    close(mine.predict(x), theirs.predict(x, verbose=0))


def test_every_merging_layer_has_a_case() -> None:
    from talweg.nn.layers import LAYERS

    assert {n for n in LAYERS if LAYERS.get(n).__module__.endswith(".merging")} == {name for name, *_ in MERGING}


@pytest.mark.parametrize(
    ("layer", "shapes", "said"),
    [
        (lambda k: k.Add(name="sum"), [(3,), (4,)], r"layer 'sum'.*\[3\], \[4\]"),
        (lambda k: k.Concatenate(), [(2, 3), (3, 4)], r"layer 'Concatenate', given \[2, 3\] and \[3, 4\]"),
        (lambda k: k.Concatenate(axis=3), [(3,), (3,)], "axis 3 is no axis"),
        (lambda k: k.Subtract(), [(3,), (3,), (3,)], "takes 2 inputs; got 3"),
        (lambda k: k.Dot(axes=1), [(3,), (4,)], r"\[3\] and \[4\] have 3 and 4"),
        (lambda k: k.Dot(axes=2), [(3,), (3,)], "axis 2 is no axis"),
        (lambda k: k.Dense(3), [(3,), (3,)], "layer 'Dense' takes one input; got 2"),
    ],
)
def test_inputs_that_do_not_fit_name_the_layer(layer: Any, shapes: list[tuple[int, ...]], said: str) -> None:
    with pytest.raises(TalwegError, match=said):
        layer(talweg.layers)([talweg.Input(shape) for shape in shapes])
