"""Callbacks: told what happens in a fit."""

from talweg.train.callbacks.backup import BackupAndRestore
from talweg.train.callbacks.base import Callback, CallbackList
from talweg.train.callbacks.checkpoint import ModelCheckpoint
from talweg.train.callbacks.csv_logger import CSVLogger
from talweg.train.callbacks.functions import LambdaCallback
from talweg.train.callbacks.plotting import PlotTraining
from talweg.train.callbacks.progress import ProgressLine
from talweg.train.callbacks.rates import LearningRateScheduler, ReduceLROnPlateau
from talweg.train.callbacks.stopping import EarlyStopping, StopBelow, StopWhenFlat, TerminateOnNaN
from talweg.train.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "Callback",
    "CallbackList",
    "CSVLogger",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "PlotTraining",
    "ProgressLine",
    "ReduceLROnPlateau",
    "StopBelow",
    "StopWhenFlat",
    "TensorBoard",
    "TerminateOnNaN",
]
