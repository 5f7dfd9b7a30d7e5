"""The worker's side of the conversation: a JSON line in, a JSON line out, and nothing runs in between.

A worker is a program ``with_<peer>.py`` that calls `serve(Peer)`. It runs in the peer's environment and imports nothing
of the driver. `Peer(setup)` builds and compiles the network, `load(x, y)` gets the rows ready, `fit(epochs, shuffle)`
trains on them as the peer's users do and answers the loss of the last epoch, `weights()` gives them as they came.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import time
from types import SimpleNamespace
from typing import Any, Protocol

EPSILON_OF_NORMALIZATION = 1e-5
EPSILON_OF_ADAM = 1e-7


class NotAvailable(Exception):
    """The peer cannot do this workload; the text says why."""


class Peer(Protocol):
    """What a worker has to bring.

    version    the libraries and their versions
    adam_form  where ε stands in Adam: "keras" (beside the uncorrected root) or "torch" (beside the corrected one);
               "scikit-learn" is the first, with powers of the decays in float64
    """

    version: str
    adam_form: str

    def __init__(self, setup: SimpleNamespace) -> None: ...

    def load(self, x: Any, y: Any) -> None: ...

    def fit(self, epochs: int, shuffle: bool) -> float: ...

    def weights(self) -> dict[str, Any]: ...


def serve(peer: type[Peer], argument: str = "") -> None:
    """Answers requests until there are no more. Whatever libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker = Worker(peer, argument)
    for line in sys.stdin:
        try:
            answer = getattr(worker, (request := json.loads(line)).pop("do"))(**request)
        except NotAvailable as reason:
            answer = {"not_available": str(reason)}
        except Exception as error:  # a peer's failure is a result, which the driver reports
            answer = {"failed": f"{type(error).__name__}: {str(error).strip()[:300]}"}
        print(json.dumps(answer), file=answers, flush=True)


class Worker:
    def __init__(self, peer: type[Peer], argument: str) -> None:
        self.peer, self.argument = peer, argument

    def prepare(
        self, workload: dict[str, Any], folder: str, threads: int, precision: str = "float32", adam_form: str = ""
    ) -> dict[str, Any]:
        """Builds the network on the first weights; `folder` holds x.npy, y.npy, order.npy and weights.npz."""
        import numpy as np

        with np.load(f"{folder}/weights.npz") as file:
            weights = {name: file[name].astype(precision) for name in file.files}
        self.x, self.y, self.folder = np.load(f"{folder}/x.npy"), np.load(f"{folder}/y.npy"), folder
        self.x = self.x.reshape(len(self.x), *workload["input_shape"])
        self.setup = SimpleNamespace(
            **{"workload": workload, "weights": weights, "threads": threads, "precision": precision},
            **{"adam_form": adam_form, "argument": self.argument, "folder": folder},
        )
        self.model: Any = self.peer(self.setup)
        return {"version": self.model.version, "adam_form": self.model.adam_form}

    def fit(self, rows: int, epochs: int) -> dict[str, Any]:
        """`epochs` passes over the first `rows` rows, shuffled, and how long they took."""
        self.model.load(self.x[:rows], self.y[:rows])
        began = time.perf_counter()
        loss = self.model.fit(epochs, shuffle=True)
        seconds = time.perf_counter() - began
        steps = epochs * rows // self.setup.workload["batch"]
        return {"seconds": seconds, "steps": steps, "loss": loss, "megabytes": peak_megabytes()}

    def learn(self, steps: int) -> dict[str, Any]:
        """From the first weights, in a given order of rows: the mean loss, the loss of the last step, the weights.

        Without dropout, since each library draws random numbers of its own.
        """
        import numpy as np

        setup = copy.copy(self.setup)
        layers = [layer | {"rate": 0.0} if layer["kind"] == "dropout" else layer for layer in setup.workload["layers"]]
        setup.workload = setup.workload | {"layers": layers}
        model, batch = self.peer(setup), setup.workload["batch"]
        order = np.load(f"{self.folder}/order.npy")[: steps * batch]
        losses = []
        for part in (order[:-batch], order[-batch:]):
            model.load(self.x[part].astype(setup.precision), self.y[part])
            losses.append(model.fit(1, shuffle=False))
        path = f"{self.folder}/learnt-{os.getpid()}.npz"
        np.savez(path, **model.weights())
        return {"mean_loss": losses[0], "last_loss": losses[1], "weights": path}

    def compile_times(self) -> dict[str, Any]:
        """How long each program of Talweg's takes to be compiled, or found in the cache."""
        return self.model.compile_times(self.x, self.y)

    def profile(self, seconds: float) -> dict[str, Any]:
        """Where the time of a step of Talweg's goes."""
        return self.model.profile(self.x, self.y, seconds)


def peak_megabytes() -> float:
    """The most memory that this process has held, data and libraries included."""
    with open("/proc/self/status") as file:  # what getrusage tells begins with the parent's memory
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def padding_of(layer: dict[str, Any], length: int) -> int:
    """How many zeros "same" padding puts on either side; the workloads are such that both sides get as many."""
    if layer["padding"] == "valid":
        return 0
    outputs = -(-length // layer["stride"])
    total = (outputs - 1) * layer["stride"] + layer["size"] - length
    assert total % 2 == 0, layer
    return total // 2
