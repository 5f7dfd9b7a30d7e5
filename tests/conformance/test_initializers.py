"""Every initializer: moments, bounds, fans as in Keras, orthogonality, the same bits for the same seed.

The numbers themselves are not Keras's (decision 003: Threefry), so distributions are compared: mean and deviation
within four standard errors of their theory, and Keras's own drawing beside it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from support import oracle
from talweg.errors import ShapeError, UnknownNameError, UsageError
from talweg.graph.random import RandomStream
from talweg.nn import layers
from talweg.nn.initializers import INITIALIZERS, Constant, fans, first_values, get
from talweg.train.sequential import Sequential

SHAPE = (60, 90)  # fan_in 60, fan_out 90, average 75
CUT = 0.87962566103423978  # the deviation of a normal distribution cut at ±2


def cut_moments(deviation: float, mean: float = 0.0) -> tuple[float, float, float]:
    return mean, deviation * CUT, 2 * deviation


# name, options: mean, deviation and the largest distance from the mean (None: any) that theory gives
DRAWN: list[tuple[str, dict[str, Any], tuple[float, float, float | None]]] = [
    ("RandomNormal", {}, (0, 0.05, None)),
    ("RandomNormal", {"mean": 2.0, "stddev": 0.5}, (2, 0.5, None)),
    ("RandomUniform", {}, (0, 0.1 / math.sqrt(12), 0.05)),
    ("RandomUniform", {"minval": 1.0, "maxval": 3.0}, (2, 2 / math.sqrt(12), 1.0)),
    ("TruncatedNormal", {}, cut_moments(0.05)),
    ("TruncatedNormal", {"mean": 1.0, "stddev": 2.0}, cut_moments(2.0, 1.0)),
    ("VarianceScaling", {}, (0, math.sqrt(1 / 60), 2 * math.sqrt(1 / 60) / CUT)),
    (
        "VarianceScaling",
        {"scale": 3.0, "mode": "fan_out", "distribution": "untruncated_normal"},
        (0, math.sqrt(3 / 90), None),
    ),
    ("VarianceScaling", {"scale": 2.0, "distribution": "normal"}, cut_moments(math.sqrt(2 / 60) / CUT)),
    ("VarianceScaling", {"mode": "fan_avg", "distribution": "uniform"}, (0, math.sqrt(1 / 75), math.sqrt(3 / 75))),
    ("GlorotUniform", {}, (0, math.sqrt(1 / 75), math.sqrt(3 / 75))),
    ("GlorotNormal", {}, (0, math.sqrt(1 / 75), 2 * math.sqrt(1 / 75) / CUT)),
    ("HeUniform", {}, (0, math.sqrt(2 / 60), math.sqrt(6 / 60))),
    ("HeNormal", {}, (0, math.sqrt(2 / 60), 2 * math.sqrt(2 / 60) / CUT)),
    ("LecunUniform", {}, (0, math.sqrt(1 / 60), math.sqrt(3 / 60))),
    ("LecunNormal", {}, (0, math.sqrt(1 / 60), 2 * math.sqrt(1 / 60) / CUT)),
]
EXACT: list[tuple[str, dict[str, Any], Any]] = [
    ("Zeros", {}, np.zeros(SHAPE)),
    ("Ones", {}, np.ones(SHAPE)),
    ("Constant", {"value": 0.3}, np.full(SHAPE, 0.3)),
    ("Constant", {"value": list(range(90))}, np.tile(np.arange(90.0), (60, 1))),
    ("Identity", {}, np.eye(*SHAPE)),
    ("Identity", {"gain": 2.0}, 2 * np.eye(*SHAPE)),
]
ORTHOGONAL: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("Orthogonal", {}, (60, 90)),
    ("Orthogonal", {"gain": 1.5}, (90, 60)),
    ("Orthogonal", {}, (3, 3, 4, 20)),
]


def test_every_initializer_has_a_case() -> None:
    assert {n for n, *_ in [*DRAWN, *EXACT, *ORTHOGONAL]} == set(INITIALIZERS)


@pytest.mark.parametrize(("name", "options", "moments"), DRAWN, ids=[f"{n}{o or ''}" for n, o, _ in DRAWN])
def test_moments_and_bounds(name: str, options: dict[str, Any], moments: Any) -> None:
    mean, deviation, bound = moments
    values = INITIALIZERS.get(name)(**options)(SHAPE, RandomStream(11, 1))
    n = values.size
    assert values.shape == SHAPE and values.dtype == np.float64 and np.isfinite(values).all()
    assert abs(values.mean() - mean) < 4 * deviation / math.sqrt(n)
    assert abs(values.std() / deviation - 1) < 4 / math.sqrt(2 * n)
    if bound is not None:
        assert np.abs(values - mean).max() <= bound * (1 + 1e-12)
        assert np.abs(values - mean).max() > 0.97 * bound, "the whole range is used"
    assert len(np.unique(values)) > 0.99 * n
    rows, columns = values - mean, (values - mean).T
    for side in (rows, columns):  # neighbours know nothing of each other
        assert abs((side[:-1] * side[1:]).mean()) < 4 * deviation**2 / math.sqrt(n)

    keras = oracle("keras")
    if options.get("distribution") == "normal":
        return  # Keras's name for it until Keras 2
    theirs = keras.ops.convert_to_numpy(getattr(keras.initializers, name)(**options, seed=1)(SHAPE))
    assert abs(np.abs(values - mean).max() / np.abs(theirs - mean).max() - 1) < 0.25
    places = np.sort(np.concatenate([values.ravel(), theirs.ravel()]))
    shares = [np.searchsorted(np.sort(v.ravel()), places, "right") / n for v in (values, theirs)]
    distance = np.abs(shares[0] - shares[1]).max()  # Kolmogorov and Smirnov's, of two samples
    assert distance < 1.95 * math.sqrt(2 / n), "of one distribution such a distance comes once in a thousand"


@pytest.mark.parametrize(("name", "options", "expected"), EXACT, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(EXACT)])
def test_values_that_are_known(name: str, options: dict[str, Any], expected: Any) -> None:
    np.testing.assert_array_equal(INITIALIZERS.get(name)(**options)(SHAPE), expected)


@pytest.mark.parametrize(("name", "options", "shape"), ORTHOGONAL)
def test_orthogonal(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    values = INITIALIZERS.get(name)(**options)(shape, RandomStream(2, 1))
    assert values.shape == shape
    matrix = values.reshape(-1, shape[-1]) / options.get("gain", 1.0)
    gram = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)
    signs = np.sign(INITIALIZERS.get(name)()((40, 40), RandomStream(5, 1)))
    assert abs(signs.mean()) < 0.1, "no sign is preferred"


def keras_form(shape: Any, dtype: Any = None) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def keras_guide_form(shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(dtype).tolist()


class KerasObject:
    """As in Keras's guide: an `__init__` and a `__call__` of its own."""

    def __init__(self, mean: float) -> None:
        self.mean = mean

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return np.full(shape, self.mean, dtype)


FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "Keras's form": (keras_form, keras_form((3, 2))),
    "Keras's form, more taken": (keras_guide_form, keras_form((3, 2))),
    "an object in Keras's form": (KerasObject(0.5), np.full((3, 2), 0.5)),
    "a function of NumPy's": (np.ones, np.ones((3, 2))),
    "a shape alone": (lambda shape: np.full(shape, 2.0), np.full((3, 2), 2.0)),
    "a shape, and an option": (lambda shape, scale=3.0: np.full(shape, scale), np.full((3, 2), 3.0)),
    "written in C": (np.random.RandomState(0).standard_normal, np.random.RandomState(0).standard_normal((3, 2))),
    "a stream": (lambda shape, random: random.uniform(shape), RandomStream(7, 1).uniform((3, 2))),
    "a stream under any name": (lambda shape, r: r.uniform(shape), RandomStream(7, 1).uniform((3, 2))),
    "an initializer": (Constant([1.0, 2.0]), np.tile([1.0, 2.0], (3, 1))),
}


@pytest.mark.parametrize("form", FUNCTIONS)
def test_functions_of_the_user_s_in_any_form(form: str) -> None:
    """Keras's (shape, dtype=None) once got the stream of random numbers for its dtype."""
    function, expected = FUNCTIONS[form]
    np.testing.assert_array_equal(first_values(get(function), (3, 2), RandomStream(7, 1)), expected)


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (lambda shape: np.zeros(3), ShapeError, r"must return shape \[3, 2\]; got \[3\]"),
        (lambda shape: 0.0, ShapeError, r"must return shape \[3, 2\]; got \[\]"),
        (lambda shape: "ones", UsageError, "must return an array of numbers; got str"),
        (lambda shape: None, UsageError, "must return an array of numbers; got NoneType"),
        (lambda shape: np.full(shape, np.nan), UsageError, "returned NaN or infinity"),
    ],
)
def test_functions_that_answer_with_something_else(function: Any, error: type[Exception], said: str) -> None:
    for layer in (layers.Dense(2, kernel_initializer=function), layers.LSTM(2, bias_initializer=function)):
        is_dense = isinstance(layer, layers.Dense)
        with pytest.raises(error, match=said if is_dense else said.replace("3, 2", "8")):
            Sequential([layers.Input((3,) if is_dense else (4, 3)), layer]).get_weights()


