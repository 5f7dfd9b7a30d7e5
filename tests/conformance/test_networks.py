"""Random small networks, whose training is held against the reference element by element: two steps or so, at most.

Layers are drawn from the table of `test_layers`, update rules from their own. A run of the suite tries a few networks;
TALWEG_NETWORKS=300 tries as many as that on each engine.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from conformance import test_layers
from conformance.engines import COMPILED
from conformance.families import disagreements, expected, family, run
from talweg.engines import Reference
from talweg.errors import ShapeError, UsageError
from talweg.graph.random import RandomStream, key_of
from talweg.nn.layers import LAYERS, Input, Layer
from talweg.nn.layers.symbolic import flat
from talweg.nn.losses import Loss
from talweg.optim import OPTIMIZERS
from talweg.train.network import Network
from talweg.train.programs import Form, Goal, first_values, training_program

Shape = tuple[int, ...]
CASES = {name: [case for case in test_layers.CASES if case[0] == name] for name in LAYERS}
KINDS = [name for name, cases in CASES.items() if cases and name != "InputLayer"]  # merging layers: elsewhere
SIZES = ("units", "filters")  # options that are drawn anew, so that vectors are full, short and just over
WIDE = st.sampled_from([64, 70, 120, 203])  # so wide that weights lie by columns


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """2 to 5 layers that fit one after another, built."""
    rank = draw(st.sampled_from([1, 2, 3, 3]))
    lengths = st.integers(1, 40) | WIDE if rank == 1 else st.integers(1, 9)
    shape: Shape = tuple(draw(lengths) for _ in range(rank))
    layers, wanted = list[Layer](), draw(st.integers(2, 5))
    start = end = Input(shape)
    for _ in range(4 * wanted):
        name, options, *_ = draw(st.sampled_from(CASES[draw(st.sampled_from(KINDS))]))
        sizes = {k: draw(st.integers(1, 40) | WIDE) for k in SIZES if isinstance(options.get(k), int)}
        try:
            layer = LAYERS.get(name)(**{**options, **sizes}, name=f"{len(layers)}-{name}")
            answer = layer(end)
            layer.build(end.example_shape, RandomStream(draw(st.integers(0, 99)), 1))
            test_layers.written(layer, end.example_shape, training=True)
        except (ShapeError, UsageError):
            continue  # it does not fit here
        layers.append(layer)
        end = answer
        if len(layers) == wanted:
            break
    return Network(start, end)


@pytest.mark.parametrize("engine", COMPILED)
@settings(max_examples=int(os.environ.get("TALWEG_NETWORKS", "3")), suppress_health_check=list(HealthCheck))
@given(network=networks(), data=st.data())
def test_a_training_step_agrees_with_the_reference(engine: str, network: Network, data: st.DataObject) -> None:
    shape, output_shape = (flat(end)[0].example_shape for end in (network.inputs, network.outputs))
    loss = data.draw(st.sampled_from(["MeanSquaredError", "MeanAbsoluteError"]), "loss")
    rule = OPTIMIZERS.get(data.draw(st.sampled_from(RULES), "rule"))()
    rows, batch_size = data.draw(
        st.sampled_from([(1, 1), (2, 1), (5, 5), (7, 4), (9, 8), (33, 33)]), "rows, batch size"
    )
    random = np.random.default_rng(data.draw(st.integers(0, 2**16), "seed"))
    x, y = (random.normal(size=(rows, *s)) for s in (shape, output_shape))
    if data.draw(st.booleans(), "pixels"):
        x = random.integers(0, 255, x.shape).astype(np.uint8)
    form = Form({"x": (shape, "uint8" if x.dtype == np.uint8 else "float"), "y": (output_shape, "float")})
    program = training_program(network, form, [Goal("y", "sample_weight", Loss.registry.get(loss)())], rule)
    values: dict[str, Any] = first_values(program, network.variables, rule)
    values |= {"x": x, "y": y, "seed": key_of(5), "learning_rate": np.array(0.125)}
    step = family({"": (program, values)}, rows, batch_size)
    note(f"{network.blocks}")
    wrong = disagreements(COMPILED[engine](), step, expected(step))
    assert not wrong, "\n" + "\n".join(wrong)


RULES = [name for name in OPTIMIZERS if not OPTIMIZERS.get(name).searches]


@pytest.mark.parametrize("engine", ["reference", *COMPILED])
def test_numbers_that_no_embedding_has_a_row_for_make_the_loss_nan_on_every_engine(engine: str) -> None:
    """Borders of zeros may be left out: which gradients are NaN with the loss is not defined, so it is not compared."""
    end = start = Input((1, 5))
    for layer in (LAYERS.get("Embedding")(7, 4), LAYERS.get("Conv2D")(3, 3, padding="same")):
        answer = layer(end)
        layer.build(end.example_shape, RandomStream(1, 1))
        end = answer
    network, rule = Network(start, end), OPTIMIZERS.get("SGD")()
    form = Form({"x": ((1, 5), "float"), "y": ((1, 5, 3), "float")})
    program = training_program(
        network, form, [Goal("y", "sample_weight", Loss.registry.get("MeanSquaredError")())], rule
    )
    x = np.zeros((2, 1, 5))
    x[0, 0, 0] = 9  # upper and lower taps of the kernel meet the border only
    values: dict[str, Any] = first_values(program, network.variables, rule)
    values |= {"x": x, "y": np.zeros((2, 1, 5, 3)), "seed": key_of(5), "learning_rate": np.array(0.125)}
    step = family({"": (program, values)}, 2)
    what = expected(step)
    assert any("kernel" in name for name in what.undefined)
    made = Reference() if engine == "reference" else COMPILED[engine]()
    assert not disagreements(made, step, what)
    assert all(np.isnan(value).all() for name, value in run(made, step).items() if name.endswith("loss"))
