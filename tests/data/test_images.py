"""Picture folders: sizes, colours and classes told; damaged pictures named."""

from __future__ import annotations

import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from talweg.data import read_image, read_image_folder, read_images
from talweg.data.images import SUFFIXES
from talweg.errors import CorruptFileError, DataError, DataWarning, UsageError

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


def test_what_programs_leave_in_folders(tmp_path: Path) -> None:
    save(tmp_path / "cat/1.png"), save(tmp_path / "dog/1.png")
    (tmp_path / "cat/1.png").rename(tmp_path / "cat/1.jfif")  # as browsers call JPEGs
    (tmp_path / "__MACOSX/cat").mkdir(parents=True)
    (tmp_path / "dog/IMG_2.HEIC").touch()
    with pytest.warns(DataWarning, match=r"dog: 1 pictures are in a format that is not read \(IMG_2.HEIC\); save them"):
        found = read_image_folder(tmp_path)
    assert found.class_names == ("cat", "dog") and len(found.images) == 2


def test_what_is_no_picture_is_said_plainly(tmp_path: Path) -> None:
    for text, says in (("", "it is empty"), ("<html>", "does not begin as one of them")):
        (tmp_path / "1.png").write_text(text)
        with pytest.raises(CorruptFileError, match=rf"PNG, JPEG, .*{says}") as raised:
            read_image(tmp_path / "1.png")
        assert "BufferedReader" not in str(raised.value)


def test_folders_without_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is no folder"):
        read_image_folder(tmp_path / "absent")
    with pytest.raises(DataError, match="one folder for each class, but there are none"):
        read_image_folder(tmp_path)
    save(tmp_path / "train/cat/1.png")
    (tmp_path / "test").mkdir()
    with pytest.raises(DataError, match="there are none; put some there, or take the folder away"):
        read_image_folder(tmp_path)
    save(tmp_path / "test/cat/1.png")
    with pytest.raises(DataError, match=r"it holds folders \(cat\)\. .*, give .*test or .*train instead"):
        read_image_folder(tmp_path)
    with pytest.raises(DataError, match="directly in it, but there are none"):
        read_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected a picture"):
        read_image(tmp_path / "no.png")


# ── what a viewer shows ─────────────────────────────────────────────────────────────────────────────────────

GREY = np.tile(np.linspace(0, 255, 16), (8, 1)).astype(np.uint8)
"""From black to white."""


def with_alpha(colour: int, alpha: np.ndarray, channels: int = 3) -> Image.Image:
    pixels = np.full((*alpha.shape, channels + 1), colour, np.uint8)
    pixels[..., -1] = alpha
    return Image.fromarray(pixels)


def with_a_clear_entry() -> Image.Image:
    image = Image.fromarray(GREY).convert("P")
    image.info["transparency"] = 0
    return image


SHOWN = {
    "black ink": ("png", lambda: with_alpha(0, GREY), 255 - GREY),
    "black ink, grey": ("png", lambda: with_alpha(0, GREY, channels=1), 255 - GREY),
    "white ink, which white paper would hide": ("png", lambda: with_alpha(255, GREY), GREY),
    "opaque": ("png", lambda: Image.fromarray(GREY).convert("RGBA"), GREY),
    "opaque white": ("png", lambda: with_alpha(255, np.full_like(GREY, 255)), np.full_like(GREY, 255)),
    "a clear entry of a palette": ("png", with_a_clear_entry, np.where(GREY == 0, 255, GREY)),
    "a clear entry of a palette, GIF": ("gif", with_a_clear_entry, np.where(GREY == 0, 255, GREY)),
    "16 bits": ("png", lambda: Image.fromarray(GREY.astype(np.uint16) * 257), GREY),
    "16 bits, TIFF": ("tif", lambda: Image.fromarray(GREY.astype(np.uint16) * 257), GREY),
    "one bit": ("png", lambda: Image.fromarray(GREY > 100), (GREY > 100) * np.uint8(255)),
    "CMYK": ("tif", lambda: Image.fromarray(GREY).convert("RGB").convert("CMYK"), GREY),
}


