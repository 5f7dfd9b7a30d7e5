"""What "auto" is where there is a compiler: native, and for a program that will not compile, the reference."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from talweg.engines.base import Session, Work
from talweg.engines.native.build import CompileError
from talweg.engines.native.engine import Native, NativeSession
from talweg.engines.reference import Reference
from talweg.errors import GraphError, warn
from talweg.graph import Array, Program

UNFIT = (CompileError, GraphError, RecursionError)  # the last: of a formula that is thousands of operations deep


class NativeOrReference(Native):
    """The native engine; a program that it cannot compile is run by the reference, with a warning that says why."""

    def compile(self, program: Program, states: Mapping[str, Array]) -> Session:  # type: ignore[override]
        return EitherSession(super().compile(program, states))


class EitherSession(Session):
    """Native until it turns out, at the first run, that this program does not compile; the reference from then on."""

    def __init__(self, native: NativeSession) -> None:
        self._session: Session = native
        self._precision = native.precision
        self._lock = threading.Lock()

    @property
    def program(self) -> Program:  # type: ignore[override]
        return self._session.program

    def do(self, work: Work) -> dict[str, Array]:
        session = self._session
        try:
            return session.do(work)
        except UNFIT as error:  # before the first step
            self._give_up(session, error)
        return self._session.do(work)

    def prepare(self, batch_size: int, wait: bool = False) -> bool:
        session = self._session
        try:
            return session.prepare(batch_size, wait)
        except UNFIT as error:
            self._give_up(session, error)
        return True

    def _give_up(self, native: Session, error: Exception) -> None:
        """Puts the reference in place of the native session, with its states; the reference's own errors are raised."""
        if not isinstance(native, NativeSession):
            raise error
        with self._lock:
            if self._session is not native:
                return  # another thread came first
            warn(
                f"the native engine cannot run program {self.program.name!r}; the reference engine, which is slower, "
                f"does. The reason: {error}",
                RuntimeWarning,
            )
            self._session = Reference(self._precision).compile(native.program, native.states())

    def states(self, names: Iterable[str] | None = None) -> dict[str, Array]:
        return self._session.states(names)

    def load(self, states: Mapping[str, Array]) -> None:
        self._session.load(states)
