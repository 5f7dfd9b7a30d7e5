"""Pictures of every format that is read. The oracle decodes again, and does in its own way what a viewer does."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin

from fuzzing.forms import Format, Misread
from fuzzing.mutations import mutated, text_mutated
from talweg.data import read_image
from talweg.data.pixels import FORMATS as READ

GREY = np.arange(30, dtype=np.uint8).reshape(5, 6) * 8
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)
INK = np.concatenate([np.zeros_like(COLOUR), GREY[..., None]], axis=2)


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    held = io.BytesIO()
    image.save(held, form, **options)
    return held.getvalue()


def _plain(form: str, **options: Any) -> list[bytes]:
    return [_saved(Image.fromarray(pixels), form, **options) for pixels in (GREY, COLOUR)]


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _png() -> list[bytes]:
    grey = Image.fromarray(GREY)
    palette = grey.convert("P")
    return [
        *_plain("PNG"),
        _saved(Image.fromarray(INK), "PNG", exif=_turned()),
        _saved(palette, "PNG", transparency=0),
        _saved(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"),
        _saved(Image.fromarray(GREY > 100), "PNG"),
        _saved(grey, "PNG", save_all=True, append_images=[grey.rotate(180)]),
    ]


def _tiff() -> list[bytes]:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[341] = 255.0
    return [
        *_plain("TIFF"),
        *(_saved(Image.fromarray(COLOUR), "TIFF", compression=how) for how in ("tiff_lzw", "tiff_deflate", "packbits")),
        _saved(Image.fromarray(INK), "TIFF"),
        _saved(Image.fromarray(GREY.astype(np.float32)), "TIFF", tiffinfo=tags),
        _saved(Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF"),
        _saved(Image.fromarray(COLOUR).convert("CMYK"), "TIFF"),
    ]


def _gif() -> list[bytes]:
    grey = Image.fromarray(GREY)
    clear = grey.convert("P")
    return [
        _saved(grey, "GIF"),
        _saved(clear, "GIF", transparency=0),
        _saved(grey, "GIF", save_all=True, append_images=[clear]),
    ]


def _pgm() -> list[bytes]:
    return [
        b"P5\n6 5\n255\n" + GREY.tobytes(),
        b"P2\n# ascii\n3 2\n15\n0 1 2\n13 14 15\n",
        b"P5\n2 2\n1023\n" + struct.pack(">4H", 0, 1, 1000, 1023),
        b"P6\n2 1\n255\n" + bytes(range(6)),
        b"P1\n3 1\n1 0 1\n",
        b"P4\n8 1\n\x55",
    ]


def _webp() -> list[bytes]:
    return [*_plain("WEBP", lossless=True), _saved(Image.fromarray(INK), "WEBP", lossless=True)]


SEEDS: dict[str, tuple[Callable[[], list[bytes]], int]] = {
    "png": (_png, 50),
    "jpg": (lambda: [*_plain("JPEG"), _saved(Image.fromarray(COLOUR).convert("CMYK"), "JPEG", exif=_turned())], 30),
    "gif": (_gif, 25),
    "tif": (_tiff, 25),
    "bmp": (lambda: [*_plain("BMP"), _saved(Image.fromarray(GREY > 9), "BMP")], 20),
    "webp": (_webp, 15),
    "pgm": (_pgm, 40),
}


# ── mutations ───────────────────────────────────────────────────────────────────────────────────────────────


def _png_mutated(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Chunks changed, exchanged, lost or doubled, with their sums right; or bytes."""
    if random.random() < 0.4:
        return mutated(random, data, seeds)
    chunks, at = [], 8
    while at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    place, kind = random.randrange(len(chunks)), random.randrange(5)
    name, body = chunks[place]
    if kind == 0:
        del chunks[place]
    elif kind == 1:
        chunks.insert(random.randrange(len(chunks) + 1), chunks[place])
    elif kind == 2 and name == b"IDAT":
        chunks[place] = (name, zlib.compress(mutated(random, zlib.decompress(body), times=1)))
    elif kind == 3:
        chunks[place] = (random.choice((b"tRNS", b"PLTE", b"sBIT", b"acTL", b"fcTL", b"eXIf", b"iCCP", b"tEXt")), body)
    else:
        chunks[place] = (name, mutated(random, body, times=1))
    framed = [struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks]
    return data[:8] + b"".join(framed)


