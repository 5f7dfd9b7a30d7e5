"""`keras.callbacks`: told of a fit as it goes. `PlotTraining`, `StopBelow` and `StopWhenFlat` are Talweg's own."""

from talweg.train.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    PlotTraining,
    ReduceLROnPlateau,
    StopBelow,
    StopWhenFlat,
    TensorBoard,
    TerminateOnNaN,
)
from talweg.train.history import History

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "PlotTraining",
    "ReduceLROnPlateau",
    "StopBelow",
    "StopWhenFlat",
    "TensorBoard",
    "TerminateOnNaN",
]
