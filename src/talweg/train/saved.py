"""Saved models: what a model is, as JSON, and its numbers, as safetensors. Nothing in them runs when they are loaded.

    model.save("digits")               a folder: model.safetensors, and model.json for people to read
    model.save("digits.safetensors")   one file: the same JSON stands in its metadata

The numbers' file is a whole model by itself and is replaced in one step, so a save that is cut short leaves the old
model or the new one. A `model.json` that belongs to other numbers (its SHA-256 says so) is passed over.

Names that end as another program's files do (``.keras``, ``.h5``) go to the module that `talweg.formats` has.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from talweg._version import __version__
from talweg.data.files import corrupt, short
from talweg.disk.writing import make_folder
from talweg.errors import (
    BudgetError,
    CorruptFileError,
    DataError,
    TalwegError,
    UnknownNameError,
    UsageError,
    VersionError,
    warn,
)
from talweg.escapes import visible
from talweg.formats import FORMATS
from talweg.graph import Array, state_tensor
from talweg.nn.losses import Loss
from talweg.nn.metrics import Metric
from talweg.optim import UpdateRule
from talweg.registry import encode
from talweg.train.architecture import model_from_config
from talweg.train.document import (
    FORM,
    FORMAT,
    FORMAT_VERSION,
    Document,
    as_text,
    checked,
    parse_json,
    read_document,
    read_json,
    write_json,
)
from talweg.train.model import Model
from talweg.train.tensors import CHECKSUM, HeldTensors, TensorFile, write_tensors

SUFFIX, WEIGHTS, DOCUMENT = ".safetensors", "model.safetensors", "model.json"
OTHERS = (".tflite", ".onnx", ".pb", ".pt", ".pth", ".pkl", ".npz", ".json")
KERAS, KERAS_WEIGHTS = ".keras", ".weights.h5"  # what is written for Keras; see FORMATS for what is read
ITERATIONS = "optimizer/iterations"


# ── saving ──────────────────────────────────────────────────────────────────────────────────────────────────


def save(
    model: Model, filepath: str | os.PathLike[str], overwrite: bool = True, include_optimizer: bool = True
) -> None:
    """Writes architecture, weights, and how the model was compiled, with the optimizer's memory, so training can go on.

    filepath: a name ending in ``.safetensors`` for one file, in ``.keras`` for a file that Keras reads (see
    `talweg.export.keras`), any other for a folder. include_optimizer=False leaves out loss, metrics and optimizer.
    Raises `UsageError` for a model that is not built, for parts without a registered name, and for the endings of
    other formats; `OSError` where it cannot be written, and then what stood there still does.
    """
    path = _destination(filepath, overwrite)
    if (other := _other_format(path)) is not None:
        with _explained(path):
            make_folder(path.parent)
            other.save(model, path, include_optimizer)
        return
    document = describe(model, include_optimizer)
    arrays = numbers(model, include_optimizer)
    with _explained(path):
        if path.suffix == SUFFIX:
            make_folder(path.parent)
            write_tensors(path, arrays, {"model": as_text(document)})
            return
        make_folder(path)
        write_folder(path, document, arrays)


def write_folder(path: Path, document: Document, arrays: Mapping[str, Array]) -> None:
    """The two files of a model in an existing folder: the numbers, which are enough, then the JSON to read."""
    checksum = write_tensors(path / WEIGHTS, arrays, {"model": as_text(document)})
    write_json(path / DOCUMENT, {**document, "weights": {"file": WEIGHTS, "sha256": checksum}})


def save_weights(model: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Writes the weights alone, under the names of the model's variables. `filepath` ends in ``.safetensors``, or in
    ``.weights.h5`` for a file that Keras reads.
    """
    path = _destination(filepath, overwrite, weights_only=True)
    with _explained(path):
        make_folder(path.parent)
        if (other := _other_format(path)) is not None:
            other.save_weights(model, path)
            return
        write_tensors(path, numbers(model, include_optimizer=False), {})


def describe(model: Model, include_optimizer: bool = True) -> Document:
    """The model as JSON. Raises `UsageError`, naming the part, where one has no name by which to find it again."""
    if not model.built:
        raise UsageError(f"model {model.name!r} is not built, so there is nothing to save: fit it, or give it an Input")
    for layer in model.layers:
        with _named(f"layer {layer.name!r}"):
            layer.to_config()
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "talweg_version": __version__,
        "architecture": model.get_config(),
        "precision": model.precision,
        "compile": _compilation(model) if include_optimizer and model.compiled else None,
        "epochs_trained": model.epochs_trained,
        "preprocessing": model.preprocessing,
        "class_names": None if model.class_names is None else list(model.class_names),
    }


