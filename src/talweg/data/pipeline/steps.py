"""The steps of a pipeline as plain generators: each takes an iterator of elements and gives another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from talweg.data.pipeline.elements import Element, common_rows, convert, stack, walk

if TYPE_CHECKING:
    from concurrent.futures import Future

_END = object()


def mapped(elements: Iterable[Element], function: Callable[..., Any]) -> Iterator[Element]:
    """function(element); the parts of a tuple are its arguments, as in tf.data."""
    for element in elements:
        yield apply(function, element)


def mapped_by_threads(elements: Iterable[Element], function: Callable[..., Any], threads: int) -> Iterator[Element]:
    """As `mapped`, in the same order, with up to `threads` calls under way at once."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        under_way: deque[Future[Element]] = deque()
        try:
            for element in elements:
                under_way.append(pool.submit(apply, function, element))
                if len(under_way) > threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:  # the consumer has stopped early, or a call has failed
                future.cancel()


def apply(function: Callable[..., Any], element: Element) -> Element:
    return convert(function(*element) if isinstance(element, tuple) else function(element))


def filtered(elements: Iterable[Element], predicate: Callable[..., Any]) -> Iterator[Element]:
    for element in elements:
        if bool(apply(predicate, element)):
            yield element


def shuffled(elements: Iterator[Element], buffer_size: int, random: np.random.Generator) -> Iterator[Element]:
    """tf.data's shuffle: fill a buffer, give out a random element of it, put the next one in its place.

    An element can come at most `buffer_size - 1` places too early, so only a buffer as large as the data
    gives a uniformly random order.
    """
    buffer = list(islice(elements, buffer_size))
    draws: Iterator[float] = iter(())
    while buffer:
        draw = next(draws, None)
        if draw is None:  # numbers are drawn a thousand at a time: a call for each would cost more than the rest
            draws = iter(random.random(1024).tolist())
            draw = next(draws)
        place = int(draw * len(buffer))
        yield buffer[place]
        following = next(elements, _END)
        if following is _END:
            last = buffer.pop()
            if place < len(buffer):
                buffer[place] = last
        else:
            buffer[place] = following


def batched(elements: Iterator[Element], size: int, drop_remainder: bool) -> Iterator[Element]:
    while batch := list(islice(elements, size)):
        if len(batch) == size or not drop_remainder:
            yield stack(batch)


def unbatched(elements: Iterable[Element]) -> Iterator[Element]:
    for element in elements:
        yield from rows(element)


def rows(element: Element) -> Iterator[Element]:
    """The rows of the arrays of one element, each an element."""
    for row in range(common_rows(element)):
        yield walk(lambda array, row=row: array[row], element)


def repeated(make: Callable[[], Iterator[Element]], count: int | None) -> Iterator[Element]:
    """`count` passes, or passes without end; each is made anew, so that a shuffle before it shuffles anew."""
    done = 0
    while count is None or done < count:
        empty = True
        for element in make():
            empty = False
            yield element
        if empty:  # an endless repetition of nothing is nothing
            return
        done += 1
