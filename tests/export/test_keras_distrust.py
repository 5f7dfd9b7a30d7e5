"""Files of Keras that lie, that are damaged, or that ask for what Talweg does not have: each is a clear error."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import talweg
from talweg import Input, Model, Sequential, layers
from talweg.errors import CorruptFileError, UsageError

Config = dict[str, Any]


def saved(path: Path) -> Path:
    model = Sequential([Input((4,)), layers.Dense(3, "relu", name="hidden"), layers.Dense(2, name="last")], name="m")
    model.compile("sgd", "mse")
    model.save(path)
    return path


def parts(path: Path) -> tuple[Config, bytes]:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json")), archive.read("model.weights.h5")


def write(path: Path, config: Any, weights: bytes, **how: Any) -> Path:
    with zipfile.ZipFile(path, "w", **how) as archive:
        archive.writestr("config.json", config if isinstance(config, (str, bytes)) else json.dumps(config))
        archive.writestr("model.weights.h5", weights)
    return path


def altered(tmp_path: Path, change: Callable[[Config], Any]) -> Path:
    """A saved model, with something else in its description; `change` is given the description of the hidden layer."""
    config, weights = parts(saved(tmp_path / "m.keras"))
    change(config["config"]["layers"][1])
    return write(tmp_path / "m.keras", config, weights)


def put(**options: Any) -> Callable[[Config], Any]:
    return lambda layer: layer["config"].update(options)


UNKNOWN = {"class_name": "MultiHeadAttention", "config": {"name": "hidden"}}
LAMBDA = {"class_name": "Lambda", "config": {"name": "hidden", "function": {"class_name": "__lambda__", "config": {}}}}

NOT_HERE: list[tuple[Any, str]] = [
    (lambda layer: layer.update(UNKNOWN), r"layer 'hidden' is a MultiHeadAttention, a layer that Talweg does not have"),
    (lambda layer: layer.update(LAMBDA), r"'hidden' is a Lambda, which is Python code, and a file's code is not run"),
    (
        lambda layer: layer.update(module="mine", registered_name="mine>Dense"),
        r"'hidden' is a Dense, a layer that Talw",
    ),
    (put(lora_rank=4), r"layer 'hidden': Talweg's Dense has no option 'lora_rank'; it is '4' there"),
    (put(activation="wiggle"), r"layer 'hidden', a Dense: unknown activation 'wiggle'"),
    (put(activation={"class_name": "__lambda__", "config": {"value": "x"}}), r"activation is a __lambda__"),
    (
        put(kernel_regularizer={"class_name": "Mine", "config": {}}),
        r"'hidden': kernel_regularizer is a Mine: Talweg has no such regular",
    ),
    (put(units=-1), r"layer 'hidden', a Dense: Dense: units must be a number in {1, 2, ...}; got -1"),
    (put(dtype="bfloat16"), r"layer 'hidden': its dtype is 'bfloat16'; Talweg reads float32"),
    (
        lambda layer: layer.update(class_name="Embedding", config={"name": "h", "lora_rank": 2}),
        r"no option 'lora_rank'",
    ),
]


@pytest.mark.parametrize(("change", "message"), NOT_HERE)
def test_what_talweg_has_not_is_named(change: Any, message: str, tmp_path: Path) -> None:
    path = altered(tmp_path, change)
    with pytest.raises(UsageError, match=message) as told:
        talweg.load(path)
    assert str(told.value).startswith(f"{path}: ")


NONSENSE: list[Any] = [
    lambda layer: layer.pop("config"),
    lambda layer: layer.update(config=[]),
    lambda layer: layer.update(class_name=7),
    put(kernel_initializer={"class_name": "Zeros", "config": 5}),
    put(dtype={"class_name": "DTypePolicy"}),
]


@pytest.mark.parametrize("change", NONSENSE)
def test_nonsense_in_a_description_is_the_file_s_fault(change: Any, tmp_path: Path) -> None:
    with pytest.raises((CorruptFileError, UsageError), match=r"m\.keras"):
        talweg.load(altered(tmp_path, change))


def test_a_length_that_is_not_fixed_is_named(tmp_path: Path) -> None:
    config, weights = parts(saved(tmp_path / "m.keras"))
    config["config"]["layers"][0]["config"]["batch_shape"] = config["config"]["build_input_shape"] = [None, None]
    with pytest.raises(UsageError, match=r"takes inputs of shape \[None, None\]; in Talweg all axes but the first"):
        talweg.load(write(tmp_path / "m.keras", config, weights))


def test_a_model_that_is_a_class_of_its_own_is_refused(tmp_path: Path) -> None:
    config, weights = parts(saved(tmp_path / "m.keras"))
    with pytest.raises(UsageError, match="it is a MyModel; Sequential and functional models can be read"):
        talweg.load(write(tmp_path / "m.keras", config | {"class_name": "MyModel"}, weights))


def test_what_cannot_be_compiled_can_predict(tmp_path: Path) -> None:
    config, weights = parts(saved(tmp_path / "m.keras"))
    config["compile_config"]["loss"] = {"class_name": "Mine", "config": {}}
    path = write(tmp_path / "m.keras", config, weights)
    with pytest.raises(UsageError, match="the loss is a Mine: Talweg has no such loss; load it with compile=Fa"):
        talweg.load(path)
    assert talweg.load(path, compile=False).predict(np.zeros((1, 4))).shape == (1, 2)


def test_what_keras_has_not_is_named(tmp_path: Path) -> None:
    @talweg.activations.activation()
    def wobble(x: Any) -> Any:
        return x * x

    class Doubled(talweg.layers.Layer):
        def call(self, x: Any, p: Any, context: Any) -> Any:
            return x * 2.0

    for layer, message in (
        (layers.Dense(2, activation="gaussian", name="d"), "layer 'd': activation is gaussian, which Keras does not"),
        (Doubled(name="d"), "layer 'd' is a Doubled: Keras has no such layer"),
    ):
        with pytest.raises(UsageError, match=message):
            Sequential([Input((4,)), layer]).save(tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())


def test_a_layer_of_one_s_own_is_found_by_its_name(tmp_path: Path) -> None:
    class Tripled(talweg.layers.Layer):
        def call(self, x: Any, p: Any, context: Any) -> Any:
            return x * 3.0

    def own(layer: Config) -> None:
        layer.update(module=None, class_name="Tripled", registered_name="mine>Tripled", config={"name": "t"})

    path = altered(tmp_path, own)
    with h5py.File(held := io.BytesIO(), "w") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = np.ones((4, 2), "f"), np.zeros(2, "f")
    config, _ = parts(path)
    model = talweg.load(write(path, config, held.getvalue()))
    np.testing.assert_allclose(model.predict(np.ones((1, 4))), [[12.0, 12.0]])


def test_layers_that_feed_each_other_in_a_circle(tmp_path: Path) -> None:
    x = Input((4,), name="x")
    h = layers.Dense(4, name="a")(x)
    Model(x, layers.Dense(4, name="b")(h)).save(tmp_path / "m.keras")
    config, weights = parts(tmp_path / "m.keras")
    [first] = [each for each in config["config"]["layers"] if each["name"] == "a"]
    history = first["inbound_nodes"][0]["args"][0]["config"]["keras_history"]
    for fed_by, message in ((["b", 0, 0], "feed each other in a circle"), (["b", 3, 0], "fed by call 3 of 'b'")):
        history[:] = fed_by
        with pytest.raises(ValueError, match=message):
            talweg.load(write(tmp_path / "m.keras", config, weights))


# ── the zip file ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_that_is_cut_short_or_altered_is_told(tmp_path: Path) -> None:
    data = saved(tmp_path / "m.keras").read_bytes()
    for n in (0, 10, len(data) // 2, len(data) - 10):
        (tmp_path / "m.keras").write_bytes(data[:n])
        with pytest.raises(CorruptFileError, match=r"m\.keras: expected a \.keras file"):
            talweg.load(tmp_path / "m.keras")
    (tmp_path / "m.keras").write_bytes(data.replace(b'"units": 3', b'"units": 4'))
    with pytest.raises(CorruptFileError, match="CRC"):
        talweg.load(tmp_path / "m.keras")


def test_a_member_is_missing(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("../../evil", "x")
    with pytest.raises(CorruptFileError, match=r"with a config\.json, but it holds \.\./\.\./evil"):
        talweg.load(tmp_path / "m.keras")


def test_a_member_that_claims_more_than_it_can_hold(tmp_path: Path) -> None:
    config, weights = parts(saved(tmp_path / "m.keras"))
    path = write(tmp_path / "m.keras", config, weights, compression=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 2**31)
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match=r"model\.weights\.h5 of at most .* it claims 2,147,483,648 bytes"):
        talweg.load(path)
    write(tmp_path / "m.keras", config, weights, compression=zipfile.ZIP_LZMA)
    with pytest.raises(CorruptFileError, match="by method 14"):
        talweg.load(tmp_path / "m.keras")


def test_offsets_that_lie_outside_the_file(tmp_path: Path) -> None:
    data = bytearray(saved(tmp_path / "m.keras").read_bytes())
    at = data.rindex(b"PK\x05\x06")
    data[at + 16 : at + 20] = struct.pack("<I", 2**31)
    (tmp_path / "m.keras").write_bytes(data)
    with pytest.raises(CorruptFileError, match="it cannot be read as one"):
        talweg.load(tmp_path / "m.keras")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    config, _ = parts(saved(tmp_path / "m.keras"))
    path = write(tmp_path / "m.keras", config, bytes(2**27), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(CorruptFileError, match="it claims 134,217,728 bytes"):
        talweg.load(path)


def test_what_a_file_says_does_not_fill_the_screen(tmp_path: Path) -> None:
    for change in (put(**{"o" * 10**6: 5}), put(units="9" * 10**6), put(name="\x1b[31m/" * 10**5)):
        with pytest.raises((CorruptFileError, UsageError)) as told:
            talweg.load(altered(tmp_path, change))
        assert len(str(told.value)) < 2000 and "\x1b" not in str(told.value)


# ── HDF5 ──────────────────────────────────────────────────────────────────────────────────────────────────

KERNEL = "layers/dense/vars/0"


def external(file: Any) -> None:
    del file[KERNEL]
    file[KERNEL] = h5py.ExternalLink("/etc/passwd", "/x")


def soft(file: Any) -> None:
    file["elsewhere"] = np.zeros((4, 3), "f")
    del file[KERNEL]
    file[KERNEL] = h5py.SoftLink("/elsewhere")


def outside(file: Any) -> None:
    del file[KERNEL]
    file.create_dataset(KERNEL, (4, 3), "f", external=[("other.bin", 0, 48)])


def virtual(file: Any) -> None:
    del file[KERNEL]
    layout = h5py.VirtualLayout((4, 3), "f")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4, 3))
    file.create_virtual_dataset(KERNEL, layout)


def huge(file: Any) -> None:
    del file[KERNEL]
    file.create_dataset(KERNEL, (2**20, 2**20), "f", chunks=(64, 64))


def integers(file: Any) -> None:
    del file[KERNEL]
    file[KERNEL] = np.zeros((4, 3), np.int32)


def absent(file: Any) -> None:
    del file["layers/dense_1"]


def one_more(file: Any) -> None:
    file["layers/dense/vars/2"] = np.zeros(3, "f")


def group(file: Any) -> None:
    del file[KERNEL]
    file.create_group(KERNEL)


LIES = [
    (external, "is a ExternalLink"),
    (soft, "is a SoftLink"),
    (outside, "or lies in another file"),
    (virtual, "or lies in another file"),
    (huge, r"of shape \[4, 3\], but it has \[1048576, 1048576\]"),
    (integers, "it is int32"),
    (absent, "2 arrays in layers/dense_1/vars, for layer 'last', but there are none"),
    (one_more, "2 arrays in layers/dense/vars, for layer 'hidden', but there are 3"),
    (group, "it is not there"),
]


@pytest.mark.parametrize(("lie", "message"), LIES)
def test_weights_that_lie_are_refused(lie: Any, message: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "m.keras")
    model = talweg.load(path)
    kept = model.get_weights()
    config, weights = parts(path)
    with h5py.File(held := io.BytesIO(weights), "r+") as file:
        lie(file)
    write(path, config, held.getvalue())
    (tmp_path / "w.weights.h5").write_bytes(held.getvalue())
    with pytest.raises(CorruptFileError, match=message):
        talweg.load(path)
    for name in ("m.keras", "w.weights.h5"):
        with pytest.raises(CorruptFileError, match=message):
            model.load_weights(tmp_path / name)
    for a, b in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(a, b)


MEMORY = "optimizer/vars"
FALSE_MEMORIES = [
    (0, np.int64(-1), "expected a count of steps as optimizer/vars/0, but it is -1"),
    (0, np.int64(2**32), "expected a count of steps"),
    (0, np.float32(3), "whole numbers as optimizer/vars/0, but it is float32"),
    (2, np.zeros((3, 4), "f"), r"optimizer/vars/2 of shape \[4, 3\], but it has \[3, 4\]"),
]


@pytest.mark.parametrize(("number", "value", "message"), FALSE_MEMORIES)
def test_what_no_optimizer_remembers_is_refused(number: int, value: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    model = Sequential([Input((4,)), layers.Dense(3)])
    model.compile("adam", "mse")
    model.save(path)
    config, weights = parts(path)
    with h5py.File(held := io.BytesIO(weights), "r+") as file:
        del file[f"{MEMORY}/{number}"]
        file[f"{MEMORY}/{number}"] = value
    write(path, config, held.getvalue())
    with pytest.raises(CorruptFileError, match=message):
        talweg.load(path)
    assert talweg.load(path, compile=False).predict(np.zeros((1, 4))).shape == (1, 3)


def test_an_array_that_a_file_cannot_hold_is_not_allocated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A description may ask for any shape, and HDF5 may declare it without holding a byte of it."""
    monkeypatch.setenv("TALWEG_MAX_MEMORY", "999T")  # where the budget would allow it
    config, _ = parts(saved(tmp_path / "m.keras"))
    config["config"]["layers"] = config["config"]["layers"][:2]
    config["config"]["layers"][1]["config"]["units"] = 2**40
    with h5py.File(held := io.BytesIO(), "w") as file:
        file.create_dataset(KERNEL, (4, 2**40), "f", chunks=(4, 1024))
        file.create_dataset("layers/dense/vars/1", (2**40,), "f", chunks=(1024,))
    with pytest.raises(CorruptFileError, match=r"arrays that fit into .* bytes, but layers/dense/vars/0 claims more"):
        talweg.load(write(tmp_path / "m.keras", config, held.getvalue()))


