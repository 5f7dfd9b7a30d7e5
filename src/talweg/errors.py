"""What Talweg raises when something is wrong with what it was given.

Every class is also the built-in exception that a Python programmer would expect
(`ValueError`, `TypeError`, `OSError`), so ``except ValueError`` works as it does with Keras.
A message names the argument or the layer, says what was expected and what came, and what to do.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from talweg.escapes import visible

MANY = 24  # names; of more, a message lists the nearest half as many


def _in_python(name: str, value: object) -> str:
    return name if value is ... else f"{name}={value!r}"


_words: ContextVar[Callable[[str, object], str]] = ContextVar("words", default=_in_python)


def argument(name: str, value: object = ...) -> str:
    """An argument as whoever asked writes it: a message says what to do in the reader's own words.

    In Python that is ``missing='drop'``. A command line speaks of its options (`speaking`): ``--missing drop``.

    >>> argument("missing"), argument("ignore", ["id"])
    ('missing', "ignore=['id']")
    """
    return _words.get()(name, value)


@contextmanager
def speaking(words: Callable[[str, object], str]) -> Iterator[None]:
    """Within, `argument(name, value)` is written as `words(name, value)` has it."""
    token = _words.set(words)
    try:
        yield
    finally:
        _words.reset(token)


class TalwegError(Exception):
    """The base of every error that Talweg raises on purpose.

    A message may quote a name from a file, and is shown in a terminal: nothing in it steers one.
    """

    def __str__(self) -> str:
        return visible(super().__str__())


class ShapeError(TalwegError, ValueError):
    """Shapes that do not fit together; the message names the operation or the layer."""


class GraphError(TalwegError, ValueError):
    """A graph that breaks a rule of the table of operations."""


class DataError(TalwegError, ValueError):
    """Data that cannot be learned from as it stands: empty, not finite, of the wrong form or length."""


class CorruptFileError(DataError):
    """A file that is truncated, damaged, or not of the format that it claims."""


class VersionError(TalwegError, ValueError):
    """A file written by another version of Talweg, in a form that this one does not read."""


class UsageError(TalwegError, ValueError):
    """An argument with a value that makes no sense, or methods called in an impossible order."""


class BudgetError(TalwegError, ValueError):
    """A network that asks for more memory, layers or work than it may; the message says how to allow it."""


class FrozenError(TalwegError, AttributeError):
    """An attempt to change a description (a layer, a loss, a rule) after it was made."""


class RunFolderError(TalwegError, OSError):
    """A run folder that cannot be written, or that is not a run folder."""


class InUseError(TalwegError, BlockingIOError):
    """A folder or file that another process writes; the message says which process, and since when."""


class MissingExtraError(TalwegError, ImportError):
    """A library that is not installed; the message names the extra of Talweg that brings it."""


class TalwegWarning(UserWarning):
    """The base of every warning that Talweg gives: legal, but probably not meant. Each names its remedy."""


class ModelWarning(TalwegWarning):
    """A network, a loss, a metric or an optimizer that does not fit the others."""


class DataWarning(TalwegWarning):
    """Data that can be learned from, and is probably not what was meant: in content, order, scale or division."""


class DivergenceWarning(TalwegWarning, RuntimeWarning):
    """A loss or a prediction that is no finite number any more."""


class UnknownNameError(TalwegError, ValueError):
    """A name that is in no table; the message suggests the nearest that is.

    >>> raise UnknownNameError("optimizer", "adm", ["adam", "sgd"])
    Traceback (most recent call last):
    ...
    talweg.errors.UnknownNameError: unknown optimizer 'adm': did you mean 'adam'? Known: adam, sgd
    """

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        import difflib  # only here, since every program imports this module

        names = sorted(set(known))
        by_lower = {n.lower(): n for n in names}
        near = difflib.get_close_matches(str(name).lower(), list(by_lower), n=1, cutoff=0.6)
        hint = f": did you mean {by_lower[near[0]]!r}?" if near else "."
        few = len(names) <= MANY
        shown = names if few else sorted(difflib.get_close_matches(str(name), names, n=MANY // 2, cutoff=0.0))
        super().__init__(f"unknown {kind} {name!r}{hint} Known{'' if few else ', among others'}: {', '.join(shown)}")


def warn(message: str, category: type[Warning] = TalwegWarning) -> None:
    """A warning that points at the first caller outside Talweg, whose line it is about."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "talweg":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
