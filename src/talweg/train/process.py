"""What Keras keeps for the whole process, and Talweg keeps nowhere or in each model: for programs that ask."""

from __future__ import annotations

from talweg.nn.losses import EPSILON


def epsilon() -> float:
    """How far losses keep probabilities from 0 and 1.

    >>> epsilon()
    1e-07
    """
    return EPSILON


def floatx() -> str:
    """The precision of a model that was compiled without one; ``compile(precision="float64")`` sets another.

    >>> floatx()
    'float32'
    """
    return "float32"


def clear_session(free_memory: bool = True) -> None:
    """Leaves all as it is: a model and its graph are freed when the program lets go of them."""
