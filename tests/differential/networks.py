"""Networks of 1 to 5 layers, drawn from the registry: a step of training, of evaluation or of prediction.

Each layer stands as its configuration. Merging layers join what the one before answers with what an earlier one did.
"""

from __future__ import annotations

import json
import warnings
from random import Random
from typing import Any

import numpy as np

from conformance import layers as table
from conformance import test_functional
from differential import parts, sizes
from talweg.errors import TalwegError
from talweg.graph import Program
from talweg.graph.random import RandomStream, key_of
from talweg.nn.constraints import CONSTRAINTS
from talweg.nn.layers import LAYERS, Input, Layer
from talweg.nn.layers.symbolic import flat
from talweg.nn.losses import Loss
from talweg.nn.metrics import METRICS
from talweg.nn.regularizers import REGULARIZERS
from talweg.optim import OPTIMIZERS
from talweg.train.network import Network
from talweg.train.programs import (
    Form,
    Goal,
    Measured,
    evaluation_program,
    first_values,
    prediction_program,
    training_program,
)

Drawn = dict[str, Any]

CASES = {name: [case[1] for case in table.CASES if case[0] == name] for name in LAYERS}
KINDS = [name for name, cases in CASES.items() if cases and name != "InputLayer"]
MERGING = {name: options for name, options, _ in reversed(test_functional.MERGING)}
SIZES = ("units", "filters", "output_dim")
"""Options that are drawn anew, so that vectors are full, short and just over."""
FIRM = ("MeanSquaredError", "MeanAbsoluteError", "Huber")
"""Losses that fit any network."""


def draw_network(random: Random) -> Drawn:
    """1 to 5 layers that fit one after another."""
    rank = random.choice([1, 1, 2, 3, 3])
    most = 300 if rank == 1 else 14
    shape = sizes.within(random, [sizes.length(random, most) for _ in range(rank)], 600)
    entries: list[Drawn] = []
    ends = [Input(tuple(shape))]
    wanted = random.randint(1, 5)
    for _ in range(6 * wanted):
        try:
            entry = _entry(random, ends, len(entries))
            ends.append(_added(entry, ends))
            if np.prod(ends[-1].example_shape) > 4000:
                raise TalwegError("too large")
            _checked(ends)
        except (TalwegError, ValueError, IndexError):
            ends = ends[: len(entries) + 1]
            continue
        entries.append(entry)
        if len(entries) == wanted:
            break
    name, options = random.choice([rule for rule in parts.RULES if not OPTIMIZERS.get(rule[0]).searches])
    return {
        **{"family": "network", "shape": shape, "layers": entries, "seed": random.randrange(10**4)},
        **{"loss": random.choice(FIRM), "rule": name, "options": json.loads(json.dumps(options))},
        **{"program": random.choice(["train"] * 6 + ["evaluate", "predict"]), "pixels": random.random() < 0.3},
        **{"weighted": random.random() < 0.3, "metric": random.random() < 0.3},
    }


def _entry(random: Random, ends: list[Any], number: int) -> Drawn:
    if len(ends) > 1 and random.random() < 0.2:
        name = random.choice(sorted(MERGING))
        config = LAYERS.get(name)(**MERGING[name], name=f"l{number}").to_config()
        alike = [i for i, end in enumerate(ends[:-1]) if end.example_shape == ends[-1].example_shape]
        return {"layer": json.loads(json.dumps(config)), "with": random.choice(alike or list(range(len(ends) - 1)))}
    name = random.choice(["Dense", "Conv2D", *KINDS, *KINDS, *KINDS])
    options = dict(random.choice(CASES[name]))
    for key in SIZES:
        if isinstance(options.get(key), int):
            options[key] = sizes.length(random, 300 if key == "units" and name == "Dense" else 70)
    if name == "Dense" and random.random() < 0.2:
        options["kernel_constraint"] = CONSTRAINTS.get(random.choice(list(CONSTRAINTS)))()
    if name in ("Dense", "Conv2D", "Conv1D") and random.random() < 0.2:
        options["kernel_regularizer"] = REGULARIZERS.get(random.choice(["L1", "L2", "L1L2"]))()
    layer = LAYERS.get(name)(**options, name=f"l{number}")
    return {"layer": json.loads(json.dumps(layer.to_config())), "with": None}


def _added(entry: Drawn, ends: list[Any]) -> Any:
    layer = Layer.from_config(entry["layer"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as of a layer that passes no mask on
        return layer(ends[-1] if entry["with"] is None else [ends[-1], ends[entry["with"]]])


def _checked(ends: list[Any]) -> None:
    """The last layer can be written, and trained."""
    network = Network(ends[0], ends[-1])
    _build(network, 1)
    form = Form({"x": (ends[0].example_shape, "float"), "y": (ends[-1].example_shape, "float")})
    goal = Goal("y", "sample_weight", Loss.registry.get(FIRM[0])())
    training_program(network, form, [goal], OPTIMIZERS.get("SGD")())


def _build(network: Network, seed: int) -> None:
    for call in network.calls:
        shapes = [x.example_shape for x in flat(call.inputs)]
        if not call.block.takes_several:
            call.block.build(shapes[0], RandomStream(seed, 1))


def built(member: Drawn) -> Network:
    ends = [Input(tuple(member["shape"]))]
    for entry in member["layers"]:
        ends.append(_added(entry, ends))
    network = Network(ends[0], ends[-1])
    _build(network, member["seed"])
    return network


def write_network(member: Drawn, rows: int, random: np.random.Generator) -> tuple[Program, dict[str, Any]]:
    network = built(member)
    shape, answer = (flat(end)[0].example_shape for end in (network.inputs, network.outputs))
    rule = OPTIMIZERS.get(member["rule"])(**parts._as_python(member["options"]))
    x, y = (random.normal(size=(rows, *s)) for s in (shape, answer))
    if member["pixels"]:
        x = random.integers(0, 256, x.shape).astype(np.uint8)
    arrays: Any = {"x": (shape, "uint8" if member["pixels"] else "float"), "y": (answer, "float")}
    if member["weighted"]:
        arrays["sample_weight"] = ((), "float")
    metrics = [Measured("error", METRICS.get("MeanAbsoluteError")(), member["weighted"])] if member["metric"] else []
    goals = [Goal("y", "sample_weight", Loss.registry.get(member["loss"])(), metrics=metrics)]
    if member["program"] == "predict":
        program = prediction_program(network, Form({"x": arrays["x"]}))
    elif member["program"] == "evaluate":
        program = evaluation_program(network, Form(arrays), goals)
    else:
        program = training_program(network, Form(arrays), goals, rule)
    values = first_values(program, network.variables, rule if member["program"] == "train" else None)
    given = {"x": x, "y": y, "sample_weight": random.uniform(0, 2, rows), "seed": key_of(5)}
    given["learning_rate"] = np.array(0.125)
    return program, values | {t.name: given[t.name] for t in program.inputs}
