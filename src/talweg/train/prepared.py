"""What a run learns from: a data set by name, a CSV file or a folder of pictures, in three parts and ready for a model.

The test part is set aside here and is not looked at until the end; what has to be fitted (means, scales, the values for
missing cells) is fitted on the training part alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from talweg.data import (
    DATASETS,
    TOYS,
    Column,
    TableData,
    TableEncoding,
    load,
    read_csv,
    read_image_folder,
    scale,
    train_test_split,
)
from talweg.data.csv import columns_of
from talweg.data.csv_text import DIALECT
from talweg.data.files import short
from talweg.data.table import CLASSIFICATION, REGRESSION
from talweg.errors import DataError, DataWarning, UnknownNameError, UsageError, argument, warn
from talweg.graph import Array
from talweg.nn.layers import Layer, Normalization, Rescaling
from talweg.train.tone import tone_of

TEST, VALIDATION = 0.2, 0.1  # of all rows; where a set has a test part of its own, the latter of its training part
LEAST_ROWS = 10
MANY_REPETITIONS = 0.1  # of the test part
COLUMN = "COLUMN"  # stands in messages for a column that the user has to choose
TOY_ROWS = 1000
TOY_TASKS = {"line": REGRESSION}
TOY_NOISE = {"and": 0.15, "or": 0.15, "xor": 0.15}  # a truth table has four rows; these are points around them


@dataclass(frozen=True)
class Source:
    """What the user named, as a run's configuration keeps it. `options` go to the reader of CSV files or pictures."""

    data: str
    target: str | None = None
    task: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def set_name(self) -> str | None:
        """The data set's name as the tables have it, or None where `data` is a path."""
        name = self.data.lower().replace("-", "_")
        return name if name in DATASETS or name in TOYS else None

    @property
    def short_name(self) -> str:
        """For the name of the run's folder."""
        return self.set_name or Path(self.data).resolve().name.split(".")[0] or "data"


@dataclass(frozen=True)
class Prepared:
    """Three parts, and all that is known of them.

    x: (n, *input_shape), uint8 for pictures and float32 for tables.  y: class numbers or values, (n,).
    preprocessing: how x is made of a file, as JSON; it is saved with the model.
    """

    x_train: Array
    y_train: Array
    x_validation: Array
    y_validation: Array
    x_test: Array
    y_test: Array
    task: str
    class_names: list[str] | None
    feature_names: list[str] | None
    preprocessing: dict[str, Any]
    notes: list[str]
    warnings: list[str] = field(default_factory=list)  # given already; the report repeats them

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.x_train.shape[1:]

    @property
    def outputs(self) -> int:
        return len(self.class_names) if self.class_names is not None else 1

    @property
    def rows(self) -> dict[str, int]:
        return {"training": len(self.x_train), "validation": len(self.x_validation), "test": len(self.x_test)}

    def first_layers(self) -> list[Layer]:
        """What brings x to about -1 to 1: pixels by their range, columns by the training part's mean and deviation."""
        if self.preprocessing["kind"] == "images":
            low, high = self.preprocessing["value_range"]
            return [Rescaling(1 / (high - low), -low / (high - low))]
        _, fitted = scale(self.x_train)
        return [Normalization(mean=list(fitted.offset), variance=[s * s for s in fitted.scale])]

    def last_layers(self) -> list[Layer]:
        """For regression: from about -1 to 1 to the units of y."""
        if self.task == CLASSIFICATION:
            return []
        y = self.y_train.astype(np.float64)
        return [Rescaling(float(y.std()) or 1.0, float(y.mean()))]

    def fingerprint(self) -> str:
        """The SHA-256 of all parts and what they mean: a run goes on only with the data that it began with."""
        how = {key: value for key, value in self.preprocessing.items() if key != "tone"}  # it is seen in the parts
        total = hashlib.sha256(json.dumps([self.class_names, self.feature_names, how]).encode())
        for part in (self.x_train, self.y_train, self.x_validation, self.y_validation, self.x_test, self.y_test):
            total.update(f"{part.dtype}{part.shape}".encode())
            total.update(np.ascontiguousarray(part).data)
        return total.hexdigest()


