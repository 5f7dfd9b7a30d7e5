"""Data sets by the names that Keras programs use: ``from talweg.datasets import mnist``."""

from talweg.data.datasets import (
    DATASETS,
    breast_cancer,
    diabetes,
    digits,
    fashion_mnist,
    iris,
    load,
    mnist,
    wine,
)
from talweg.data.rule import from_rule
from talweg.data.toys import TOYS, and_, circles, gaussians, line, moons, or_, spiral, xor

__all__ = [
    "DATASETS",
    "TOYS",
    "and_",
    "breast_cancer",
    "circles",
    "diabetes",
    "digits",
    "fashion_mnist",
    "from_rule",
    "gaussians",
    "iris",
    "line",
    "load",
    "mnist",
    "moons",
    "or_",
    "spiral",
    "wine",
    "xor",
]
