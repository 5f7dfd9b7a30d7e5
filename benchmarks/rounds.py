"""One workload: every peer started, checked against the float64 run, then timed in turns."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.conversation import PEERS, TALWEG, Failure, NotAvailable, Peer, Worker
from benchmarks.rows import ROWS, rows_of
from benchmarks.workloads import Workload, first_weights, flops

FIRST_STEPS = 8  # how long the first fit is, which pays for imports and compilation
PAUSE = 0.25  # seconds between two turns: libraries whose threads spin for a while after work have stopped by then
SHORTEST = 0.3  # seconds that a turn lasts at least, by more epochs


@dataclass(frozen=True)
class Effort:
    """How much time to spend: rounds, and seconds after which a turn is cut short (to fewer rows, in whole batches)."""

    rounds: int = 7
    longest: float = 4.0


@dataclass
class Entry:
    """What came out for one peer.

    status        "timed", "not available", "failed" or "does not agree"; `reason` says more
    loss_error    of the loss, and `weight_error` of the weights, from the float64 run; None where unchecked
    microseconds  a step, one number for each turn
    others        how many cores other processes used meanwhile, one number for each turn; and of these
    siblings      the other workers, which should have been asleep
    start         seconds from the start of the process to the end of its first steps
    """

    name: str
    status: str = "timed"
    reason: str = ""
    version: str = ""
    loss_error: float | None = None
    weight_error: float | None = None
    microseconds: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    siblings: list[float] = field(default_factory=list)
    steps: int = 0
    epoch_rows: int = 0
    megabytes: float = 0.0
    start: float = 0.0

    @property
    def least(self) -> float:
        return min(self.microseconds, default=math.nan)

    @property
    def median(self) -> float:
        return statistics.median(self.microseconds) if self.microseconds else math.nan


@dataclass
class Outcome:
    """A workload's entries, and what they had to do."""

    workload: str
    title: str
    batch: int
    bar: float
    bar_set_by: str
    flops: float
    data: str
    rows: int
    reference: str
    entries: list[Entry]

    def entry(self, name: str) -> Entry | None:
        """The entry of that name, if it was timed."""
        return next((e for e in self.entries if e.name == name and e.microseconds), None)

    @property
    def best_peer(self) -> Entry | None:
        peers = {peer.name for peer in PEERS}
        timed = [e for e in self.entries if e.name in peers and e.microseconds]
        return min(timed, key=lambda e: e.least, default=None)


def compare(learnt: dict[str, Any], reference: dict[str, Any], first: dict[str, np.ndarray]) -> tuple[float, float]:
    """How far loss and weights are from the reference: of the losses, and of the way that the weights went."""
    losses = np.max([abs(learnt[k] - reference[k]) / abs(reference[k]) for k in ("mean_loss", "last_loss")])
    with np.load(learnt["weights"]) as mine, np.load(reference["weights"]) as theirs:
        apart = sum(float(np.square(mine[k].astype(float) - theirs[k]).sum()) for k in first)
        moved = sum(float(np.square(theirs[k] - first[k].astype(float)).sum()) for k in first)
    return float(losses), math.sqrt(apart / moved)


def save_task(folder: Path, workload: Workload) -> tuple[str, dict[str, np.ndarray]]:
    """Writes what the workers read: rows, their order for the check, first weights. Answers what the rows are,
    and these weights."""
    x, y, data = rows_of(workload.data)
    first = first_weights(workload)
    for name, array in (("x", x), ("y", y), ("order", np.random.default_rng(1).permutation(len(x)))):
        np.save(folder / f"{name}.npy", array)
    np.savez(folder / "weights.npz", **first)  # type: ignore[arg-type]
    return data, first


def run(
    workload: Workload, peers: Sequence[Peer], threads: int, effort: Effort, folder: Path, say: Callable[[str], None]
) -> Outcome:
    """Everything about one workload; `folder` is for its files."""
    data, first = save_task(folder, workload)
    rows = ROWS - ROWS % workload.batch  # a scan cannot have a shorter last batch, so nobody has one
    setup = {"workload": workload.as_json(), "folder": str(folder), "threads": threads}
    reference, said_by = _reference(workload, setup, threads, str(folder))
    outcome = Outcome(
        *(workload.name, workload.title, workload.batch, workload.bar, workload.bar_set_by),
        *(flops(workload), data, rows, said_by, []),
    )
    with ExitStack() as stack:
        working: list[tuple[Entry, Worker]] = []
        for peer in peers:
            say(f"{workload.name}: {peer.name}")
            entry = Entry(peer.name)
            outcome.entries.append(entry)
            try:
                worker = stack.enter_context(Worker(peer, threads, str(folder)))
                form = _start(entry, worker, setup, workload)
                _check(entry, peer, worker, workload, reference.get(form), first)
                if entry.status == "timed":
                    _settle(entry, worker, rows, workload.batch, effort)
                    working.append((entry, worker))
                else:
                    worker.close()
            except NotAvailable as reason:
                entry.status, entry.reason = "not available", str(reason)
            except Failure as reason:
                entry.status, entry.reason = "failed", str(reason)
        for number in range(effort.rounds):
            say(f"{workload.name}: round {number + 1} of {effort.rounds}")
            for i in range(len(working)):  # another one goes first each time
                entry, worker = working[(i + number) % len(working)]
                _turn(entry, worker, [w for _, w in working if w is not worker], workload.batch)
    return outcome