def test_text_that_is_no_hdf5(tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(b"not at all" * 99)
    with pytest.raises(CorruptFileError, match="expected an HDF5 file"):
        talweg.load(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["x"] = 1.0
    with pytest.raises(UsageError, match="holds weights and no model"):
        talweg.load(tmp_path / "m.h5")


@pytest.mark.parametrize("name", ["m.h5", "m.hdf5"])
def test_old_forms_are_not_written(name: str, tmp_path: Path) -> None:
    model = Sequential([Input((4,)), layers.Dense(3)])
    with pytest.raises(UsageError, match=r"in \.safetensors or \.keras; got"):
        model.save(tmp_path / name)
    with pytest.raises(UsageError, match=r"\.safetensors or \.weights\.h5; got"):
        model.save_weights(tmp_path / name)
    with pytest.raises(UsageError, match="overwrite=False"):
        model.save(tmp_path / "m.keras")
        model.save(tmp_path / "m.keras", overwrite=False)


def test_whatever_is_altered_is_an_error_of_ours_or_a_model(tmp_path: Path) -> None:
    x = Input((6, 6, 2), name="x")
    h = layers.Flatten()(layers.Conv2D(2, 3)(x))
    Model(x, layers.Add()([layers.Dense(3)(h), layers.Dense(3)(h)])).save(tmp_path / "m.keras")
    config, weights = parts(tmp_path / "m.keras")
    text, random = json.dumps(config), np.random.default_rng(4)
    swaps = [
        ("null", "[]"),
        ("null", "-1"),
        ('"x"', "7"),
        ("[", "[[]], ["),
        ("0", "1e999"),
        ("3", "-3"),
        ("{", '{"a": [], '),
    ]
    loaded = 0
    for i in range(120):
        changed, data = text, bytearray(weights)
        if i % 2:
            for at in random.integers(0, len(data), 6):
                data[at] = random.integers(0, 256)
        else:
            old, new = swaps[random.integers(len(swaps))]
            at = text.find(old, random.integers(len(text) - 40))
            changed = text[:at] + new + text[at + len(old) :]
        write(tmp_path / "m.keras", changed, bytes(data))
        try:
            talweg.load(tmp_path / "m.keras")
            loaded += 1
        except talweg.errors.TalwegError:
            pass
    assert loaded < 120


# ── what Keras 2 wrote, as far as no Keras 3 writes it ────────────────────────────────────────────────────


def test_a_functional_model_of_keras_2(tmp_path: Path) -> None:
    def layer(kind: str, name: str, nodes: list[Any], **config: Any) -> Config:
        return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}

    inner = {
        "name": "inner",
        "layers": [
            layer("InputLayer", "i", [], batch_input_shape=[None, 2], dtype="float32", sparse=False, ragged=False),
            layer("Dense", "d", [[["i", 0, 0, {}]]], units=2, trainable=True, dtype="float32", activation="linear"),
        ],
        "input_layers": [["i", 0, 0]],
        "output_layers": [["d", 0, 0]],
    }
    model = {
        "name": "outer",
        "layers": [
            layer("InputLayer", "x", [], batch_input_shape=[None, 2], dtype="float32", sparse=False, ragged=False),
            {"class_name": "Functional", "name": "inner", "config": inner}
            | {"inbound_nodes": [[["x", 0, 0, {}]], [["inner", 1, 0, {}]]]},
            layer("LeakyReLU", "l", [[["inner", 2, 0, {"training": False}]]], alpha=0.5, dtype="float32"),
            layer("Add", "s", [[["l", 0, 0, {}], ["inner", 1, 0, {}]]], dtype="float32"),
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["s", 0, 0]],
    }
    w, b = np.float32([[1, -2], [0.5, 1]]), np.float32([0.1, -0.2])
    told = {"loss": "mse", "metrics": [[{"class_name": "MeanMetricWrapper", "config": {"name": "m", "fn": "mae"}}]]}
    told |= {"optimizer_config": {"class_name": "Custom>Adam", "config": {"learning_rate": 0.001, "decay": 0.0}}}
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": model})
        file.attrs["training_config"] = json.dumps(told)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"x", b"inner", b"l", b"s"]
        for name in ("x", "l", "s"):
            weights.create_group(name).attrs["weight_names"] = []
        held = weights.create_group("inner")
        held.attrs["weight_names"] = [b"d/kernel:0", b"d/bias:0"]
        held["d/kernel:0"], held["d/bias:0"] = w, b
    model_here = talweg.load(tmp_path / "old.h5")
    x = np.float32([[1, 2], [-3, 0.5]])
    once = x @ w + b
    twice = once @ w + b
    np.testing.assert_allclose(model_here.predict(x), np.where(twice > 0, twice, 0.5 * twice) + once, 1e-6)
    assert model_here.metrics_names == ["loss", "mae"] and type(model_here.optimizer).__name__ == "Adam"
