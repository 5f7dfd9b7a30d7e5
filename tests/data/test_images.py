"""Picture folders: sizes, colours and classes told; damaged pictures named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talweg.data import read_image, read_image_folder, read_images
from talweg.errors import CorruptFileError, DataError, UsageError

RANDOM = np.random.default_rng(0)


def save(path: Path, height: int = 6, width: int = 4, channels: int = 1, **options: object) -> np.ndarray:
    pixels = RANDOM.integers(0, 256, (height, width, channels), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path, **options)  # type: ignore[arg-type]
    return pixels


def test_a_folder_a_class(tmp_path: Path) -> None:
    dog, cat, bird = save(tmp_path / "dog/1.png"), save(tmp_path / "cat/2.png"), save(tmp_path / "cat/b.PNG")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "cat/.DS_Store").touch()
    (tmp_path / "cat/notes.txt").touch()
    found = read_image_folder(tmp_path)
    assert found.class_names == ("cat", "dog") and found.labels.tolist() == [0, 0, 1]
    assert found.files == ("cat/2.png", "cat/b.PNG", "dog/1.png")
    np.testing.assert_array_equal(found.images, np.stack([cat, bird, dog]))
    assert found.images.dtype == np.uint8
    told = "\n".join(found.notes)
    assert "3 pictures of 2 classes: cat, dog" in told and "all are grey" in told and "notes.txt" in told


def test_colour_is_kept_unless_all_are_grey(tmp_path: Path) -> None:
    save(tmp_path / "a/1.png")
    colour = save(tmp_path / "b/1.png", channels=3)
    assert read_image_folder(tmp_path).images.shape == (2, 6, 4, 3)
    np.testing.assert_array_equal(read_image_folder(tmp_path).images[1], colour)
    assert read_image_folder(tmp_path, grayscale=True).images.shape == (2, 6, 4, 1)
    assert read_image(tmp_path / "a/1.png", grayscale=False).shape == (6, 4, 3)


def test_sizes_must_agree_or_be_given(tmp_path: Path) -> None:
    save(tmp_path / "a/1.png")
    save(tmp_path / "b/1.png", height=9)
    with pytest.raises(DataError, match=r"2 sizes: .*1\.png is 6 x 4 and .* is 9 x 4 \(height x width\)"):
        read_image_folder(tmp_path)
    found = read_image_folder(tmp_path, size=(5, 3))
    assert found.images.shape == (2, 5, 3, 1)
    assert any("resized to 5 x 3" in note for note in found.notes)
    with pytest.raises(UsageError, match="size: expected"):
        read_image_folder(tmp_path, size=(0, 3))


def test_sixteen_bits_palettes_alpha_and_orientation(tmp_path: Path) -> None:
    deep = (np.arange(24, dtype=np.uint16) * 2700).reshape(6, 4)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png")[..., 0], deep >> 8)

    Image.fromarray(RANDOM.integers(0, 256, (6, 4, 4), np.uint8)).save(tmp_path / "alpha.png")
    assert read_image(tmp_path / "alpha.png").shape == (6, 4, 3)

    Image.fromarray(RANDOM.integers(0, 256, (6, 4, 3), np.uint8)).quantize(8).save(tmp_path / "palette.png")
    assert read_image(tmp_path / "palette.png").shape == (6, 4, 3)

    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: to be turned by 90 degrees
    save(tmp_path / "turned.jpg", height=6, width=4, channels=3, exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (4, 6, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp"])
def test_damaged_pictures_are_named(tmp_path: Path, suffix: str) -> None:
    """Cut off or with bytes changed, a picture is read or refused with its name; nothing else comes out."""
    path = tmp_path / f"broken.{suffix}"
    save(path, height=16, width=16)
    whole = path.read_bytes()
    refused = 0
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        try:
            read_image(path)
        except CorruptFileError as error:
            assert f"broken.{suffix}: expected a picture" in str(error)
            refused += 1
    assert refused > len(whole) / 7 * 0.8
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read_image(path)
        except DataError as error:
            assert f"broken.{suffix}" in str(error)


def test_claimed_sizes_are_refused_from_the_header(tmp_path: Path) -> None:
    path = tmp_path / "huge.pgm"
    path.write_bytes(b"P5 60000 60000 255\n" + bytes(100))
    with pytest.raises(DataError, match=r"huge\.pgm"):
        read_image(path)
    path.write_bytes(b"P5 9000 9000 255\n" + bytes(100))
    with pytest.raises(DataError, match="9000 x 9000 pixels are more than"):
        read_image(path)


def test_prediction_from_a_flat_folder(tmp_path: Path) -> None:
    save(tmp_path / "b.png")
    save(tmp_path / "a.png")
    images, names = read_images(tmp_path)
    assert images.shape == (2, 6, 4, 1) and names == ("a.png", "b.png")
    assert read_images(tmp_path / "b.png")[1] == ("b.png",)


def test_folders_without_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is no folder"):
        read_image_folder(tmp_path / "absent")
    with pytest.raises(DataError, match="one folder for each class, but there are none"):
        read_image_folder(tmp_path)
    save(tmp_path / "train/cat/1.png")
    with pytest.raises(DataError, match="it holds folders"):
        read_image_folder(tmp_path)
    with pytest.raises(DataError, match="directly in it, but there are none"):
        read_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected a picture"):
        read_image(tmp_path / "no.png")
