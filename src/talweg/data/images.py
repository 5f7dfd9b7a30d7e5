"""Pictures: a folder of folders for training (one folder a class), a file or a flat folder for prediction.

Pictures become uint8 arrays of shape (height, width, channels), with 1 channel for grey and 3 for red, green
and blue: values 0 to 255, as the files hold them. Scaling is the model's first layer's work.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.data.files import MAX_BYTES, corrupt, existing_file
from talweg.errors import DataError, UsageError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})
MAX_PIXELS = 64_000_000  # A picture of more is refused from its header, before it is decompressed.
_GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"})


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
    path: str | os.PathLike[str], size: tuple[int, int] | None = None, grayscale: bool | None = None
) -> ImageFolder:
    """Reads ``path/<class>/<picture>``; classes are numbered in the order of their names.

    size: (height, width) to which pictures are resized (bilinear, without keeping proportions). Without it
    all must have the same size already.
    grayscale: True for one channel, False for three; None takes one if every picture is grey, and says so.

    Raises `DataError` if there are no classes or pictures, sizes differ, or all would take more than 4 GiB;
    `CorruptFileError`, naming the file, for a picture that cannot be read.
    """
    root = Path(path)
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder with one folder of pictures for each class, but it is no folder")
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
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
            hint = (
                f"; it holds folders ({', '.join(inside)}): give {folder} itself if those are the classes"
                if inside
                else ""
            )
            raise DataError(f"{folder}: expected pictures of the class {folder.name!r}, but there are none{hint}")
        files += found
        labels += [label] * len(found)
    images = _stack(files, size, grayscale, notes)
    names = tuple(folder.name for folder in folders)
    notes.insert(0, f"{len(files)} pictures of {len(names)} classes: {', '.join(names)}.")
    relative = tuple(str(file.relative_to(root)) for file in files)
    return ImageFolder(images, np.array(labels, np.int64), names, relative, tuple(notes))


def read_images(
    path: str | os.PathLike[str], size: tuple[int, int] | None = None, grayscale: bool | None = None
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """One picture, or all pictures directly in a folder, for prediction: (n, height, width, channels), names.

    Errors as `read_image_folder`.
    """
    root = Path(path)
    files = _pictures(root, []) if root.is_dir() else [existing_file(root, "a picture")]
    if not files:
        raise DataError(f"{root}: expected pictures ({', '.join(sorted(SUFFIXES))}) directly in it, but there are none")
    return _stack(files, size, grayscale, []), tuple(file.name for file in files)


def read_image(
    path: str | os.PathLike[str], size: tuple[int, int] | None = None, grayscale: bool | None = None
) -> NDArray[np.uint8]:
    """One picture as uint8 (height, width, channels); arguments and errors as `read_image_folder`."""
    return read_images(existing_file(path, "a picture"), size, grayscale)[0][0]


def _pictures(folder: Path, notes: list[str]) -> list[Path]:
    """The pictures in a folder by name; what else lies there is noted, hidden files apart."""
    entries = sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name != "Thumbs.db")
    pictures = [p for p in entries if p.suffix.lower() in SUFFIXES and p.is_file()]
    others = [p.name for p in entries if p not in set(pictures)]
    if pictures and others:
        notes.append(
            f"In {folder.name}, {len(others)} entries that are no pictures were left out: {', '.join(others[:3])}."
        )
    return pictures


def _stack(
    files: list[Path], size: tuple[int, int] | None, grayscale: bool | None, notes: list[str]
) -> NDArray[np.uint8]:
    """All pictures in one array, whose size is known from the headers before any is decompressed."""
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise UsageError(f"size: expected (height, width) in pixels, but got {size!r}")
    headers = [_header(file) for file in files]
    if grayscale is None:
        grayscale = all(mode in _GREY_MODES for mode, _ in headers)
        notes.append(
            "Pictures are read with "
            f"{'one channel: all are grey' if grayscale else 'three channels: some have colour'}."
        )
    sizes = [shape for _, shape in headers]
    if size is None:
        _check_same_size(files, sizes)
    elif set(sizes) != {tuple(size)}:
        notes.append(f"Pictures are resized to {size[0]} x {size[1]} (height x width), bilinear.")
    height, width = size or sizes[0]
    shape = (len(files), height, width, 1 if grayscale else 3)
    if (needed := int(np.prod(shape, dtype=object))) > MAX_BYTES:
        raise DataError(
            f"{files[0].parent}: {len(files)} pictures of {height} x {width} take {needed:,} bytes, more "
            f"than {MAX_BYTES:,}; give a smaller size"
        )
    images = np.empty(shape, np.uint8)
    for i, file in enumerate(files):
        images[i] = _pixels(file, (height, width), grayscale)
    return images


def _check_same_size(files: list[Path], sizes: Iterable[tuple[int, int]]) -> None:
    first: dict[tuple[int, int], Path] = {}
    for file, shape in zip(files, sizes, strict=True):
        first.setdefault(shape, file)
    if len(first) > 1:
        (a, file_a), (b, file_b) = list(first.items())[:2]
        raise DataError(
            f"size: expected pictures of one size, but there are {len(first)} sizes: {file_a} is {a[0]} x {a[1]} and "
            f"{file_b} is {b[0]} x {b[1]} (height x width). Give size=(height, width) to resize them."
        )


def _header(file: Path) -> tuple[str, tuple[int, int]]:
    """Colour mode and (height, width), turned as the camera was held."""
    from PIL import Image

    with _opened(file) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise DataError(
                f"{file}: {width} x {height} pixels are more than the {MAX_PIXELS:,} that are read; make it smaller"
            )
        turned = image.getexif().get(0x0112, 1) in (
            5,
            6,
            7,
            8,
        )  # EXIF "Orientation": those four lie on their side
        mode = image.mode
        if mode == "P":  # a palette may hold greys only
            palette = Image.Image.getpalette(image) or []
            grey = all(palette[i] == palette[i + 1] == palette[i + 2] for i in range(0, len(palette) - 2, 3))
            mode = "L" if grey else "RGB"
    return mode, (width, height) if turned else (height, width)


def _pixels(file: Path, size: tuple[int, int], grayscale: bool) -> NDArray[Any]:
    """uint8 (height, width, channels)."""
    from PIL import Image, ImageOps

    with _opened(file) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow's convert would cut off at 255
            image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
        image = image.convert("L" if grayscale else "RGB")
        if image.size != (size[1], size[0]):
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return np.asarray(image).reshape(*size, -1)


class _opened:
    """`PIL.Image.open` whose failures, then or while pixels are decoded, name the file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __enter__(self) -> Any:
        from PIL import Image

        try:
            self.image = Image.open(self.file)
        except BaseException as error:
            self._explain(error)
            raise
        return self.image

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.image.close()
        if error is not None:
            self._explain(error)

    def _explain(self, error: BaseException) -> None:
        from PIL import Image

        if isinstance(error, PermissionError | DataError):
            return
        damage = (
            OSError,
            ValueError,
            SyntaxError,
            EOFError,
            IndexError,
            TypeError,
            OverflowError,
            Image.DecompressionBombError,
        )
        if isinstance(error, damage):  # Pillow's decoders raise all of these for damaged files
            raise corrupt(self.file, "a picture", f"decoding it failed ({error})") from error
