"""Where a model's seed comes from, when it is not given one.

Every random number of a model follows from its seed. Programs written for Keras set one for the whole process;
without that, each model gets one from the operating system, and remembers it.
"""

from __future__ import annotations

import random
import secrets

import numpy as np

from talweg.errors import UsageError
from talweg.graph.random import RandomStream

_process: list[RandomStream] = []  # empty until `set_random_seed`


def set_random_seed(seed: int) -> None:
    """Models made from here on get their seeds from `seed`, one after another.

    As in Keras, Python's and NumPy's generators are set too: Talweg draws nothing from them, but programs make their
    data with ``numpy.random``.
    Raises `UsageError` for what is not a whole number from 0 to 2³² - 1.
    """
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise UsageError(f"seed must be a whole number from 0 to 2**32 - 1; got {seed!r}")
    random.seed(int(seed))
    np.random.seed(int(seed))
    _process[:] = [RandomStream(int(seed), stream=3)]


def next_seed() -> int:
    """A seed of 32 bits: the next of the process's own, or one from the operating system."""
    return int(_process[0].uniform(()) * 2**32) if _process else secrets.randbits(32)