def numbers(model: Model, include_optimizer: bool = True) -> dict[str, Array]:
    """The weights and the optimizer's memory as they are now, also while the model trains."""
    arrays = {name: v.numpy() for name, v in model.named_variables.items()}
    if include_optimizer and model.compiled:
        arrays |= {name: value for name, value in model.optimizer_states.items() if name.startswith("optimizer/")}
    return arrays


def _compilation(model: Model) -> Document:
    with _named("the optimizer"):
        optimizer = model.optimizer.to_config()
    aims = model.aims
    if any(aim.loss is not None and type(aim.loss).__name__ not in Loss.registry for aim in aims):
        raise UsageError(
            "the loss is a function of your own, and a file cannot hold it. Register it (put @talweg.nn.losses.loss() "
            "above it), or save with include_optimizer=False."
        )
    told: dict[str, list[Any]] = {
        "loss": [None if aim.loss is None else aim.loss.to_config() for aim in aims],
        "loss_weights": [aim.weight for aim in aims],
    }
    with _named("a metric"):
        told["metrics"] = [[_metric(m) for m in aim.metrics] for aim in aims]
        told["weighted_metrics"] = [[_metric(m) for m in aim.weighted_metrics] for aim in aims]
    return {"optimizer": optimizer, **{name: each if len(aims) > 1 else each[0] for name, each in told.items()}}


def _metric(metric: Any) -> Any:
    return metric.__name__ if isinstance(metric, type) else encode(metric)


# ── loading ─────────────────────────────────────────────────────────────────────────────────────────────────


def load(
    filepath: str | os.PathLike[str],
    custom_objects: Any = None,
    compile: bool = True,
    safe_mode: bool = True,
    *,
    engine: Any = "auto",
) -> Model:
    """The model that `save` wrote: a file, a folder, or the folder of a run; or a file of Keras's.

    With compile=False loss, metrics and optimizer are left alone; without them a model can predict. `custom_objects`
    and `safe_mode` are taken for Keras's sake: layers of your own are found by their names, and no code is ever run.
    Raises `CorruptFileError` for files that are damaged or do not fit together, `VersionError` for those of another
    version, `UnknownNameError` for layers and functions that are in no table, `UsageError` where there is no model.
    """
    path = Path(filepath)
    if path.suffix in OTHERS and not path.is_dir():
        raise UsageError(f"{path}: Talweg loads folders and files ending in {_endings()}, not {path.suffix}")
    if (other := _other_format(path)) is not None and not path.is_dir():
        read: Model = other.load(path, compile=compile, engine=engine)
        return read
    if path.is_dir() and not (path / WEIGHTS).is_file():
        inside = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
        raise UsageError(f"{path} is not a saved model: there is no {WEIGHTS} in it, but {inside}")
    file = TensorFile(path / WEIGHTS if path.is_dir() else path)
    if "model" not in file.metadata:
        raise UsageError(
            f"{file.path} holds arrays and no architecture. Make the model, then model.load_weights({str(path)!r})."
        )
    document = checked(file.path, parse_json(file.path, file.metadata["model"], FORM))
    if CHECKSUM in file.metadata and not file.is_sealed:
        warn(
            f"{visible(str(file.path))} was written by an earlier Talweg: a checksum tells of damage to its weights, "
            "and none to its architecture. Save it again to have both"
        )
    if path.is_dir() and (beside := path / DOCUMENT).is_file():
        shown = read_document(beside)
        if (shown.get("weights") or {}).get("sha256") == file.metadata.get("sha256"):
            document = shown
    return revive(document, file, compile=compile, engine=engine)


def untrained(filepath: str | os.PathLike[str], seed: int | None = None) -> Model:
    """A model with fresh weights from a JSON file: a ``model.json``, or what `Model.get_config` gives.

    It is compiled as the file says, where it says so. Errors as `load`.
    """
    path = Path(filepath)
    document = read_json(path, FORM)
    if "class" in document:  # the architecture alone
        document = {"architecture": {"name": path.stem, "seed": 0, **document}, "compile": None}
    else:
        document = checked(path, document)
    with understood(path):
        model = _model(document["architecture"], seed, fill=True)
        if document["compile"] is not None:
            _compile(model, document["compile"], "auto", "float32")
    return model


