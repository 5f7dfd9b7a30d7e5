"""From a file to what a trained model takes: the reading that its training used, found in `model.preprocessing`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from talweg.data import TableEncoding, read_idx, read_images, read_npz
from talweg.data.files import about
from talweg.data.images import SUFFIXES
from talweg.errors import DataError, UsageError, argument
from talweg.graph import Array
from talweg.train.model import Model
from talweg.train.tone import check_range, inverted, warn_of_tone

NPZ_NAMES = ("x", "x_test", "images", "features", "arr_0")  # looked for in this order where there are several


@dataclass(frozen=True)
class Inputs:
    """x: (n, ...) for `Model.predict`.  names: of each example: a picture's file or a row's number.

    skipped: rows that are not among them, and why.  notes: what was passed over, filled in or is out of range.
    """

    x: Array
    names: list[str]
    header: str
    skipped: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_inputs(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    model: Model,
    *,
    invert: bool = False,
    white: float | None = None,
    bad_rows: str = "refuse",
    **dialect: Any,
) -> Inputs:
    """Reads examples for `model` from a CSV file, a picture or several, a folder of pictures, an NPZ or an IDX file.

    invert: makes dark light, for ink on paper where the model was trained on light digits on a dark ground. Pictures
    that seem to need it are warned of.
    white: what is white in pictures of more than 8 bits whose file does not say it; else as the training was told.
    bad_rows: what becomes of rows of a table with a cell that is missing, or whose like training never saw: "refuse"
    (an error), "fill" (as in training) or "skip".
    dialect: how a table is written, where that is not as the training file was: separator, encoding, decimal, ...

    Raises `UsageError` for another suffix, a form that the model cannot take, or a model of several inputs or outputs;
    `DataError` for contents that do not fit.
    """
    paths = [Path(path)] if isinstance(path, str | os.PathLike) else [Path(each) for each in path]
    how = model.preprocessing or {"kind": "arrays"}
    how = how if white is None else {**how, "white": white}
    how = {**how, "bad_rows": bad_rows, "dialect": dialect}
    for each in paths:
        if not each.exists():
            raise UsageError(f"{each}: no such file or folder")
        if len(paths) > 1 and (each.is_dir() or _form(each) != "pictures"):
            raise UsageError(f"{each}: several files at once must be pictures; give this one by itself")
    if len(model.input_names) > 1 or len(model.output_names) > 1:
        raise UsageError(
            f"the model has {_listed(model.input_names, 'input')} and {_listed(model.output_names, 'output')}; a file "
            "is read as one array, for one answer. In Python: model = talweg.load(...); model.predict("
            f"{{{', '.join(f'{name!r}: ...' for name in model.input_names)}}})."
        )
    try:
        if len(paths) == 1:
            return _as_trained(_read(paths[0], _form(paths[0]), how, model), how, paths[0], invert)
        each_read = [_read(each, "pictures", how, model) for each in paths]
        inputs = replace(each_read[0], x=np.concatenate([each.x for each in each_read]), names=[*map(str, paths)])
        return _as_trained(inputs, how, paths[0], invert)
    except (KeyError, TypeError, AttributeError) as error:  # what a garbled description comes to
        raise DataError(f"the model does not say how its examples are read (preprocessing: {error!r})") from error


def _listed(names: list[str], what: str) -> str:
    return f"{len(names)} {what}s ({', '.join(names)})" if len(names) > 1 else f"one {what}"


def _read(path: Path, form: str, how: Mapping[str, Any], model: Model) -> Inputs:
    if form == "table":
        if how["kind"] != "table":
            raise UsageError(f"{path} is a table, and the model was trained on {_trained_on(how)}: give that")
        return _read_table(path, TableEncoding.from_config(how["encoding"]), how)
    if how["dialect"] or how["bad_rows"] != "refuse":
        given = next(iter(how["dialect"]), "bad_rows")
        raise UsageError(f"{path}: {argument(given)} is for tables (.csv)")
    if form == "pictures":
        if how["kind"] != "images":
            raise UsageError(f"{path} holds pictures, and the model was trained on {_trained_on(how)}: give that")
        images, names = read_images(path, size=tuple(how["size"]), grayscale=how["grayscale"], white=how.get("white"))
        return Inputs(
            _in_range(images, how["value_range"]).reshape(-1, *(model.example_shape or ())), list(names), "picture"
        )
    x = read_idx(path) if form == "idx" else _from_npz(path)
    if model.example_shape is not None and x.shape == model.example_shape:  # one example, without an axis for several
        x = x[None]
    return Inputs(x, [str(i) for i in range(len(x))], "index")


def _read_table(path: Path, encoding: TableEncoding, how: Mapping[str, Any]) -> Inputs:
    older = {"separator": how["separator"]} if "separator" in how else {}  # in models of before
    with about(path):
        table = encoding.read(path, **{**older, **how["dialect"]})
        found = encoding.read_rows(table, how["bad_rows"])
        if not len(found.features):
            why = "".join(f": {reason}" for reason in list(found.skipped.values())[:1])
            raise DataError(f"there is no row to predict{why}")
    skipped = {str(row): reason for row, reason in found.skipped.items()}
    return Inputs(found.features, [str(row) for row in found.rows], "row", skipped, found.notes)


def _as_trained(inputs: Inputs, how: Mapping[str, Any], path: Path, invert: bool) -> Inputs:
    """Pictures as light and dark as the training's, or a warning that they are not."""
    is_of_pictures = how["kind"] == "images" and inputs.x.shape[1:3] == tuple(how["size"]) and inputs.x.ndim in (3, 4)
    if not is_of_pictures:
        if invert:
            raise UsageError(
                f"{path}: {argument('invert')} is for pictures, and the model was trained on {_trained_on(how)}"
            )
        return inputs
    value_range = how["value_range"]
    check_range(inputs.x, value_range, str(path))
    if invert:
        inputs = replace(inputs, x=inverted(inputs.x, value_range))
    if "tone" in how:  # models of before say nothing
        warn_of_tone(inputs.x, value_range, how["tone"], inputs.names, invert)
    return inputs


