"""What layers do by chance: where it can be fixed, the very numbers of Keras; elsewhere their mean and spread."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from conformance.engines import native, run_once
from conformance.test_layers import apply, built, values, written
from support import oracle
from talweg.engines import Reference
from talweg.graph import Array

RANDOM = np.random.default_rng(3)
PICTURES = RANDOM.uniform(0, 1, (3, 6, 5, 2)).astype(np.float32)
MOVING: list[tuple[str, dict[str, Any]]] = [
    ("RandomTranslation", {"height_factor": (0.13, 0.13), "width_factor": (-0.27, -0.27)}),
    ("RandomTranslation", {"height_factor": (-0.9, -0.9), "width_factor": (1.0, 1.0)}),
    ("RandomRotation", {"factor": (0.07, 0.07)}),
    ("RandomRotation", {"factor": (-0.4, -0.4)}),
    ("RandomZoom", {"height_factor": (0.3, 0.3)}),
    ("RandomZoom", {"height_factor": (-0.4, -0.4), "width_factor": (0.9, 0.9)}),
]
FILLS: list[dict[str, Any]] = [
    *({"fill_mode": mode} for mode in ("reflect", "wrap", "nearest", "constant")),
    {"fill_mode": "constant", "fill_value": 0.4},
    {"fill_mode": "reflect", "interpolation": "nearest"},
    {"fill_mode": "constant", "interpolation": "nearest", "fill_value": -2.0},
]


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    return oracle("keras")


def theirs(keras: Any, name: str, options: dict[str, Any], x: Array) -> Array:
    found: Array = keras.ops.convert_to_numpy(getattr(keras.layers, name)(**options)(x, training=True))
    return found


@pytest.mark.parametrize("fill", FILLS, ids=lambda f: "-".join(map(str, f.values())))
@pytest.mark.parametrize(("name", "options"), MOVING, ids=[f"{n}-{i}" for i, (n, _) in enumerate(MOVING)])
def test_pixels_are_keras_s_where_nothing_is_left_to_chance(
    name: str, options: dict[str, Any], fill: dict[str, Any], keras: ModuleType
) -> None:
    how = {**options, **fill}
    expected = theirs(keras, name, how, PICTURES)
    np.testing.assert_allclose(apply(built(name, how, PICTURES.shape[1:]), PICTURES, True), expected, 1e-4, 1e-5)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize(
    ("mode", "padding"), [("reflect", "symmetric"), ("wrap", "wrap"), ("nearest", "edge"), ("constant", "constant")]
)
def test_a_shift_by_whole_pixels_moves_them_and_nothing_else(mode: Any, padding: Any, interpolation: str) -> None:
    x = RANDOM.normal(size=(2, 4, 4, 3))
    options = {"height_factor": (0.5, 0.5), "width_factor": (-0.25, -0.25), "fill_mode": mode}
    y = apply(built("RandomTranslation", {**options, "interpolation": interpolation}, x.shape[1:]), x, True)
    expected = np.pad(x, ((0, 0), (2, 0), (0, 1), (0, 0)), mode=padding)[:, :4, 1:]
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("RandomTranslation", {"height_factor": 0, "width_factor": 0.0}),
        ("RandomTranslation", {"height_factor": 0, "width_factor": 0, "fill_mode": "constant", "fill_value": 9.0}),
        ("RandomRotation", {"factor": 0.0}),
        ("RandomZoom", {"height_factor": 0.0}),
        ("RandomContrast", {"factor": 0.0, "value_range": (0, 1)}),
        ("RandomBrightness", {"factor": 0.0, "value_range": (0, 1)}),
    ],
)
def test_a_factor_of_0_changes_nothing(name: str, options: dict[str, Any]) -> None:
    x = PICTURES.astype(float)
    np.testing.assert_allclose(apply(built(name, options, x.shape[1:]), x, True), x, 1e-12, 1e-15)


# ── chance ────────────────────────────────────────────────────────────────────────────────────────────────

MANY = 6000
CHANCE: list[tuple[str, dict[str, Any]]] = [
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": (0.1, 0.5)}),
    ("RandomTranslation", {"height_factor": 0.4, "width_factor": 0.2, "fill_mode": "constant"}),
    ("RandomRotation", {"factor": 0.1}),
    ("RandomRotation", {"factor": (0.0, 0.5), "fill_mode": "wrap"}),
    ("RandomZoom", {"height_factor": (-0.3, 0.5)}),
    ("RandomZoom", {"height_factor": 0.2, "width_factor": 0.5}),
    ("RandomFlip", {"mode": "horizontal"}),
    ("RandomFlip", {"mode": "vertical"}),
    ("RandomContrast", {"factor": (0.3, 0.6), "value_range": (0, 1)}),
    ("RandomBrightness", {"factor": (-0.2, 0.5), "value_range": (0, 1)}),
    ("Dropout", {"rate": 0.3}),
    ("SpatialDropout2D", {"rate": 0.3}),
    ("GaussianDropout", {"rate": 0.3}),
    ("GaussianNoise", {"stddev": 0.3}),
    ("AlphaDropout", {"rate": 0.3}),
]


@pytest.mark.parametrize(("name", "options"), CHANCE, ids=[f"{n}-{i}" for i, (n, _) in enumerate(CHANCE)])
def test_mean_and_spread_are_keras_s(name: str, options: dict[str, Any], keras: ModuleType) -> None:
    """Of every number of a picture, over many copies of it: they differ by less than five standard errors of each."""
    keras.utils.set_random_seed(1)
    x = np.repeat(PICTURES[:1], MANY, 0)
    ours, others = apply(built(name, options, x.shape[1:]), x, True), theirs(keras, name, options, x)
    assert ours.std(0).max() > 0
    for moment in (lambda y: y, lambda y: (y - x) ** 2):
        a, b = moment(ours), moment(others)
        error = np.sqrt((a.var(0) + b.var(0)) / MANY)
        assert (np.abs(a.mean(0) - b.mean(0)) <= 5 * error + 1e-4).all()


def test_pictures_are_shifted_as_far_as_said() -> None:
    """A picture whose pixels say where they are shows how far each was moved."""
    x = np.tile(np.arange(40.0)[:, None, None], (MANY, 1, 3, 1))
    options = {"height_factor": (-0.1, 0.25), "width_factor": 0.0}
    y = apply(built("RandomTranslation", options, x.shape[1:]), x, True)
    shift = (x - y)[:, 20, 1, 0] / 40
    assert shift.min() >= -0.1 and shift.max() <= 0.25
    assert abs(shift.mean() - 0.075) < 4 * 0.35 / np.sqrt(12 * MANY)
    np.testing.assert_allclose((x - y)[:, 15, 0, 0] / 40, shift, 0, 1e-6)


def test_the_two_flips_are_drawn_apart() -> None:
    x = np.tile(np.arange(4.0).reshape(1, 2, 2, 1), (MANY, 1, 1, 1))
    y = apply(built("RandomFlip", {}, (2, 2, 1)), x, True)
    first, counts = np.unique(y[:, 0, 0, 0], return_counts=True)
    np.testing.assert_array_equal(first, [0, 1, 2, 3])
    assert np.abs(counts / MANY - 0.25).max() < 4 * np.sqrt(0.1875 / MANY)


@pytest.mark.parametrize("name", ["RandomFlip", "GaussianNoise", "Dropout", "RandomBrightness"])
def test_a_layer_s_own_seed_stands_above_the_model_s(name: str) -> None:
    required: dict[str, Any] = {"GaussianNoise": {"stddev": 1.0}, "Dropout": {"rate": 0.5}}
    options = {**required.get(name, {"factor": 0.5} if name == "RandomBrightness" else {}), "seed": 7}
    x = PICTURES.astype(float)
    layer, other = (built(name, {**options, "seed": seed}, x.shape[1:]) for seed in (7, 8))
    one, same, later = (apply(layer, x, True, seed, step) for seed, step in ((1, 0), (2, 0), (1, 1)))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, later) or name == "RandomFlip"
    assert not np.array_equal(one, apply(other, x, True, 1, 0))


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("RandomFlip", {}),
        ("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.3, "interpolation": "nearest"}),
        ("SpatialDropout2D", {"rate": 0.5}),
    ],
)
def test_the_native_engine_moves_the_same_pixels(name: str, options: dict[str, Any], seed: int | None) -> None:
    layer = built(name, {**options, "seed": seed}, PICTURES.shape[1:])
    program, _, _ = written(layer, PICTURES.shape[1:], training=True)
    x = np.repeat(PICTURES, 20, 0)
    found = [run_once(e, program, values(layer, x, 3, 4), len(x))["y"] for e in (native(), Reference("float32"))]
    np.testing.assert_array_equal(*found)
