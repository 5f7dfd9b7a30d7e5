"""`keras.datasets.fashion_mnist`: pieces of clothing."""

from talweg.data.datasets.fashion_mnist import load_data

__all__ = ["load_data"]