def answers_of(model: Model, inputs: Inputs) -> list[dict[str, Any]]:
    """For each example its name, and a class with all probabilities, or a value, or the bare outputs."""
    outputs = model.predict(inputs.x, verbose=0)
    outputs = outputs.reshape(len(outputs), -1)
    names, found = model.class_names, []
    if names is not None and len(names) == 2 and outputs.shape[1] == 1:  # one sigmoid for two classes
        outputs = np.concatenate([1 - outputs, outputs], axis=1)
    for example, row in zip(inputs.names, outputs.tolist(), strict=True):
        answer: dict[str, Any] = {inputs.header: example}
        if names is not None and len(names) == len(row):
            best = max(range(len(row)), key=row.__getitem__)
            answer |= {
                "class": names[best],
                "probability": row[best],
                "probabilities": dict(zip(names, row, strict=True)),
            }
        elif len(row) == 1:
            answer["value"] = row[0]
        else:
            answer["outputs"] = row
        found.append(answer)
    return found


def _form(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes]
    if path.is_dir() or (suffixes[-1:] and suffixes[-1] in SUFFIXES):
        return "pictures"
    if {".csv", ".tsv", ".txt"} & set(suffixes[-2:]):
        return "table"
    if suffixes[-1:] == [".npz"]:
        return "npz"
    if "ubyte" in path.name or ".idx" in suffixes[-2:]:
        return "idx"
    raise UsageError(
        f"{path}: expected a table (.csv), a picture ({', '.join(sorted(SUFFIXES))}) or a folder of them, "
        "an .npz file, or an IDX file (.idx, ...-ubyte, also with .gz)"
    )


def _from_npz(path: Path) -> Array:
    arrays = read_npz(path)
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    for name in NPZ_NAMES:
        if name in arrays:
            return arrays[name]
    raise DataError(f"{path}: expected one array, or one named {' or '.join(NPZ_NAMES)}; it holds {', '.join(arrays)}")


def _in_range(images: Array, value_range: list[float]) -> Array:
    """Pixels of 0 to 255 in the range of the training's: digits has 0 to 16."""
    low, high = value_range
    if (low, high) == (0, 255):
        return images
    return np.rint(low + images.astype(np.float64) * (high - low) / 255).astype(np.uint8)


def _trained_on(how: Mapping[str, Any]) -> str:
    if how["kind"] == "table":
        names = [column["name"] for column in how["encoding"]["columns"]]
        return f"a table with the columns {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}"
    return "pictures" if how["kind"] == "images" else "arrays"
