"""The JSON of saved models and run folders: written whole, read with distrust."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from talweg._version import __version__
from talweg.budgets import demand
from talweg.data.files import corrupt, existing_file
from talweg.disk.writing import written_whole
from talweg.errors import CorruptFileError, VersionError

Document = dict[str, Any]

FORMAT, FORMAT_VERSION = "talweg-model", 1
FORM = "a model's JSON"
SEAL = "sha256"  # the member of a document that holds the sum of the others


def as_text(document: Any, indent: int | None = None) -> str:
    """JSON as every program reads it: without NaN and infinity, which JSON does not know.

    Halves of surrogate pairs, which are in names of files that are no UTF-8, are written as JSON writes them.
    """
    text = json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()


def write_json(path: Path, document: Document) -> None:
    """The document as a file for people to read, whole or not at all, with the SHA-256 of what it says at its end."""
    said = {key: value for key, value in document.items() if key != SEAL}
    with written_whole(path) as file:
        file.write((as_text({**said, SEAL: sealed(said)}, indent=2) + "\n").encode())


def sealed(document: Any) -> str:
    """The SHA-256 of what a document says, however it is laid out."""
    return hashlib.sha256(as_text(document).encode()).hexdigest()


def read_json(path: Path, form: str) -> Document:
    """The JSON object in a file; `form` ("a model's JSON") says in the error what was expected."""
    try:
        text = existing_file(path, form).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise corrupt(path, form, f"it is no text ({error})") from None
    document = parse_json(path, text, form)
    said = {key: value for key, value in document.items() if key != SEAL}
    if SEAL in document and document[SEAL] != sealed(said):
        raise CorruptFileError(
            f"{path} is not as it was written: its SHA-256 is another than the line {SEAL!r} at its end says. Fetch it "
            "again; or, if you changed it on purpose, delete that line."
        )
    return said


def parse_json(path: Path, text: str, form: str) -> Document:
    """A JSON object; raises `CorruptFileError`, naming the file that it comes from."""
    try:
        document = json.loads(text, object_pairs_hook=_each_once, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise corrupt(path, form, f"it cannot be parsed ({error})") from None
    if not isinstance(document, dict):
        raise corrupt(path, form, f"it is a {type(document).__name__} and not an object")
    return document


def _each_once(pairs: list[tuple[str, Any]]) -> Document:
    """An object of JSON. Of a name that is there twice, some programs take the first value and some the last."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return made


def _finite(text: str) -> float:
    """A number of JSON, which knows no NaN and no infinity; 1e999 is none that a float holds, either."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:20]} is no finite number")
    return number


HOLDERS = ("layer", "forward_layer", "backward_layer", "cell")  # keys under which layers have layers within


def survey(description: Any) -> None:
    """Looks over a description of a model, ours or Keras's, before anything is made of it.

    Raises `BudgetError` for more layers, or more of them within each other, than there may be.
    """
    layers, waiting = 0, [(description, 0)]
    while waiting:
        part, depth = waiting.pop()
        if isinstance(part, dict):
            inner = part.get("layers")
            layers += len(inner) if isinstance(inner, list) else 0
            depth += isinstance(inner, list) or any(isinstance(part.get(key), dict) for key in HOLDERS)
            demand("depth", depth, "a model within models, or a layer within layers,")
        waiting += [
            (each, depth)
            for each in (part.values() if isinstance(part, dict) else part)
            if isinstance(each, dict | list)
        ]
    demand("layers", layers, "a model, with all that are within,")


def read_document(path: Path) -> Document:
    """A ``model.json``: checked for its format and version, not yet for what it says."""
    return checked(path, read_json(path, FORM))


def checked(path: Path, document: Document) -> Document:
    """The document, if it has the format and version that are read here; what it says is not looked at yet."""
    if document.get("format") != FORMAT or type(document.get("format_version")) is not int:
        raise corrupt(path, f"a JSON object with format {FORMAT!r} and a format_version", "it has none")
    if document["format_version"] != FORMAT_VERSION:
        raise VersionError(
            f"{path}: the model has format version {document['format_version']} (written by Talweg "
            f"{document.get('talweg_version', '?')}); Talweg {__version__} reads version {FORMAT_VERSION}. "
            "Save it again with a version of Talweg that writes that."
        )
    return document
