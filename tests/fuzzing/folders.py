"""Folders, packed into one zip archive an input: folders of pictures, and run folders."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fuzzing import models, pictures
from fuzzing.forms import Format, Misread
from fuzzing.mutations import Members, json_mutated, members_of, mutated, text_mutated, zip_mutated, zipped
from talweg.data import read_image, read_image_folder
from talweg.data.images import SUFFIXES
from talweg.errors import DataError
from talweg.train.document import SEAL
from talweg.train.run_folder import RunFolder, Snapshot, trained_model


def unpacked(data: bytes, folder: Path) -> bool:
    """Unpacks an archive into a new folder, names that leave it apart; whether it is one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                path = folder / info.filename
                if path.resolve().is_relative_to(folder.resolve()) and info.file_size < 10**6:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(archive.read(info))
    except Exception:  # it is the folder that is of interest, not this archive
        return False
    return True


# ── pictures ────────────────────────────────────────────────────────────────────────────────────────────────


def _picture_folders() -> list[bytes]:
    png, gif, jpg = (pictures.SEEDS[name][0]() for name in ("png", "gif", "jpg"))
    return [
        zipped([("cat/1.png", png[0]), ("cat/2.png", png[1]), ("dog/1.gif", gif[0])]),
        zipped([("a/x.jpg", jpg[0]), ("b/y.jpg", jpg[1]), ("b/notes.txt", b"x"), (".hidden/z.png", b"")]),
    ]


def _mutate_pictures(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    members = members_of(data)
    if random.random() < 0.3:
        at = random.randrange(len(members))
        names = (
            "cat/x.PNG",
            "1.png",
            "cat/deep/1.png",
            "c\x1b[31m/1.png",
            "ü/1.png",
            "cat.png/1.png",
            "-/1.png",
            "n\nn/1.png",
        )
        members.insert(at, (random.choice(names), members[at][1]))
    return zip_mutated(random, members, lambda name, member: mutated(random, member))


def _check_pictures(path: Path, data: bytes) -> None:
    folder = path.with_suffix("")
    if not unpacked(data, folder):
        return
    found = read_image_folder(folder, size=(5, 6))
    classes = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    expected = [
        (f"{name}/{p.name}", label)
        for label, name in enumerate(classes)
        for p in sorted((folder / name).iterdir())
        if p.is_file() and p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
    ]
    if list(zip(found.files, found.labels.tolist(), strict=True)) != expected or list(found.class_names) != classes:
        raise Misread("other classes or files than in the folder")
    for name, image in zip(found.files, found.images, strict=True):
        if not np.array_equal(read_image(folder / name, size=(5, 6), grayscale=image.shape[2] == 1), image):
            raise Misread("a picture is not the one of its file")


# ── runs ────────────────────────────────────────────────────────────────────────────────────────────────────

CONFIG = {
    **{"data": {"data": "iris"}, "rows": {"training": 1}, "data_sha256": "0", "task": "classification", "model": "mlp"},
    **{"engine": "reference", "created": "2026-01-01", "epochs": 2, "batch_size": 2, "seed": 0, "class_names": ["a"]},
}
LINES = [{"epoch": 1, "loss": 0.5, "val_loss": None, "seconds": 0.1}, {"epoch": 2, "loss": 0.25, "seconds": 0.1}]


def _runs() -> list[bytes]:
    model = models.KNOWN.get()[1]
    config = {**CONFIG, "optimizer": model.optimizer.to_config(), "architecture": model.get_config()}
    found = []
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder.create(Path(place, "run"), config, model)
        for line in LINES:
            folder.append(line)
        folder.write_checkpoint(Snapshot.of(model, LINES))
        for finished in (False, True):
            if finished:
                folder.write_model(model)
                folder.write_result({"test": {"loss": 0.5}, "epochs": 2})
            files = sorted(p for p in folder.path.rglob("*") if p.is_file() and p.name[0] != ".")
            found.append(zipped([(str(p.relative_to(folder.path)), p.read_bytes()) for p in files]))
    return found


def _mutate_run(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    def change(name: str, member: bytes) -> bytes:
        if name.endswith(".json") and random.random() < 0.7:
            return json_mutated(random, json.loads(member)).encode()
        if name.endswith(".jsonl"):
            return text_mutated(random, member)
        return mutated(random, member)

    members: Members = members_of(data)
    return zip_mutated(random, members, change)


def _check_run(path: Path, data: bytes) -> None:
    place = path.with_suffix("")
    if not unpacked(data, place):
        return
    folder = RunFolder(place)
    if folder.config != {k: v for k, v in _strict(place / "config.json").items() if k != SEAL}:
        raise Misread("another configuration than in the file")
    for read in (folder.metrics, folder.result, folder.checkpoint, lambda: trained_model(place)):
        try:
            answer: Any = read()
        except DataError:
            continue
        if isinstance(answer, tuple):
            model = answer[0]
            if not models._is_same(model, models.KNOWN.get()[1]):
                raise Misread("a damaged run has another model")


def _strict(path: Path) -> Any:
    """JSON in which no member comes twice, and numbers are numbers."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise Misread("JSON with a member that comes twice")
        return dict(pairs)

    def refuse(name: str) -> None:
        raise Misread("JSON with NaN or infinity")

    return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique, parse_constant=refuse)


FORMATS = (
    Format("picture-folder", ".zip", _picture_folders, _mutate_pictures, _check_pictures, 6),
    Format("run-folder", ".zip", _runs, _mutate_run, _check_run, 10),
)
