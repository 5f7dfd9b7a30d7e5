"""A recipe: all that one program of the machine is, as JSON, and what is made of it. The same seed draws the same.

members     what is computed: one thing, or several joined in one program
rows, batch_size, capacity   of the data, of a step, and for how many a unit is written
precision, lanes             of the numbers, and of the vectors that they go in
written_for, threads         for how many threads the C is written, and how many run it
is_fast     whether it is compiled as for users, or without optimization: quickly
apart       whether tensors lie apart in memory, so that who leaves one is seen; else as for users
values      what numbers the data are drawn by
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from conformance.families import Family, Member, family
from differential import contractions, formulas, loops, networks, parts, sizes, units
from talweg.errors import TalwegError

Recipe = dict[str, Any]
Draw = Callable[[Random], dict[str, Any]]

DRAW: dict[str, Draw] = {
    "dot": contractions.draw_dot,
    "window": contractions.draw_window,
    "formula": formulas.draw_formula,
    "sum": formulas.draw_sum,
    "loop": loops.draw_loop,
    "part": parts.draw_part,
    "network": networks.draw_network,
}
KINDS: dict[str, dict[str, float]] = {
    "kernels": {"dot": 5, "window": 4, "formula": 4, "sum": 0.5, "loop": 1, "part": 1},
    "contractions": {"dot": 1, "window": 1},
    "formulas": {"formula": 1},
    "loops": {"loop": 1},
    "parts": {"part": 1},
    "networks": {"network": 1},
    "all": {"dot": 5, "window": 4, "formula": 4, "sum": 0.5, "loop": 1, "part": 2, "network": 1},
}
"""What is drawn under which name, and how often."""
WRITE: dict[str, Callable[..., Member]] = {
    **{"dot": contractions.write_dot, "conv": contractions.write_window, "pool": contractions.write_window},
    **{"formula": formulas.write_formula, "loop": loops.write_loop, "network": networks.write_network},
    **dict.fromkeys(("rule", "loss", "metric", "activation", "penalty", "constraint"), parts.write_part),
}


LONG, SELDOM = 8000, 1.0
"""Characters of C beyond which a program is long, and the share of the long ones that is kept (fewer: quicker, but rare
ways of the writer are then met too seldom): a fifth of the programs takes half of the time of compiling."""


def draw(random: Random, kind: str, lanes: int, precision: str, is_fast: bool) -> Recipe:
    """A recipe that can be written."""
    while True:
        made = _drawn(random, kind, lanes, precision, is_fast)
        may_be_long = random.random() < SELDOM
        try:
            of = program_of(made)
        except (TalwegError, ValueError, IndexError):
            continue  # it does not fit
        if of.program.order and (may_be_long or not _is_long(of, made)):
            return made


def _is_long(of: Family, made: Recipe) -> bool:
    try:
        return len(units.own_part(units.write(of, made, made["written_for"][0]).unit.source)) > LONG
    except Exception:  # whoever judges the recipe finds out, and says whose fault it is
        return False


def _drawn(random: Random, kind: str, lanes: int, precision: str, is_fast: bool) -> Recipe:
    shares = KINDS[kind]
    names = random.choices(list(shares), list(shares.values()), k=2 if random.random() < 0.1 else 1)
    rows, batch_size = sizes.rows(random)
    if "network" in names or "loop" in names:
        batch_size = min(batch_size, 40)
        rows = min(rows, 2 * batch_size)
    if "sum" in names:  # more than one part of the batch
        batch_size = max(batch_size, 2 * sizes.tiles.PART)
    written = random.choice(sizes.THREADS)
    others = random.sample([t for t in sizes.THREADS if t != 1], 1)
    return {
        **{"members": [DRAW[name](random) for name in names], "rows": rows, "batch_size": batch_size},
        "capacity": batch_size + random.choice([0, 0, 0, random.randint(1, 20)]),
        **{"precision": precision, "lanes": lanes, "is_fast": is_fast, "apart": random.random() < 0.5},
        **{"written_for": [written], "threads": sorted({1, *others, *([written] if written > 1 else [])})},
        "values": random.randint(0, 2**31),
    }


def program_of(recipe: Recipe) -> Family:
    """The program that a recipe says, and the data that it is run on."""
    random = np.random.default_rng(recipe["values"])
    members = {
        f"{i} {member['family']}": WRITE[member["family"]](member, recipe["rows"], random)
        for i, member in enumerate(recipe["members"])
    }
    return family(members, recipe["rows"], recipe["batch_size"])
