"""Random small networks, whose training is held against the reference element by element, on each engine.

They are drawn by the differential machine (tests/differential), afresh each time. A failure prints the seed, makes the
network smaller and keeps it as a case in tests/conformance/found, which `test_found` runs from then on.
TALWEG_NETWORKS=300 tries as many as that; TALWEG_SEED=7 draws the same again.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
from typing import Any

import numpy as np
import pytest

from conformance.engines import COMPILED
from conformance.families import disagreements, expected, family, run
from differential import keeping, machine
from talweg.engines import Reference
from talweg.engines.native import build
from talweg.graph.random import RandomStream, key_of
from talweg.nn.layers import LAYERS, Input
from talweg.nn.losses import Loss
from talweg.optim import OPTIMIZERS
from talweg.train.network import Network
from talweg.train.programs import Form, Goal, first_values, training_program

COUNT = int(os.environ.get("TALWEG_NETWORKS", "6"))
SEED = int(os.environ.get("TALWEG_SEED") or secrets.randbelow(2**31))


@pytest.mark.parametrize("engine", ["native", "jax"])
def test_a_step_agrees_with_the_reference(engine: str) -> None:
    if engine == "native" and build.compiler() is None:
        pytest.skip("no C compiler on the path: install gcc or clang")
    if engine == "jax" and importlib.util.find_spec("jax") is None:
        pytest.skip("jax not installed: pip install 'talweg[jax]'")
    minimising = 60.0 if engine == "native" else 0.0  # which forks this process, that may have used JAX
    asked = machine.Run(SEED, "networks", engine, programs=COUNT, most_found=2, minimising=minimising)
    again = f"TALWEG_SEED={SEED} TALWEG_NETWORKS={COUNT} pytest {os.path.relpath(__file__)} -k {engine}"
    found = machine.go(asked).found
    kept = [str(keeping.keep(outcome, again)) for outcome in found]
    wrong = [line for outcome in found for line in outcome.wrong or []]
    assert not found, "\n".join([f"to repeat: {again}", *wrong, *kept, keeping.program(found[0].recipe, engine)])


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
