"""The benchmarks' arithmetic. Nothing here takes a time."""

from __future__ import annotations

import json

import pytest
from benchmarks.workloads import TRAINED, first_weights, flops, shapes


def test_shapes_of_the_convolutional_networks():
    pictures = [after for layer, _, after in shapes(TRAINED["W4"]) if layer["kind"] in ("convolution", "pooling")]
    assert pictures == [(26, 26, 32), (13, 13, 32), (11, 11, 64), (5, 5, 64)]
    pictures = [after for layer, _, after in shapes(TRAINED["W3"]) if layer["kind"] == "convolution"]
    assert pictures == [(28, 28, 6), (14, 14, 12), (7, 7, 24)]


@pytest.mark.parametrize("name", TRAINED)
def test_a_workload_is_json_and_ends_in_what_its_loss_takes(name):
    workload = TRAINED[name]
    assert json.loads(json.dumps(workload.as_json()))["layers"] == list(workload.layers)
    *_, (_, _, output) = shapes(workload)
    assert output == ((10,) if workload.loss == "cross-entropy" else (1,))


def test_operations_of_a_step():
    # 784-20-10 with 32 rows: the first layer's output and kernel gradient, and for the second its input's gradient too
    assert flops(TRAINED["W1"]) == 32 * (2 * 2 * 784 * 20 + 3 * 2 * 20 * 10)
    convolutions = 2 * 2 * 26 * 26 * 32 * 9 + 3 * 2 * 11 * 11 * 64 * 9 * 32
    assert flops(TRAINED["W4"]) == 128 * (convolutions + 3 * 2 * 1600 * 10)


def test_first_weights_are_glorots_and_always_the_same():
    first, again = first_weights(TRAINED["W3"]), first_weights(TRAINED["W3"])
    assert {name: w.shape for name, w in first.items() if name.endswith("kernel")} == {
        "0.kernel": (3, 3, 1, 6),
        "3.kernel": (6, 6, 6, 12),
        "6.kernel": (6, 6, 12, 24),
        "10.kernel": (1176, 200),
        "14.kernel": (200, 10),
    }
    assert all((first[name] == again[name]).all() for name in first)
    bound = (6 / (1176 + 200)) ** 0.5
    assert 0.99 * bound < abs(first["10.kernel"]).max() <= bound
