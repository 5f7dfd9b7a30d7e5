"""One image file as a viewer shows it: upright, without transparency, 8 bits a channel.

Pillow decodes. It is given the list of formats that are read here, since it knows others, and for one of them (EPS)
starts another program. Three things it leaves to its caller, and they are done here:

    transparency   an alpha channel is ink on paper: the image is laid on white, or on black if the ink is light
    levels         of more than 8 bits a value; Pillow would cut them off at 255. The file must say what is white
    size           is compared with the file's own size before any pixel is decoded
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from talweg.data.files import corrupt, existing_file, reading
from talweg.errors import DataError, argument

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
FORM = "a picture"
MAX_PIXELS = 64_000_000  # An image of more is refused from its header.
FREE_PIXELS = 4096 * 4096  # Up to here a file may be as small as it likes; above it,
MOST_PIXELS_A_BYTE = 100  # it may have so many pixels for each of its bytes. A photograph has 2 to 10.

_GREY = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"})
_DEEP = ("I", "F")  # what the modes of more than 8 bits begin with
_LIGHT_INK = 0.75  # ink that is lighter could hardly be seen on white
_SUSPICIOUS = 4095  # The brightest of 16 bits. If it is not above this, 12 bits or fewer are in use.
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 256, 257, 258, 262, 339  # tags of TIFF
_LEAST, _MOST = (280, 340), (281, 341)  # MinSampleValue, MaxSampleValue: of whole numbers, of any


@dataclass(frozen=True)
class Header:
    """What is known before pixels are decoded. `size` is (height, width), upright."""

    size: tuple[int, int]
    is_grey: bool
    is_transparent: bool
    frames: int


def read_header(file: Path) -> Header:
    """Raises `DataError` for an image of too many pixels, `CorruptFileError` for what is no image."""
    with _opened(file) as image:
        if image.format == "PNG":
            _check_chunks(file)
        is_grey, is_transparent = image.mode in _GREY, _is_transparent(image)
        if image.mode in ("P", "PA"):  # a palette may hold greys only
            palette = np.frombuffer(bytes(image.getpalette() or b""), np.uint8).reshape(-1, 3)
            is_grey = bool((palette == palette[:, :1]).all())
        size = _upright_size(image)  # before frames are counted, which leaves the first
        frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1  # a photograph with its preview
    return Header(size, is_grey, is_transparent, frames)


def read_pixels(file: Path, grayscale: bool, white: float | None = None) -> Any:
    """A Pillow image of mode L (`grayscale`) or RGB.

    white: the value that is white in an image of more than 8 bits, where the file does not say. Raises `DataError`
    where nobody says, or values are not between 0 and it; `CorruptFileError` for an image that cannot be decoded.
    """
    from PIL import ImageOps

    with _opened(file) as opened:
        is_cut = any(";16" in str(part) for tile in opened.tile for part in tile)  # known until it is decoded
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith(_DEEP):
            image = _of_8_bits(file, opened, image, white)
        elif is_cut:
            _check_high_bytes(file, image, white)
        if _is_transparent(image):
            image = _on_paper(image)
        return image.convert("L" if grayscale else "RGB")


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """The image, its size checked, nothing of it decoded yet; whatever goes wrong meanwhile names the file."""
    existing_file(file, FORM)
    # From a stream: files that Pillow opens by their names it also maps, and then reads past what a header describes.
    with reading(file, FORM), file.open("rb") as stream, _identified(file, stream) as image:
        width, height = image.size
        allowed = min(MAX_PIXELS, max(FREE_PIXELS, file.stat().st_size * MOST_PIXELS_A_BYTE))
        if width * height > allowed:
            raise DataError(
                f"{file}: {width} x {height} pixels are more than the {allowed:,} that are read of a file of "
                f"{file.stat().st_size:,} bytes; make the image smaller"
            )
        if image.format == "TIFF":
            _check_parts(file, image)
        yield image


def _identified(file: Path, stream: Any) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError as error:
        came = "it does not begin as one of them" if file.stat().st_size else "it is empty"
        raise corrupt(file, f"{FORM} in one of the formats {', '.join(FORMATS)}", came) from error


def _check_parts(file: Path, image: Any) -> None:
    """The strips or tiles of a TIFF must cover it: Pillow leaves the rest black. Some files have each channel apart."""
    width, height, covered = image.tag_v2[_WIDTH], image.tag_v2[_HEIGHT], dict[str, int]()  # as it lies in the file
    for part in image.tile:
        left, top, right, bottom = part[1]
        area = max(0, min(right, width) - left) * max(0, min(bottom, height) - top)
        channel = str(part[3])
        covered[channel] = covered.get(channel, 0) + area
    if not covered or min(covered.values()) < width * height:
        raise corrupt(file, f"{FORM} of {width} x {height} pixels", "its header describes parts that do not cover them")


def _check_chunks(file: Path) -> None:
    """The chunks of a PNG to its end: Pillow believes their lengths, and passes over the sums of those with pixels."""
    left = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(16)[8:]
        while head[4:] != b"IEND":
            length, left = int.from_bytes(head[:4], "big"), left - 12
            if len(head) < 8 or length > left:
                raise corrupt(file, f"{FORM} whose chunks are whole", "it ends within a chunk, or before the last")
            body, left = stream.read(length), left - length
            if zlib.crc32(body, zlib.crc32(head[4:])) != int.from_bytes(stream.read(4), "big"):
                raise corrupt(file, f"{FORM} whose sums are right", f"that of its chunk {head[4:]!r} is wrong")
            head = stream.read(8)


def _upright_size(image: Any) -> tuple[int, int]:
    """(height, width) as the camera was held."""
    width, height = image.size
    if image.format == "TIFF":  # newer versions of Pillow have turned the size, older ones have not
        width, height = image.tag_v2[_WIDTH], image.tag_v2[_HEIGHT]
    if image.getexif().get(_ORIENTATION, 1) in _ON_ITS_SIDE:
        return width, height
    return height, width


# ── transparency ────────────────────────────────────────────────────────────────────────────────────────────


def _is_transparent(image: Any) -> bool:
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info


def _on_paper(image: Any) -> Any:
    """The image on white; on black, if what can be seen of it is so light that white paper would hide it."""
    from PIL import Image, ImageStat

    drawn = image.convert("RGBA")
    shown = {paper: Image.alpha_composite(Image.new("RGBA", image.size, paper), drawn) for paper in ("white", "black")}
    seen = ImageStat.Stat(drawn.getchannel("A")).mean[0]
    on_black = ImageStat.Stat(shown["black"]).mean[:3]  # nothing but ink is light there
    is_light = 0 < seen < 255 and sum(on_black) / 3 > _LIGHT_INK * seen
    return shown["black" if is_light else "white"].convert("RGB")


# ── levels ──────────────────────────────────────────────────────────────────────────────────────────────────


def _of_8_bits(file: Path, opened: Any, image: Any, white: float | None) -> Any:
    """An image of whole numbers or floats, as one of mode L in which `white` is 255."""
    from PIL import Image

    values = np.asarray(image)
    kind = "floats" if values.dtype.kind == "f" else "whole numbers of more than 8 bits"
    least, most = values.min(), values.max()  # NaN if there is one
    said = f"{file}: its values are {kind} from {least} to {most}"
    low, high = (0.0, float(white)) if white is not None else _range_said_by(opened)
    if high is None:
        raise DataError(
            f"{said}, and the file does not say which of them is white. Say it: {argument('white', _guess(most))}"
        )
    if white is None and high == 65535 and 0 < most <= _SUSPICIOUS and opened.format != "PPM":
        raise DataError(
            f"{said}, of which 65535 would be white: 12 bits or fewer seem to be in use, and the image would be nearly "
            f"black. Say what is white: {argument('white', _guess(most))}, or {argument('white', 65535)} if it is as "
            "dark as that"
        )
    if not (low <= least and most <= high):  # also where one is NaN
        raise DataError(
            f"{said}, but black is {low:g} and white {high:g}. Say what is white: {argument('white', _guess(most))}"
        )
    levels = np.empty(values.shape, np.uint8)
    for row, ours in zip(values, levels, strict=True):  # row by row, since most kinds take eight bytes a pixel here
        if (low, high) == (0, 65535):
            ours[:] = row.astype(np.int64) >> 8  # the high byte, as Pillow takes it of colours
        else:
            ours[:] = np.rint((row.astype(np.float64) - low) * (255 / (high - low)))
    if opened.format == "TIFF" and opened.tag_v2.get(_PHOTOMETRIC) == 0:
        np.subtract(255, levels, out=levels)
    shown = Image.fromarray(levels)
    if isinstance(clear := image.info.get("transparency"), int):
        shown.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return shown


def _range_said_by(image: Any) -> tuple[float, float | None]:
    """Black and white as the file has them; None where it does not say."""
    if image.format != "TIFF":
        return 0.0, None if image.mode == "F" else 65535.0  # Pillow brings all grey levels of PGM to 16 bits
    tags = image.tag_v2
    most, least = _tag(tags, _MOST), _tag(tags, _LEAST)
    is_unsigned, bits = _first(tags.get(_SAMPLE_FORMAT, 1)) == 1, int(_first(tags.get(_BITS, 1)))
    is_range = most is not None and (image.mode == "F" or math.log2(most + 1).is_integer())
    if is_range:  # else it is the greatest that occurs
        return least or 0.0, most
    return 0.0, float(2**bits - 1) if is_unsigned and bits <= 16 else None


def _tag(tags: Any, names: tuple[int, ...]) -> float | None:
    return next((float(_first(tags[name])) for name in names if name in tags), None)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def _check_high_bytes(file: Path, image: Any, white: float | None) -> None:
    """Looks at colours of 16 bits, of which Pillow has kept the high ones."""
    if isinstance(clear := image.info.get("transparency"), tuple):
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    brightest = max(most for _, most in image.convert("RGB").getextrema())
    if (0 < brightest <= _SUSPICIOUS >> 8 and white is None) or white not in (None, 65535):
        raise DataError(
            f"{file}: its colours have 16 bits, of which Pillow reads the high 8, and those go up to {brightest} of "
            f"255 only: 12 bits or fewer seem to be in use. Save the image with 8 bits, or give "
            f"{argument('white', 65535)} if it is as dark as that"
        )


def _guess(most: Any) -> float:
    """A white that the values would fit."""
    return next((white for white in (1, 255, 1023, 4095, 65535) if most <= white), float(most))
