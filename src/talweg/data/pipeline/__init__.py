"""Pipelines of data with the names and the meaning of `tf.data`."""

from talweg.data.pipeline.dataset import AUTOTUNE, INFINITE, UNKNOWN, Dataset
from talweg.data.pipeline.elements import ElementSpec
from talweg.data.pipeline.records import TFRecordDataset

__all__ = ["AUTOTUNE", "INFINITE", "UNKNOWN", "Dataset", "ElementSpec", "TFRecordDataset"]
