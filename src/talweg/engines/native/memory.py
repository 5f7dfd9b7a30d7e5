"""The memory plan: one block for everything, laid out before the first step; tensors that never live at once share."""

from __future__ import annotations

from dataclasses import dataclass, field

from talweg.engines.native.layout import SLACK, Layout
from talweg.engines.native.schedule import FROM_MEMORY, Schedule
from talweg.graph import Tensor

ALIGNMENT = 64  # bytes


@dataclass
class Memory:
    """layouts and offsets (bytes) of every tensor that lies in memory; `scratch`: of what contractions turn around."""

    precision: str
    layouts: dict[Tensor, Layout] = field(default_factory=dict)
    offsets: dict[Tensor, int] = field(default_factory=dict)
    scratch: dict[Tensor, int] = field(default_factory=dict)
    size: int = 0
    alignment: int = ALIGNMENT

    def width_of(self, t: Tensor) -> int:
        """Bytes of one element."""
        wide = t.dtype == "float" and self.precision == "float64"
        return 8 if wide else 1 if t.dtype == "uint8" else 4


def plan_memory(s: Schedule, capacity: int, precision: str, scratch: dict[Tensor, int]) -> Memory:
    """A place for every leaf and every kept tensor that somebody outside its own kernel reads."""
    m = Memory(precision)
    program = s.program
    last: dict[Tensor, int] = {}
    first: dict[Tensor, int] = {}
    for i, k in enumerate(s.kernels):
        for n in k.nodes:
            first[n] = i
        for r in k.reads:
            last[r] = max(last.get(r, -1), i)
    end = len(s.kernels)
    for t in program.results:
        last[t] = end

    def layout(t: Tensor) -> Layout:
        return Layout(t.shape, t.dtype, capacity)

    def place(t: Tensor) -> int:
        # Some rows more: a tile may load past the last row, and never stores what it made of that.
        m.layouts[t] = layout(t)
        size = (m.layouts[t].size + SLACK) * m.width_of(t)
        return -(-size // ALIGNMENT) * ALIGNMENT

    leaves = [*program.inputs, *program.states]
    factors = {x for t in program.order if t.op.name in FROM_MEMORY for x in t.inputs}
    leaves += [
        t for t in program.order if t.op.name == "constant" and (t.attributes["value"].size != 1 or t in factors)
    ]
    for t in dict.fromkeys(leaves):
        size = place(t)
        m.offsets[t] = m.size
        m.size += size
    for value, state in s.in_place.items():
        m.layouts[value], m.offsets[value] = layout(value), m.offsets[state]

    # First fit: each tensor takes the lowest gap between those that live when it does.
    living: list[tuple[int, int, int]] = []  # (offset, size, last kernel that reads it)
    base = m.size
    for i, k in enumerate(s.kernels):
        living = [x for x in living if x[2] >= i]
        wanted = [(n, place(n), last[n]) for n in k.nodes if n in last and n not in m.offsets]
        for n, size, until in wanted:
            m.offsets[n] = _gap(living, size, base)
            living.append((m.offsets[n], size, until))
        if k.nodes[0] in scratch:
            size = scratch[k.nodes[0]] * (4 if precision == "float32" else 8)
            m.scratch[k.nodes[0]] = _gap(living, size, base)
            living.append((m.scratch[k.nodes[0]], size, i))
        m.size = max([m.size, *(o + size for o, size, _ in living)])
    for k in s.kernels:
        for n in k.nodes:
            m.layouts.setdefault(n, layout(n))
    m.size += 64 * ALIGNMENT
    return m


def _gap(living: list[tuple[int, int, int]], size: int, base: int) -> int:
    at = base
    for offset, length, _ in sorted(living):
        if offset - at >= size:
            return at
        at = max(at, offset + length)
    return at
