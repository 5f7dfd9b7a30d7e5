"""`BackupAndRestore`: a fit that was interrupted, by whatever means, goes on as if it had not been.

The state of a fit is one safetensors file: weights, optimizer, metrics, and as JSON in its metadata the epoch, the
batch, the seed, the learning rate, the history, and what the other callbacks remember. One file, replaced in one step:
at any instant the folder holds a whole state, the last or the one before.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from talweg.data.files import corrupt
from talweg.disk.lock import NAME as LOCK
from talweg.disk.lock import Lock
from talweg.disk.writing import make_folder, sweep
from talweg.errors import UsageError
from talweg.graph import Array
from talweg.train.callbacks.arguments import frequency
from talweg.train.callbacks.base import Callback, Logs
from talweg.train.history import History
from talweg.train.tensors import TensorFile, write_tensors

if TYPE_CHECKING:
    from talweg.train.loop import Fitting

FILE = "state.safetensors"
VERSION = "2"


class BackupAndRestore(Callback):
    """Keeps the state of a fit in a folder, and takes it up where there is one: all ends as if nothing had happened.

    backup_dir         the folder, of this fit alone; made where there is none
    save_freq          "epoch", or a number of batches
    delete_checkpoint  whether the state is deleted when the fit ends as it should: after its last epoch or by a
                       callback's stop. After Ctrl-C or an error it stays.

    To go on, make the same model and call `fit` with the same arguments; weights, history and all else then have the
    bits of an unbroken run. A data set, a generator or a `Sequence` is gone through again up to where it stood, for
    training and for validation; it must be made as it was before, with a seed where it shuffles. A `Dataset` without
    functions of yours, or with a `cache` behind them, needs no more than its first epoch for that. `epochs` may be
    raised to train further. It is told of everything after the other callbacks, and keeps what they remember.

    Raises `InUseError` while another fit keeps its state there, `UsageError` where the state is another model's,
    `CorruptFileError` for a damaged file.
    """

    told_last = True

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        *,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not os.fspath(backup_dir):
            raise UsageError("backup_dir must be the path of a folder; got an empty one")
        self.backup_dir = Path(os.fsdecode(backup_dir))
        self.save_freq = frequency(save_freq)
        self.delete_checkpoint = bool(delete_checkpoint)
        self._lock: Lock | None = None

    @property
    def path(self) -> Path:
        """The file that holds the state."""
        return self.backup_dir / FILE

    @property
    def wants_batches(self) -> bool:
        return self.save_freq != "epoch"

    # ── the fit begins: is there one to go on with? ───────────────────────────────────────────────────────

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._error_before = sys.exc_info()[1]
        self._batches_unsaved, self._rate_at_batch = 0, None
        self._epochs_done, self._began = self._fitting().plan.initial_epoch, time.perf_counter()
        if self._lock is not None:  # of a fit that was given up before it began
            self._lock.release()
        make_folder(self.backup_dir)
        self._lock = Lock(self.backup_dir / LOCK, f"the backup folder {self.backup_dir}")
        sweep(self.backup_dir, f".{FILE}.", is_ours=True)  # of a save that was cut short
        if self.path.exists():
            self._restore(*read_state(self.path))

    def _restore(self, facts: dict[str, Any], arrays: dict[str, Array]) -> None:
        fitting = self._fitting()
        states = {name.removeprefix("states/"): a for name, a in arrays.items() if name.startswith("states/")}
        self._check(facts, {name: a.shape for name, a in states.items()}, fitting)
        fitting.session.load(states)
        plan, progress = fitting.plan, fitting.progress
        self.model.seed = plan.seed = facts["seed"]
        plan.initial_epoch = self._epochs_done = facts["epoch"]
        self.model.epochs_trained = progress.epochs_trained = facts["epochs_trained"]
        progress.batches_done, progress.iterations = facts["batches_done"], facts["iterations"]
        progress.epochs, progress.validations = facts["epochs_of_fit"], facts["validations"]
        plan.pass_over(progress.epochs, progress.validations)
        if facts["learning_rate"] is not None:
            self.model.optimizer.learning_rate = facts["learning_rate"]
            self._rate_at_batch = facts["learning_rate"] if progress.batches_done else None
        if self.model.history is not None:
            self.model.history.restore(unpacked(facts["history"], arrays))
        waiting = list(facts["callbacks"])
        for callback in self._others():
            found = next((each for each in waiting if each["class"] == type(callback).__name__), None)
            if found is not None:
                waiting.remove(found)
                callback.resume(unpacked(found["state"], arrays))
        if facts["stopped"]:  # a callback had ended the fit, and only the deletion did not come to be
            self.model.stop_training = True
            plan.initial_epoch = plan.epochs

    def _check(self, facts: dict[str, Any], found: dict[str, tuple[int, ...]], fitting: Fitting) -> None:
        """Raises `UsageError` unless the state is one of this model and of data cut into the same batches."""
        expected = {s.name: s.shape for s in fitting.session.program.states}
        if found != expected:
            name = min(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n))
            raise UsageError(
                f"{self.path} holds a fit of another model, optimizer or set of metrics: {name} has shape "
                f"{found.get(name, 'none')} there and {expected.get(name, 'none')} here. Delete the folder to begin "
                "anew, or give each fit a backup_dir of its own."
            )
        batches = [self.params["batch_size"], self.params["steps"]]
        if facts["batches_done"] and facts["batches"] != batches:
            raise UsageError(
                f"{self.path} holds a fit that was interrupted within an epoch of {facts['batches'][1]} batches of "
                f"{facts['batches'][0]}; this one has {batches[1]} of {batches[0]}. Fit with the same data and "
                "batch_size, or delete the folder to begin anew."
            )

    # ── the fit goes on ───────────────────────────────────────────────────────────────────────────────────

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._began = time.perf_counter()
        if self._rate_at_batch is not None:  # a scheduler was told of this epoch's beginning for the second time
            self.model.optimizer.learning_rate, self._rate_at_batch = self._rate_at_batch, None

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        # Saved before a batch rather than after one: a state then always has a batch to go on with.
        if isinstance(self.save_freq, int) and self._batches_unsaved >= self.save_freq:
            self._save(self._epochs_done, self._history())

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batches_unsaved += 1

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._epochs_done = epoch + 1
        history = self._history()
        history.add(epoch, logs or {}, time.perf_counter() - self._began, self._fitting().progress.last_rate)
        self._save(epoch + 1, history)

    def on_train_end(self, logs: Logs | None = None) -> None:
        was_interrupted = self.params.get("interrupted", False) or sys.exc_info()[1] is not self._error_before
        is_over = self._epochs_done >= self.params["epochs"] or self.model.stop_training
        if self.delete_checkpoint and is_over and not was_interrupted:
            self.path.unlink(missing_ok=True)
            self._let_go()
            with suppress(OSError):  # it holds more than ours, or is another fit's by now
                self.backup_dir.rmdir()
        self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _save(self, epoch: int, history: History) -> None:
        fitting, arrays = self._fitting(), dict[str, Array]()
        rate = self.model.optimizer.learning_rate
        facts = {
            "epoch": epoch,
            "epochs_trained": fitting.progress.epochs_trained,
            "batches_done": fitting.progress.batches_done,
            "epochs_of_fit": fitting.progress.epochs,
            "validations": fitting.progress.validations,
            "iterations": fitting.progress.iterations,
            "batches": [self.params["batch_size"], self.params["steps"]],
            "seed": fitting.plan.seed,
            "learning_rate": float(rate) if isinstance(rate, (int, float)) else None,
            "stopped": bool(self.model.stop_training),
            "history": packed(history.to_dict(), arrays),
            "callbacks": [
                {"class": type(c).__name__, "state": packed(c.state(), arrays)} for c in self._others() if c.state()
            ],
        }
        arrays |= {f"states/{name}": value for name, value in fitting.session.states().items()}
        make_folder(self.backup_dir)
        write_tensors(self.path, arrays, {"format": "talweg fit", "version": VERSION, "fit": json.dumps(facts)})
        self._batches_unsaved = 0

    def _history(self) -> History:
        """A copy of the history so far."""
        copy = History()
        if self.model.history is not None:
            copy.restore(self.model.history.to_dict())
        return copy

    def _others(self) -> list[Callback]:
        return [c for c in self.companions if c is not self]

    def _fitting(self) -> Fitting:
        if self.model.fitting is None:
            raise UsageError("BackupAndRestore works within fit(callbacks=[...]) only")
        return self.model.fitting


def read_state(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """The facts and the arrays of a state; raises `CorruptFileError` where the file is not one, or not whole."""
    file = TensorFile(path)
    if file.metadata.get("format") != "talweg fit" or file.metadata.get("version") != VERSION:
        raise corrupt(path, f"the state of a fit, version {VERSION}", "it does not say that it is one")
    arrays = file.read()
    try:
        facts = json.loads(file.metadata["fit"])
        whole = ("epoch", "epochs_trained", "batches_done", "epochs_of_fit", "validations", "iterations", "seed")
        if any(type(facts[name]) is not int or facts[name] < 0 for name in whole):
            raise ValueError("counts that are no whole numbers")
        unpacked([facts["history"], facts["callbacks"]], arrays)
        _ = facts["learning_rate"], facts["stopped"], facts["batches"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise corrupt(path, "the state of a fit", f"its metadata lacks or garbles something ({error!r})") from error
    return facts, arrays


def packed(value: Any, arrays: dict[str, Array]) -> Any:
    """`value` for JSON. Arrays go into `arrays`, and their names stay in their place."""
    if isinstance(value, np.ndarray):
        name = f"kept/{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {"dict": {str(k): packed(v, arrays) for k, v in value.items()}}
    if isinstance(value, (list, tuple)):
        return [packed(v, arrays) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise UsageError(f"a callback's state may hold numbers, texts, arrays, lists and dicts; it has {value!r}")


def unpacked(value: Any, arrays: dict[str, Array]) -> Any:
    """What `packed` was given.

    >>> kept = {}
    >>> unpacked(packed({"wait": 3, "best": [1.5, None]}, kept), kept)
    {'wait': 3, 'best': [1.5, None]}
    """
    if isinstance(value, dict) and "array" in value:
        return arrays[value["array"]]
    if isinstance(value, dict) and "dict" in value:
        return {k: unpacked(v, arrays) for k, v in value["dict"].items()}
    if isinstance(value, dict):
        return {k: unpacked(v, arrays) for k, v in value.items()}
    return [unpacked(v, arrays) for v in value] if isinstance(value, list) else value
