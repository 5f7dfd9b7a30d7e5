"""What is disturbed: four programs that write. Each can be begun, gone on with, judged as it lies, and compared.

`go_on` begins or goes on, and ends when all is written. `judge` says what is wrong with what lies there after a kill:
every file must be whole, or not be there. `outcome` is what must be equal, bit for bit, to that of an undisturbed run.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from talweg import callbacks as told
from talweg import cli, layers
from talweg.data.tfrecord import read_tfrecord
from talweg.disk.process import is_alive, marked
from talweg.disk.writing import written_whole
from talweg.engines.native import build, cache, compilers
from talweg.errors import CorruptFileError, TalwegError
from talweg.train import experiment
from talweg.train.run_folder import RunFolder
from talweg.train.saved import load
from talweg.train.sequential import Sequential
from talweg.train.tensors import TensorFile

EPOCHS = 4


class Work:
    """One program. `folder` is its own; `target`, within it, is what vanishes."""

    name = ""

    def target(self, folder: Path) -> Path:
        return folder / "run"

    def warm(self) -> None:
        """Imports and compiles in the parent, so that its children need not."""

    def go_on(self, folder: Path) -> None:
        raise NotImplementedError

    def is_over(self, folder: Path) -> bool:
        raise NotImplementedError

    def judge(self, folder: Path) -> Iterator[str]:
        yield from unread(folder)

    def outcome(self, folder: Path) -> dict[str, Any]:
        raise NotImplementedError


class Train(Work):
    """``talweg train --out``, and ``--resume`` until it is over, with a checkpoint after every epoch."""

    name = "train"

    def command(self, folder: Path) -> list[str]:
        run = self.target(folder)
        if (run / "config.json").exists():
            return ["train", "--resume", str(run), "--quiet"]
        options = ["--model", "dropout", "--epochs", str(EPOCHS), "--seed", "4", "--threads", "1", "--quiet"]
        return ["train", "iris", *options, "--out", str(run)]

    def warm(self) -> None:
        with tempfile.TemporaryDirectory() as name, ExitStack() as quiet:
            quiet.enter_context(contextlib.redirect_stdout(quiet.enter_context(open(os.devnull, "w"))))
            quiet.enter_context(contextlib.suppress(SystemExit))
            self.go_on(Path(name))

    def go_on(self, folder: Path) -> None:
        experiment.Experiment.train.__kwdefaults__["checkpoint_seconds"] = 0.0
        sys.argv = ["talweg", *self.command(folder)]
        cli.main()

    def is_over(self, folder: Path) -> bool:
        return (self.target(folder) / "result.json").exists()

    def judge(self, folder: Path) -> Iterator[str]:
        yield from super().judge(folder)
        run = self.target(folder)
        if run.exists():
            try:
                lines = RunFolder(run).checkpoint("reference")[1]
            except Exception as error:
                yield f"its checkpoint cannot be read: {error}"
                return
            epochs = [line["epoch"] for line in lines]
            listed = [line["epoch"] for line in RunFolder(run).metrics()]
            if epochs != list(range(1, len(lines) + 1)) or listed != list(range(1, len(listed) + 1)):
                yield f"metrics.jsonl has epochs {listed}, its checkpoint {epochs}"

    def outcome(self, folder: Path) -> dict[str, Any]:
        run = RunFolder(self.target(folder))
        result = run.result() or {}
        return {
            **{name: (run.path / name).read_bytes() for name in ("model.safetensors", "model.json")},
            "metrics": [{k: v for k, v in line.items() if k != "seconds"} for line in run.metrics()],
            "result": {k: v for k, v in result.items() if k != "seconds"},
            "files": sorted(str(p.relative_to(run.path)) for p in run.path.rglob("*")),
        }


class Fit(Work):
    """Python's `fit` with every callback that writes."""

    name = "fit"

    def target(self, folder: Path) -> Path:
        return folder / "backup"

    def warm(self) -> None:
        self._model().fit(*self._data(), epochs=1, batch_size=16, validation_split=0.2, verbose=0)

    def go_on(self, folder: Path) -> None:
        if self.is_over(folder):
            return
        model, best = self._model(), told.ModelCheckpoint(folder / "best.safetensors", "loss", save_best_only=True)
        history = model.fit(
            *self._data(),
            epochs=EPOCHS,
            batch_size=16,
            validation_split=0.2,
            verbose=0,
            callbacks=[
                told.BackupAndRestore(self.target(folder), save_freq=3, delete_checkpoint=False),
                best,
                told.ModelCheckpoint(folder / "epochs" / "{epoch}.keras"),
                told.CSVLogger(folder / "log.csv"),
                told.TensorBoard(folder / "events"),
            ],
        )
        if len(history.epoch) < EPOCHS:
            raise KeyboardInterrupt  # heard, and the state kept
        arrays = {str(i): w for i, w in enumerate(model.get_weights())} | dict(model.optimizer_states)
        with written_whole(folder / "end.npz") as file:
            np.savez(file, history=json.dumps(history.history), **arrays)

    def is_over(self, folder: Path) -> bool:
        return (folder / "end.npz").exists()

    def outcome(self, folder: Path) -> dict[str, Any]:
        with np.load(folder / "end.npz") as kept:
            arrays = {name: (a.dtype.str, a.tobytes()) for name, a in kept.items()}
        models = [folder / "best.safetensors", *folder.glob("epochs/*")]
        weights = {p.name: [w.tobytes() for w in load(p, engine="reference").get_weights()] for p in models}
        return {"end": arrays, "models": weights, "log": (folder / "log.csv").read_text()}

    def _model(self) -> Sequential:
        model = Sequential([layers.Input((4,)), layers.Dense(5, "tanh"), layers.Dropout(0.3), layers.Dense(1)], seed=7)
        model.compile("adam", "mse", metrics=["mae"])
        return model

    def _data(self) -> tuple[Any, Any]:
        x = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
        return x, x[:, 0] * x[:, 1]


