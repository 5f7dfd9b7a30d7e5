"""Callbacks: told what happens in a fit."""

from talweg.train.callbacks.base import Callback, CallbackList
from talweg.train.callbacks.progress import ProgressLine

__all__ = ["Callback", "CallbackList", "ProgressLine"]