@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (3, 3, 4, 5), (2, 3, 4, 5, 6)])
def test_fans_as_in_keras(shape: tuple[int, ...]) -> None:
    oracle("keras")
    from keras.src.initializers.random_initializers import compute_fans

    assert fans(shape) == compute_fans(shape)


@pytest.mark.parametrize("name", list(INITIALIZERS))
def test_bits_configuration_and_names(name: str) -> None:
    made = INITIALIZERS.get(name)()
    first, again = (made((5, 5), RandomStream(3, 1)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = made((5, 5), RandomStream(4, 1))
    assert np.array_equal(first, other) == (name in {n for n, *_ in EXACT})
    copy = get(made.to_config())
    assert type(copy) is type(made) and copy.to_config() == made.to_config()
    np.testing.assert_array_equal(copy((5, 5), RandomStream(3, 1)), first)
    assert type(get(name)) is type(get(type(made))) is type(made)
    assert made((5, 5), RandomStream(3, 1), np.float32).dtype == np.float32
    if "seed" in type(made).__dataclass_fields__:
        own = type(made)(seed=9)
        np.testing.assert_array_equal(own((4, 4), RandomStream(1, 1)), own((4, 4), RandomStream(2, 1)))


def test_one_stream_serves_several() -> None:
    stream = RandomStream(3, 1)
    kernel = INITIALIZERS.get("GlorotUniform")()
    assert not np.array_equal(kernel((5, 5), stream), kernel((5, 5), stream))


def test_bad_arguments() -> None:
    with pytest.raises(ShapeError, match="Orthogonal needs"):
        get("orthogonal")((3,))
    with pytest.raises(ShapeError, match="Identity needs"):
        get("identity")((3, 3, 3))
    with pytest.raises(ShapeError, match="Constant"):
        INITIALIZERS.get("constant")([1.0, 2.0])((3,))
    for wrong in ({"mode": "fan"}, {"distribution": "cauchy"}, {"scale": 0.0}):
        with pytest.raises(UsageError, match=f"VarianceScaling: {next(iter(wrong))} must be"):
            INITIALIZERS.get("VarianceScaling")(**wrong)
    with pytest.raises(UnknownNameError, match="did you mean"):
        get("glorot_unifrom")
    with pytest.raises(UsageError, match="an initializer must be"):
        get(None)
