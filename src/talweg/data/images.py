"""Pictures: a folder of folders for training (one folder a class), a file or a flat folder for prediction.

Pictures become uint8 arrays of shape (height, width, channels), with 1 channel for grey and 3 for red, green
and blue: values 0 to 255, as a viewer shows them (`pixels`). Scaling is the model's first layer's work.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.data.files import MAX_BYTES, existing_file
from talweg.data.pixels import Header, read_header, read_pixels
from talweg.errors import DataError, DataWarning, UsageError, argument, warn

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm"}
)
LEFTOVERS = frozenset({"__MACOSX", "__pycache__"})  # folders that programs leave behind
OTHER_SUFFIXES = frozenset({".heic", ".heif", ".avif", ".jp2", ".svg", ".pdf", ".psd", ".dng", ".cr2", ".nef", ".tga"})
_STRETCHED = 1.05  # sides that are longer by this factor, against the other, are seen to be


@dataclass(frozen=True)
class ImageFolder:
    """What `read_image_folder` found.

    images: uint8 (n, height, width, channels).  labels: int64 (n,), the place of the class in `class_names`.
    files: the path of each picture, relative to the folder.  notes: sentences that say what was decided.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    files: tuple[str, ...]
    notes: tuple[str, ...]


def read_image_folder(
    path: str | os.PathLike[str],
    size: tuple[int, int] | None = None,
    grayscale: bool | None = None,
    *,
    white: float | None = None,
    invert: bool = False,
) -> ImageFolder:
    """Reads ``path/<class>/<picture>``; classes are numbered in the order of their names.

    size: (height, width) to which pictures are resized (bilinear, without keeping proportions). Without it
    all must have the same size already.
    grayscale: True for one channel, False for three; None takes one if every picture is grey, and says so.
    white: the value that is white in pictures of more than 8 bits a value whose file does not say it, as in TIFF
    files of integers or floats: 1, 255, 4095, ...
    invert: makes dark light, for pictures of dark ink where light on dark is wanted.

    Transparent parts become white paper; black, where the ink is so light that it would not be seen. Pictures are
    turned as the camera was held. A file of several frames gives its first, with a warning.

    Raises `DataError` if there are no classes or pictures, sizes differ, all would take more than 4 GiB, or it is not
    said what is white; `CorruptFileError`, naming the file, for a picture that cannot be read.
    """
    root = Path(path)
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder with one folder of pictures for each class, but it is no folder")
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name not in LEFTOVERS)
    if not folders:
        raise DataError(
            f"{root}: expected one folder for each class, but there are none; put the pictures of a class "
            "into a folder with its name"
        )
    notes: list[str] = []
    files: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(folders):
        found = _pictures(folder, notes)
        if not found:
            inside = [p.name for p in sorted(folder.iterdir()) if p.is_dir()][:3]
            hint = "put some there, or take the folder away"
            if inside:
                parts = " or ".join(str(f) for f in folders[:3])
                hint = f"it holds folders ({', '.join(inside)}). If those are the classes, give {parts} instead"
            raise DataError(f"{folder}: expected pictures of the class {folder.name!r}, but there are none; {hint}")
        files += found
        labels += [label] * len(found)
    images = _stack(files, size, grayscale, notes, white, invert)
    names = tuple(folder.name for folder in folders)
    notes.insert(0, f"{len(files)} pictures of {len(names)} classes: {', '.join(names)}.")
    relative = tuple(str(file.relative_to(root)) for file in files)
    return ImageFolder(images, np.array(labels, np.int64), names, relative, tuple(notes))


def read_images(
    path: str | os.PathLike[str],
    size: tuple[int, int] | None = None,
    grayscale: bool | None = None,
    *,
    white: float | None = None,
    invert: bool = False,
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """One picture, or all pictures directly in a folder, for prediction: (n, height, width, channels), names.

    Errors as `read_image_folder`.
    """
    root = Path(path)
    files = _pictures(root, []) if root.is_dir() else [existing_file(root, "a picture")]
    if not files:
        raise DataError(f"{root}: expected pictures ({', '.join(sorted(SUFFIXES))}) directly in it, but there are none")
    return _stack(files, size, grayscale, [], white, invert), tuple(file.name for file in files)


def read_image(
    path: str | os.PathLike[str],
    size: tuple[int, int] | None = None,
    grayscale: bool | None = None,
    *,
    white: float | None = None,
    invert: bool = False,
) -> NDArray[np.uint8]:
    """One picture as uint8 (height, width, channels); arguments and errors as `read_image_folder`."""
    return _stack([existing_file(path, "a picture")], size, grayscale, [], white, invert)[0]


def _pictures(folder: Path, notes: list[str]) -> list[Path]:
    """The pictures in a folder by name; what else lies there is noted, hidden files apart.

    Warns of pictures in formats that are not read, such as an iPhone's HEIC.
    """
    entries = sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name != "Thumbs.db")
    pictures = [p for p in entries if p.suffix.lower() in SUFFIXES and p.is_file()]
    others = [p.name for p in entries if p not in set(pictures)]
    if unread := [p for p in entries if p.suffix.lower() in OTHER_SUFFIXES]:
        warn(
            f"{folder}: {len(unread)} pictures are in a format that is not read ({unread[0].name}); save them as "
            "JPEG or PNG",
            DataWarning,
        )
    if pictures and others:
        notes.append(
            f"In {folder.name}, {len(others)} entries that are no pictures were left out: {', '.join(others[:3])}."
        )
    return pictures