@pytest.mark.parametrize("case", SHOWN)
def test_a_picture_is_what_a_viewer_shows(tmp_path: Path, case: str) -> None:
    suffix, make, expected = SHOWN[case]
    path = tmp_path / f"x.{suffix}"
    make().save(path)
    np.testing.assert_array_equal(read_image(path, grayscale=True)[..., 0], expected)


def test_inverted_is_what_is_left_of_white(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png", invert=True)[..., 0], 255 - GREY)
    np.testing.assert_array_equal(read_images(tmp_path, invert=True)[0][0, ..., 0], 255 - GREY)


def tagged(**tags: object) -> TiffImagePlugin.ImageFileDirectory_v2:
    numbers = {"most": 341, "least": 340, "photometric": 262}
    found = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        found[numbers[name]] = value
    return found


def levels(dtype: str, white: float) -> Image.Image:
    return Image.fromarray((GREY / 255 * white).astype(dtype))


UNSAID = {
    "floats to 1": ("float32", 1, 1),
    "floats to 255": ("float32", 255, 255),
    "whole numbers to 255": ("int32", 255, 255),
    "12 of 16 bits": ("uint16", 4095, 4095),
    "10 of 16 bits": ("uint16", 1023, 1023),
}


@pytest.mark.parametrize("case", UNSAID)
def test_what_is_white_must_be_said(tmp_path: Path, case: str) -> None:
    """A TIFF file of other than 8 bits that does not say its range is refused; nothing is clipped, nothing wraps."""
    dtype, most, white = UNSAID[case]
    path = tmp_path / "x.tif"
    levels(dtype, most).save(path)
    with pytest.raises(DataError, match=f"white={white}"):
        read_image(path)
    np.testing.assert_allclose(read_image(path, white=white)[..., 0], GREY, atol=1)
    with pytest.raises(DataError, match="but black is 0 and white"):
        read_image(path, white=most / 2)
    levels(dtype, most).save(path, tiffinfo=tagged(most=most))
    np.testing.assert_allclose(read_image(path)[..., 0], GREY, atol=1)


def test_levels_of_other_files(tmp_path: Path) -> None:
    path = tmp_path / "x.pgm"
    path.write_bytes(b"P5\n16 8\n1023\n" + (GREY / 255 * 1023).astype(">u2").tobytes())
    np.testing.assert_allclose(read_image(path)[..., 0], GREY, atol=1)
    path.write_bytes(b"P5\n16 8\n15\n" + (GREY // 17).tobytes())
    np.testing.assert_array_equal(read_image(path)[..., 0], GREY)
    levels("uint16", 4095).save(tmp_path / "x.png")
    with pytest.raises(DataError, match=r"nearly black.*white=4095"):
        read_image(tmp_path / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png", white=65535).max(), 4095 >> 8)
    Image.fromarray(np.float32([[0, np.nan]])).save(tmp_path / "nan.tif")
    with pytest.raises(DataError, match="nan"):
        read_image(tmp_path / "nan.tif", white=1)
    Image.fromarray(np.int32([[-5, 10]])).save(tmp_path / "below.tif")
    with pytest.raises(DataError, match="from -5 to 10"):
        read_image(tmp_path / "below.tif", white=255)
    with pytest.raises(UsageError, match="white: expected"):
        read_image(tmp_path / "x.png", white=-1)


def png16(path: Path, values: np.ndarray) -> None:
    """A PNG of 16-bit colours, which Pillow does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def test_colours_of_16_bits(tmp_path: Path) -> None:
    colours = np.repeat(GREY[..., None], 3, 2).astype(np.uint16)
    png16(tmp_path / "x.png", colours * 257)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), colours)
    png16(tmp_path / "dark.png", colours * 16)
    with pytest.raises(DataError, match="12 bits or fewer"):
        read_image(tmp_path / "dark.png")
    assert read_image(tmp_path / "dark.png", white=65535).max() == 15


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_pictures_stand_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    """In every format that can say how the camera was held, and with the size that the header announced."""
    path, exif = tmp_path / f"x.{suffix}", Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(GREY).convert("RGB")
    image.save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    turned = {
        **{1: GREY, 2: GREY[:, ::-1], 3: GREY[::-1, ::-1], 4: GREY[::-1]},
        **{5: GREY.T, 6: np.rot90(GREY, -1), 7: GREY[::-1, ::-1].T, 8: np.rot90(GREY)},
    }[orientation]
    np.testing.assert_allclose(read_image(path)[..., 0], turned, atol=12 if suffix == "jpg" else 1)


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png"])
def test_frames_beyond_the_first_are_told(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(tmp_path / f"x.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match=r"several frames or pages, of which the first is read .* has 2") as told:
        read_image(tmp_path / f"x.{suffix}")
    assert told[0].filename == __file__, "a warning points at whoever called"


def test_stretching_is_told(tmp_path: Path) -> None:
    save(tmp_path / "wide.png", height=20, width=40)
    with pytest.warns(UserWarning, match="1 of 1 pictures change their proportions"):
        assert read_image(tmp_path / "wide.png", size=(10, 10)).shape == (10, 10, 1)
    read_image(tmp_path / "wide.png", size=(5, 10))
    read_image(tmp_path / "wide.png", size=(7, 13))  # as near as whole pixels come


# ── distrust ────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_other_program_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    (tmp_path / "bin").mkdir()
    gs = tmp_path / "bin/gs"
    gs.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    for suffix in SUFFIXES:
        path = tmp_path / f"x{suffix}"
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n")
        with pytest.raises(CorruptFileError, match=f"x{suffix}: expected a picture"):
            read_image(path)
    assert not (tmp_path / "started").exists()


def test_pixels_are_counted_against_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.new("L", (8000, 8000)).save(tmp_path / "a/bomb.png")
    assert (tmp_path / "a/bomb.png").stat().st_size < 300_000
    with pytest.raises(DataError, match=r"bomb\.png: 8000 x 8000 pixels are more than"):
        read_image_folder(tmp_path, size=(8, 8))


def test_a_pipe_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(DataError, match="no regular file"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize("rows", [0, 1, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_parts_of_a_tiff_cover_it(tmp_path: Path, rows: int, dtype: type) -> None:
    """Rows that no strip describes were black, or whatever lay behind the last strip."""
    image = Image.fromarray((np.ones((5, 6)) * np.iinfo(dtype).max).astype(dtype))
    image.save(tmp_path / "x.tif")
    whole = (tmp_path / "x.tif").read_bytes()
    entries = [struct.pack("<HHII", 278, kind, 1, 5) for kind in (3, 4)]  # RowsPerStrip, of either width
    entry = next(each for each in entries if each in whole)
    (tmp_path / "x.tif").write_bytes(whole.replace(entry, entry[:8] + struct.pack("<I", rows)))
    with pytest.raises(CorruptFileError, match="parts that do not cover"):
        read_image(tmp_path / "x.tif")


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_large_picture_takes_a_few_bytes_a_pixel(tmp_path: Path, dtype: type) -> None:
    """Of a size that is allowed whatever the file holds; ink in the alpha channel is as lean."""
    deep, ink = Image.fromarray(np.full((1500, 1500), 1, dtype)), Image.new("RGBA", (1500, 1500), (0, 0, 0, 9))
    deep.save(tmp_path / "deep.tif")
    ink.save(tmp_path / "ink.png")
    for name in ("deep.tif", "ink.png"):
        tracemalloc.start()  # of NumPy; Pillow's own are a byte a channel
        read_image(tmp_path / name, white=65535)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 12 * 1500 * 1500


def test_chunks_of_a_png_are_held_against_the_file(tmp_path: Path) -> None:
    """Pillow asks for as much memory as a chunk says that it is long, and passes over the sums of those with pixels."""
    path = tmp_path / "x.png"
    Image.fromarray(GREY).save(path)
    whole = path.read_bytes()
    at = whole.index(b"IDAT")
    for length in (0xFFFFFFFF, 0x7FFFFFFF, len(whole)):
        path.write_bytes(whole[: at - 4] + struct.pack(">I", length) + whole[at:])
        with pytest.raises(CorruptFileError, match="ends within a chunk"):
            read_image(path)
    end = whole.index(b"IEND") - 4
    path.write_bytes(whole[: end - 4] + b"\0\0\0\0" + whole[end:])
    with pytest.raises(CorruptFileError, match="chunk b'IDAT' is wrong"):
        read_image(path)
    path.write_bytes(whole[:end])
    with pytest.raises(CorruptFileError, match="before the last"):
        read_image(path)
