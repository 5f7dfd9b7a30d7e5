"""The sessions of a model: its programs as an engine holds them, and where the newest values of its variables are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
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
        variables: Mapping[str, Variable],
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
        start = first_values(program, variables, rule)
        start |= {name: value for name, value in (memory or {}).items() if name in start}
        if session is None:
            session = self._made[key] = engine.compile(program, start)
        else:
            session.load(start)
        return session


def values_of(variables: Mapping[str, Variable]) -> dict[str, Array]:
    """The values of the variables by their names in a model.

    Those that live in a session are asked of it all at once.
    """
    lives = [v.live for v in variables.values()]
    first = lives[0] if lives else None
    if first is not None and all(live is not None and live[0] is first[0] for live in lives):
        found = first[0].states([live[1] for live in lives if live is not None])
        return {name: found[v.live[1]] for name, v in variables.items() if v.live is not None}
    return {name: v.value for name, v in variables.items()}


@contextmanager
def living_in(session: Session, variables: Mapping[str, Variable]) -> Iterator[None]:
    """Within it, the variables' values are the session's; after it, however it ended, they keep the last.

    Where the variables lived in another session before (a callback that trains), they live there again, changed.
    """
    before = {name: v.live for name, v in variables.items()}
    for name, v in variables.items():
        v.live = (session, name)
    try:
        yield
    finally:
        values = session.states(list(variables))
        for name, v in variables.items():
            v.live = before[name]
            v.value = values[name]


def memory_of(session: Session) -> dict[str, Array]:
    """What the update rule remembers: the slots and the count of steps."""
    return session.states([s.name for s in session.program.states if s.name.startswith(OPTIMIZER)])
