"""JAX without a library on top: a jitted step, and an epoch as one `scan` over it, or ("loop") as a loop in Python.

XLA's convolutions on a CPU are many times slower inside a scan than outside, so both are run.
"""

from __future__ import annotations

import sys
from functools import partial
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from serve import EPSILON_OF_ADAM, EPSILON_OF_NORMALIZATION, serve

ACTIVATIONS = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}  # softmax is in the loss


def forward(layers: list[dict[str, Any]], p: Any, x: Any, key: Any) -> Any:
    """The network in training. (Moving averages are left out, which only favours this peer.)"""
    for i, layer in enumerate(layers):
        match layer["kind"]:
            case "dense":
                x = x @ p[f"{i}.kernel"]
            case "convolution":
                strides, padding = (layer["stride"],) * 2, layer["padding"].upper()
                x = jax.lax.conv_general_dilated(
                    x, p[f"{i}.kernel"], strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
                )
            case "normalization":
                axes = tuple(range(x.ndim - 1))
                mean, variance = x.mean(axes), x.var(axes)
                x = (x - mean) * jax.lax.rsqrt(variance + EPSILON_OF_NORMALIZATION) * p[f"{i}.gamma"] + p[f"{i}.beta"]
            case "relu":
                x = jax.nn.relu(x)
            case "pooling":
                window = (1, layer["size"], layer["size"], 1)
                x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
            case "flatten":
                x = x.reshape(len(x), -1)
            case "dropout" if layer["rate"]:
                kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - layer["rate"], x.shape)
                x = jnp.where(kept, x / (1 - layer["rate"]), 0)
        if layer.get("bias"):
            x = x + p[f"{i}.bias"]
        x = ACTIVATIONS.get(layer.get("activation"), lambda z: z)(x)
    return x


class Jax:
    adam_form = "keras"
    version = f"jax {jax.__version__}"

    def __init__(self, setup: SimpleNamespace) -> None:
        spec = self.spec = setup.workload
        weights = {name: jnp.asarray(w) for name, w in setup.weights.items()}
        zeros = jax.tree.map(jnp.zeros_like, weights)
        self.state = (weights, zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros((), jnp.int32), jax.random.key(0))
        self.random, self.loops = np.random.default_rng(0), setup.argument == "loop"

        def loss_and_hits(p: Any, x: Any, y: Any, key: Any) -> Any:
            output = forward(spec["layers"], p, x, key)
            if spec["loss"] == "cross-entropy":
                each = jax.nn.logsumexp(output, 1) - jnp.take_along_axis(output, y[:, None], 1)[:, 0]
                return each.mean(), (output.argmax(1) == y).sum()
            return jnp.square(output - y).mean(), ((output > 0.5) == (y > 0.5)).sum()

        def step(carry: Any, rows: Any, x: Any, y: Any) -> Any:
            (p, m, v, t, key), total, hits = carry
            key, own = jax.random.split(key) if spec["layers"][-2].get("rate") else (key, key)
            (loss, hit), g = jax.value_and_grad(loss_and_hits, has_aux=True)(p, x[rows], y[rows], own)
            t = t + 1
            if spec["optimizer"] == "sgd":
                p = jax.tree.map(lambda w, g: w - spec["rate"] * g, p, g)
            else:
                m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
                v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
                rate = spec["rate"] * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
                p = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + EPSILON_OF_ADAM), p, m, v)
            return ((p, m, v, t, key), total + loss, hits + hit), None

        self.step = jax.jit(step, donate_argnums=0)

        @partial(jax.jit, donate_argnums=0)
        def scanned(carry: Any, order: Any, x: Any, y: Any) -> Any:
            return jax.lax.scan(lambda c, rows: step(c, rows, x, y), carry, order)[0]

        self.scanned = scanned

    def load(self, x: Any, y: Any) -> None:
        self.x, self.y = jnp.asarray(x), jnp.asarray(y)

    def fit(self, epochs: int, shuffle: bool) -> float:
        n, batch = len(self.x), self.spec["batch"]
        for _ in range(epochs):
            order = (self.random.permutation(n) if shuffle else np.arange(n)).reshape(-1, batch).astype(np.int32)
            carry = (self.state, jnp.zeros(()), jnp.zeros((), jnp.int32))
            if self.loops:
                for rows in order:
                    carry, _ = self.step(carry, rows, self.x, self.y)
            else:
                carry = self.scanned(carry, order, self.x, self.y)
            self.state, total, hits = carry
            mean, self.accuracy = float(total) / len(order), int(hits) / n
        return mean

    def weights(self) -> dict[str, Any]:
        return {name: np.asarray(w) for name, w in self.state[0].items()}


if __name__ == "__main__":
    serve(Jax, *sys.argv[1:2])
