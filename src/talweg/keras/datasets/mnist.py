"""`keras.datasets.mnist`: handwritten digits."""

from talweg.data.datasets.mnist import load_data

__all__ = ["load_data"]
