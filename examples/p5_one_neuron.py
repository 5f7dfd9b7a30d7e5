"""One neuron learns y = 2x - 1: the program of seed 001 with nothing but its imports changed, quotes included.

The seed prints 18.982813 for x = 10, and the weights 1.997509 and -0.992277. They depend on the random start: other
starts end a little nearer or farther, and none of them at 2 and -1, for 500 epochs are not forever.

    python examples/p5_one_neuron.py
"""

from __future__ import annotations

import numpy as np

import talweg as tf
from talweg import keras


def main() -> dict[str, float]:
    # fmt: off
    # define a neural network with one neuron
    my_layer = keras.layers.Dense(units=1, input_shape=[1])
    model = tf.keras.Sequential([my_layer])

    # use stochastic gradient descent for optimization and
    # the mean squared error loss function
    model.compile(optimizer='sgd', loss='mean_squared_error')

    # define some training data (xs as inputs and ys as outputs)
    xs = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0], dtype=float)
    ys = np.array([-3.0, -1.0, 1.0, 3.0, 5.0, 7.0], dtype=float)

    # fit the model to the data (aka train the model)
    model.fit(xs, ys, epochs=500)

    print(model.predict([10.0]))
    print(model.predict(xs))
    print(my_layer.get_weights())
    # fmt: on

    kernel, bias = my_layer.get_weights()
    return {"prediction": model.predict([10.0])[0, 0].item(), "w": kernel[0, 0].item(), "b": bias[0].item()}


if __name__ == "__main__":
    main()
