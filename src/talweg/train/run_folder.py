"""The run folder: all that is kept of a training, in a form that a kill at any instant leaves whole.

    config.json          what was asked for and what was decided; enough to begin again
    metrics.jsonl        a line an epoch
    checkpoint/          state.json, and the numbers that it names: the complete state of the training
    model.safetensors    the trained model, written at the end, with
    model.json           its architecture, preprocessing and class names
    result.json          how well it does on the test part
    report.html          all this to look at

Every file is written under a temporary name and renamed. The folder itself appears under its name with its first
checkpoint in it. A checkpoint counts from the moment that `state.json` is renamed; the numbers of the one before are
deleted after that. While a process writes, a file `.lock` names it, and others are refused.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talweg._version import __version__
from talweg.data.files import corrupt, reading
from talweg.disk.lock import NAME as LOCK
from talweg.disk.lock import Lock
from talweg.disk.writing import GrowingFile, make_folder, part_name, remove, sweep, sync_folder, written_whole
from talweg.errors import InUseError, RunFolderError, UsageError, VersionError, argument
from talweg.graph import Array
from talweg.train import saved
from talweg.train.callbacks.base import Callback, Logs
from talweg.train.document import Document, as_text, parse_json, read_document, read_json, write_json
from talweg.train.model import Model
from talweg.train.tensors import TensorFile, write_tensors

FORMAT, FORMAT_VERSION = "talweg-run", 1
CONFIG, METRICS, CHECKPOINT, STATE, RESULT, REPORT = (
    "config.json",
    "metrics.jsonl",
    "checkpoint",
    "state.json",
    "result.json",
    "report.html",
)

NEEDED: dict[str, type] = {
    **{"data": dict, "rows": dict, "optimizer": dict, "architecture": dict},
    **{"data_sha256": str, "task": str, "model": str, "engine": str, "created": str},
    **{"epochs": int, "batch_size": int, "seed": int},
}
"""What `config.json` must hold, beside what it may."""

Line = dict[str, Any]


class RunFolder:
    """A run folder that exists. `create` makes one, `RunFolder(path)` opens one.

    Opening raises `UsageError` for what is not a run folder, `CorruptFileError` for a damaged one, `VersionError` for
    another version's. Writing raises `RunFolderError`, and then what was there before is still there; or `InUseError`
    where another process writes. Who has written holds the folder until `let_go`, or the end of the process.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock: Lock | None = None
        file = self.path / CONFIG
        if self.path.is_file():
            raise UsageError(f"{self.path} is a file; a run is a folder with a {CONFIG} in it{_beside(self.path)}")
        if not self.path.is_dir():
            raise UsageError(f"{self.path}: there is no such run folder{_beside(self.path)}")
        if not file.is_file():
            raise UsageError(f"{self.path} is not a run folder: it has no {CONFIG}{_beside(self.path / 'x')}")
        self.config = read_json(file, "the configuration of a run")
        if self.config.get("format") != FORMAT:
            raise corrupt(file, f"a JSON object with format {FORMAT!r}", "it is none")
        if self.config.get("format_version") != FORMAT_VERSION:
            raise VersionError(
                f"{file}: the run has format version {self.config.get('format_version')} (Talweg "
                f"{self.config.get('talweg_version', '?')}); Talweg {__version__} reads version {FORMAT_VERSION}"
            )
        for name, kind in NEEDED.items():
            if type(self.config.get(name)) is not kind:
                raise corrupt(file, f"{name!r} as {kind.__name__}", f"it is {str(self.config.get(name))[:60]!r}")

    @classmethod
    def create(
        cls, path: Path, config: Mapping[str, Any], model: Model, *, may_rename: bool = False, private: bool = False
    ) -> RunFolder:
        """Makes the folder, with its configuration and a checkpoint of the untrained model in it.

        A folder that is there already is never written to: `UsageError`; with `may_rename`, "-2" is added to the name.
        `private`: no other user may look into it, whatever the umask says.
        """
        config = {"format": FORMAT, "format_version": FORMAT_VERSION, "talweg_version": __version__, **config}
        with _writing(path):
            if not may_rename and path.exists() and not (path.is_dir() and not any(path.iterdir())):
                raise UsageError(
                    f"{path} is there already, and nothing is overwritten: give another {argument('out')}, or "
                    f"{argument('resume')} it"
                )
            make_folder(path.parent)
            sweep(path.parent)
            made = path.parent / part_name(path.name)
            made.mkdir(0o700 if private else 0o777)
            try:
                lock = Lock(made / LOCK, f"the run folder {path}")
                write_json(made / CONFIG, config)
                with written_whole(made / METRICS):
                    pass
                _write_checkpoint(made / CHECKPOINT, Snapshot.of(model, []))
                path = _renamed(made, path, may_rename)
            except BaseException:
                remove(made)
                raise
            lock.path = path / LOCK
            sync_folder(path.parent)
        folder = cls(path)
        folder._lock = lock
        return folder

    # ── one writer ────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def held(cls, path: str | os.PathLike[str]) -> RunFolder:
        """The folder, as it is once this process is the one that writes. Raises `InUseError` where another one does."""
        folder = cls(path)
        folder.hold()
        folder.config = cls(path).config  # another may have written it before we had the lock
        return folder

    def hold(self) -> None:
        """Makes this process the one that writes, unless it is."""
        if self._lock is None or not self._lock.is_held:
            with _writing(self.path):
                self._lock = Lock(self.path / LOCK, f"the run folder {self.path}")
        elif not self._lock.is_in_place:
            raise RunFolderError(
                f"the run folder {self.path} was deleted, moved or replaced while this run wrote to it. Nothing "
                "more is written there"
            )

    def let_go(self) -> None:
        """Lets others write."""
        if self._lock is not None:
            self._lock.release()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self.hold()
        with _writing(self.path):
            yield

    # ── while it trains ───────────────────────────────────────────────────────────────────────────────────

    def write_config(self, **changes: Any) -> None:
        """Changes entries of the configuration."""
        self.config.update(changes)
        with self._writing():
            write_json(self.path / CONFIG, self.config)

    def append(self, line: Line) -> None:
        """Adds an epoch to `metrics.jsonl`."""
        with self._writing(), closing(GrowingFile(self.path / METRICS)) as file:
            file.write((as_text(_without_nan(line)) + "\n").encode())

    def write_checkpoint(self, snapshot: Snapshot) -> None:
        """What `resume` goes on from."""
        with self._writing():
            _write_checkpoint(self.path / CHECKPOINT, snapshot)

    def write_model(self, model: Model) -> None:
        """The trained model, which `talweg.load` reads from this folder."""
        with self._writing():
            saved.write_folder(self.path, saved.describe(model), saved.numbers(model))

    def write_result(self, result: Mapping[str, Any]) -> None:
        """How well it does on the test part: the last that is written, beside the report."""
        with self._writing():
            write_json(self.path / RESULT, _without_nan(dict(result)))
        self.let_go()

    # ── afterwards ────────────────────────────────────────────────────────────────────────────────────────

    def resume(self, engine: Any = "auto") -> tuple[Model, list[Line]]:
        """The model as the last checkpoint has it, and the epochs until then. Later lines of metrics are dropped."""
        with self._writing():
            for folder in (self.path, self.path / CHECKPOINT):
                sweep(folder, is_ours=True)
        model, lines = self.checkpoint(engine)
        with self._writing():
            kept = read_document(self.path / CHECKPOINT / STATE)["weights"]["file"]
            _remove_numbers(self.path / CHECKPOINT, but=kept)
            text = "".join(as_text(line) + "\n" for line in lines)
            with written_whole(self.path / METRICS) as file:
                file.write(text.encode())
        return model, lines

    def checkpoint(self, engine: Any = "auto") -> tuple[Model, list[Line]]:
        """The model of the last checkpoint and the epochs until then; changes nothing."""
        for _ in range(20):
            with suppress(FileNotFoundError):  # a process that trains wrote the next one while we read
                return self._checkpoint(engine)
        return self._checkpoint(engine)

    def _checkpoint(self, engine: Any) -> tuple[Model, list[Line]]:
        path = self.path / CHECKPOINT / STATE
        if not path.is_file():
            raise corrupt(self.path, f"a run folder with a {CHECKPOINT}/{STATE}", "it is not there")
        document = read_document(path)
        lines, weights = document.get("metrics"), document.get("weights")
        if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
            raise corrupt(path, "the epochs so far under 'metrics'", "they are not there")
        name = weights.get("file") if isinstance(weights, dict) else None
        if not isinstance(name, str) or Path(name).name != name:
            raise corrupt(path, "the name of a file of numbers", f"it is {name!r}")
        if not (path.parent / name).is_file():
            raise corrupt(path, "the name of a file of numbers beside it", f"there is no {name!r}")
        file = TensorFile(path.parent / name)
        if file.metadata.get("sha256") != weights.get("sha256"):  # type: ignore[union-attr]
            raise corrupt(file.path, f"the numbers that {path} names", "they have another SHA-256")
        return saved.revive(document, file, engine=engine), lines

    def metrics(self) -> list[Line]:
        """The epochs in `metrics.jsonl`. A last line that a kill cut short is left out."""
        path, lines = self.path / METRICS, []
        with reading(path, "lines of JSON"):
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
        for line in text.splitlines():
            if line.startswith("{") and line.endswith("}"):
                lines.append(parse_json(path, line, "a line of JSON"))
        return lines

    def result(self) -> dict[str, Any] | None:
        """What `write_result` wrote, or None while the run is not finished."""
        path = self.path / RESULT
        if not path.is_file():
            return None
        result = read_json(path, "the result of a run")
        if not isinstance(result.get("test"), dict):
            raise corrupt(path, "the scores on the test part", "they are not there")
        return result

    @property
    def report(self) -> Path:
        return self.path / REPORT


