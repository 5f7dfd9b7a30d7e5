"""Files of Keras, written and read without Keras: ``.keras`` for models, ``.weights.h5`` for weights.

    model.save("digits.keras")                 keras.models.load_model reads it
    talweg.load("theirs.keras")                and theirs are read here, as are HDF5 files of before Keras 3 (``.h5``)

What is read and written is `config.json`, by `reading` and `writing`, and HDF5, by `weights`; `archive` opens files.
Files are not trusted: nothing in them is run or unpickled, and sizes are compared before memory is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from talweg.errors import UsageError
from talweg.export.keras import archive, legacy, memory, reading, weights, writing
from talweg.train import saved
from talweg.train.document import parse_json

IN_ZIP = "model.weights.h5"


def save(model: Any, path: Path, include_optimizer: bool = True) -> None:
    """Writes a whole model as Keras 3 does: a zip file of its description, as JSON, and its weights, as HDF5.

    The optimizer goes along with what it remembers, so that Keras goes on where Talweg ended. Raises `UsageError`
    naming the layer, or the part of what was compiled, that Keras does not have; `MissingExtraError` without h5py.
    """
    description = writing.description(model, include_optimizer)
    arrays = weights.written(model)
    if include_optimizer and model.compiled:
        arrays |= memory.written(model)
    archive.write(path, {"config.json": description, "metadata.json": writing.METADATA}, IN_ZIP, arrays)


def load(path: Path, *, compile: bool = True, engine: Any = "auto") -> Any:
    """The model of a file: a ``.keras`` file, or a whole model as HDF5, which Keras wrote before version 3.

    It is compiled as the file says, unless compile=False. The optimizer has the memory that a ``.keras`` file holds;
    from other files it is a fresh one, as it is where the file has another number of arrays than it keeps. Raises
    `UsageError` naming a layer or an option that Talweg does not have, `CorruptFileError` for files that are damaged or
    do not fit together.
    """
    if path.suffix == ".keras":
        with archive.opened(path, IN_ZIP) as (texts, file):
            described = parse_json(path, texts["config.json"], "a model's JSON")
            metadata = parse_json(path, texts.get("metadata.json", "{}"), "what wrote the file, as JSON")
            is_own = str(metadata.get("written_by", "")).startswith("Talweg")
            with reading.said_of(path):
                document = reading.document(described, is_own)
            return _revived(path, document, described.get("compile_config"), file, weights, compile, engine)
    with archive.hdf5(path) as file:
        old, compilation = legacy.descriptions(file)
        with reading.said_of(path):
            document = reading.document(old)
        return _revived(path, document, compilation, file, legacy, compile, engine)


def _revived(
    path: Path, document: Any, compilation: Any, file: archive.File, form: Any, compile: bool, engine: Any
) -> Any:
    """The model of a description, with the weights that `form` finds in the file."""
    with saved.understood(path):
        model = saved.blank(document)
    if compile and compilation:
        with reading.said_of(path, "; load it with compile=False to predict with it"):
            told = reading.compilation(compilation)
            if told is not None:
                model.compile(**told, engine=engine, precision=document["precision"])
    found = form.found(model, file, document["architecture"])
    states = memory.found(model, file, document["architecture"]) if model.compiled and form is weights else {}
    saved.settle(model, {name: found[v] for name, v in model.named_variables.items()})
    if states:
        model.optimizer_states = states
    return model


def save_weights(model: Any, path: Path) -> None:
    """Writes the weights as `keras.Model.load_weights` takes them; the name ends in ``.weights.h5``."""
    if not model.built:
        raise UsageError(f"model {model.name!r} is not built, so it has no weights yet: give it an Input or build() it")
    archive.write_hdf5(path, weights.written(model))


def load_weights(model: Any, path: Path) -> None:
    """Puts the weights of a file of Keras's in place, of a model of the same layers; nothing changes unless all fit."""
    if path.suffix == ".keras":
        with archive.opened(path, IN_ZIP) as (_, file):
            found = weights.found(model, file)
    else:
        with archive.hdf5(path) as file:
            form: Any = legacy if legacy.is_legacy(file) else weights
            found = form.found(model, file)
    for v, value in found.items():
        v.value = value
