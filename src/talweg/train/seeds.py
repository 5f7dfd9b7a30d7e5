"""Where a model's seed comes from, when it is not given one.

Every random number of a model follows from its seed. Programs written for Keras set one for the whole process;
without that, each model gets one from the operating system, and remembers it.
"""

from __future__ import annotations

import secrets

from talweg.errors import UsageError
from talweg.graph.random import RandomStream

_process: list[RandomStream] = []  # empty until `set_random_seed`


def set_random_seed(seed: int) -> None:
    """Models made from here on get their seeds from `seed`, one after another.

    NumPy's and Python's own generators are left alone: Talweg draws nothing from them.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise UsageError(f"seed must be a whole number of at least 0; got {seed!r}")
    _process[:] = [RandomStream(seed, stream=3)]


def next_seed() -> int:
    """A seed of 32 bits: the next of the process's own, or one from the operating system."""
    return int(_process[0].uniform(()) * 2**32) if _process else secrets.randbits(32)
