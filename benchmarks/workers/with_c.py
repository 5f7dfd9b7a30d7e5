"""The hand-written C of a limit study, compiled from the folder that is the program's argument: what could be reached.

Its masks for dropout are built in, so that networks with dropout cannot be checked here without it; the study's own
programs check those against PyTorch, with the same masks.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from serve import NotAvailable, serve

FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC", "-pthread")
EXACT = "-DADAM=0"  # the processor's own square root and division
SOURCES = {
    **{"W1": ("w1.c",), "W2": ("w2.c", "-DB=64"), "W2b": ("w2.c", "-DB=128"), "W3": ("w3.c",)},
    **{"W4": ("w4.c", "-DSPARSE=0"), "W5": ("w5.c",)},
}


class HandWritten:
    adam_form = "torch"

    def __init__(self, setup: SimpleNamespace) -> None:
        spec = self.spec = setup.workload
        if spec["name"] not in SOURCES:
            raise NotAvailable("there is no source for it")
        if any(layer["kind"] == "dropout" and not layer["rate"] for layer in spec["layers"]):
            raise NotAvailable("its dropout is built in")
        source, *definitions = SOURCES[spec["name"]]
        made = Path(setup.folder) / f"{spec['name']}.so"
        if not made.exists():
            path = str(Path(setup.argument) / source)
            subprocess.run(
                ["gcc", *FLAGS, EXACT, *definitions, path, "-o", str(made), "-lm"], check=True, capture_output=True
            )
        self.c, self.threads = ctypes.CDLL(str(made)), setup.threads
        asked = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True)
        self.version = asked.stdout.splitlines()[0]
        self.shapes = {name: w.shape for name, w in setup.weights.items()}
        flat = np.concatenate([w.ravel() for w in setup.weights.values()])
        self.count, self.steps_done = len(flat), 0
        self.c.set_params(_pointer(flat))
        self.random = np.random.default_rng(0)

    def load(self, x: Any, y: Any) -> None:
        flat = x.reshape(len(x), -1)
        room = np.zeros(flat.size + 16, np.float32)  # its loads are of whole, aligned vectors
        start = -(room.ctypes.data // 4) % 16
        self.x = room[start : start + flat.size].reshape(flat.shape)
        self.x[...] = flat
        self.y = np.ascontiguousarray(y.ravel(), np.int32 if y.dtype.kind == "i" else np.float32)

    def fit(self, epochs: int, shuffle: bool) -> float:
        n = len(self.x)
        for _ in range(epochs):
            order = (self.random.permutation(n) if shuffle else np.arange(n)).astype(np.int32)
            steps = n // self.spec["batch"]
            losses = np.zeros(steps, np.float32)
            if self.spec["name"] == "W5":
                self.c.train5(_pointer(self.x), _pointer(self.y), _pointer(order), steps, _pointer(losses))
            else:
                rows = (_pointer(self.x), None, _pointer(self.y), _pointer(order))
                self.c.train(*rows, steps, self.steps_done, _pointer(losses), self.threads)
            self.steps_done += steps
        return float(losses.mean())

    def weights(self) -> dict[str, Any]:
        flat, at, found = np.zeros(self.count, np.float32), 0, {}
        self.c.get_params(_pointer(flat))
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            found[name] = flat[at : at + size].reshape(shape)
            at += size
        return found


def _pointer(array: Any) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


if __name__ == "__main__":
    serve(HandWritten, sys.argv[1])