@dataclass(frozen=True)
class Snapshot:
    """The complete state of a training after an epoch: the numbers as they then were, and the epochs until then."""

    model: Model
    numbers: dict[str, Array]
    epochs_trained: int
    lines: tuple[Line, ...]

    @classmethod
    def of(cls, model: Model, lines: Sequence[Line]) -> Snapshot:
        return cls(model, saved.numbers(model), model.epochs_trained, tuple(lines))

    def describe(self) -> Document:
        return {**saved.describe(self.model), "epochs_trained": self.epochs_trained}


class RunRecorder(Callback):
    """Writes metrics after every epoch, and a checkpoint at most every `seconds`, after the last, and by `save_last`.

    A loss that is no longer finite ends the training; the checkpoint of the epochs before is kept. `diverged` then
    holds the name of the quantity, its value, and the epoch, counted from 1.
    """

    handles_divergence = True

    def __init__(self, folder: RunFolder, lines: list[Line], *, seconds: float = 1.0) -> None:
        super().__init__()
        self.folder, self.lines, self.seconds = folder, list(lines), seconds
        self.diverged: tuple[str, float, int] | None = None
        self._saved_at = time.monotonic()
        self._unsaved: Snapshot | None = None
        self._began = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        values = {k: v for k, v in (logs or {}).items() if isinstance(v, int | float)}
        line: Line = {"epoch": epoch + 1, **values, "seconds": round(time.perf_counter() - self._began, 4)}
        self.folder.append(line)
        self.lines.append(line)
        if bad := [name for name in ("loss", "val_loss") if not math.isfinite(values.get(name, 0.0))]:
            self.diverged = (bad[0], values[bad[0]], epoch + 1)
            self.model.stop_training = True
            return
        is_last = epoch + 1 >= self.params["epochs"] or self.model.stop_training
        self._unsaved = Snapshot.of(self.model, self.lines)
        if is_last or time.monotonic() - self._saved_at >= self.seconds:
            self.save_last()

    def save_last(self) -> None:
        """Writes the last whole epoch, unless it is on the disk: Ctrl-C and divergence end a fit after any of them."""
        if self._unsaved is not None:
            self.folder.write_checkpoint(self._unsaved)
            self._unsaved, self._saved_at = None, time.monotonic()