def prepare(source: Source, seed: int = 0) -> Prepared:
    """Reads and splits what the user named; the same seed gives the same parts.

    Raises `UnknownNameError` for what is neither a data set nor a file, `UsageError` for a CSV without a target or
    options that do not go together, and what the readers raise.

    >>> prepare(Source("iris")).rows
    {'training': 108, 'validation': 12, 'test': 30}
    """
    if (name := source.set_name) is not None:
        given = [*([] if source.target is None else ["target"]), *source.options]
        if given:
            listed = ", ".join(map(argument, given))
            raise UsageError(f"data set {name!r} knows its target and how it is read; leave out {listed}")
        prepared = _toy(name, seed) if name in TOYS else _named_set(name, seed)
        if source.task not in (None, prepared.task):
            asked = argument("task", source.task)
            raise UsageError(f"data set {name!r} is for {prepared.task}; {asked} does not fit it")
        return prepared
    path = Path(source.data)
    if path.is_dir():
        if source.target is not None or source.task not in (None, CLASSIFICATION):
            raise UsageError(
                f"{path} is a folder of pictures, whose classes are its folders; leave out {argument('target')} and "
                f"{argument('task')}"
            )
        return _pictures(path, source.options, seed)
    if not path.exists():
        if os.sep not in source.data and not path.suffix:
            raise UnknownNameError("data set, file or folder", source.data, [*DATASETS, *TOYS])
        around = "" if path.parent.is_dir() else f"; nor is there a folder {path.parent}"
        raise UsageError(
            f"{path}: no such file or folder{around}. Give a data set's name, a CSV file or a folder of pictures"
        )
    if path.suffix.lower() not in (".csv", ".tsv", ".txt", ".gz"):
        raise UsageError(f"{path}: expected a CSV file (.csv, .csv.gz) or a folder with one folder of pictures a class")
    return _table(path, source, seed)


# ── each kind ───────────────────────────────────────────────────────────────────────────────────────────────


def _named_set(name: str, seed: int) -> Prepared:
    data = load(name)
    info, labels = data.info, data.y_train if data.info.task == CLASSIFICATION else None
    x, x_v, y, y_v = train_test_split(data.x_train, data.y_train, test_size=VALIDATION, stratify=labels, seed=seed)
    names = None if info.class_names is None else list(info.class_names)
    features = None if info.feature_names is None else list(info.feature_names)
    preprocessing = _pictures_of(x, info.value_range) if features is None else _table_of(features, info.task, names)
    return Prepared(x, y, x_v, y_v, data.x_test, data.y_test, info.task, names, features, preprocessing, [])


def _toy(name: str, seed: int) -> Prepared:
    options = {"noise": TOY_NOISE[name]} if name in TOY_NOISE else {}
    x, y = TOYS[name](n=TOY_ROWS, seed=seed, **options)
    task = TOY_TASKS.get(name, CLASSIFICATION)
    names = [str(k) for k in range(int(y.max()) + 1)] if task == CLASSIFICATION else None
    features = [f"x{i + 1}" for i in range(x.shape[1])]
    notes = [f"{TOY_ROWS} points made with seed {seed}."]
    parts = _split(x, y, task, seed, notes)
    return Prepared(*parts, task, names, features, _table_of(features, task, names), notes)


def _table(path: Path, source: Source, seed: int) -> Prepared:
    options = dict(source.options)
    if given := [name for name in ("size", "white") if name in options]:
        raise UsageError(f"{path} is a table; {argument(given[0])} is for pictures")
    if source.target is None:
        names = columns_of(path, **{k: v for k, v in options.items() if k in DIALECT})
        shown = ", ".join(map(short, names[:20])) + (", ..." if len(names) > 20 else "")
        raise UsageError(
            f"{path} is a table: say which column is to be predicted, with {argument('target', COLUMN)}. Its columns "
            f"are: {shown}"
        )
    table = read_csv(path, target=source.target, task=source.task, **options)
    notes, rows = list(table.notes), np.arange(len(table.target))
    train, _, validation, _, test, _ = _split(rows, table.target, table.task, seed, notes, table.time)
    table = table.in_float32(train)
    x, y = table.features, table.target
    classes = None if table.class_names is None else list(table.class_names)
    if classes is not None and (absent := set(np.unique(y)) - set(np.unique(y[train]))):
        unseen = ", ".join(classes[k] for k in sorted(absent))
        notes.append(f"The training part has no row of class {unseen}, which therefore cannot be learned.")
    seen = [*_repetitions(x, y, train, test), *_dates_at_random(table)]
    for sentence in seen:
        warn(f"{path}: {sentence}", DataWarning)
    preprocessing = {"kind": "table", "encoding": table.encoding.to_config()}
    parts = (x[train], y[train], x[validation], y[validation], x[test], y[test])
    features = list(table.feature_names)
    return Prepared(*parts, table.task, classes, features, preprocessing, notes, [*table.warnings, *seen])


