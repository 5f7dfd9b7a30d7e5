"""Keras on TensorFlow or on JAX: `Sequential.fit`. The backend is the program's argument."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

from keras_names import KerasShaped
from serve import serve

backend = sys.argv[1]
os.environ["KERAS_BACKEND"] = backend
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


class Keras(KerasShaped):
    def __init__(self, setup: SimpleNamespace) -> None:
        if backend == "tensorflow":
            import tensorflow as tf

            if tf.config.threading.get_intra_op_parallelism_threads() != setup.threads:
                tf.config.threading.set_intra_op_parallelism_threads(setup.threads)
                tf.config.threading.set_inter_op_parallelism_threads(setup.threads)
        import keras

        super().__init__(keras, setup)
        module = sys.modules[backend]
        self.version = f"keras {keras.__version__} on {backend} {module.__version__}"


if __name__ == "__main__":
    serve(Keras)