def load_weights(model: Model, filepath: str | os.PathLike[str]) -> None:
    """Puts the weights of a file, or of a saved model, into a built model; nothing changes unless all of them fit.

    Files by other programs will do, where their arrays have the names of the model's variables.
    """
    path = Path(filepath)
    if path.suffix in OTHERS:
        raise UsageError(f"{path}: Talweg reads weights from files ending in {_endings()}, not {path.suffix}")
    if not model.built:
        raise UsageError(f"model {model.name!r} is not built, so it has no weights yet: give it an Input or build() it")
    if (other := _other_format(path)) is not None and not path.is_dir():
        other.load_weights(model, path)
        return
    file = TensorFile(path / WEIGHTS if path.is_dir() else path)
    _check_names(file, {name: v.shape for name, v in model.named_variables.items()}, ("F32", "F64", "F16"))
    values = file.read()
    for name, v in model.named_variables.items():
        v.value = values[name]


def revive(document: Document, file: TensorFile | HeldTensors, *, compile: bool = True, engine: Any = "auto") -> Model:
    """The model of a document and its numbers. Shapes are compared before any array is made."""
    with understood(file.path):
        model, precision = blank(document), document["precision"]
        shapes = {name: v.shape for name, v in model.named_variables.items()}
        _check_names(file, shapes, ("F32",) if precision == "float32" else ("F64",))
        if document["compile"] is not None and compile:
            _compile(model, document["compile"], engine, precision)
        values = file.read()
        memory = {name: value for name, value in values.items() if name.startswith("optimizer/")}
        if model.compiled:
            _check_memory(file, memory, shapes, model.optimizer)
            model.optimizer_states = memory
        settle(model, values)
    return model


def blank(document: Document) -> Model:
    """The model of a document, not compiled, its variables with shapes and without values: `settle` gives them these.

    Raises `TalwegError`, or what Python raises where a document says nonsense: call it within `understood`.
    """
    model = _model(document["architecture"])
    if document["precision"] not in ("float32", "float64"):
        raise UsageError(f"its precision is {document['precision']!r}")
    model.epochs_trained = _whole(document["epochs_trained"])
    model.preprocessing = _preprocessing(document["preprocessing"])
    model.class_names = _names(document["class_names"])
    return model


def settle(model: Model, values: Mapping[str, Array]) -> None:
    """Gives a `blank` model its weights, by the names of its variables."""
    for name, v in model.named_variables.items():
        v.cast(model.precision)
        v.value = values[name]
    model.fill()  # from now on, layers that are added get values at once


def _model(architecture: Any, seed: int | None = None, fill: bool = False) -> Model:
    """The model of an architecture in a file, built, its variables without values unless `fill` says so."""
    if not isinstance(architecture, Mapping) or type(architecture.get("seed")) is not int:
        raise DataError("the architecture must have a name and a whole number as seed")
    if not isinstance(architecture.get("name"), str):
        raise DataError("the architecture must have a name and a whole number as seed")
    model: Model = model_from_config(architecture, seed, fill)
    if not model.built:
        raise DataError("the architecture must have layers and the shape of an example")
    return model


def _compile(model: Model, config: Any, engine: Any, precision: str) -> None:
    def metrics(kind: str) -> list[Any]:
        several = len(model.output_names) > 1
        found = [[_known(m) for m in of_one] for of_one in (config[kind] if several else [config[kind]])]
        return found if several else found[0]

    def loss_of(told: Any) -> Any:
        return None if told is None else Loss.from_config(told)

    optimizer, told = UpdateRule.from_config(config["optimizer"]), config["loss"]
    loss = [loss_of(each) for each in told] if isinstance(told, list) else loss_of(told)
    measured = (metrics("metrics"), metrics("weighted_metrics"))
    model.compile(optimizer, loss, config.get("loss_weights"), *measured, engine=engine, precision=precision)


def _known(metric: Any) -> Any:
    return Metric.from_config(metric) if isinstance(metric, dict) else metric