def history_of(lines: list[Line]) -> dict[str, list[float]]:
    """Epochs as `History.history` has them: for each quantity its values. What JSON cannot hold comes back as NaN.

    >>> history_of([{"epoch": 1, "loss": 2.0, "seconds": 0.1}, {"epoch": 2, "loss": None, "seconds": 0.1}])
    {'loss': [2.0, nan]}
    """
    names = [name for line in lines for name in line if name not in ("epoch", "seconds")]
    nan = float("nan")
    return {n: [nan if line.get(n) is None else line[n] for line in lines] for n in dict.fromkeys(names)}


# ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────


def _write_checkpoint(folder: Path, snapshot: Snapshot) -> None:
    """Numbers under a name of their own, then `state.json`, which makes them count, then the old numbers' end."""
    make_folder(folder)
    document, arrays = snapshot.describe(), snapshot.numbers
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode() + arrays[name].tobytes())
    name = f"{snapshot.epochs_trained:05}-{digest.hexdigest()[:12]}.safetensors"
    checksum = write_tensors(folder / name, arrays, {"model": as_text(document)})
    state = {
        **document,
        "weights": {"file": name, "sha256": checksum},
        "metrics": [_without_nan(line) for line in snapshot.lines],
    }
    write_json(folder / STATE, state)
    _remove_numbers(folder, but=name)


