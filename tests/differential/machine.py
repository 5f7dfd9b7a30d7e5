"""The machine: draws a batch, judges it, makes smaller what fails, and goes on until programs or minutes are up.

The programs of batch b are drawn by "seed/b": a seed repeats exactly, whatever the machine it runs on is like.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import get_context
from random import Random

from differential import children
from differential.children import Met, Outcome, outcomes
from differential.minimising import minimised
from differential.recipes import Recipe, draw
from talweg.engines.native.strategies import NAMES

BATCH = {"networks": 12, "all": 32}
"""Programs that are compiled together; of other kinds `BATCHED`."""
BATCHED = 48
AS_USERS = 0.12
"""The share of batches that are compiled as for users: it takes ten times as long."""
MINIMISED = 6
"""Findings that are made smaller, so that one fault that shows everywhere does not take all the time."""


@dataclass
class Tally:
    """What a run has come to."""

    seed: int
    programs: int = 0
    runs: int = 0
    decided: int = 0
    of: int = 0
    seconds: float = 0.0
    families: Counter[str] = field(default_factory=Counter)
    drawn: Counter[str] = field(default_factory=Counter)
    met: Met = field(default_factory=Met)
    found: list[Outcome] = field(default_factory=list)
    first_found: int = 0


@dataclass(frozen=True)
class Run:
    """What is asked of the machine."""

    seed: int
    kind: str = "all"
    engine: str = "native"
    lanes: Sequence[int] = (4, 8, 16)
    programs: int | None = None
    minutes: float | None = None
    most_found: int = 20
    jobs: int = 1
    minimising: float = 60.0


def batch(run: Run, number: int) -> list[Recipe]:
    """The recipes of one batch."""
    random = Random(f"{run.seed}/{number}")
    lanes, precision = random.choice(list(run.lanes)), random.choice(["float32", "float32", "float64"])
    is_fast = run.engine == "native" and random.random() < AS_USERS
    size = BATCH.get(run.kind, BATCHED) // (4 if is_fast else 1)
    return [draw(random, run.kind, lanes, precision, is_fast) for _ in range(size)]


def go(run: Run, say: Callable[[str], None] = lambda _: None) -> Tally:
    """Runs until the programs, the minutes or the patience are up."""
    tally, began = Tally(run.seed), time.monotonic()
    for number, (done, met) in enumerate(_batches(run)):
        tally.met.operations.update(met.operations)
        tally.met.strategies.update(met.strategies)
        for outcome in done:
            _count(tally, outcome)
            if outcome.kind:
                tally.first_found = tally.first_found or tally.programs
                is_next = len(tally.found) < MINIMISED and run.minimising > 0
                say(f"found after {tally.programs} programs: {outcome.kind}, {'; '.join(outcome.wrong or [])[:500]}")
                tally.found.append(minimised(outcome, run.minimising, run.engine) if is_next else outcome)
        tally.seconds = time.monotonic() - began
        if number % 50 == 49:
            say(f"{tally.programs} programs in {tally.seconds:.0f} s, {len(tally.found)} findings")
        if len(tally.found) >= run.most_found:
            say(f"stopped: {len(tally.found)} findings are enough for one run")
            break
        is_over = run.programs is not None and tally.programs >= run.programs
        if is_over or (run.minutes is not None and tally.seconds >= 60 * run.minutes):
            break
    return tally


def _batches(run: Run) -> Iterator[tuple[list[Outcome], Met]]:
    """What becomes of each batch, in order, for ever; `run.jobs` of them are at work at a time."""
    if run.jobs == 1 and run.engine != "jax":  # in this process: no batch is begun that nobody wants
        yield from (_one_batch(run, number) for number in count())
    # a fork of a process that has used JAX waits for JAX's threads, which are not there, for ever
    start = get_context("spawn" if run.engine == "jax" else "fork")
    with ProcessPoolExecutor(run.jobs, start) as pool:
        waiting = deque(pool.submit(_one_batch, run, number) for number in range(run.jobs))
        for number in count(run.jobs):
            done = waiting.popleft().result()
            waiting.append(pool.submit(_one_batch, run, number))
            yield done


def _one_batch(run: Run, number: int) -> tuple[list[Outcome], Met]:
    met = Met()
    return outcomes(batch(run, number), run.engine, met), met


def seek(run: Run, tally: Tally, most: int = 20000) -> None:
    """Ways of the writer that no program took yet: programs are drawn and written, and those that take one are run."""
    random = Random(f"{run.seed}/rare")
    for _ in range(most):
        lacking = {name for name in NAMES if not tally.met.strategies[name]}
        if not lacking:
            return
        recipe = draw(random, run.kind, random.choice(list(run.lanes)), "float32", False)
        if lacking & children.ways(recipe).keys():
            (outcome,) = outcomes([recipe], run.engine, tally.met)
            _count(tally, outcome)
            tally.found += [outcome] if outcome.kind else []


def _count(tally: Tally, outcome: Outcome) -> None:
    recipe = outcome.recipe
    tally.programs += 1
    tally.runs += len(recipe["threads"]) * len(recipe["written_for"])
    tally.decided += outcome.decided
    tally.of += outcome.of
    for member in recipe["members"]:
        tally.families[member["family"]] += 1
        for layer in member.get("layers", []):
            tally.drawn[f"layer {layer['layer']['class_name' if 'class_name' in layer['layer'] else 'class']}"] += 1
        for key in ("name", "loss", "rule"):
            if key in member:
                tally.drawn[f"{key if key != 'name' else member['family']} {member[key]}"] += 1
