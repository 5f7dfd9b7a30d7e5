"""`keras.optimizers`: the update rules."""

from talweg.keras.optimizers import schedules
from talweg.optim import SGD, Adagrad, Adam, AdamW, RMSprop, get
from talweg.optim import UpdateRule as Optimizer

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "get", "schedules"]
