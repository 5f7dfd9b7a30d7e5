"""`keras.datasets`: each a module with ``load_data()``. Those that Keras does not have are Talweg's own."""

from talweg.data.datasets import breast_cancer, diabetes, digits, iris, wine
from talweg.keras.datasets import fashion_mnist, mnist

__all__ = ["breast_cancer", "diabetes", "digits", "fashion_mnist", "iris", "mnist", "wine"]
