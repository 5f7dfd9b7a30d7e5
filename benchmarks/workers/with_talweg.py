"""Talweg: `Sequential.fit`, on the native engine or the one that is the program's argument; in float64 on NumPy."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from keras_names import KerasShaped
from serve import serve

import talweg
from talweg.engines import engine_by_name


class Talweg(KerasShaped):
    def __init__(self, setup: SimpleNamespace) -> None:
        name = "reference" if setup.precision == "float64" else setup.argument or "native"
        engine = engine_by_name(name, setup.precision, setup.threads)
        super().__init__(talweg, setup, engine=engine)
        self.threads = setup.threads
        self.version = f"talweg {talweg.__version__}, {engine}"

    def compile_times(self, x: Any, y: Any) -> dict[str, float]:
        """Seconds that a program's first call takes beyond its second: writing, compiling and loading its C."""
        n, model = self.spec["batch"], self.model
        calls = {
            "train": lambda: model.fit(x[:n], y[:n], batch_size=n, verbose=0),
            "evaluate": lambda: model.evaluate(x[:n], y[:n], batch_size=n, verbose=0),
            "predict": lambda: model.predict(x[:n]),
        }
        return {name: _seconds(call) - _seconds(call) for name, call in calls.items()}

    def profile(self, x: Any, y: Any, seconds: float) -> dict[str, Any]:
        """What training with counters for so many seconds came to, as JSON can hold it."""
        found = self.model.native_profile(x, y, self.spec["batch"], seconds, self.threads)
        derived = ("microseconds", "waited", "gflops")
        laps = [vars(lap) | {name: getattr(lap, name) for name in derived} for lap in found.laps]
        return vars(found) | {"waited": found.waited, "laps": laps}


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    serve(Talweg, *sys.argv[1:2])