def _check_names(
    file: TensorFile | HeldTensors, shapes: Mapping[str, tuple[int, ...]], dtypes: tuple[str, ...]
) -> None:
    """Each variable must be there with its shape, and nothing else but an optimizer's memory."""
    found = {name: shape for name, shape in file.shapes.items() if not name.startswith("optimizer/")}
    if missing := sorted(set(shapes) - set(found)):
        raise corrupt(file.path, f"weights for {', '.join(missing[:3])}", f"it holds {', '.join(found) or 'none'}")
    if extra := sorted(set(found) - set(shapes)):
        raise corrupt(file.path, "weights of the model's layers only", f"it also holds {', '.join(extra[:3])}")
    for name, shape in shapes.items():
        if found[name] != shape:
            raise corrupt(file.path, f"{name} of shape {list(shape)}", f"it has {list(found[name])}")
        if file.dtypes[name] not in dtypes:
            raise corrupt(file.path, f"{name} as {' or '.join(dtypes)}", f"it is {file.dtypes[name]}")


def _check_memory(
    file: TensorFile | HeldTensors, memory: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]], rule: UpdateRule
) -> None:
    """An optimizer's memory is a count of steps, and what the rule keeps of variables of these shapes."""
    kept = rule.memory([state_tensor(name, shape) for name, shape in shapes.items()])
    for name, value in memory.items():
        fits = name in kept and kept[name].shape == value.shape and value.dtype.kind == "f"
        if not (fits or (name == ITERATIONS and value.shape == () and value.dtype == "uint32")):
            raise corrupt(
                file.path, "the memory of the model's optimizer", f"{name} {list(value.shape)} is no part of it"
            )
    if memory and ITERATIONS not in memory:
        raise corrupt(file.path, ITERATIONS, "it is missing")


# ── errors that name the file ───────────────────────────────────────────────────────────────────────────────


def check_ending(filepath: str | os.PathLike[str], weights_only: bool = False) -> None:
    """Raises `UsageError`, with the endings that will do, where the name has that of a format not written here."""
    path = Path(filepath)
    if weights_only and path.suffix != SUFFIX and not path.name.endswith(KERAS_WEIGHTS):
        raise UsageError(
            f"weights alone go to a file with a name ending in {SUFFIX} or {KERAS_WEIGHTS}; got {str(path)!r}"
        )
    if path.suffix in OTHERS or (path.suffix in FORMATS and path.suffix != KERAS and not weights_only):
        raise UsageError(
            f"a model is saved as a folder, or as one file with a name ending in {SUFFIX} or {KERAS}; got "
            f"{str(path)!r}. Try {str(path.with_suffix(SUFFIX))!r} or {str(path.with_suffix(''))!r}."
        )


def _destination(filepath: str | os.PathLike[str], overwrite: bool, weights_only: bool = False) -> Path:
    path = Path(filepath)
    check_ending(path, weights_only)
    there = path if path.suffix == SUFFIX or path.suffix in FORMATS else path / WEIGHTS
    if not overwrite and there.exists():
        raise UsageError(f"{there} is there already, and overwrite=False was asked for")
    return path


def _other_format(path: Path) -> Any:
    """The module that writes and reads files of such a name, where they are another program's."""
    return FORMATS[path.suffix]() if path.suffix in FORMATS else None


def _endings() -> str:
    return ", ".join((SUFFIX, *FORMATS))


@contextmanager
def _explained(path: Path) -> Any:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            error.errno, f"the model could not be saved ({reason}); what stood there still does", str(path)
        ) from error


@contextmanager
def _named(part: str) -> Any:
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{part}: {error}") from None


@contextmanager
def understood(path: Path) -> Any:
    """Whatever goes wrong while an untrusted description is followed is the file's fault, and is said so."""
    try:
        yield
    except (CorruptFileError, VersionError):
        raise
    except BudgetError as error:
        error.args = (f"{path}: {short(str(error))}",)
        raise
    except UnknownNameError as error:
        error.args = (f"{path}: {short(str(error))}. If it is your own, import the module that defines it first.",)
        raise
    except TalwegError as error:
        raise corrupt(path, "a model that can be built", str(error)) from error
    except Warning:
        raise
    except Exception as error:
        raise corrupt(path, "a description of a model", f"it lacks or garbles something ({error!r})") from error


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise DataError(f"{value!r} is no number of epochs")
    return value


def _preprocessing(value: Any) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise DataError("preprocessing must be an object")
    return value


def _names(value: Any) -> list[str] | None:
    if value is not None and not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        raise DataError("class_names must be a list of text")
    return value
