"""Talweg: `Sequential.fit` on the native engine; in float64 on the reference engine, which is NumPy."""

from __future__ import annotations

from types import SimpleNamespace

import talweg
from keras_names import KerasShaped
from serve import NotAvailable, serve
from talweg.engines.native import Native
from talweg.engines.reference import Reference

NEEDED = {"convolution": "Conv2D", "pooling": "MaxPooling2D", "normalization": "BatchNormalization"}


class Talweg(KerasShaped):
    def __init__(self, setup: SimpleNamespace) -> None:
        needed = {NEEDED[layer["kind"]] for layer in setup.workload["layers"] if layer["kind"] in NEEDED}
        if missing := sorted(name for name in needed if not hasattr(talweg.layers, name)):
            raise NotAvailable(f"{', '.join(missing)}: not available yet")
        engine = Reference("float64") if setup.precision == "float64" else Native("float32", setup.threads)
        super().__init__(talweg, setup, engine=engine)
        self.version = f"talweg {talweg.__version__}"


if __name__ == "__main__":
    serve(Talweg)
