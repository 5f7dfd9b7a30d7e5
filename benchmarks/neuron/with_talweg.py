"""One neuron learns y = 2x - 1 from six points: the first program of many courses, written for Talweg."""

import numpy as np

import talweg

x, y = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0]), np.array([-3.0, -1.0, 1.0, 3.0, 5.0, 7.0])
first = talweg.initializers.Constant(0.5)
model = talweg.Sequential([talweg.layers.Dense(1, kernel_initializer=first, input_shape=(1,))])
model.compile("sgd", "mean_squared_error", metrics=["mae"], engine="native")
model.fit(x, y, epochs=500, shuffle=False, verbose=0)
print(model.predict(np.array([10.0]))[0, 0])
