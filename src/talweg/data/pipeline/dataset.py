"""`Dataset`: a pipeline of elements, with the names and the meaning of `tf.data.Dataset`.

A data set is a description: a function that makes a fresh iterator, and how many elements that gives, if
known. A transformation wraps the function; nothing runs before the data set is iterated over.
Source of the semantics: TensorFlow, "tf.data: Build TensorFlow input pipelines".
"""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from talweg.data.pipeline import steps
from talweg.data.pipeline.elements import Element, array_of, common_rows, convert, describe
from talweg.data.pipeline.prefetch import prefetched
from talweg.errors import UsageError

AUTOTUNE = -1
INFINITE = -1  # cardinalities, as tf.data.INFINITE_CARDINALITY and UNKNOWN_CARDINALITY
UNKNOWN = -2
_AUTOTUNED_PREFETCH = 4

# Makes an iterator. With peek=True only a look at the first element is wanted: nothing may change by it.
Make = Callable[[bool], Iterator[Element]]

# Counts so many whole passes as made, without making them.
PassOver = Callable[[int], None]


def stateless(passes: int) -> None:
    """Of a data set whose passes are all alike."""


class Dataset:
    """Elements in order: arrays, or tuples and dictionaries of arrays.

    `fit` takes data sets of batches: ``(x, y)`` or ``(x, y, w)``.

    >>> data = Dataset.from_tensor_slices(([1, 2, 3], ["a", "b", "c"])).shuffle(3, seed=1).batch(2)
    >>> len(data)
    2
    >>> [x.shape for x, label in data]
    [(2,), (1,)]
    """

    def __init__(self, make: Make, cardinality: int, pass_over: PassOver | None = None) -> None:
        """pass_over: None where only making a pass tells what it changes, as with functions of the user's."""
        self._make = make
        self._cardinality = cardinality
        self._pass_over = pass_over

    def pass_over(self, passes: int) -> None:
        """Goes to where `passes` whole passes leave it, so that a resumed fit finds the order that it would have had.

        Shuffles count on; functions of the user's, which may count too, are called for every element.
        """
        if self._pass_over is not None:
            self._pass_over(passes)
            return
        for _ in builtins.range(passes):
            for _element in self:
                pass

    # ── Sources ──────────────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def from_tensor_slices(tensors: Any) -> Dataset:
        """The rows of arrays (or lists, or frames) of equal length, in the structure of tuples or dictionaries.

        Raises `ShapeError` for different lengths.
        """
        arrays = _arrays(tensors)
        count = common_rows(arrays)
        return Dataset(lambda peek: steps.rows(arrays), count, stateless)

    @staticmethod
    def from_tensors(tensors: Any) -> Dataset:
        """A single element: the arrays as they are."""
        element = _arrays(tensors)
        return Dataset(lambda peek: iter([element]), 1, stateless)

    @staticmethod
    def from_generator(generator: Callable[..., Iterable[Any]], args: tuple[Any, ...] = ()) -> Dataset:
        """What ``generator(*args)`` yields; it is called anew for each pass."""
        if not callable(generator):
            raise UsageError(
                "generator: expected a function that returns an iterator, since each epoch needs a fresh one, but "
                f"got {type(generator).__name__}; give the generator function itself, or lambda: …"
            )
        return Dataset(lambda peek: (convert(value) for value in generator(*args)), UNKNOWN)

    @staticmethod
    def range(*args: int) -> Dataset:
        """int64 numbers as Python's `range` counts them.

        >>> [int(i) for i in Dataset.range(2, 8, 3)]
        [2, 5]
        """
        numbers = builtins.range(*args)
        return Dataset(lambda peek: (np.int64(i) for i in numbers), len(numbers), stateless)

    @staticmethod
    def zip(*datasets: Any) -> Dataset:
        """Elements of several data sets side by side, until the shortest ends.

        Takes data sets, or one tuple or dictionary of them, and gives tuples or dictionaries.
        """
        parts: Any = datasets[0] if len(datasets) == 1 else datasets
        named = isinstance(parts, dict)
        sources = [parts] if isinstance(parts, Dataset) else list(parts.values() if named else parts)
        if not sources or not all(isinstance(source, Dataset) for source in sources):
            raise UsageError("datasets: expected data sets to zip, or one tuple or dictionary of them")

        def make(peek: bool) -> Iterator[Element]:
            for elements in builtins.zip(*(source._make(peek) for source in sources), strict=False):
                yield dict(builtins.zip(parts, elements, strict=True)) if named else elements

        counts = [source._cardinality for source in sources]
        finite = [count for count in counts if count != INFINITE]
        return Dataset(make, UNKNOWN if UNKNOWN in counts else min(finite, default=INFINITE))

    # ── Transformations of elements ──────────────────────────────────────────────────────────────────

    def map(
        self,
        function: Callable[..., Any],
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
    ) -> Dataset:
        """function(element) in place of each; a tuple's parts are separate arguments, as in tf.data.

        num_parallel_calls: that many threads, for functions that read or decode files; None or AUTOTUNE is
        one, because for small NumPy functions threads cost more than they gain. The order is always kept, so
        `deterministic` changes nothing.
        """
        threads = _positive("num_parallel_calls", num_parallel_calls, or_autotune=True, default=1)

        def make(peek: bool) -> Iterator[Element]:
            elements = self._make(peek)
            if threads <= 1 or peek:
                return steps.mapped(elements, function)
            return steps.mapped_by_threads(elements, function, threads)

        return Dataset(make, self._cardinality)

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        """The elements for which ``predicate(element)`` is true; a tuple's parts are separate arguments."""
        unknown = 0 if self._cardinality == 0 else UNKNOWN
        return Dataset(lambda peek: steps.filtered(self._make(peek), predicate), unknown)

    def enumerate(self, start: int = 0) -> Dataset:
        """``(number, element)``, numbers int64 from `start` on."""

        def make(peek: bool) -> Iterator[Element]:
            return ((np.int64(i), element) for i, element in builtins.enumerate(self._make(peek), start))

        return Dataset(make, self._cardinality, self._pass_over)

    # ── Order and number ─────────────────────────────────────────────────────────────────────────────

    def shuffle(self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True) -> Dataset:
        """Random order through a buffer; only one as large as the data makes every order equally likely.

        seed: the same seed gives the same orders, pass by pass; without one they differ from run to run.
        reshuffle_each_iteration: whether a further pass has another order than the one before.

        >>> data = Dataset.range(5).shuffle(5, seed=0)
        >>> first, second = [int(i) for i in data], [int(i) for i in data]
        >>> sorted(first) == sorted(second), first == second
        (True, False)
        """
        size = _positive("buffer_size", buffer_size)
        if seed is not None and seed < 0:
            raise UsageError(f"seed: expected 0 or more, but got {seed}")
        entropy = np.random.SeedSequence(seed).entropy
        passes = 0

        def make(peek: bool) -> Iterator[Element]:
            nonlocal passes
            random = np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy, spawn_key=(passes,))))
            if reshuffle_each_iteration and not peek:
                passes += 1
            return steps.shuffled(iter(self._make(peek)), size, random)

        def pass_over(count: int) -> None:
            nonlocal passes
            passes += count if reshuffle_each_iteration else 0
            self.pass_over(count)

        return Dataset(make, self._cardinality, pass_over if self._pass_over else None)

    def repeat(self, count: int | None = None) -> Dataset:
        """All elements `count` times over; without end for None or -1."""
        times = None if count is None or count == -1 else count
        if times is not None and times < 0:
            raise UsageError(f"count: expected 0 or more, or -1 for no end, but got {count}")
        if self._cardinality == 0 or times == 0:
            total = 0
        elif self._cardinality < 0:
            total = self._cardinality
        else:
            total = INFINITE if times is None else self._cardinality * times
        inner = self._pass_over
        pass_over = None if inner is None or times is None else lambda passes: inner(passes * times)
        return Dataset(lambda peek: steps.repeated(lambda: self._make(peek), times), total, pass_over)

    def take(self, count: int) -> Dataset:
        """The first `count` elements; all of them for -1."""
        if count == -1:
            return self
        wanted = _positive("count", count, least=0)
        known = self._cardinality if self._cardinality >= 0 else wanted
        total = UNKNOWN if self._cardinality == UNKNOWN and wanted else min(known, wanted)
        is_whole = 0 <= self._cardinality < wanted  # else a pass never comes to the end of those within
        return Dataset(
            lambda peek: itertools.islice(self._make(peek), wanted), total, self._pass_over if is_whole else None
        )

    def skip(self, count: int) -> Dataset:
        """The elements after the first `count`; none for -1."""
        if count == -1:
            return self.take(0)
        dropped = _positive("count", count, least=0)
        total = max(0, self._cardinality - dropped) if self._cardinality >= 0 else self._cardinality
        return Dataset(lambda peek: itertools.islice(self._make(peek), dropped, None), total, self._pass_over)

    def concatenate(self, dataset: Dataset) -> Dataset:
        """These elements, then those of another data set."""
        counts = (self._cardinality, dataset._cardinality)
        total = INFINITE if INFINITE in counts else UNKNOWN if UNKNOWN in counts else sum(counts)
        first, second = self._pass_over, dataset._pass_over

        def pass_over(passes: int) -> None:
            self.pass_over(passes)
            dataset.pass_over(passes)

        return Dataset(
            lambda peek: itertools.chain(self._make(peek), dataset._make(peek)),
            total,
            pass_over if first is not None and second is not None else None,
        )

    # ── Batches ──────────────────────────────────────────────────────────────────────────────────────

    def batch(self, batch_size: int, drop_remainder: bool = False) -> Dataset:
        """Elements stacked along a new first axis, `batch_size` at a time; the last batch may be smaller.

        Raises `ShapeError` on iteration if elements of one batch differ in shape.
        """
        size = _positive("batch_size", batch_size)
        total = self._cardinality
        if total >= 0:
            total = total // size if drop_remainder else -(-total // size)
        return Dataset(lambda peek: steps.batched(iter(self._make(peek)), size, drop_remainder), total, self._pass_over)

    def unbatch(self) -> Dataset:
        """The rows of each element as elements of their own: undoes `batch`."""
        total = self._cardinality if self._cardinality in (0, INFINITE) else UNKNOWN
        return Dataset(lambda peek: steps.unbatched(self._make(peek)), total, self._pass_over)

    # ── Speed ────────────────────────────────────────────────────────────────────────────────────────

    def cache(self) -> Dataset:
        """Keeps the elements in memory during the first whole pass, and replays them from then on."""
        kept: list[Element] | None = None

        def make(peek: bool) -> Iterator[Element]:
            nonlocal kept
            if kept is not None or peek:
                yield from self._make(peek) if kept is None else kept
                return
            collected = []
            for element in self._make(peek):
                collected.append(element)
                yield element
            kept = collected  # a pass that was broken off has not come here, and keeps nothing

        def pass_over(passes: int) -> None:
            for _ in make(False) if passes and kept is None else ():
                pass

        return Dataset(make, self._cardinality, pass_over)

    def prefetch(self, buffer_size: int = AUTOTUNE) -> Dataset:
        """A thread makes up to `buffer_size` elements ahead; it ends when the consumer does."""
        size = _positive("buffer_size", buffer_size, or_autotune=True, default=_AUTOTUNED_PREFETCH, least=0)

        def make(peek: bool) -> Iterator[Element]:
            return self._make(peek) if peek or size == 0 else prefetched(lambda: self._make(False), size)

        return Dataset(make, self._cardinality, self._pass_over)

    # ── Looking at it ────────────────────────────────────────────────────────────────────────────────

    def __iter__(self) -> Iterator[Element]:
        return iter(self._make(False))

    def as_numpy_iterator(self) -> Iterator[Element]:
        """The same as iterating: elements are NumPy arrays already."""
        return iter(self)

    def cardinality(self) -> int:
        """How many elements there are; INFINITE (-1) or UNKNOWN (-2) if so."""
        return self._cardinality

    def __len__(self) -> int:
        """How many elements there are. Raises `TypeError`, as tf.data does, if that is not known or endless."""
        if self._cardinality < 0:
            how = "has no end" if self._cardinality == INFINITE else "has a length that only iterating can tell"
            raise TypeError(f"Dataset: this one {how}, so len() does not work; see cardinality()")
        return self._cardinality

    def __bool__(self) -> bool:
        return True  # or `if dataset:` would ask for the length

    @property
    def element_spec(self) -> Any:
        """Shape and type of the first element, found by making it; the last batch may be smaller.

        None for an empty data set. Later passes are not changed by it: a shuffle does not move on.

        >>> Dataset.from_tensor_slices({"x": np.zeros((8, 28, 28))}).batch(4).element_spec
        {'x': ElementSpec(shape=(4, 28, 28), dtype='float64')}
        """
        for element in self._make(True):
            return describe(element)
        return None

    def __repr__(self) -> str:
        words = {INFINITE: "without end", UNKNOWN: "of unknown length"}
        return f"<Dataset {words.get(self._cardinality, f'of {self._cardinality} elements')}>"


def _arrays(tensors: Any) -> Element:
    """Arrays in tuples and dictionaries, as tf.data takes them; a list is an array, not a structure."""
    if isinstance(tensors, tuple):
        return tuple(_arrays(part) for part in tensors)
    if isinstance(tensors, dict):
        return {name: _arrays(part) for name, part in tensors.items()}
    return array_of(tensors)


def _positive(name: str, value: int | None, *, or_autotune: bool = False, default: int = 0, least: int = 1) -> int:
    """A whole number of at least `least`, or the default for AUTOTUNE and None where those are allowed."""
    if or_autotune and (value is None or value == AUTOTUNE):
        return default
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise UsageError(f"{name}: expected a whole number of at least {least}, but got {value!r}")
    return int(value)
