"""`keras.models`: models, and models from files."""

from talweg.train.model import Model
from talweg.train.saved import load as load_model
from talweg.train.saved import save as save_model
from talweg.train.sequential import Sequential

__all__ = ["Model", "Sequential", "load_model", "save_model"]
