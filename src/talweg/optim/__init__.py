"""Update rules and learning-rate schedules, as formulas.

A rule is called with symbolic tensors by `talweg.train`, once; what it writes becomes part of the compiled step.
"""

from talweg.optim import schedules
from talweg.optim.adagrad import Adagrad
from talweg.optim.adam import Adam, AdamW
from talweg.optim.base import OPTIMIZERS, UpdateRule, get
from talweg.optim.rmsprop import RMSprop
from talweg.optim.sgd import SGD

__all__ = ["OPTIMIZERS", "SGD", "Adagrad", "Adam", "AdamW", "RMSprop", "UpdateRule", "get", "schedules"]