def _reference(
    workload: Workload, setup: dict[str, Any], threads: int, cache: str
) -> tuple[dict[str, dict[str, Any]], str]:
    """The float64 run, for each form of Adam: by PyTorch, else by Talweg's reference engine, which has Keras's form."""
    learnt: dict[str, dict[str, Any]] = {}
    for peer, forms in ((PEERS[0], ("keras", "torch", "scikit-learn")), (TALWEG, ("keras",))):
        try:
            for form in forms:
                with Worker(peer, threads, cache) as worker:
                    answer = worker.ask("prepare", **setup, precision="float64", adam_form=form)
                    learnt[form] = worker.ask("learn", steps=workload.check_steps)
            return learnt, f"{answer['version']}, float64"
        except NotAvailable:
            continue
    return {}, "none: neither PyTorch nor Talweg can run it"


def _start(entry: Entry, worker: Worker, setup: dict[str, Any], workload: Workload) -> str:
    """The first steps, imports and compilation included; answers the peer's form of Adam."""
    answer = worker.ask("prepare", **setup)
    worker.ask("fit", rows=FIRST_STEPS * workload.batch, epochs=1)
    entry.version, entry.start = answer["version"], time.perf_counter() - worker.began
    return str(answer["adam_form"])


def _check(
    entry: Entry,
    peer: Peer,
    worker: Worker,
    workload: Workload,
    reference: dict[str, Any] | None,
    first: dict[str, np.ndarray],
) -> None:
    """Whether the peer learns what the float64 run with its form of Adam does; only then is its time worth knowing."""
    if reference is None:
        entry.reason = "unchecked"
        return
    try:
        learnt = worker.ask("learn", steps=workload.check_steps)
    except NotAvailable as reason:
        if peer in PEERS or peer == TALWEG:
            raise
        entry.reason = f"unchecked: {reason}"
        return
    entry.loss_error, entry.weight_error = compare(learnt, reference, first)
    if not (entry.loss_error <= workload.tolerance and entry.weight_error <= workload.weight_tolerance):
        entry.status = "does not agree"
        entry.reason = (
            f"after {workload.check_steps} steps its loss is {entry.loss_error:.1e} off (at most "
            f"{workload.tolerance:g}) and its weights {entry.weight_error:.1e} (at most {workload.weight_tolerance:g})"
        )


def _settle(entry: Entry, worker: Worker, rows: int, batch: int, effort: Effort) -> None:
    """Finds how many rows and epochs make a turn, warming up on the way: the whole set, unless that takes too long."""
    chosen = FIRST_STEPS * batch
    while True:
        worker.ask("fit", rows=chosen, epochs=1)  # a size that is new may be compiled for
        seconds = worker.ask("fit", rows=chosen, epochs=1)["seconds"]
        affordable = int(effort.longest / seconds * chosen / batch) * batch
        if chosen == rows or affordable <= chosen:
            break
        if seconds > 0.1 * effort.longest:
            chosen = min(rows, affordable)
            seconds = min(worker.ask("fit", rows=chosen, epochs=1)["seconds"] for _ in range(2))
            break
        chosen = min(rows, 8 * chosen)
    entry.epoch_rows, entry.steps = chosen, max(1, round(SHORTEST / seconds)) * chosen // batch


def _turn(entry: Entry, worker: Worker, siblings: Sequence[Worker], batch: int) -> None:
    time.sleep(PAUSE)
    busy, own, began = _busy_seconds(), worker.cpu_seconds(), time.perf_counter()
    theirs = sum(w.cpu_seconds() for w in siblings)
    answer = worker.ask("fit", rows=entry.epoch_rows, epochs=entry.steps * batch // entry.epoch_rows)
    elapsed = time.perf_counter() - began
    others = _busy_seconds() - busy - (worker.cpu_seconds() - own)
    entry.siblings.append((sum(w.cpu_seconds() for w in siblings) - theirs) / elapsed)
    entry.microseconds.append(answer["seconds"] / answer["steps"] * 1e6)
    entry.others.append(max(0.0, others / elapsed))
    entry.megabytes = answer["megabytes"]


def _busy_seconds() -> float:
    """The time that all processors together have been at work, for whomever."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
