"""`ModelCheckpoint`: saves the model as it trains."""

from __future__ import annotations

import os
import string
from pathlib import Path

from talweg.disk.lock import Lock
from talweg.disk.writing import make_folder, sweep_once
from talweg.errors import UsageError
from talweg.train.callbacks.arguments import frequency, optional_number, verbosity
from talweg.train.callbacks.base import Logs
from talweg.train.callbacks.monitor import Monitor


class ModelCheckpoint(Monitor):
    """Saves the model, or its weights only, after every epoch or every so many batches, as in Keras.

    filepath                 where to; may have fields that are filled in, such as "{epoch:02d}-{val_loss:.2f}"
                             (`epoch` counts from 1 here; `batch` too, where `save_freq` is a number)
    monitor, mode            what `save_best_only` goes by; see `Monitor`
    save_best_only           saves only when the quantity is better than at any time before
    save_weights_only        `model.save_weights(path)` instead of `model.save(path)`
    save_freq                "epoch", or a number of batches
    initial_value_threshold  what the first value must beat

    A path that ends in ".safetensors" or ".keras" is one file, any other a folder, as for `model.save`; weights alone
    are always a file. Folders above it are made where there are none. A file appears whole or not at all, and stays as
    it was if saving fails. Raises `UsageError` at once for the endings of other formats, and for a field that is not in
    the logs; `InUseError` while another fit saves to the same filepath.
    """

    remembers = ("best", "batches_since_saved")

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath = os.fspath(filepath)
        if not isinstance(self.filepath, str) or not self.filepath:
            raise UsageError(f"filepath must be a path; got {filepath!r}")
        try:
            self._fields = {field for _, field, _, _ in string.Formatter().parse(self.filepath) if field is not None}
        except ValueError as error:
            raise UsageError(f"filepath {self.filepath!r} has a field that cannot be read: {error}") from None
        self.verbose = verbosity(verbose)
        self.save_best_only, self.save_weights_only = bool(save_best_only), bool(save_weights_only)
        if not self.filepath.endswith("}"):  # else the ending is filled in later
            from talweg.train.saved import check_ending

            check_ending(self.filepath, self.save_weights_only)
        self.save_freq = frequency(save_freq)
        self.best = optional_number(initial_value_threshold, "initial_value_threshold")
        self.batches_since_saved = 0
        self._epoch = 0
        self._lock: Lock | None = None

    @property
    def wants_batches(self) -> bool:
        return self.save_freq != "epoch"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self.save_best_only:
            super().on_train_begin(logs)
        self.on_train_end()  # of a fit that was given up before it began
        folder, name = Path(self.filepath).parent, Path(self.filepath).name
        while "{" in folder.name:
            folder, name = folder.parent, folder.name
        make_folder(folder)
        sweep_once(Path(self.filepath).parent)  # of what was cut short, also where nothing is saved any more
        self._lock = Lock(folder / f".{name[:100]}.lock", f"the checkpoint {self.filepath}")

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not isinstance(self.save_freq, int):
            return
        self.batches_since_saved += 1
        if self.batches_since_saved >= self.save_freq:
            self.batches_since_saved = 0
            self._save(self._epoch, {"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs or {})

    def _save(self, epoch: int, logs: Logs) -> None:
        if not self._is_due(epoch, logs):
            return
        path = self._path(epoch, logs)
        make_folder(Path(path).parent)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: saved model to {path}")

    def _is_due(self, epoch: int, logs: Logs) -> bool:
        if not self.save_best_only:
            return True
        value = self.current(epoch, logs)
        if value is None:
            return not self.is_between_validations(epoch)  # as in Keras, without the quantity every model is saved
        if not self.is_better(value, self.best):
            if self.verbose:
                print(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {self.best}")
            return False
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: {self.monitor} improved from {self.best} to {value:.5f}")
        self.best = value
        return True

    def _path(self, epoch: int, logs: Logs) -> str:
        known = {**logs, "epoch": epoch + 1}
        try:
            return self.filepath.format(**known)
        except (KeyError, IndexError):
            unknown = min(f for f in self._fields if f not in known)
            raise UsageError(
                f"filepath {self.filepath!r} has the field {unknown!r}, which is not known at the end of an epoch; "
                f"there are {', '.join(sorted(known))}"
            ) from None
        except (ValueError, TypeError) as error:
            raise UsageError(f"filepath {self.filepath!r} cannot be filled in: {error}") from None
