"""What of the writer a run has exercised, counted; a strategy that no program met is a hole in the machine.

A strategy is a function of the modules that plan and write kernels: who adds one adds it here, too.
"""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, ModuleType
from typing import Any

from talweg.engines.native import contraction, division, loops, products, scanning, tiles, transfer, windows
from talweg.graph import TABLE

MODULES: tuple[ModuleType, ...] = (contraction, division, products, tiles, loops, windows, scanning, transfer)


def _functions(module: ModuleType) -> Iterator[tuple[CodeType, str]]:
    short = module.__name__.rpartition(".")[2]
    for name, thing in vars(module).items():
        if getattr(thing, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(thing):
            yield thing.__code__, f"{short}.{name}"
        elif inspect.isclass(thing):
            for own, method in vars(thing).items():
                function = getattr(method, "fget", None) or getattr(method, "func", None) or method
                if inspect.isfunction(function) and function.__code__.co_filename == module.__file__:
                    yield function.__code__, f"{short}.{name}.{own}"


LABELS = {code: label for module in MODULES for code, label in _functions(module)}
ALL = tuple(LABELS.values())


@contextmanager
def counted(counts: Counter[str]) -> Iterator[None]:
    """Adds to `counts` what is called meanwhile."""

    def seen(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and (label := LABELS.get(frame.f_code)):
            counts[label] += 1

    sys.setprofile(seen)
    try:
        yield
    finally:
        sys.setprofile(None)


OPERATIONS = tuple(TABLE)
