"""Phases: what a step does between two meetings of its threads, so that they meet as rarely as can be.

Within a phase, nothing that a thread does reads what another one does. A task joins a phase with the first of its
divisions for which that is so, and else waits for the next.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from talweg.engines.native.division import ALONE, EVERYONE, Division

Thing = Hashable  # a tensor, or the copy of one


@dataclass(frozen=True)
class Choice:
    """A way to divide a task, and what it then reads: along which axis in step with its own (None: from end to end)."""

    division: Division
    reads: dict[Thing, int | None]
    along: int | None = None
    """An axis of the result along which a thread can do its part block by block."""
    reads_along: dict[Thing, int | None] = field(default_factory=dict)
    """What it then reads, and along which axis in step with that one."""


@dataclass(eq=False)
class Task:
    """Something that a step does: run a kernel, bring rows, hand out results.

    overwrites: the states whose old value is gone then.
    """

    name: str
    writes: tuple[Thing, ...]
    choices: list[Choice]
    overwrites: tuple[Thing, ...] = ()
    chosen: Choice = field(init=False)
    phase: int = field(init=False, default=-1)

    @property
    def division(self) -> Division:
        return self.chosen.division

    @property
    def reads(self) -> dict[Thing, int | None]:
        return self.chosen.reads


def phases(tasks: Iterable[Task]) -> list[list[Task]]:
    """The tasks, which come in an order in which one thread could do them, in as few phases as are found."""
    left, out = list(tasks), list[list[Task]]()
    writer = {thing: task for task in left for thing in task.writes}
    readers: dict[Thing, list[Task]] = {}
    for task in left:
        for thing in {thing for choice in task.choices for thing in choice.reads}:
            readers.setdefault(thing, []).append(task)
    number = 0
    while left:
        waiting: list[Task] = []
        for task in left:
            choice = next((c for c in task.choices if _can_join(task, c, number, writer, readers)), None)
            if choice is None:
                waiting.append(task)
            else:
                task.chosen, task.phase = choice, number
        out.append([task for task in left if task.phase == number])
        left, number = waiting, number + 1
    return out


def _can_join(
    task: Task, choice: Choice, phase: int, writer: dict[Thing, Task], readers: dict[Thing, list[Task]]
) -> bool:
    """Whether all that `task` needs is there in `phase`, and nobody else still needs what it overwrites."""
    for thing, axis in choice.reads.items():
        before = writer.get(thing)
        if before is not None and not _is_at_hand(before, phase, choice.division, axis):
            return False
    for state in task.overwrites:
        for reader in readers.get(state, []):
            if reader is task:
                continue
            if reader.phase == -1 or (reader.phase == phase and not _reads_apart(reader, state, choice.division)):
                return False
    return True


def _is_at_hand(before: Task, phase: int, division: Division, axis: int | None) -> bool:
    """Whether a thread with its part by `division` finds what it reads, along `axis`, of what `before` writes."""
    if before.phase == -1:
        return False
    if before.phase < phase or before.division is EVERYONE:
        return True
    if division is EVERYONE or division is ALONE or before.division is ALONE:
        return division is before.division
    return before.division.key == division.key and axis is not None and axis == before.division.axis


def _reads_apart(reader: Task, state: Thing, division: Division) -> bool:
    """Whether each thread reads of `state` only what it overwrites itself."""
    if reader.division is ALONE or division is ALONE:
        return reader.division is division
    axis = reader.reads[state]
    return reader.division.key == division.key and axis is not None and axis == division.axis