def _pgm_mutated(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    return text_mutated(random, data) if random.random() < 0.5 else mutated(random, data, seeds)


# ── the oracle ──────────────────────────────────────────────────────────────────────────────────────────────


def _check(path: Path, data: bytes) -> None:
    ours = read_image(path)
    if data[:4] == b"\x89PNG":
        _check_sums(data)
    with Image.open(io.BytesIO(data), formats=READ) as opened:
        told = getattr(opened, "tag_v2", {})
        tags = {tag: told.get(tag) for tag in (256, 258, 262, 280, 281, 339, 340, 341) if told.get(tag) is not None}
        is_pnm = opened.format == "PPM"
        image = ImageOps.exif_transpose(opened)
    mode = "L" if ours.shape[2] == 1 else "RGB"
    if image.size != (ours.shape[1], ours.shape[0]):
        raise Misread("another size")
    if image.mode.startswith(("I", "F")):
        if "transparency" not in image.info:
            _check_levels(ours[..., 0], np.asarray(image).astype(np.float64), image.mode, tags, is_pnm)
    elif image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        papers = [np.asarray(_on(paper, image).convert(mode)).reshape(ours.shape) for paper in ("white", "black")]
        if not any((np.abs(ours.astype(int) - paper) <= 2).all() for paper in papers):
            raise Misread("neither on white nor on black paper")
    elif not np.array_equal(ours, np.asarray(image.convert(mode)).reshape(ours.shape)):
        raise Misread("other colours")


def _on(paper: str, image: Any) -> Any:
    sheet = Image.new("RGBA", image.size, paper)
    sheet.alpha_composite(image.convert("RGBA"))
    return sheet.convert("RGB")


def _check_levels(ours: Any, values: Any, mode: str, tags: dict[int, Any], is_pnm: bool) -> None:
    """Grey levels of more than 8 bits: between black and white as the file has them."""

    def tag(number: int, otherwise: Any) -> Any:
        value = tags.get(number, otherwise)
        return value[0] if isinstance(value, tuple) else value

    stated = tag(341, tag(281, None))
    low, high = 0.0, 65535.0
    if tags and stated is not None and (mode == "F" or np.log2(stated + 1.0).is_integer()):
        low, high = float(tag(340, tag(280, 0))), float(stated)
    elif mode == "F" or (tags and (tag(339, 1) != 1 or tag(258, 1) > 16)):
        raise Misread("what is white was guessed")
    elif tags:
        high = 2.0 ** tag(258, 1) - 1
    levels = (values - low) / (high - low) * 255
    if tag(262, 1) == 0:
        levels = 255 - levels
    if not (np.abs(levels - ours) <= 1).all():
        raise Misread("other grey levels")
    if high == 65535 and not is_pnm and 0 < values.max() <= 4095 and stated is None:
        raise Misread("12 bits, read as if they were 16")


def _check_sums(data: bytes) -> None:
    """Each chunk of a PNG to the last has a sum, and it must be right."""
    at = 8
    while at < len(data):
        if data[at + 4 : at + 8] == b"IEND":  # it holds nothing that its sum could guard
            return
        if at + 12 > len(data):
            raise Misread("a PNG that ends within a chunk")
        (length,) = struct.unpack(">I", data[at : at + 4])
        if struct.pack(">I", zlib.crc32(data[at + 4 : at + 8 + length])) != data[at + 8 + length : at + 12 + length]:
            raise Misread("a chunk of a PNG with a wrong sum")
        at += 12 + length
    raise Misread("a PNG without an end")


MUTATIONS = {"png": _png_mutated, "pgm": _pgm_mutated}
FORMATS = tuple(
    Format(name, f".{name}", make, MUTATIONS.get(name, mutated), _check, share) for name, (make, share) in SEEDS.items()
)
