"""Loops: the steps of the conformance tests, at any size, along any axis, in both directions, with their gradients."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

from conformance.loops import kinds
from differential import sizes
from talweg import graph as g
from talweg.gradient import gradient
from talweg.graph import BATCH, Program


def draw_loop(random: Random) -> dict[str, Any]:
    rows = random.choice(["n", "n", "n", random.randint(1, 9)])
    inputs, units = sizes.within(random, [sizes.length(random, 100) for _ in range(2)], sizes.budget(random) // 8 + 1)
    return {
        **{"family": "loop", "kind": random.randrange(4), "rows": rows, "inputs": inputs, "units": units},
        **{"length": random.randint(1, 6), "axis": random.randint(int(rows == "n"), 2)},
        **{"reverse": random.random() < 0.4, "slopes": random.random() < 0.5, "states": random.random() < 0.5},
    }


def write_loop(member: dict[str, Any], rows: int, random: np.random.Generator) -> tuple[Program, dict[str, Any]]:
    (first,) = sizes.shape_of([member["rows"]])
    kind = kinds(first, member["inputs"], member["units"])[member["kind"]]
    axis, n = min(member["axis"], len(kind.element)), len(kind.states)
    shapes = [(*kind.element[:axis], member["length"], *kind.element[axis:]), *kind.states, *kind.constants]
    leaves = [
        (g.state_tensor if member["states"] and BATCH not in shape else g.input_tensor)(f"x{i}", shape)
        for i, shape in enumerate(shapes)
    ]
    last, stacks = g.scan(
        lambda now, *s: kind.step(now, *s, *leaves[1 + n :]), leaves[:1], leaves[1 : 1 + n], axis, member["reverse"]
    )
    outputs = {f"y{i}": t for i, t in enumerate([*last, *stacks])}
    if member["slopes"]:
        loss = sum((g.sum(t * 0.5) for t in outputs.values()), g.constant(0.0))
        outputs = {f"d{i}": d for i, d in enumerate(gradient(loss, leaves))}
    used = set(g.topological_order(outputs.values()))
    inputs = tuple(t for t in leaves if t.op.name == "input" and t in used)
    states = tuple(t for t in leaves if t.op.name == "state" and t in used)
    values = {t.name: random.uniform(-1, 1, [rows if d is BATCH else d for d in t.shape]) for t in (*inputs, *states)}
    return Program("loop", inputs, states, outputs, {}), values
