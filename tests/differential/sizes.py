"""Lengths of axes: wherever the native engine does something else from some length on, that length and its neighbours.

They are read from the engine, so that a new constant under an old name is met at once.
"""

from __future__ import annotations

import math
from random import Random
from typing import Any

from talweg.engines.native import contraction, layout, loops, products, schedule, tasks, tiles
from talweg.graph import BATCH

MOST = 300
LANES = (4, 8, 16)
"""Numbers of float32 in a vector: SSE2 and NEON, AVX2, AVX-512."""
THREADS = (1, 2, 3, 5, 8, 64)

TURNS = {
    *LANES,
    *(2 * lanes for lanes in LANES),
    *(4 * lanes for lanes in LANES),  # a panel of vectors
    *(layout.PADDING, layout.LINE, layout.WIDE, layout.SLACK),
    *(contraction.LINE, contraction.STRIP, contraction.STRIP * 2 // 3, contraction.FEW_ROWS, contraction.SHORT),
    *(tiles.MOST_ROWS, tiles.MOST_WHOLE, tiles.FEW, tiles.PART),
    *(loops.LANES, loops.SIDE_BY_SIDE, schedule.MANY, products.ROWS),
    *(units for counts in products.UNITS.values() for units in counts),
}
"""Where something changes."""
EDGES = sorted({max(1, n * turn + d) for turn in TURNS for n in (1, 2) for d in (-1, 0, 1)})
WORK = (tasks.TINY, tasks.SMALL, tasks.SHARED_OUT, tasks.OWNED // 4, tasks.OWNED_AT_FIRST // 4)
"""Multiplications, or numbers, from which on work is divided otherwise."""


def length(random: Random, most: int = MOST) -> int:
    """Of an axis: short, at an edge, or anything. Short ones are the most, for they are compiled soonest."""
    kind, most = random.random(), min(most, random.choice([20, 20, 20, 70, 70, 70, 150, MOST]))
    if kind < 0.4:
        return random.randint(1, min(most, 9))
    if kind < 0.85:
        return random.choice([e for e in EDGES if e <= most] or [1])
    return random.randint(1, most)


def many(random: Random) -> int:
    """Inputs of a unit: as `length`, and often so many that weights lie by columns."""
    at = schedule.MANY * random.choice([1, 1, 1, 2, 3])
    return at + random.choice([-1, 0, 0, 1, random.randint(2, 40)]) if random.random() < 0.3 else length(random)


def rows(random: Random) -> tuple[int, int]:
    """So many rows, and a batch's; most of the time the last batch is short."""
    batch = random.choice([1, 2, 3, tiles.PART - 1, tiles.PART, tiles.PART + 1, random.randint(1, 40)])
    if random.random() < 0.15:
        batch = random.randint(41, 130)
    steps = random.choice([1, 1, 2, 2, 3])
    return max(1, steps * batch - random.choice([0, random.randint(0, batch - 1)])), batch


def within(random: Random, lengths: list[int], most: int) -> list[int]:
    """The lengths, the longest made shorter until their product is at most `most`."""
    out = list(lengths)
    while math.prod(out) > most:
        at = out.index(max(out))
        out[at] = max(1, random.choice([out[at] // 2, length(random, out[at]), out[at] - 1]))
    return out


def budget(random: Random) -> int:
    """Multiplications that a program may take: few, most of the time; else beyond every bound of `WORK`."""
    return random.choice([2000, 20000, 20000, *WORK, 1 << 18, 1 << 20 if random.random() < 0.3 else 30000])


def shape_of(shape: list[Any]) -> tuple[Any, ...]:
    """A shape as JSON has it, where "n" is the batch's axis."""
    return tuple(BATCH if d == "n" else d for d in shape)
