"""Update rules and learning-rate schedules, as formulas.

A rule is called with symbolic tensors by `talweg.train`, once; what it writes becomes part of the compiled step.
"""

from talweg.optim import schedules
from talweg.optim.adadelta import Adadelta
from talweg.optim.adafactor import Adafactor
from talweg.optim.adagrad import Adagrad
from talweg.optim.adam import Adam, AdamW, SparseAdam
from talweg.optim.adamax import Adamax
from talweg.optim.asgd import ASGD
from talweg.optim.base import OPTIMIZERS, UpdateRule, get
from talweg.optim.ftrl import Ftrl
from talweg.optim.lamb import Lamb
from talweg.optim.lbfgs import LBFGS
from talweg.optim.lion import Lion
from talweg.optim.muon import Muon
from talweg.optim.nadam import Nadam
from talweg.optim.radam import RAdam
from talweg.optim.rmsprop import RMSprop
from talweg.optim.rprop import Rprop
from talweg.optim.sgd import SGD

__all__ = [
    "OPTIMIZERS",
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Muon",
    "Nadam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
    "UpdateRule",
    "get",
    "schedules",
]
