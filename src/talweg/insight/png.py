"""PNG from an array, in the few lines that it takes: the report needs no imaging library.

Format: W3C, "Portable Network Graphics (PNG) Specification", third edition.
"""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from talweg.errors import ShapeError
from talweg.graph import Array

LARGEST_SIDE = 128  # pixels of an embedded picture; larger ones are thinned, so that a page stays small


def png(pixels: Array) -> bytes:
    """uint8 (height, width), or (height, width, c) with c = 1 grey, 3 RGB or 4 RGBA, as the bytes of a PNG file.

    >>> png(np.zeros((8, 8), np.uint8))[:4]
    b'\\x89PNG'
    """
    pixels = np.asarray(pixels)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or 0 in pixels.shape:
        raise ShapeError(f"png needs uint8 (height, width[, 1, 3 or 4]); got {pixels.dtype} {list(pixels.shape)}")
    height, width, channels = pixels.shape
    colour = {1: 0, 3: 2, 4: 6}[channels]
    # Each line of pixels begins with the number of its filter; 0 is none.
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether examples of `shape` are pictures: (height, width), or with 1 channel (grey) or 3 (colours) at the end.

    >>> is_image((28, 28)), is_image((32, 32, 3)), is_image((784,)), is_image((10, 2))
    (True, True, False, False)
    """
    sides, channels = shape[:2], shape[2:]
    return len(shape) in (2, 3) and min(sides) >= 4 and channels in ((), (1,), (3,))


def value_range(images: Array) -> tuple[float, float]:
    """The values that stand for black and white: 0 (or the least, where some are negative) and the largest."""
    finite = images[np.isfinite(images)] if images.dtype.kind == "f" else images
    if not finite.size:
        return 0.0, 1.0
    low, high = min(0.0, float(finite.min())), float(finite.max())
    return (low, high) if high > low else (low, low + 1.0)


def to_pixels(image: Array, low: float, high: float) -> Array:
    """A picture as uint8, `low` black and `high` white; NaN becomes black."""
    step = -(-max(image.shape[:2]) // LARGEST_SIDE)
    thin = np.asarray(image)[::step, ::step].astype(np.float64)
    return np.nan_to_num(np.clip((thin - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)


def data_url(pixels: Array) -> str:
    """`pixels` as the address of a picture that is inside the page."""
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode('ascii')}"