def _stack(
    files: list[Path],
    size: tuple[int, int] | None,
    grayscale: bool | None,
    notes: list[str],
    white: float | None,
    invert: bool,
) -> NDArray[np.uint8]:
    """All pictures in one array, whose size is known from the headers before any is decompressed."""
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise UsageError(f"{argument('size')}: expected (height, width) in pixels, but got {size!r}")
    if white is not None and not 0 < white < math.inf:
        raise UsageError(f"white: expected a number above 0, but got {white!r}")
    headers = [read_header(file) for file in files]
    _warn_of_frames(files, headers)
    if grayscale is None:
        grayscale = all(header.is_grey for header in headers)
        notes.append(
            "Pictures are read with "
            f"{'one channel: all are grey' if grayscale else 'three channels: some have colour'}."
        )
    if clear := sum(header.is_transparent for header in headers):
        notes.append(f"{clear} pictures may have transparent parts: those become white, or black under light ink.")
    sizes = [header.size for header in headers]
    if size is None:
        _check_same_size(files, sizes)
    elif set(sizes) != {tuple(size)}:
        notes.append(f"Pictures are resized to {size[0]} x {size[1]} (height x width), bilinear.")
        _warn_of_stretching(files, sizes, size)
    height, width = size or sizes[0]
    shape = (len(files), height, width, 1 if grayscale else 3)
    if (needed := int(np.prod(shape, dtype=object))) > MAX_BYTES:
        raise DataError(
            f"{files[0].parent}: {len(files)} pictures of {height} x {width} take {needed:,} bytes, more "
            f"than {MAX_BYTES:,}; give a smaller size"
        )
    images = np.empty(shape, np.uint8)
    for i, file in enumerate(files):
        images[i] = _resized(read_pixels(file, grayscale, white), (height, width))
    return np.subtract(255, images, out=images) if invert else images


def _resized(image: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A Pillow image as (height, width, channels)."""
    from PIL import Image

    if image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(*size, -1)


def _check_same_size(files: list[Path], sizes: Iterable[tuple[int, int]]) -> None:
    first: dict[tuple[int, int], Path] = {}
    for file, shape in zip(files, sizes, strict=True):
        first.setdefault(shape, file)
    if len(first) > 1:
        (a, file_a), (b, file_b) = list(first.items())[:2]
        raise DataError(
            f"{argument('size')}: expected pictures of one size, but there are {len(first)} sizes: {file_a} is {a[0]} "
            f"x {a[1]} and {file_b} is {b[0]} x {b[1]} (height x width). Resize them: {argument('size', (28, 28))}"
        )


# ── what is legal, and perhaps not meant ────────────────────────────────────────────────────────────────────


def _warn_of_frames(files: list[Path], headers: list[Header]) -> None:
    several = [(file, header.frames) for file, header in zip(files, headers, strict=True) if header.frames > 1]
    if several:
        file, frames = several[0]
        warn(
            f"{len(several)} of {len(files)} pictures have several frames or pages, of which the first is read "
            f"({file} has {frames}). If the others matter, save each as a picture of its own, with "
            "PIL.ImageSequence.Iterator(PIL.Image.open(...))",
            DataWarning,
        )


def _warn_of_stretching(files: list[Path], sizes: list[tuple[int, int]], size: tuple[int, int]) -> None:
    def is_stretched(shape: tuple[int, int]) -> bool:
        taller = (size[0] / shape[0]) / (size[1] / shape[1])
        by_a_pixel = abs(shape[0] * size[1] / shape[1] - size[0]) < 1  # as near as whole pixels come
        return max(taller, 1 / taller) > _STRETCHED and not by_a_pixel

    if stretched := [(f, shape) for f, shape in zip(files, sizes, strict=True) if is_stretched(shape)]:
        file, (height, width) = stretched[0]
        warn(
            f"{len(stretched)} of {len(files)} pictures change their proportions as they are resized to {size[0]} x "
            f"{size[1]} ({file} is {height} x {width}, height x width). Crop them, or put a border around them, if "
            "what they show must not be stretched",
            DataWarning,
        )
