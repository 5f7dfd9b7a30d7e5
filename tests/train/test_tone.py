"""Pictures that are dark where the training's were light are told, and `invert` mends them."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talweg import Sequential, layers
from talweg.errors import UsageError
from talweg.train.inputs import answers_of, read_inputs
from talweg.train.model import Model
from talweg.train.prepared import Source, prepare


@pytest.fixture(scope="module")
def digits() -> Model:
    """A network of digits, light on dark, with values 0 to 16."""
    prepared = prepare(Source("digits"))
    model = Sequential([layers.Flatten(input_shape=(8, 8)), layers.Dense(10, activation="softmax")], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(prepared.x_train / 1.0, prepared.y_train, epochs=3, verbose=0)
    model.preprocessing, model.class_names = prepared.preprocessing, prepared.class_names
    return model


def drawn(path: Path, dark: bool) -> Path:
    """A digit of the test part, of 0 to 255."""
    values = np.rint(prepare(Source("digits")).x_test[0] * (255 / 16)).astype(np.uint8)
    Image.fromarray(255 - values if dark else values).save(path)
    return path


def test_ink_on_paper_is_told_to_a_network_of_light_digits(tmp_path: Path, digits: Model) -> None:
    ink, light = drawn(tmp_path / "ink.png", dark=True), drawn(tmp_path / "light.png", dark=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = read_inputs(light, digits)
        mended = read_inputs(ink, digits, invert=True)
    np.testing.assert_array_equal(mended.x, expected.x)
    with pytest.warns(UserWarning, match=r"ink\.png.* dark on light.* trained on light on dark.*invert=True"):
        read_inputs(ink, digits)
    with pytest.warns(UserWarning, match="1 of 2 pictures .ink.png"):
        read_inputs(tmp_path, digits)
    with pytest.warns(UserWarning, match=r"seems to be dark on light once inverted.*Leave out invert for them"):
        read_inputs(light, digits, invert=True)
    with pytest.warns(UserWarning, match=r"1 of 3 pictures .*ink\.png.* seems to be dark on light"):
        assert read_inputs([light, ink, light], digits).names == [str(light), str(ink), str(light)]


def test_ink_in_the_alpha_channel_is_told_too(tmp_path: Path, digits: Model) -> None:
    """As a drawing program saves it: it lies on white paper, so it is dark on light."""
    light = np.asarray(Image.open(drawn(tmp_path / "light.png", dark=False)))
    pixels = np.zeros((*light.shape, 4), np.uint8)
    pixels[..., 3] = light
    Image.fromarray(pixels).save(tmp_path / "drawing.png")
    with pytest.warns(UserWarning, match="dark on light"):
        read_inputs(tmp_path / "drawing.png", digits)
    expected = answers_of(digits, read_inputs(tmp_path / "light.png", digits))[0]
    assert answers_of(digits, read_inputs(tmp_path / "drawing.png", digits, invert=True))[0] == {
        **expected,
        "picture": "drawing.png",
    }


def test_arrays_of_pictures_are_looked_at_too(tmp_path: Path, digits: Model) -> None:
    x = prepare(Source("digits")).x_test[:3]
    for values, said in (
        (16 - x, "dark on light"),
        (x / 255, "nearly black"),
        (x * 2.0, "from 0 to 32, .* Scale"),
    ):
        np.savez(tmp_path / "x.npz", x=values)
        with pytest.warns(UserWarning, match=said):
            read_inputs(tmp_path / "x.npz", digits)
    np.savez(tmp_path / "x.npz", x=16 - x)
    np.testing.assert_array_equal(read_inputs(tmp_path / "x.npz", digits, invert=True).x, x)


def test_pictures_in_between_are_left_alone(tmp_path: Path) -> None:
    """Photographs have borders of every brightness: only what would be like the training if inverted is told."""
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(6):
            Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / name / f"{i}.png")
    preprocessing = prepare(Source(str(tmp_path))).preprocessing
    assert 0.3 < preprocessing["tone"]["border"] < 0.7
    model = Sequential([layers.Flatten(input_shape=(8, 8, 3)), layers.Dense(2)], seed=0)
    model.preprocessing = preprocessing
    for grey in (0, 90, 255):
        Image.new("RGB", (8, 8), (grey, grey, grey)).save(tmp_path / "x.png")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read_inputs(tmp_path / "x.png", model)


def test_invert_is_for_pictures(tmp_path: Path) -> None:
    model = Sequential([layers.Dense(1, input_shape=(2,))], seed=0)
    np.savez(tmp_path / "x.npz", x=np.zeros((1, 2)))
    with pytest.raises(UsageError, match="invert is for pictures"):
        read_inputs(tmp_path / "x.npz", model, invert=True)


def test_the_command_line_notes_it_and_has_the_remedy(tmp_path: Path, digits: Model) -> None:
    digits.save(tmp_path / "digits.safetensors")
    ink = drawn(tmp_path / "ink.png", dark=True)
    expected = answers_of(digits, read_inputs(drawn(tmp_path / "light.png", dark=False), digits))[0]["class"]

    def predicted(*more: str) -> tuple[str, str]:
        command = [sys.executable, "-m", "talweg", "predict", str(tmp_path / "digits.safetensors"), str(ink), "--json"]
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["predictions"][0]["class"], done.stderr

    answer, told = predicted("--invert")
    assert answer == expected and told == ""
    assert "note: " in predicted()[1] and "--invert" in predicted()[1]
