"""Where an epoch's rows come from: arrays in memory, or a stream that gives one batch after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from talweg.data.pipeline import Dataset
from talweg.errors import DataError, DataWarning, ShapeError, UsageError, warn
from talweg.graph import Array
from talweg.graph.random import RandomStream
from talweg.train.programs import Form
from talweg.train.rows import Rows

ORDER_STREAM = 0  # the stream of random numbers that shuffles; see `Context.streams` for the others
ENDLESS = -1  # what the `cardinality()` of a data set without end is


@dataclass(frozen=True)
class Visit:
    """Rows, the order in which to visit them, and how many at each step."""

    rows: Rows
    order: Array
    batch_size: int


class Source(Protocol):
    """What the loop asks of the data."""

    @property
    def form(self) -> Form:
        """The form of its rows, the same for all."""

    @property
    def steps(self) -> int | None:
        """Batches in an epoch, where that is known beforehand."""

    @property
    def batch_size(self) -> int:
        """Rows in the first batch."""

    @property
    def sample(self) -> tuple[Rows, bool]:
        """Some of its rows, and whether they are all of them."""

    def epoch(self, seed: int, number: int, done: int = 0) -> Iterator[Visit]:
        """The rows of epoch `number`, but for the `done` batches that begin it."""

    def pass_over(self, epochs: int) -> None:
        """Goes to where so many epochs leave it: a resumed fit goes on from there."""


class InMemory:
    """Arrays, visited batch by batch, in a new order each epoch where they are shuffled.

    With `steps`, an epoch is so many batches, and the next one goes on where it ended. As in Keras, one that comes to
    the end of all rows ends there, and says so. The order is a function of the seed and the epoch's number, so an
    interrupted run can go on.
    """

    def __init__(self, rows: Rows, batch_size: int, shuffle: bool = False, steps: int | None = None) -> None:
        self._rows, self._size = rows, batch_size
        self._pass = -(-len(rows) // batch_size)  # batches in one pass over all rows
        self._shuffled = shuffle and self._pass > 1  # one batch of all rows is the same in any order
        self.steps = self._pass if steps is None else steps
        self.form, self.batch_size = rows.form, min(batch_size, len(rows))
        self.goes_in_order = not shuffle

    @property
    def sample(self) -> tuple[Rows, bool]:
        return self._rows, True

    def epoch(self, seed: int, number: int, done: int = 0) -> Iterator[Visit]:
        turn, place = divmod(number, -(-self._pass // self.steps))  # so many epochs are a pass
        first = place * self.steps
        end = min(first + self.steps, self._pass)
        order = self._order(seed, turn)[(first + done) * self._size : end * self._size]
        if len(order):
            yield Visit(self._rows, order, self._size)
        if end - first < self.steps:
            ran_out("x", end - first, self.steps, "steps_per_epoch")

    def pass_over(self, epochs: int) -> None:
        """Nothing: an epoch's order follows from its number."""

    def _order(self, seed: int, turn: int) -> Array:
        return epoch_order(seed, turn, len(self._rows)) if self._shuffled else np.arange(len(self._rows))


def epoch_order(seed: int, turn: int, rows: int) -> Array:
    """The order in which a pass over the data visits the rows."""
    return RandomStream(seed, ORDER_STREAM, step=turn).permutation(rows)


