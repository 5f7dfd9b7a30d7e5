"""PyTorch's weights: the same nets built there, with its layouts, predict the same in both directions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from conformance.layers import CASES
from support import oracle
from talweg import Input, Model, Sequential, layers
from talweg.errors import CorruptFileError, ShapeError, UsageError
from talweg.export import modules, pytorch
from talweg.export.orders import ALIKE
from talweg.graph import Array
from talweg.nn.layers import LAYERS

RANDOM = np.random.default_rng(8)
NEAR = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    return oracle("torch")


@pytest.fixture(autouse=True)
def numbers_of_its_own() -> None:
    """Each test draws the same numbers, whatever ran before it."""
    RANDOM.bit_generator.state = np.random.default_rng(8).bit_generator.state


def permuted(nn: Any, *axes: int) -> Any:
    class Permuted(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x.permute(*axes)

    return Permuted()


def last_of(nn: Any, recurrent: Any) -> Any:
    """The sequence that a recurrent module answers, without its states."""

    class Answer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = recurrent

        def forward(self, x: Any) -> Any:
            return self.inner(x)[0]

    return Answer()


def eased(nn: Any, channels: int) -> Any:
    return nn.BatchNorm2d(channels, eps=1e-3)


def first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[-1], *shape[:-1]) if len(shape) == 3 else shape


Net = tuple[tuple[int, ...], Callable[[], list[Any]], Callable[[Any], list[Any]]]

# The shape of an example, Talweg's layers, PyTorch's modules in a Sequential.
NETS: dict[str, Net] = {
    "dense": (
        (4,),
        lambda: [layers.Dense(3, "relu"), layers.Dense(2, use_bias=False)],
        lambda nn: [nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2, bias=False)],
    ),
    "more than ten": (
        (3,),
        lambda: [layers.Dense(3, "tanh") for _ in range(12)],
        lambda nn: [m for _ in range(12) for m in (nn.Linear(3, 3), nn.Tanh())],
    ),
    "convolution, flatten, dense": (
        (7, 6, 3),
        lambda: [
            layers.Conv2D(4, (3, 2), strides=2, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.BatchNormalization(scale=False, center=False),
            layers.Dense(5, "elu"),
            layers.Dense(2),
        ],
        lambda nn: [
            nn.Conv2d(3, 4, (3, 2), stride=2),
            nn.ReLU(),
            eased(nn, 4),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.BatchNorm1d(36, eps=1e-3, affine=False),
            nn.Linear(36, 5),
            nn.ELU(),
            nn.Linear(5, 2),
        ],
    ),
    "pictures flattened at once": (
        (4, 3, 2),
        lambda: [layers.Flatten(), layers.LayerNormalization(epsilon=1e-5), layers.PReLU(), layers.Dense(2)],
        lambda nn: [nn.Flatten(), nn.LayerNorm(24), nn.PReLU(24), nn.Linear(24, 2)],
    ),
    "grouped, depthwise, separable": (
        (6, 6, 4),
        lambda: [
            layers.Conv2D(6, 3, groups=2, dilation_rate=2, padding="same"),
            layers.DepthwiseConv2D(3, depth_multiplier=2),
            layers.SeparableConv2D(3, 3, depth_multiplier=2),
            layers.GlobalAveragePooling2D(),
        ],
        lambda nn: [
            nn.Conv2d(4, 6, 3, groups=2, dilation=2, padding=2),
            nn.Conv2d(6, 12, 3, groups=6),
            nn.Conv2d(12, 24, 3, groups=12, bias=False),
            nn.Conv2d(24, 3, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        ],
    ),
    "decoder": (
        (5,),
        lambda: [
            layers.Dense(2 * 3 * 4, "relu"),
            layers.BatchNormalization(),
            layers.Reshape((2, 3, 4)),
            layers.Conv2DTranspose(3, (2, 3), strides=2),
            layers.PReLU(shared_axes=(1, 2)),
            layers.Conv2DTranspose(2, 3, use_bias=False),
            layers.Flatten(),
            layers.Dense(3),
        ],
        lambda nn: [
            nn.Linear(5, 24),
            nn.ReLU(),
            nn.BatchNorm1d(24, eps=1e-3),
            nn.Unflatten(1, (4, 2, 3)),
            nn.ConvTranspose2d(4, 3, (2, 3), stride=2),
            nn.PReLU(3),
            nn.ConvTranspose2d(3, 2, 3, bias=False),
            nn.Flatten(),
            nn.Linear(2 * 6 * 9, 3),
        ],
    ),
    "groups of channels": (
        (4, 4, 6),
        lambda: [layers.GroupNormalization(3, epsilon=1e-5), layers.LayerNormalization((1, 2, 3), epsilon=1e-5)],
        lambda nn: [nn.GroupNorm(3, 6), nn.LayerNorm([6, 4, 4])],
    ),
    "only one of two": (
        (4, 4, 2),
        lambda: [layers.BatchNormalization(scale=False), layers.LayerNormalization((1, 2, 3), 1e-5, center=False)],
        lambda nn: [eased(nn, 2), nn.LayerNorm([2, 4, 4])],
    ),
    "sequences": (
        (8, 3),
        lambda: [
            layers.Conv1D(4, 3, activation="tanh"),
            layers.DepthwiseConv1D(2),
            layers.Conv1DTranspose(3, 2),
            layers.SeparableConv1D(2, 2),
            layers.Flatten(),
            layers.Dense(2),
        ],
        lambda nn: [
            permuted(nn, 0, 2, 1),
            nn.Conv1d(3, 4, 3),
            nn.Tanh(),
            nn.Conv1d(4, 4, 2, groups=4),
            nn.ConvTranspose1d(4, 3, 2),
            nn.Conv1d(3, 3, 2, groups=3, bias=False),
            nn.Conv1d(3, 2, 1),
            nn.Flatten(),
            nn.Linear(10, 2),
        ],
    ),
    "recurrent": (
        (5, 3),
        lambda: [
            layers.LSTM(4, return_sequences=True),
            layers.Bidirectional(layers.GRU(3, return_sequences=True)),
            layers.SimpleRNN(2, activation="relu", return_sequences=True),
            layers.GRU(2, use_bias=False, return_sequences=True),
            layers.RMSNormalization(epsilon=1e-6),
            layers.TimeDistributed(layers.Dense(3)),
            layers.Flatten(),
            layers.Dense(1),
        ],
        lambda nn: [
            last_of(nn, nn.LSTM(3, 4, batch_first=True)),
            last_of(nn, nn.GRU(4, 3, batch_first=True, bidirectional=True)),
            last_of(nn, nn.RNN(6, 2, nonlinearity="relu", batch_first=True)),
            last_of(nn, nn.GRU(2, 2, bias=False, batch_first=True)),
            nn.RMSNorm(2, eps=1e-6),
            nn.Linear(2, 3),
            nn.Flatten(),
            nn.Linear(15, 1),
        ],
    ),
}


def net(torch: ModuleType, modules: list[Any]) -> Any:
    torch.manual_seed(8)
    made = torch.nn.Sequential(*modules).eval()
    with torch.no_grad():
        for name, value in made.state_dict().items():
            if value.dtype.is_floating_point:
                value.copy_(torch.rand_like(value) + (0.5 if "var" in name else -0.3))
    return made


def shaken(model: Any) -> Any:
    for v in model.variables:
        v.value = RANDOM.uniform(0.5, 1.0, v.shape) * (1 if "variance" in v.name else RANDOM.choice([-1, 1], v.shape))
    return model


def answer(torch: ModuleType, made: Any, x: Array) -> Array:
    with torch.no_grad():
        given = np.moveaxis(x, -1, 1) if x.ndim == 4 else x
        y: Array = made(torch.tensor(np.ascontiguousarray(given))).numpy()
    return np.moveaxis(y, 1, -1) if y.ndim == 4 else y


def neutral(model: Any, state: dict[str, Any]) -> dict[str, Any]:
    """What a layer does not learn and its module does must say nothing."""
    for name, module in zip(
        dict.fromkeys(k.rpartition(".")[0] for k in state), modules.modules(model, True), strict=True
    ):
        for part in module.parts:
            if not part.name:
                state[f"{name}.{part.key}"].fill_(part.neutral)
    return state


@pytest.mark.parametrize("name", NETS)
def test_nets_are_the_same_on_both_sides(name: str, tmp_path: Path, torch: ModuleType) -> None:
    from safetensors.torch import load_file, save_file

    shape, ours, theirs = NETS[name]
    x = RANDOM.normal(size=(4, *shape)).astype(np.float32)
    model, made = Sequential([Input(shape), *ours()]), net(torch, theirs(torch.nn))
    neutral(model, made.state_dict())
    pytorch.load_state_dict(model, made.state_dict())
    np.testing.assert_allclose(model.predict(x), answer(torch, made, x), **NEAR)

    save_file(made.state_dict(), tmp_path / "theirs.safetensors")
    kept = model.get_weights()
    numbers = list(dict.fromkeys(key.rpartition(".")[0] for key in made.state_dict()))
    is_counted = all(part.isdecimal() for key in numbers for part in key.split("."))
    pytorch.load(shaken(model), tmp_path / "theirs.safetensors", names=None if is_counted else numbers)
    for a, b in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(a, b)

    pytorch.save(shaken(model), tmp_path / "ours.safetensors", names=numbers)
    made.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    np.testing.assert_allclose(model.predict(x), answer(torch, made, x), **NEAR)


def test_every_layer_with_weights_has_a_rule() -> None:
    found = set()
    for name, options, shape, _ in CASES:
        if name != "InputLayer" and Sequential([Input(shape), getattr(layers, name)(**options)]).variables:
            found.add(LAYERS.get(name))
    assert found - {layers.Normalization} == set(modules.RULES)


def test_layers_that_keep_the_order_of_a_row_are_listed() -> None:
    """A layer that answers a row in another order when it is given it so is one that orders go through."""
    order = np.array([2, 0, 1, 3, 5, 4, 6, 7])
    x = RANDOM.normal(size=(5, 8)).astype("f")
    others = ("InputLayer", "Rescaling", "Flatten", "Normalization")
    for name, options, shape, answered in CASES:
        if len(shape) == 1 and answered == shape and name not in others:
            model = Sequential([Input((8,)), getattr(layers, name)(**options)])
            if model.variables or "noise_shape" in options:
                continue
            keeps = np.allclose(model.predict(x[:, order]), model.predict(x)[:, order], atol=1e-6)
            assert keeps == issubclass(LAYERS.get(name), ALIKE), name


def test_embeddings(torch: ModuleType) -> None:
    model, made = Sequential([Input((4,)), layers.Embedding(7, 3)]), net(torch, [torch.nn.Embedding(7, 3)])
    pytorch.load_state_dict(model, made.state_dict())
    np.testing.assert_array_equal(model.predict([[0, 6, 1, 2]]), made(torch.tensor([[0, 6, 1, 2]])).detach().numpy())


def two_ways(k: Any) -> Any:
    """Two pictures in models of their own, flattened and joined."""
    a, b = Input((4, 4, 2), name="a"), Input((3,), name="b")
    tower = Sequential([Input((4, 4, 2)), layers.Conv2D(3, 3, name="conv"), layers.Flatten()], name="tower")
    h = layers.Concatenate()([layers.Dropout(0.1)(tower(a)), layers.Dense(2, name="side")(b)])
    return Model([a, b], layers.Dense(2, name="top")(layers.ReLU()(h)))


def test_orders_go_through_models_and_joins(torch: ModuleType) -> None:
    nn = torch.nn

    class Net(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.top, self.conv, self.side = nn.Linear(14, 2), nn.Conv2d(2, 3, 3), nn.Linear(3, 2)

        def forward(self, a: Any, b: Any) -> Any:
            return self.top(torch.relu(torch.cat([torch.flatten(self.conv(a), 1), self.side(b)], 1)))

    model, made = two_ways(None), Net().eval()
    pytorch.load_state_dict(model, made.state_dict(), names={"tower/conv": "conv", "side": "side", "top": "top"})
    a, b = RANDOM.normal(size=(5, 4, 4, 2)).astype("f"), RANDOM.normal(size=(5, 3)).astype("f")
    with torch.no_grad():
        expected = made(torch.tensor(np.ascontiguousarray(np.moveaxis(a, -1, 1))), torch.tensor(b)).numpy()
    np.testing.assert_allclose(model.predict([a, b]), expected, **NEAR)


def test_channels_last_is_as_it_is() -> None:
    model = Sequential([Input((4, 4, 2)), layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(2, name="d")])
    kernel = model.get_layer("d").variables[0].numpy()
    last, turned = (pytorch.state_dict(model, channels_first=c)["d.weight"].T for c in (False, True))
    np.testing.assert_array_equal(last, kernel)
    np.testing.assert_array_equal(turned, kernel.reshape(2, 2, 3, 2).transpose(2, 0, 1, 3).reshape(12, 2))


# ── what does not fit ─────────────────────────────────────────────────────────────────────────────────────


def small() -> Any:
    return Sequential([Input((4,)), layers.Dense(3, name="a"), layers.Dense(2, name="b")])


def state(**changes: Any) -> dict[str, Array]:
    made = {"a.weight": (3, 4), "a.bias": (3,), "b.weight": (2, 3), "b.bias": (2,)} | changes
    return {key: np.ones(shape, "f") for key, shape in made.items() if shape is not None}


@pytest.mark.parametrize(
    ("given", "names", "message"),
    [
        (
            state(**{"a.weight": (4, 3)}),
            None,
            r"module 'a' for layer 'a': weight must have shape \[3, 4\]; it has \[4, 3\]",
        ),
        (state(**{"a.bias": None}), None, "module 'a' for layer 'a' must have weight, bias; it has weight"),
        (state(**{"a.gate": (1,)}), None, "must have weight, bias; it has weight, bias, gate"),
        (state(**{"c.weight": (1,)}), None, r"names=\[...\], a module for each of a, b. There are 3 modules: a, b, c"),
        (state(), ["a"], "names must be 2, one for each of a, b; got 1: a"),
        (state(), ["a", "a"], "names has a module twice: a, a"),
        (state(), ["a", "z"], "there is no module 'z'; there are a, b"),
        (state(), {"a": "a"}, "names has no module for layer 'b'; it has a"),
        (state(), {"a": "a", "b": "b", "c": "c"}, "names has a layer 'c'; those with weights are a, b"),
        (state(), "ab", "names must be a list"),
    ],
)
def test_what_does_not_fit_is_told(given: Any, names: Any, message: str) -> None:
    model = small()
    kept = model.get_weights()
    with pytest.raises((UsageError, ShapeError), match=message):
        pytorch.load_state_dict(model, given, names)
    for a, b in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_file_whose_modules_have_other_names_needs_names(tmp_path: Path) -> None:
    pytorch.save(small(), tmp_path / "w.safetensors", names=["enter", "leave"])
    model = small()
    with pytest.raises(
        UsageError, match=r"names=\[...\], a module for each of a, b. There are 2 modules: enter, leave"
    ):
        pytorch.load(model, tmp_path / "w.safetensors")
    pytorch.load(model, tmp_path / "w.safetensors", names={"b": "leave", "a": "enter"})
    (tmp_path / "w.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(CorruptFileError, match=r"w\.safetensors"):
        pytorch.load(model, tmp_path / "w.safetensors")


def test_layers_that_pytorch_does_not_have() -> None:
    for layer, message in (
        (layers.Normalization(name="n"), "layer 'n' is a Normalization, for which PyTorch has no module"),
        (layers.PReLU(name="p"), "layer 'p': PyTorch's PReLU has one α for each channel"),
    ):
        with pytest.raises(UsageError, match=message):
            pytorch.state_dict(Sequential([Input((4, 4, 2)), layer]))
    gru = Sequential([Input((4, 2)), layers.GRU(2, reset_after=False)])
    with pytest.raises(UsageError, match="give reset_after=True"):
        pytorch.state_dict(gru)
    lost = Sequential([Input((4, 4, 2)), layers.Flatten(), layers.RepeatVector(2, name="r"), layers.LSTM(2)])
    with pytest.raises(
        UsageError, match=r"layer 'r': what a Flatten makes .* cannot be followed through a RepeatVector"
    ):
        pytorch.state_dict(lost)
    only = Sequential([Input((4,)), layers.BatchNormalization(scale=False, name="n")])
    given = {f"n.{key}": np.full(4, 2.0) for key in ("weight", "bias", "running_mean", "running_var")}
    with pytest.raises(UsageError, match=r"layer 'n' has no such parameter, so weight must be 1\.0"):
        pytorch.load_state_dict(only, given)
