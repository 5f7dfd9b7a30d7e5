"""The sessions of a model: its programs as an engine holds them, and where the newest values of its variables are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from talweg.engines.base import Engine, Session
from talweg.graph import Array, Program
from talweg.nn.layers import Variable
from talweg.optim import UpdateRule
from talweg.train.programs import first_values

OPTIMIZER = "optimizer/"  # what the states of the update rule begin with: slots, and the count of steps


class Sessions:
    """One session for each kind of program and form of data, made when it is first asked for."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Session] = {}

    def __len__(self) -> int:
        return len(self._made)

    def clear(self) -> None:
        """Forgets all: the model or what it was compiled with has changed."""
        self._made.clear()

    def get(
        self,
        key: Hashable,
        engine: Engine,
        write: Callable[[], Program],
        variables: Sequence[Variable],
        rule: UpdateRule | None = None,
        memory: Mapping[str, Array] | None = None,
    ) -> Session:
        """The session of `key`, holding the present values of `variables` and, in training, the rule's `memory`.

        What the memory lacks begins anew. `write` writes the program where there is no session yet.
        """
        session = self._made.get(key)
        if session is not None and rule is None:
            session.load(values_of(variables))
            return session
        program = write() if session is None else session.program
        start = first_values(program, {v.name: v for v in variables}, rule)
        start |= {name: value for name, value in (memory or {}).items() if name in start}
        if session is None:
            session = self._made[key] = engine.compile(program, start)
        else:
            session.load(start)
        return session


def values_of(variables: Sequence[Variable]) -> dict[str, Array]:
    """The values of the variables, asked of the session that they live in all at once."""
    live = variables[0].live if variables else None
    if live is not None and all(v.live is live for v in variables):
        return live.states([v.name for v in variables])
    return {v.name: v.value for v in variables}


@contextmanager
def living_in(session: Session, variables: Sequence[Variable]) -> Iterator[None]:
    """Within it, the variables' values are the session's; after it, however it ended, they keep the last.

    Where the variables lived in another session before (a callback that trains), they live there again, changed.
    """
    before = [v.live for v in variables]
    for v in variables:
        v.live = session
    try:
        yield
    finally:
        values = session.states([v.name for v in variables])
        for v, live in zip(variables, before, strict=True):
            v.live = live
            v.value = values[v.name]


def memory_of(session: Session) -> dict[str, Array]:
    """What the update rule remembers: the slots and the count of steps."""
    return session.states([s.name for s in session.program.states if s.name.startswith(OPTIMIZER)])
