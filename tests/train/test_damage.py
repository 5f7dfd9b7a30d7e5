"""Files that are not as they were written: refused by name, or what they say is the same."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talweg import load
from talweg.errors import CorruptFileError, TalwegError
from talweg.nn.layers import Dense, Input
from talweg.train.document import SEAL, read_json, write_json
from talweg.train.experiment import Experiment, Wishes
from talweg.train.prepared import Source
from talweg.train.run_folder import RunFolder, trained_model
from talweg.train.saved import untrained
from talweg.train.sequential import Sequential
from talweg.train.tensors import TensorFile, write_tensors

X = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)


def small(path: Path) -> Any:
    model = Sequential([Input((2,)), Dense(2, activation="relu", name="é"), Dense(1)], seed=1)
    model.class_names = ["no", "yes"]
    model.compile("sgd", "mse", engine="reference")
    model.save(path)
    return model


def content(model: Any) -> str:
    """All that a model is, as text."""
    weights = {name: v.numpy().tobytes().hex() for name, v in model.named_variables.items()}
    how = model.optimizer.to_config() if model.compiled else None
    return repr((model.get_config(), weights, how, model.class_names, model.epochs_trained, model.preprocessing))


def flips(path: Path, read: Callable[[], str], every: int = 1) -> tuple[int, int]:
    """Each bit of the file the other way, one after another: how many were refused, and how many changed nothing."""
    whole, expected, refused, same = path.read_bytes(), read(), 0, 0
    for bit in range(0, 8 * len(whole), every):
        altered = bytearray(whole)
        altered[bit // 8] ^= 1 << bit % 8
        path.write_bytes(altered)
        try:
            found = read()
        except TalwegError:
            refused += 1
        else:
            assert found == expected, (
                f"bit {bit % 8} of byte {bit // 8}: {whole[max(0, bit // 8 - 30) : bit // 8 + 9]!r}"
            )
            same += 1
    path.write_bytes(whole)
    return refused, same


def test_every_bit_of_a_model_s_file(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    small(path)
    refused, same = flips(path, lambda: content(load(path, engine="reference")))
    assert refused > 8 * path.stat().st_size - 100 and same < 100  # the name of the seal itself changes nothing


def test_every_bit_of_a_weights_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model = small(tmp_path / "m.safetensors")
    model.save_weights(path)
    before = [np.zeros_like(w) for w in model.get_weights()]

    def read() -> str:
        model.set_weights(before)
        model.load_weights(path)
        return content(model)

    refused, same = flips(path, read)
    assert refused > 0.9 * (refused + same)


def test_bits_of_a_model_s_json(tmp_path: Path) -> None:
    small(tmp_path / "m")
    path = tmp_path / "m" / "model.json"
    flips(path, lambda: content(load(tmp_path / "m", engine="reference")), every=3)
    flips(path, lambda: repr(untrained(path).get_config()), every=7)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    experiment = Experiment.begin(Wishes(Source("iris"), epochs=2, engine="reference"), out)
    experiment.train()
    result, _ = experiment.finish()
    experiment.folder.write_result(result)
    return out


@pytest.mark.parametrize(
    "name", ["config.json", "result.json", "model.json", "model.safetensors", "state.json", "numbers"]
)
def test_bits_of_a_run_folder(name: str, run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    within = {
        "state.json": folder / "checkpoint" / "state.json",
        "numbers": next(folder.glob("checkpoint/*.safetensors")),
    }

    def read() -> str:
        opened = RunFolder(folder)
        model, lines = opened.checkpoint("reference")
        config = {k: v for k, v in opened.config.items() if len(k) != len(SEAL) or k in ("engine", "epochs")}
        result = opened.result() or {}
        return repr((config, result["test"], content(trained_model(folder)[0]), content(model), lines))

    path = within.get(name, folder / name)
    flips(path, read, every=8 * path.stat().st_size // 400 | 1)


# ── other damage ──────────────────────────────────────────────────────────────────────────────────────────


def header_of(path: Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def put(path: Path, header: str, data: bytes) -> None:
    text = header.encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_a_description_that_another_program_changed(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    small(path)
    header, data = header_of(path)
    put(path, json.dumps(header), data)
    load(path)
    header["__metadata__"]["talweg"] = header["__metadata__"]["talweg"].replace("relu", "selu")
    put(path, json.dumps(header), data)
    with pytest.raises(CorruptFileError, match="a description with the SHA-256"):
        load(path)


def test_names_that_are_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    small(path)
    header, data = header_of(path)
    twice = json.dumps(header)[:-1] + f', "dense/bias": {json.dumps(header["dense/bias"])}}}'
    put(path, twice, data)
    with pytest.raises(CorruptFileError, match="'dense/bias' is there twice"):
        load(path)
    sheet = tmp_path / "m.json"
    sheet.write_text('{"class": "Sequential", "class": "Model", "layers": []}')
    with pytest.raises(CorruptFileError, match="'class' is there twice"):
        untrained(sheet)


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d + b"\0", lambda d: d + d, lambda d: d[8:], lambda d: d[:4]]
)
def test_a_length_that_is_another(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    small(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptFileError, match=r"m\.safetensors"):
        load(path)


def test_a_file_of_before_is_read_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    model = small(path)
    header, data = header_of(path)
    told = json.loads(header["__metadata__"]["talweg"])
    del told["seal"]
    header["__metadata__"]["talweg"] = json.dumps(told)
    put(path, json.dumps(header), data)
    with pytest.warns(UserWarning, match="Save it again"):
        assert content(load(path, engine="reference")) == content(model)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["m", "m.safetensors", "m.keras"])
def test_weights_that_are_no_numbers(name: str, value: float, tmp_path: Path) -> None:
    if name.endswith("keras"):
        pytest.importorskip("h5py")
    model = small(tmp_path / "other")
    weights = model.get_weights()
    weights[2][0, 0] = value
    model.set_weights(weights)
    model.save(tmp_path / name)
    with pytest.raises(CorruptFileError, match=r"finite numbers as .*dense.*, but some are NaN or infinite"):
        load(tmp_path / name)
    model.save_weights(tmp_path / "w.safetensors")
    fresh = small(tmp_path / "fresh")
    before = fresh.get_weights()
    with pytest.raises(CorruptFileError, match="dense/kernel"):
        fresh.load_weights(tmp_path / "w.safetensors")
    assert all(np.array_equal(a, b) for a, b in zip(before, fresh.get_weights(), strict=True))


def test_a_document_without_its_sum_is_read_as_one_made_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    write_json(path, {"a": 1.5, "b": ["é", None]})
    assert read_json(path, "a document") == {"a": 1.5, "b": ["é", None]}
    path.write_text('{"a": 2.5}')
    assert read_json(path, "a document") == {"a": 2.5}


def test_numbers_of_the_other_byte_order_are_written_as_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": np.arange(3, dtype=">f4")}, {})
    assert TensorFile(path).read()["a"].tolist() == [0, 1, 2]