class Stream:
    """Batches from a data set, generator, or anything else that can be iterated, checked one by one.

    check     makes `Rows` of what a batch holds, or raises
    steps     batches in an epoch: each goes on where the one before ended. Without it, an epoch is one pass.
    argument  what the user calls it
    limit     the argument by which the user sets `steps`
    anew      whether each epoch begins the source anew, where that can be: validation sees the same batches each time
    """

    def __init__(
        self,
        source: Any,
        check: Callable[..., Rows],
        steps: int | None,
        argument: str = "x",
        limit: str = "steps_per_epoch",
        anew: bool = False,
    ) -> None:
        self._source, self._check, self._wanted, self._argument, self._limit = source, check, steps, argument, limit
        self._anew, self._untouched = anew, True
        self._is_once = isinstance(source, Iterator)
        if steps is None and _cardinality(source) == ENDLESS:
            raise UsageError(f"{argument} has no end, so {limit} must say how many batches are an epoch")
        self._open: Iterator[Rows] | None = self._checked()
        first = next(self._open, None)
        if first is None:
            raise DataError(f"{argument} gave no batches")
        self.form, self.batch_size = first.form, len(first)
        self._ahead: list[Rows] = [first]  # looked at, to know the form; the first epoch begins with it
        self.sample = first, False

    @property
    def steps(self) -> int | None:
        if self._wanted is not None:
            return self._wanted
        known = _cardinality(self._source)
        return known if known is not None and known >= 0 else None

    def epoch(self, seed: int, number: int, done: int = 0) -> Iterator[Visit]:
        if self._anew and not self._untouched and not self._is_once:
            self._open, self._ahead = None, []
        self._untouched, given = False, 0
        while self._wanted is None or given < self._wanted:
            rows = self._next()
            if rows is None and given == 0 and self._wanted is not None and not self._is_once:
                rows = self._next()  # the epoch before ended where the pass did
            if rows is None:
                break
            given += 1
            if given > done:
                yield Visit(rows, np.arange(len(rows)), len(rows))
        if self._wanted is not None and 0 < given < self._wanted:
            ran_out(self._argument, given, self._wanted, self._limit)
        if given == 0:
            raise DataError(
                f"{self._argument} gave no more batches. A generator can be iterated once: give {self._limit}, so that "
                "it lasts for all epochs, or something that begins anew, such as a talweg.data.Dataset."
            )

    def pass_over(self, epochs: int) -> None:
        """Gives that many epochs to nobody. What is asked again from its beginning may know of a shorter way."""
        at_once = epochs - 1 if self._wanted is None and isinstance(self._source, Dataset) else 0
        for _ in range(epochs - max(at_once, 0)):
            for _visit in self.epoch(seed=0, number=0):
                pass
        if at_once > 0:
            self._source.pass_over(at_once)

    def _next(self) -> Rows | None:
        """The next batch, or None at the end of a pass; the call after that begins another, where there is one."""
        if self._ahead:
            return self._ahead.pop()
        if self._open is None:
            self._open = self._checked()
        rows = next(self._open, None)
        if rows is None and not self._is_once:
            self._open = None
            if hasattr(self._source, "on_epoch_end"):  # Keras's Sequence
                self._source.on_epoch_end()
        return rows

    def _checked(self) -> Iterator[Rows]:
        form: Form | None = getattr(self, "form", None)
        for number, batch in enumerate(batches_of(self._source)):
            rows = checked_batch(self._check, batch, f"batch {number} of {self._argument}")
            form = form or rows.form
            if rows.form != form:
                raise DataError(
                    f"batch {number} of {self._argument} is not like the first: {_differences(rows.form, form)}. "
                    "All batches must have one form."
                )
            yield rows


def ran_out(argument: str, given: int, wanted: int, limit: str) -> None:
    """Warns of data that ended before the batches that were asked for."""
    message = (
        f"{argument} ran out of data: it has {given} more batches, and {limit} asks for {wanted}. What was begun ends "
        f"here. Leave {limit} out for a whole pass, or give data that does not end: talweg.data.Dataset(...).repeat()."
    )
    warn(message, DataWarning)


def checked_batch(check: Callable[..., Rows], batch: Any, where: str) -> Rows:
    """The rows of a batch as a stream gave it; the error says which batch it was."""
    try:
        if isinstance(batch, (tuple, list)):
            if not 1 <= len(batch) <= 3:
                raise DataError(
                    f"it is a {type(batch).__name__} of {len(batch)}; (x, y) or (x, y, sample_weight) was expected"
                )
            return check(*batch)
        return check(batch)
    except (DataError, ShapeError, UsageError) as error:
        single = isinstance(batch, (tuple, list)) and any(np.ndim(part) == 0 for part in batch if part is not None)
        hint = " Where the data set gives single examples, add .batch(32)." if single else ""
        raise type(error)(f"{where}: {error}{hint}") from None


def _differences(now: Form, first: Form) -> str:
    said = []
    for name in {**first.arrays, **now.arrays}:
        here, there = now.arrays.get(name), first.arrays.get(name)
        if here is None or there is None:
            said.append(f"it has {name}: {here is not None} (the first: {there is not None})")
        elif here[1] != there[1]:
            said.append(f"{name} has dtype {here[1]} (the first: {there[1]})")
        elif here[0] != there[0]:
            said.append(f"{name} has rows of shape {list(here[0])} (the first: {list(there[0])})")
    return ", ".join(said)


def is_stream(x: Any) -> bool:
    """Whether `x` gives batches one after another (a Dataset, a generator) rather than being the examples."""
    if isinstance(x, (list, tuple, range, str, bytes, set, frozenset, Mapping)) or hasattr(x, "__array__"):
        return False
    if hasattr(x, "toarray"):  # a sparse matrix: no data set, and no array either; `rows.as_array` says so
        return False
    return isinstance(x, Iterable) or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def batches_of(stream: Any) -> Iterator[Any]:
    """What a stream gives, from its beginning: by iterating, or by number where it has a length and no iterator."""
    return iter(stream) if isinstance(stream, Iterable) else (stream[i] for i in range(len(stream)))


def _cardinality(source: Any) -> int | None:
    """How many batches a pass has, `ENDLESS` for no end, None where nobody knows."""
    if callable(getattr(source, "cardinality", None)):
        return int(source.cardinality())
    try:
        return len(source)
    except TypeError:
        return None
