"""`TensorBoard`: writes what the program of that name shows."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from talweg.errors import UsageError
from talweg.train.callbacks.arguments import frequency, whole
from talweg.train.callbacks.base import Callback, Logs
from talweg.train.callbacks.events import EventFile


class TensorBoard(Callback):
    """Event files under `log_dir`, in ``train`` and ``validation``, with the tags that Keras gives them.

    log_dir                 the folder; look at it with ``tensorboard --logdir logs``
    histogram_freq          every so many epochs, histograms of all weights; 0 for none
    write_steps_per_second  also how many steps an epoch did in a second
    update_freq             "epoch", "batch", or a number of batches after which the means so far are written too

    Neither TensorFlow nor TensorBoard need be installed. Pictures of weights, profiles and embeddings are not written:
    asking for them raises `UsageError`. `write_graph` is taken and, as in Keras 3, does nothing.
    """

    remembers = ("_batches",)

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        super().__init__()
        if not os.fspath(log_dir):
            raise UsageError("log_dir must be the path of a folder; got an empty one")
        unwritten = {
            "write_images": write_images,
            "profile_batch": profile_batch,
            "embeddings_freq": embeddings_freq,
            "embeddings_metadata": embeddings_metadata,
        }
        for name, value in unwritten.items():
            if value:
                raise UsageError(f"TensorBoard: {name}={value!r} is not available; leave {name} out")
        self.log_dir = Path(os.fsdecode(log_dir))
        self.histogram_freq = whole(histogram_freq, "histogram_freq")
        self.write_steps_per_second = bool(write_steps_per_second)
        self.update_freq = frequency(1 if update_freq == "batch" else update_freq, "update_freq")
        self._files: dict[str, EventFile] = {}
        self._batches = 0
        self._is_fitting = False

    @property
    def wants_batches(self) -> bool:
        return self.update_freq != "epoch"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._close()
        self._batches, self._is_fitting = 0, True
        self._file("train")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._began, self._steps_before = time.perf_counter(), self.model.iterations

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if isinstance(self.update_freq, int):
            self._batches += 1
            if self._batches % self.update_freq == 0:
                self._file("train").write(self._batches, numbers(logs, "batch_"))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = dict(logs or {})
        rate: Any = self.model.optimizer.learning_rate
        logs.setdefault("learning_rate", float(rate(self.model.iterations) if callable(rate) else rate))
        if self.write_steps_per_second:
            seconds = max(time.perf_counter() - self._began, 1e-9)
            logs["steps_per_second"] = (self.model.iterations - self._steps_before) / seconds
        weights = {}
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            weights = {f"{name}/histogram": v.value for name, v in self.model.named_variables.items()}
        training = {k: v for k, v in logs.items() if not k.startswith("val_")}
        self._file("train").write(epoch, numbers(training, "epoch_"), weights)
        if validation := {k.removeprefix("val_"): v for k, v in logs.items() if k.startswith("val_")}:
            self._file("validation").write(epoch, numbers(validation, "epoch_"))

    def on_test_end(self, logs: Logs | None = None) -> None:
        scalars = numbers(logs, "evaluation_")
        named = {f"{tag}_vs_iterations": value for tag, value in scalars.items()}
        self._file("validation").write(self.model.iterations, named)
        if not self._is_fitting:
            self._close()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._is_fitting = False
        self._close()

    def _file(self, part: str) -> EventFile:
        if part not in self._files:
            self._files[part] = EventFile(self.log_dir / part)
        return self._files[part]

    def _close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()


def numbers(logs: Logs | None, prefix: str) -> dict[str, float]:
    """The quantities of `logs` that are single numbers, under their tags."""
    return {f"{prefix}{k}": float(v) for k, v in (logs or {}).items() if np.size(v) == 1}
