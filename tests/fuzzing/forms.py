"""What a format is to the machine, and the judgement of one input.

An input is bytes; for a folder they are those of a zip archive of it. A reader may refuse it with an error of Talweg's,
whose message fits one screen and steers no terminal. If it accepts, the format's oracle says what that must mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

from talweg.errors import TalwegError

CRASH, HANG, TRACEBACK, MEMORY, MISREAD, MESSAGE = "crash", "hang", "traceback", "memory", "misread", "message"
LONGEST_MESSAGE = 6000
MISTAKES = (AssertionError, NameError, UnboundLocalError)
"""What is our own mistake, also where a reader's boundary has made a file's fault of it."""


class Misread(Exception):
    """An input was accepted that should not have been, or as something else than it is."""


@dataclass(frozen=True)
class Format:
    """A format of files.

    make      the seeds: small good files, of which mutations are made. Called once, before there are children
    mutate    (random, a seed, all seeds) -> an input
    check     (path, input) reads the file there, and raises `Misread` if what was read is not what the input says
    share     how many inputs of a thousand are of this format
    """

    name: str
    suffix: str
    make: Callable[[], Sequence[bytes]]
    mutate: Callable[[Random, bytes, Sequence[bytes]], bytes]
    check: Callable[[Path, bytes], None]
    share: int = 10

    @cached_property
    def seeds(self) -> tuple[bytes, ...]:
        return tuple(self.make())

    def input(self, seed: int, number: int) -> bytes:
        """Input `number` of a run: a function of these two, so that it can be made again."""
        random = Random(f"{self.name}/{seed}/{number}")
        return self.mutate(random, random.choice(self.seeds), self.seeds)


@dataclass(frozen=True)
class Finding:
    """What is wrong with a reader, and the input that shows it. `place` tells findings of one cause from others."""

    format: str
    kind: str
    place: str
    said: str
    data: bytes = b""
    seed: int | None = None
    number: int | None = None

    @property
    def cause(self) -> tuple[str, str, str]:
        return self.format, self.kind, self.place


def judged(format: Format, path: Path, data: bytes) -> Finding | None:
    """Reads an input that lies at `path`; None where the reader did what it should."""

    def finding(kind: str, error: BaseException, place: str) -> Finding:
        return Finding(format.name, kind, place, f"{type(error).__name__}: {error}"[:1500], data)

    try:
        format.check(path, data)
    except Misread as error:
        return finding(MISREAD, error, _without_numbers(str(error)))
    except MemoryError as error:
        return finding(MEMORY, error, _place(error))
    except TalwegError as error:
        said = str(error)
        for cause in _causes(error):
            if isinstance(cause, MemoryError):
                return finding(MEMORY, cause, _place(cause))
            if isinstance(cause, MISTAKES):
                return finding(TRACEBACK, cause, _place(cause))
        if len(said) > LONGEST_MESSAGE or not all(c.isprintable() or c == "\n" for c in said):
            return finding(MESSAGE, error, _place(error))
    except Exception as error:
        return finding(TRACEBACK, error, _place(error))
    return None


def accepted(format: Format, path: Path, data: bytes) -> bool:
    """Whether the reader takes an input; an oracle's complaint is raised."""
    try:
        format.check(path, data)
    except TalwegError:
        return False
    return True


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found[1:]


def _place(error: BaseException) -> str:
    """The line of Talweg that the error comes from, and its type."""
    place, trace = "?", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if "talweg" in code.co_filename:
            place = f"{Path(code.co_filename).name}:{code.co_name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{place} {type(error).__name__}"


def _without_numbers(text: str) -> str:
    return "".join("#" if c.isdigit() else c for c in text)[:60]
