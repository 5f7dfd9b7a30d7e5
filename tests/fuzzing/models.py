"""Models in files: Talweg's own, Keras's, architectures as JSON, and weights as HDF5.

A file with a checksum is accepted only as what it was before it was damaged. One that somebody edited, and made a new
checksum for, may be another model: then every option that it has must be an option of the model, with its value, and
the model saved and loaded again must be the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import talweg
from fuzzing.arrays import written
from fuzzing.forms import Format, Misread
from fuzzing.mutations import json_mutated, members_of, mutated, zip_mutated
from talweg import Sequential, layers
from talweg.train import saved
from talweg.train.tensors import TensorFile, write_tensors

# Everything has a name: those that are given otherwise depend on what was made before, and an input could not be made
# again.


def _small() -> Any:
    hidden = layers.Dense(3, activation="relu", input_shape=(2,), name="hidden")
    return Sequential([hidden, layers.Dense(1, name="out")], name="small", seed=0)


def _compiled() -> Any:
    layer = layers.Dense(2, activation="softmax", input_shape=(2,), name="out")
    model = Sequential([layer], name="compiled", seed=1)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], engine="reference")
    model.fit(np.eye(2), np.arange(2), epochs=1, verbose=0)
    model.class_names, model.preprocessing = ["a", "b"], {"kind": "arrays"}
    return model


def _branched() -> Any:
    x = layers.Input((4, 4, 1), name="x")
    y = layers.Conv2D(2, 3, padding="same", name="windows")(x)
    y = layers.Add(name="sum")([y, layers.BatchNormalization(name="normal")(y)])
    y = layers.Dropout(0.5, name="half")(layers.Flatten(name="flat")(y))
    return talweg.Model(x, layers.Dense(1, name="out")(y), "branched", seed=2)


def told(model: Any) -> str:
    """All that a model is but its numbers, as text."""
    return saved.as_text({k: v for k, v in saved.describe(model).items() if k != "talweg_version"})


def numbers(model: Any) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in saved.numbers(model).items()}


def _is_same(a: Any, b: Any) -> bool:
    return told(a) == told(b) and numbers(a) == numbers(b)


class Known:
    """The models of the seeds, made once in the parent."""

    def __init__(self) -> None:
        self.models: list[Any] = []

    def get(self) -> list[Any]:
        if not self.models:
            self.models = [_small(), _compiled(), _branched()]
        return self.models


KNOWN = Known()
WIRING = ("calls", "inputs", "outputs")


def _seeds(suffix: str) -> list[bytes]:
    return [written(lambda path, m=m: m.save(path), f"x{suffix}") for m in KNOWN.get()]


def _finite(model: Any) -> None:
    if not all(np.isfinite(value).all() for value in saved.numbers(model, include_optimizer=False).values()):
        raise Misread("weights that are not finite")


def _check_undamaged(path: Path, data: bytes) -> None:
    model = talweg.load(path, engine="reference")
    if not any(_is_same(model, known) for known in KNOWN.get()):
        raise Misread("a damaged model was loaded as another")


def _check_edited(path: Path, data: bytes) -> None:
    model = talweg.load(path, engine="reference")
    _finite(model)
    document = json.loads(TensorFile(path).metadata["model"])
    faithful(document["architecture"], model.get_config(), "architecture")
    _check_again(model, path)


def _check_again(model: Any, path: Path) -> None:
    """Saved and loaded, it is the same."""
    beside = path.with_name("again.safetensors")
    model.save(beside)
    if not _is_same(talweg.load(beside, engine="reference"), model):
        raise Misread("saved and loaded again, it is another model")


def faithful(said: Any, is_now: Any, where: str) -> None:
    """Every option that a description has must have come to something; what is absent has its default."""
    name = where.rpartition("/")[2]
    if isinstance(said, dict) and isinstance(is_now, dict):
        for key, value in said.items():
            if key in WIRING:  # who feeds whom may be said in several ways; no call is passed over
                if key == "calls" and len(value) != len(is_now[key]):
                    raise Misread("a call is passed over")
                continue
            if (value is None and key not in is_now) or (key == "name" and value == ""):  # as if it were absent
                continue
            if key not in is_now:
                raise Misread(f"an option is passed over: {key[:20]}")
            faithful(value, is_now[key], f"{where}/{key}")
    elif isinstance(said, list) and isinstance(is_now, list):
        if len(said) != len(is_now):
            raise Misread(f"a list of another length: {name}")
        for one, other in zip(said, is_now, strict=True):
            faithful(one, other, where)
    elif isinstance(said, (bool, int, float)) and isinstance(is_now, list) and is_now:
        for each in is_now:
            faithful(said, each, where)
    elif isinstance(said, (bool, int, float)) and (isinstance(is_now, str) or is_now is None or said != is_now):
        raise Misread(f"a number became another: {name}")
    elif isinstance(said, str) and isinstance(is_now, str) and _name(said) != _name(is_now):
        raise Misread(f"a name became another: {name}")


def _name(text: str) -> str:
    return text.lower().replace("_", "").replace("-", "").strip()


# ── mutations ───────────────────────────────────────────────────────────────────────────────────────────────


def _mutate_edited(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """The description changed, or a few numbers, with a new checksum."""

    def edit(path: Path) -> None:
        source = path.with_name("source.safetensors")
        source.write_bytes(data)
        file = TensorFile(source)
        arrays, text = file.read(), file.metadata["model"]
        if random.random() < 0.85:
            text = json_mutated(random, json.loads(text))
        else:
            name = random.choice(list(arrays))
            values = np.array(arrays[name]).reshape(-1)
            values[random.randrange(values.size)] = (
                random.choice((np.nan, np.inf, 0, 3e38)) if values.dtype.kind == "f" else 7
            )
            arrays[name] = values.reshape(arrays[name].shape)
        write_tensors(path, arrays, {"model": text})

    return written(edit, "x.safetensors")


def _mutate_architecture(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    return mutated(random, data, seeds) if random.random() < 0.1 else json_mutated(random, json.loads(data)).encode()


def _mutate_keras(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    def change(name: str, member: bytes) -> bytes:
        if name.endswith(".json") and random.random() < 0.8:
            return json_mutated(random, json.loads(member)).encode()
        return mutated(random, member)

    return zip_mutated(random, members_of(data), change)


# ── checks ──────────────────────────────────────────────────────────────────────────────────────────────────


def _check_architecture(path: Path, data: bytes) -> None:
    model = saved.untrained(path)
    _finite(model)
    document = json.loads(data)
    said = document.get("architecture", document)
    if len(json.dumps(saved.describe(model))) > 10**7:
        raise Misread("a small file makes a large model")
    faithful({k: v for k, v in said.items() if k not in ("name", "seed")}, model.get_config(), "architecture")
    _check_again(model, path)


def _check_keras(path: Path, data: bytes) -> None:
    model = talweg.load(path, engine="reference")
    _finite(model)
    _check_again(model, path)


def _check_h5(path: Path, data: bytes) -> None:
    import h5py

    model = _h5_model()
    model.load_weights(path)
    _finite(model)
    with h5py.File(path, "r") as file:
        for place, v in zip(
            ("dense/vars/0", "dense/vars/1", "dense_1/vars/0", "dense_1/vars/1"), model.variables, strict=True
        ):
            if not np.array_equal(np.asarray(file[f"layers/{place}"], np.float32), v.numpy()):
                raise Misread("other numbers than in the file")


_loaded: list[Any] = []


def _h5_model() -> Any:
    if not _loaded:
        _loaded.append(_small())
    return _loaded[0]


def _architectures() -> list[bytes]:
    documents = [m.get_config() for m in KNOWN.get()] + [saved.describe(m) for m in KNOWN.get()[:2]]
    return [json.dumps(d).encode() for d in documents]


FORMATS = (
    Format("model", ".safetensors", lambda: _seeds(".safetensors"), mutated, _check_undamaged, 30),
    Format("model-edited", ".safetensors", lambda: _seeds(".safetensors"), _mutate_edited, _check_edited, 10),
    Format("architecture", ".json", _architectures, _mutate_architecture, _check_architecture, 15),
    Format("keras-damaged", ".keras", lambda: _seeds(".keras"), mutated, _check_keras, 6),
    Format("keras", ".keras", lambda: _seeds(".keras"), _mutate_keras, _check_keras, 8),
    Format(
        "h5",
        ".weights.h5",
        lambda: [written(lambda path: _small().save_weights(path), "x.weights.h5")],
        mutated,
        _check_h5,
        10,
    ),
)
