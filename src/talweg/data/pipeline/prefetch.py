"""Prefetching: a thread makes the next elements while the consumer works on the last.

It gains time only where one of the two waits or leaves the interpreter's lock: reading files, decoding
pictures, NumPy on large arrays, or an engine that runs compiled code.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from talweg.data.pipeline.elements import Element


class _Belt:
    """A bounded queue between the two threads, that either side can close.

    `queue.Queue` does not do: a producer that waits in `put` cannot be told that nobody will ever take.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: deque[Any] = deque()
        self._changed = threading.Condition()
        self._closed_by_consumer = False
        self._closed_by_producer = False
        self._error: BaseException | None = None

    def put(self, element: Element) -> bool:
        """Waits for room; False if the consumer has gone."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < self._size or self._closed_by_consumer)
            if self._closed_by_consumer:
                return False
            self._waiting.append(element)
            self._changed.notify_all()
            return True

    def end(self, error: BaseException | None) -> None:
        """The producer's last word: no more elements, because of an error or of the end."""
        with self._changed:
            self._closed_by_producer, self._error = True, error
            self._changed.notify_all()

    def take_all(self) -> Iterator[Element]:
        """Elements until the producer ends, then its error if there is one."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed_by_producer)
                if not self._waiting:
                    break
                element = self._waiting.popleft()
                self._changed.notify_all()
            yield element
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """The consumer has gone: a waiting producer wakes and ends."""
        with self._changed:
            self._closed_by_consumer = True
            self._waiting.clear()
            self._changed.notify_all()


def prefetched(make: Callable[[], Iterator[Element]], buffer_size: int) -> Iterator[Element]:
    """The elements of `make()`, up to `buffer_size` of them made ahead by a thread.

    An exception in the thread is raised where its element would have come. When the consumer stops early (the
    generator is closed or forgotten), the thread ends after the element that it is working on.
    """
    belt = _Belt(buffer_size)

    def produce() -> None:
        error: BaseException | None = None
        elements = make()
        try:
            for element in elements:
                if not belt.put(element):
                    break
        except BaseException as caught:
            error = caught
        finally:
            close = getattr(elements, "close", None)  # generators end their own threads and files here
            if close is not None:
                close()
            belt.end(error)

    thread = threading.Thread(target=produce, name="talweg-prefetch", daemon=True)
    thread.start()
    try:
        yield from belt.take_all()
    finally:
        belt.stop()
        thread.join(timeout=5)  # not for ever: the user's own function may be waiting for something
