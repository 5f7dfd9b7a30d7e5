"""A batch of recipes in a child process: whatever one of them does to it, the others are judged, and it is known whose
fault it was."""

from __future__ import annotations

import faulthandler
import json
import os
import select
import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.families import Family, expected
from differential import judging, units
from differential.recipes import Recipe, program_of
from talweg.engines.native.strategies import NAMES
from talweg.graph import TABLE

SECONDS = 120.0
"""That one program may take: it is seconds even where many threads share few cores."""


@dataclass
class Outcome:
    """kind: "" where nothing is wrong, else wrong, crash, hang, refused (by the writer or the compiler)."""

    recipe: Recipe
    kind: str = ""
    wrong: list[str] | None = None
    decided: int = 0
    of: int = 0


@dataclass
class Met:
    """How often an operation of the table, and a way of the writer, were exercised."""

    operations: Counter[str] = field(default_factory=Counter)
    strategies: Counter[str] = field(default_factory=Counter)

    @property
    def lacking(self) -> list[str]:
        """What no program met."""
        ways = [f"way {name}" for name in NAMES if not self.strategies[name]]
        return ways + [f"operation {name}" for name in TABLE if not self.operations[name]]


@dataclass
class _Ready:
    """A recipe on its way: its program, and the numbers of its units in the object."""

    outcome: Outcome
    family: Family
    written: list[tuple[int, units.Written]]


def outcomes(recipes: Sequence[Recipe], engine: str = "native", met: Met | None = None) -> list[Outcome]:
    """What becomes of each recipe. They have one precision, one kind of vectors, and one way of compiling.

    met: where it is counted what was run, and judged.
    """
    done = [Outcome(recipe) for recipe in recipes]
    ready = [r for outcome in done if (r := _made(outcome, engine))]
    made: Path | None = None
    if engine == "native" and ready:
        ready, made = _compiled(ready)
    try:
        at = 0
        while at < len(ready):
            at = _in_a_child(ready, at, made)
    finally:
        if made is not None:
            shutil.rmtree(made.parent, ignore_errors=True)
    if met is not None:
        for one in ready:
            met.operations.update(node.op.name for node in one.family.program.order)
            for _, written in one.written:
                met.strategies.update(written.unit.strategies)
    return done


def ways(recipe: Recipe) -> Counter[str]:
    """The ways that the writer takes for a recipe, which is neither compiled nor run."""
    try:
        family = program_of(recipe)
        counts = (units.write(family, recipe, threads).unit.strategies for threads in recipe["written_for"])
        return Counter({name: n for each in counts for name, n in each.items() if n})
    except Exception:  # a refusal: it is found where programs are judged
        return Counter()


def _made(outcome: Outcome, engine: str) -> _Ready | None:
    """The program, and its C; a refusal is an outcome."""
    try:
        family = program_of(outcome.recipe)
        ready = _Ready(outcome, family, [])
        if engine == "native":
            ready.written = [(0, units.write(family, outcome.recipe, t)) for t in outcome.recipe["written_for"]]
    except Exception as error:
        outcome.kind, outcome.wrong = "refused", [f"{type(error).__name__}: {error}", _where(error)]
        return None
    return ready


def _where(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"in {Path(last.filename).name}, {last.name}: {last.line}"


def _compiled(ready: list[_Ready]) -> tuple[list[_Ready], Path | None]:
    """All of them in one object; those that the compiler refuses are found one by one."""
    try:
        return ready, _object(ready)
    except units.CompilerSaid as said:
        if len(ready) == 1:
            ready[0].outcome.kind, ready[0].outcome.wrong = "refused", [str(said)]
            return [], None
    half = len(ready) // 2
    kept = []
    for part in (ready[:half], ready[half:]):
        good, made = _compiled(part)
        kept += good
        if made is not None:
            shutil.rmtree(made.parent, ignore_errors=True)
    return kept, _object(kept) if kept else None


def _object(ready: list[_Ready]) -> Path:
    sources = []
    for one in ready:
        one.written = [(len(sources) + i, written) for i, (_, written) in enumerate(one.written)]
        sources += [written.unit.source for _, written in one.written]
    recipe = ready[0].outcome.recipe
    return units.compiled(sources, recipe["lanes"], recipe["is_fast"])


# ── the child ─────────────────────────────────────────────────────────────────────────────────────────────


def _in_a_child(ready: list[_Ready], start: int, made: Path | None) -> int:
    """Judges from `start` on; answers where another child has to go on."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(ready, start, made, writing)
    os.close(writing)
    at = start
    try:
        for line in _lines(reading):
            outcome = ready[at].outcome
            for key, value in line.items():
                setattr(outcome, key, value)
            at += 1
    except TimeoutError:
        os.kill(child, signal.SIGKILL)
        ready[at].outcome.kind, ready[at].outcome.wrong = "hang", [f"no answer within {SECONDS:.0f} s"]
        at += 1
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if at < len(ready) and ready[at - 1 if at > start else at].outcome.kind != "hang":
        code = os.waitstatus_to_exitcode(status)
        what = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        ready[at].outcome.kind, ready[at].outcome.wrong = "crash", [f"the process died: {what}"]
        at += 1
    return at


def _lines(reading: int) -> Iterator[dict[str, Any]]:
    """What the child says, until it ends. Raises `TimeoutError`."""
    rest, deadline = b"", time.monotonic() + SECONDS
    while True:
        if not select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        got = os.read(reading, 1 << 16)
        if not got:
            return
        *whole, rest = (rest + got).split(b"\n")
        for line in whole:
            yield json.loads(line)
            deadline = time.monotonic() + SECONDS


def _work(ready: list[_Ready], start: int, made: Path | None, writing: int) -> None:
    faulthandler.disable()  # a death is no accident here, and told of in one line
    try:
        loaded = None if made is None else units.Object(made)
        for one in ready[start:]:
            recipe = one.outcome.recipe
            try:
                what = expected(one.family)
            except Exception as error:
                said = {"kind": "refused", "wrong": [f"the reference: {type(error).__name__}: {error}", _where(error)]}
                os.write(writing, json.dumps(said).encode() + b"\n")
                continue
            if loaded is None:
                verdict = judging.judge_jax(recipe, one.family, what)
            else:
                verdict = judging.judge(recipe, one.written, loaded, what)
            kind = "wrong" if verdict.wrong else ""
            said = {"kind": kind, "wrong": verdict.wrong[:6], "decided": verdict.decided, "of": verdict.of}
            os.write(writing, json.dumps(said).encode() + b"\n")
    except BaseException:
        traceback.print_exc()
        os._exit(70)
    os._exit(0)
