"""`CSVLogger`: a line of a table for each epoch."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from talweg.disk.writing import GrowingFile
from talweg.errors import UsageError
from talweg.escapes import cell
from talweg.train.callbacks.base import Callback, Logs


class CSVLogger(Callback):
    """Writes the logs of each epoch as a line of a CSV file.

    The columns are Keras's: `epoch`, then all names in alphabetical order, those of validation too (NA where there was
    none).

    filename   the file; its folder must exist
    separator  one character between two columns
    append     goes on at the end of a file that is there, without a second line of names

    Each line is handed to the system as soon as its epoch is over. After an interruption `BackupAndRestore` takes back
    the lines of epochs that are trained again.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise UsageError(f"separator must be one character, neither a quote nor a line's end; got {separator!r}")
        self.filename, self.separator, self.append = Path(filename), separator, bool(append)
        self._file: GrowingFile | None = None
        self._columns: list[str] = []
        self._keep = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._close()
        file = GrowingFile(self.filename)  # says now, rather than after an epoch, that it cannot be written
        self._keep, self._columns = (file.size if self.append else 0), []
        file.close()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        file, rows = self._file or self._open(), list[list[Any]]()
        if not self._columns:
            names = sorted(logs)
            if not any(name.startswith("val_") for name in names):
                names += [f"val_{name}" for name in names]
            self._columns = names
            if file.size == 0:
                rows.append(["epoch", *map(cell, names)])
        rows.append([epoch, *(_cell(logs.get(name, "NA")) for name in self._columns)])
        text = io.StringIO()
        csv.writer(text, delimiter=self.separator).writerows(rows)
        file.write(text.getvalue().encode())

    def _open(self) -> GrowingFile:
        """The file at the place from where on it is written; what stood behind it goes."""
        self._file = GrowingFile(self.filename, self._keep)
        return self._file

    def state(self) -> dict[str, Any]:
        return {"bytes": self._keep if self._file is None else self._file.size, "columns": self._columns}

    def resume(self, state: dict[str, Any]) -> None:
        size = self.filename.stat().st_size
        if size >= state["bytes"]:  # else the file is another one, and is begun anew
            self._keep, self._columns = state["bytes"], list(state["columns"])

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._file is None and not self.append and self._keep == 0 and self.filename.exists():
            self._open()  # no epoch was trained: nothing of an earlier fit must look like this one's
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _cell(value: Any) -> Any:
    if isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "ndim", 1) > 0:
        return f"[{', '.join(map(str, value))}]"
    return value