def _remove_numbers(folder: Path, but: str) -> None:
    for old in folder.glob("*.safetensors"):
        if old.name != but:
            old.unlink(missing_ok=True)


def _renamed(made: Path, path: Path, may_rename: bool) -> Path:
    """The folder under its name, or where that is taken and it may be, under one with a number."""
    for number in range(1, 1000):
        target = path if number == 1 else path.with_name(f"{path.name}-{number}")
        if number > 1 or may_rename:
            if target.exists():
                continue
        elif target.is_dir():
            target.rmdir()  # an empty folder that the user made; one that is not empty stays, with an error
        try:
            os.rename(made, target)
        except OSError as error:
            if not (may_rename and error.errno in (errno.EEXIST, errno.ENOTEMPTY)):
                raise
            continue  # another process took the name just now
        return target
    raise RunFolderError(f"{path}: a thousand runs of that name are there already; clear up or give another name")


def _without_nan(value: Any) -> Any:
    """`value` for JSON: numbers that are not finite become null."""
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _beside(path: Path) -> str:
    """The run folders that are there, for an error's end."""
    around = path.parent if path.parent.is_dir() else Path("runs")
    found = sorted(p.parent.name for p in around.glob(f"*/{CONFIG}")) if around.is_dir() else []
    return f". In {around} there are: {', '.join(found[-5:])}" if found else ""


def trained_model(path: str | os.PathLike[str]) -> tuple[Model, str | None]:
    """The model of a run folder, or a saved one; for a run that is not finished that of its checkpoint, and a note."""
    path = Path(path)
    if (path / CONFIG).is_file() and not (path / saved.WEIGHTS).is_file():
        model, lines = RunFolder(path).checkpoint()
        return model, f"{path} is not finished: this is its model after {len(lines)} epochs."
    if not path.exists():
        raise UsageError(f"{path}: there is no such run folder or model{_beside(path)}")
    return saved.load(path), None


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (RunFolderError, InUseError):
        raise
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise RunFolderError(
            f"the run folder {path} cannot be written: {error.strerror or error}. What was there before is still "
            f"there; {'make room, or ' if is_full else ''}choose another folder with {argument('out')}",
        ) from error