class Save(Fit):
    """A model saved over an older one, in each format."""

    name = "save"
    files = ("m", "m.safetensors", "m.keras", "w.weights.h5", "w.safetensors")

    def target(self, folder: Path) -> Path:
        return folder / "m"

    def go_on(self, folder: Path) -> None:
        model = self._model()
        for factor in (1.0, 2.0):  # what is there from before is replaced
            model.set_weights([w * 0 + factor for w in model.get_weights()])
            for name in self.files:
                if name.startswith("w"):
                    model.save_weights(folder / name)
                else:
                    model.save(folder / name)
        with written_whole(folder / "over") as file:
            file.write(b"over")

    def is_over(self, folder: Path) -> bool:
        return (folder / "over").exists()

    def judge(self, folder: Path) -> Iterator[str]:
        yield from super().judge(folder)
        for name in self.files:
            path = folder / name
            if not (any(path.glob("model.safetensors")) if path.is_dir() else path.exists()):
                continue
            try:
                first = {float(w.flat[0]) for w in self._weights(path)}
            except (TalwegError, OSError) as error:
                yield f"{name} is not whole: {error}"
                continue
            if first not in ({1.0}, {2.0}):
                yield f"{name} holds parts of two models: {first}"

    def _weights(self, path: Path) -> list[Any]:
        if path.name.startswith("w"):
            model = self._model()
            model.load_weights(path)
            return model.get_weights()
        return load(path, engine="reference").get_weights()

    def outcome(self, folder: Path) -> dict[str, Any]:
        return {name: [w.tobytes() for w in self._weights(folder / name)] for name in self.files}


class Compile(Work):
    """Two programs compiled into an empty cache."""

    name = "compile"
    sources = tuple(f"int talweg_answer(void) {{ return {n}; }}\n" for n in (41, 42))

    def target(self, folder: Path) -> Path:
        return folder / "talweg"

    def warm(self) -> None:
        compilers.find()

    def go_on(self, folder: Path) -> None:
        os.environ["XDG_CACHE_HOME"] = str(folder)
        cache._cleared_away.cache_clear()
        for n, source in zip((41, 42), self.sources, strict=True):
            made = build.load(source)
            if made.function("talweg_answer")() != n:
                raise AssertionError("another program was loaded")

    def is_over(self, folder: Path) -> bool:
        return len(list(folder.glob("talweg/native/*/check"))) == len(self.sources)

    def judge(self, folder: Path) -> Iterator[str]:
        for check in folder.glob("talweg/native/*/check"):
            is_made = not check.parent.name.startswith("tmp-")
            if is_made and check.read_text() != cache._checksum(check.parent / "object.so"):
                yield f"{check.parent} is not whole"

    def outcome(self, folder: Path) -> dict[str, Any]:
        return {"objects": sorted(p.parent.name for p in folder.glob("talweg/native/*/check"))}


WORKS: dict[str, Work] = {work.name: work for work in (Train(), Fit(), Save(), Compile())}


# ── what lies there ───────────────────────────────────────────────────────────────────────────────────────


def unread(folder: Path) -> Iterator[str]:
    """Every file that is neither temporary nor whole."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or any(part.endswith(".part") for part in path.parts) or "lock" in path.name:
            continue
        try:
            _read(path)
        except (CorruptFileError, ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
            yield f"{path.relative_to(folder)} is not whole: {error}"


def _read(path: Path) -> None:
    text = path.suffix in (".json", ".jsonl", ".csv", ".html")
    content: Any = path.read_text(encoding="utf-8") if text else path.read_bytes()
    if path.suffix == ".json":
        json.loads(content)
    elif path.suffix == ".jsonl":
        for line in content.split("\n")[:-1]:  # the last may be cut by a kill, and is passed over by all who read
            json.loads(line)
    elif path.suffix == ".safetensors":
        TensorFile(path).read()
    elif path.suffix in (".keras", ".npz"):
        with zipfile.ZipFile(path) as archive:
            if (bad := archive.testzip()) is not None:
                raise ValueError(f"{bad} is damaged")
    elif path.suffix == ".html" and not content.rstrip().endswith("</html>"):
        raise ValueError("it ends in the middle")
    elif ".tfevents." in path.name:
        with contextlib.suppress(CorruptFileError):  # the last record may be cut; TensorBoard passes it over
            for _ in read_tfrecord(path):
                pass


def left_behind(folder: Path) -> list[str]:
    """Temporary files of dead processes, and locks that nobody holds."""
    names = [p for p in folder.rglob("*") if p.name.endswith(".part") or p.name.startswith("tmp-")]
    return [str(p) for p in names if not (marked(p.name) and is_alive(p.name))]
