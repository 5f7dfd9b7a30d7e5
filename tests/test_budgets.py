"""A small file, or a line of Python, that asks for much: told before anything is allocated or compiled."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from talweg import layers as L
from talweg import load
from talweg.budgets import DEFAULTS, demand, free_memory
from talweg.cli import app
from talweg.engines.base import Engine
from talweg.engines.native import Native, build
from talweg.engines.reference import Reference
from talweg.errors import BudgetError, UsageError
from talweg.train.model import Model
from talweg.train.saved import untrained
from talweg.train.sequential import Sequential

Config = dict[str, Any]
MESSAGE = r"would take [\d.,e+ ]+ ?\S* .*; the budget is .*TALWEG_MAX_{} to \d+G? or more"


@pytest.fixture(autouse=True)
def one_gibibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    """On every machine the same budget; a test that needs more would have been mistaken."""
    monkeypatch.setenv("TALWEG_MAX_MEMORY", "1G")


def sequential(*layers: Config, shape: tuple[int, ...] = (4,)) -> Config:
    return {"class": "Sequential", "name": "m", "seed": 0, "input_shape": list(shape), "layers": list(layers)}


def within(layer: Config, times: int, wrap: Callable[[Config, int], Config]) -> Config:
    for k in range(times):
        layer = wrap(layer, k)
    return layer


def tanh(name: str) -> Config:
    return {"class": "Activation", "activation": "tanh", "name": name}


PICTURE = (2, 2, 1)
LOTS = 2**40
DEMANDS: dict[str, tuple[str, Config]] = {
    "repeat 1e10": ("MEMORY", sequential({"class": "RepeatVector", "n": 10**10, "name": "r"})),
    "repeat 2**62": ("MEMORY", sequential({"class": "RepeatVector", "n": 2**62, "name": "r"})),
    "repeat 2**63": ("MEMORY", sequential({"class": "RepeatVector", "n": 2**63 + 5, "name": "r"})),
    "repeat 3e8": ("MEMORY", sequential({"class": "RepeatVector", "n": 3 * 10**8, "name": "r"})),
    "dense 1e12": ("MEMORY", sequential({"class": "Dense", "units": 10**12, "name": "d"})),
    "embedding": ("MEMORY", sequential({"class": "Embedding", "input_dim": LOTS, "output_dim": LOTS, "name": "e"})),
    "lstm": ("MEMORY", sequential({"class": "LSTM", "units": 10**9, "name": "e"}, shape=(3, 4))),
    "convolution": (
        "MEMORY",
        sequential({"class": "Conv2D", "filters": LOTS, "kernel_size": 1, "name": "c"}, shape=PICTURE),
    ),
    "up 2**31": ("MEMORY", sequential({"class": "UpSampling2D", "size": [2**31, 2**31], "name": "u"}, shape=PICTURE)),
    "bilinear": (
        "MEMORY",
        sequential({"class": "UpSampling2D", "size": 30, "interpolation": "bilinear", "name": "u"}, shape=(4000, 1, 1)),
    ),
    "pad 2**40": ("MEMORY", sequential({"class": "ZeroPadding2D", "padding": LOTS, "name": "p"}, shape=PICTURE)),
    "pad 1d": ("MEMORY", sequential({"class": "ZeroPadding1D", "padding": LOTS, "name": "p"}, shape=(3, 4))),
    "transposed": (
        "MEMORY",
        sequential(
            {"class": "Conv2DTranspose", "filters": 1, "kernel_size": 1, "strides": 2**20, "name": "c"}, shape=PICTURE
        ),
    ),
    "input": ("MEMORY", sequential({"class": "Flatten", "name": "f"}, shape=(2**63, 2**63))),
    "axes": ("MEMORY", sequential({"class": "Flatten", "name": "f"}, shape=(2,) * 64)),
    "pool": (
        "OPERATIONS",
        sequential(
            {"class": "ZeroPadding2D", "padding": 3000, "name": "p"},
            {"class": "AveragePooling2D", "pool_size": 5000, "strides": 1, "name": "a"},
            shape=PICTURE,
        ),
    ),
    "3,000 layers": ("LAYERS", sequential(*(tanh(f"a{i}") for i in range(3000)))),
    "layers in parts": (
        "LAYERS",
        sequential(*({**sequential(*(tanh(f"a{i}") for i in range(100))), "name": f"m{k}"} for k in range(30))),
    ),
    "models within": (
        "DEPTH",
        sequential(within(tanh("z"), 150, lambda inner, k: {**sequential(inner), "name": f"n{k}"})),
    ),
    "layers within": (
        "DEPTH",
        sequential(
            within(
                {"class": "Dense", "units": 3, "name": "d"},
                120,
                lambda inner, k: {"class": "TimeDistributed", "layer": inner, "name": f"t{k}"},
            ),
            shape=(*(1,) * 121, 4),
        ),
    ),
}


def saved(path: Path, architecture: Config) -> Path:
    """The file of a model, written by hand: no array is ever made."""
    document = {"format": "talweg-model", "format_version": 1, "talweg_version": "0.1.0", "precision": "float32"}
    document |= {"architecture": architecture, "compile": None, "epochs_trained": 0}
    document |= {"preprocessing": None, "class_names": None}
    header = json.dumps({"__metadata__": {"talweg": json.dumps({"model": json.dumps(document)})}}).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


def described(path: Path, architecture: Config) -> Path:
    path.write_text(json.dumps(architecture))
    return path


@pytest.mark.parametrize("name", DEMANDS)
def test_a_file_that_asks_for_much(name: str, tmp_path: Path) -> None:
    kind, architecture = DEMANDS[name]
    for read, path in (
        (load, saved(tmp_path / "m.safetensors", architecture)),
        (untrained, described(tmp_path / "m.json", architecture)),
    ):
        with pytest.raises(BudgetError, match=MESSAGE.format(kind)) as caught:
            read(path)
        assert path.name in str(caught.value) and len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["repeat 1e10", "3,000 layers", "models within"])
def test_commands_say_it_on_one_screen(name: str, tmp_path: Path) -> None:
    _, architecture = DEMANDS[name]
    path, sheet = saved(tmp_path / "m.safetensors", architecture), described(tmp_path / "m.json", architecture)
    np.savez(tmp_path / "x.npz", x=np.ones((2, 4), np.float32))
    for command in (
        ("summary", path),
        ("predict", path, tmp_path / "x.npz"),
        ("explain", path),
        ("train", "iris", "--model", sheet, "--out", tmp_path / "run"),
        ("lr-find", "iris", "--model", sheet),
    ):
        result = CliRunner().invoke(app, [str(a) for a in command])
        assert result.exit_code == 2 and "the budget is" in result.output, result.output
        assert "Traceback" not in result.output and len(result.output) < 1500


@pytest.mark.parametrize("name", ["repeat 1e10", "dense 1e12", "3,000 layers", "models within", "layers within"])
def test_keras_s_files_that_ask_for_much(name: str, tmp_path: Path) -> None:
    archive = pytest.importorskip("talweg.export.keras.archive")
    pytest.importorskip("h5py")
    kind, architecture = DEMANDS[name]
    path = tmp_path / "m.keras"
    archive.write(path, {"config.json": keras(architecture), "metadata.json": {}}, "model.weights.h5", {"vars": None})
    with pytest.raises(BudgetError, match=MESSAGE.format(kind)):
        load(path)


def keras(config: Config) -> Config:
    """Our description as Keras writes one."""
    options = {k: v for k, v in config.items() if k not in ("class", "seed", "input_shape", "layers", "layer")}
    if "layers" in config:
        first = {"class_name": "InputLayer", "config": {"batch_shape": [None, *config["input_shape"]], "name": "i"}}
        options["layers"] = [first, *map(keras, config["layers"])]
    if "layer" in config:
        options["layer"] = keras(config["layer"])
    return {"class_name": config["class"], "config": options}


# ── in Python ─────────────────────────────────────────────────────────────────────────────────────────────


def nested(times: int) -> Model:
    model = Sequential([L.Input((4,)), L.Dense(4)])
    for _ in range(times):
        model = Sequential([L.Input((4,)), model])
    return model


def wrapped(times: int) -> Any:
    layer: Any = L.Dense(3)
    for _ in range(times):
        layer = L.TimeDistributed(layer)
    return layer


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("MEMORY", lambda: Sequential([L.Input((4,)), L.RepeatVector(10**10)])),
        ("MEMORY", lambda: Sequential([L.Input((4,)), L.Dense(10**12)])),
        ("MEMORY", lambda: L.UpSampling2D(2**31)(L.Input((2, 2, 1)))),
        ("MEMORY", lambda: L.Input((2**40,))),
        ("MEMORY", lambda: Sequential([L.Input((20_000,)), *(L.Dense(12_000) for _ in range(3))])),
        ("LAYERS", lambda: Sequential([L.Input((4,)), *(L.Activation("tanh") for _ in range(2001))])),
        ("DEPTH", lambda: nested(60)),
        ("DEPTH", lambda: wrapped(60)),
        ("OPERATIONS", lambda: L.AveragePooling1D(1500, 1)(L.Input((2000, 1)))),
    ],
)
def test_a_model_made_in_python_that_asks_for_much(kind: str, make: Callable[[], Any]) -> None:
    with pytest.raises(BudgetError, match=MESSAGE.format(kind)):
        make()


def test_an_error_names_the_layer_and_the_model_stays_usable() -> None:
    model = Sequential([L.Input((4,)), L.Dense(3)], seed=0)
    with pytest.raises(BudgetError, match="layer 'big'"):
        model.add(L.RepeatVector(10**10, name="big"))
    assert len(model.layers) == 1
    model.add(L.Dense(2))
    assert model.predict(np.ones((1, 4)), verbose=0).shape == (1, 2)


ENGINES = [Reference, *([Native] if build.compiler() else [])]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_batch_that_is_too_large(engine: type[Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALWEG_MAX_MEMORY", "100M")
    model = Sequential([L.Input((4,)), L.Dense(400, "tanh"), L.Dense(400, "softmax"), L.Dense(1)], seed=0)
    model.compile("sgd", "mse", engine=engine())
    x = np.ones((200_000, 4), np.float32)
    if engine is Reference:  # native computes a prediction in blocks of rows
        with pytest.raises(BudgetError, match=r"on batches of 200,000 rows.*TALWEG_MAX_MEMORY"):
            model.predict(x, batch_size=len(x), verbose=0)
    assert model.predict(x[:100], verbose=0).shape == (100, 1)
    with pytest.raises(BudgetError, match=r"on batches of 200,000 rows.*TALWEG_MAX_MEMORY"):
        model.fit(x, x[:, :1], batch_size=len(x), verbose=0)


@pytest.mark.parametrize("engine", ENGINES)
def test_work_that_would_not_end(engine: type[Engine]) -> None:
    model = Sequential([L.Input((4000, 4000, 1)), L.Conv2D(1, 2000)], seed=0)
    model.compile("sgd", "mse", engine=engine())
    with pytest.raises(BudgetError, match=MESSAGE.format("WORK")):
        model.predict(np.ones((1, 4000, 4000, 1), np.float32), verbose=0)


@pytest.mark.skipif(not build.compiler(), reason="no C compiler")
def test_code_that_no_compiler_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALWEG_MAX_CODE", "1000")
    model = Sequential([L.Input((4,)), L.Dense(3)], seed=0)
    model.compile("sgd", "mse", engine="native")
    with pytest.raises(BudgetError, match=MESSAGE.format("CODE")):
        model.predict(np.ones((2, 4)), verbose=0)


# ── the budgets themselves ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("kind", "most"), DEFAULTS.items())
def test_each_budget_can_be_raised(kind: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    demand(kind, most, "it")
    with pytest.raises(BudgetError, match=rf"it would take .*TALWEG_MAX_{kind.upper()} to {most + 1} or more"):
        demand(kind, most + 1, "it")
    monkeypatch.setenv(f"TALWEG_MAX_{kind.upper()}", str(most + 1))
    demand(kind, most + 1, "it")


@pytest.mark.parametrize(
    ("told", "figure"),
    [("123456789", 123456789), ("1G", 2**30), ("1.5g", 3 * 2**29), ("200 MiB", 200 * 2**20), ("1TB", 2**40)],
)
def test_figures_of_memory(told: str, figure: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALWEG_MAX_MEMORY", told)
    demand("memory", figure, "it")
    with pytest.raises(BudgetError):
        demand("memory", figure + 1, "it")


@pytest.mark.parametrize("told", ["x", "-1", "0", "nan", "1e999", "G"])
def test_what_is_no_figure(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALWEG_MAX_MEMORY", told)
    with pytest.raises(UsageError, match="TALWEG_MAX_MEMORY must be a number above 0"):
        demand("memory", 2**40, "it")


def test_without_a_figure_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TALWEG_MAX_MEMORY")
    assert free_memory() > 0
    with pytest.raises(BudgetError, match="half of what is free"):
        demand("memory", 2**60, "it")


def test_networks_of_the_usual_sizes_are_not_hindered(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 layers of a ResNet's kind, and a dense layer of 100 million weights."""
    x = y = L.Input((32, 32, 8))
    for _ in range(166):
        y = L.Add()([y, L.Conv2D(8, 3, padding="same", activation="relu")(y)])
    assert len(Model(x, y, seed=0).layers) == 333
    assert L.Dense(10_000)(L.Input((10_000,))).shape == (None, 10_000)