def _repetitions(x: Array, y: Array, train: Array, test: Array) -> list[str]:
    """A warning where many rows of the test part stand in the training part too."""
    rows = [row.tobytes() + answer.tobytes() for row, answer in zip(x, y, strict=True)]
    known = {rows[i] for i in train}
    repeated = sum(rows[i] in known for i in test)
    if repeated <= MANY_REPETITIONS * len(test):
        return []
    return [
        f"{repeated} of {len(test)} rows of the test part stand in the training part too, so that the test score "
        "is too good; delete rows that repeat others."
    ]


def _dates_at_random(table: TableData) -> list[str]:
    """A warning where rows have dates, and the parts are drawn at random all the same."""
    if table.time is not None or all(column.kind != "date" for column in table.encoding.columns):
        return []
    return [
        "Its rows have dates and were split at random, so that the model is tested on days before the last that it "
        f"learned from; {argument('split_by', COLUMN)} tests it on the latest rows."
    ]


def _pictures(path: Path, options: dict[str, Any], seed: int) -> Prepared:
    if extra := sorted(set(options) - {"size", "white"}):
        raise UsageError(f"{path} is a folder of pictures; {', '.join(map(argument, extra))} is for tables")
    size, white = options.get("size"), options.get("white")
    found = read_image_folder(path, size=None if size is None else tuple(size), white=white)
    if len(found.class_names) < 2:
        raise DataError(
            f"{path}: expected folders for at least two classes, but there is only {found.class_names[0]!r}"
        )
    notes = list(found.notes)
    parts = _split(found.images, found.labels, CLASSIFICATION, seed, notes)
    preprocessing = _pictures_of(parts[0], (0, 255), white)
    return Prepared(*parts, CLASSIFICATION, list(found.class_names), None, preprocessing, notes)


def _split(
    x: Array, y: Array, task: str, seed: int, notes: list[str], time: Array | None = None
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """x and y of the three parts, in the order of `Prepared`: by `time`, or else stratified where it can be."""
    if len(x) < LEAST_ROWS:
        raise DataError(
            f"expected at least {LEAST_ROWS} examples, for a training, a validation and a test part, but got {len(x)}. "
            "Collect more; in Python, model.fit(x, y) trains on as few as there are"
        )
    if time is not None:
        x_t, x_v, x_e, y_t, y_v, y_e = train_test_split(x, y, test_size=TEST, validation_size=VALIDATION, order_by=time)
        notes.append(
            "The earliest rows are the training part, then comes the validation part; the latest are the test part."
        )
        return x_t, y_t, x_v, y_v, x_e, y_e
    labels: Array | None = y if task == CLASSIFICATION else None
    for stratify in (labels, None):
        try:
            x_t, x_v, x_e, y_t, y_v, y_e = train_test_split(
                x, y, test_size=TEST, validation_size=VALIDATION, stratify=stratify, seed=seed
            )
            return x_t, y_t, x_v, y_v, x_e, y_e
        except DataError:
            if stratify is None:
                raise
            notes.append(
                "Some classes are too small to be in all three parts in proportion; rows were split at random."
            )
    raise AssertionError("the second attempt answers or raises")


def _table_of(features: list[str], task: str, class_names: list[str] | None) -> dict[str, Any]:
    """The encoding of a table whose columns are all numbers, so that `predict` can read one from a CSV file."""
    columns = tuple(Column(name, "number") for name in features)
    kind = "number" if class_names is None else "category"
    encoding = TableEncoding(columns, "target", kind, task, None if class_names is None else tuple(class_names))
    return {"kind": "table", "encoding": encoding.to_config()}


def _pictures_of(x: Array, value_range: tuple[float, float], white: float | None = None) -> dict[str, Any]:
    """How pictures become x of (height, width) or (height, width, channels), and how light those of training are."""
    told = {"size": list(x.shape[1:3]), "grayscale": x.ndim == 3 or x.shape[3] == 1, "value_range": list(value_range)}
    said = {} if white is None else {"white": white}
    return {"kind": "images", **told, **said, "tone": tone_of(x, value_range)}
