"""Contractions as nests of loops: `dot`, convolution and its two gradients differ in addressing only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from talweg.engines.native.layout import Layout
from talweg.engines.native.products import Product
from talweg.engines.native.tiles import Axis, Clip, Nest, merged
from talweg.graph import BATCH, Shape, Tensor
from talweg.graph.ops.contraction import free_axes

CACHED = 1 << 18  # bytes of two operands that a sum over the batch should go through before it begins the next tile
LINE = 16  # numbers in a line of the cache
STRIP, FEW_ROWS = 48, 24  # numbers of a strip: 3 vectors of 16; and rows of which tiles had better have more
SHORT = 6  # places across an image, below which a tile takes several images


@dataclass(frozen=True)
class Copy:
    """An operand rearranged before the nests read it: C from `from` to `to`, and how many elements that needs."""

    size: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What computes a contraction: nests over the operands v (in vectors, perhaps of a copy) and s (by number).

    product: instead of nests, where both operands lie along what is summed (v has the units, s the rows of the batch).
    outer: the axis of the result that the nests' rows `divided` are, where there is one beside the innermost.
    """

    v: Tensor
    s: Tensor
    nests: tuple[Nest, ...]
    copy: Copy | None = None
    product: Product | None = None
    outer: int | None = None

    def work(self, capacity: int) -> int:
        parts = (self.product,) if self.product else self.nests
        return sum(part.work(capacity) for part in parts)


def plan(node: Tensor, capacity: int, columns: frozenset[Shape] = frozenset()) -> Plan | None:
    """How the micro-kernel computes `node`, or None where it cannot: no axis to run in vectors, groups, ...

    node: a contraction, or a slice of an input gradient, of which no more is wanted.
    columns: the shapes of matrices that are stored by columns.
    """
    if node.op.name == "dot":
        return _dot(node, capacity, columns)
    if node.op.name == "conv2d":
        return _convolution(node, capacity)
    if node.op.name == "conv2d_kernel_gradient":
        return _kernel_gradient(node, capacity)
    if node.op.name == "conv2d_input_gradient":
        return _input_gradient(node, capacity, node, (0, 0))
    return _input_gradient(node.inputs[0], capacity, node, [first for first, *_ in node.attributes["ranges"][1:3]])


def _layouts(capacity: int, *tensors: Tensor, columns: frozenset[Shape] = frozenset()) -> list[Layout]:
    return [Layout(t.shape, t.dtype, capacity, t.shape in columns) for t in tensors]


def _length(t: Tensor, axis: int) -> int | None:
    d = t.shape[axis]
    return None if d is BATCH else d


def _long(t: Tensor, axis: int) -> int:
    d = t.shape[axis]
    assert isinstance(d, int)
    return d


# ── dot ───────────────────────────────────────────────────────────────────────────────────────────────────


def _dot(node: Tensor, capacity: int, columns: frozenset[Shape]) -> Plan | None:
    a, b = node.inputs
    (out,) = _layouts(capacity, node, columns=columns)
    if out.inner is None or node.shape[out.inner] is BATCH or a is b:
        return None
    over = dict(zip((a, b), node.attributes["axes"], strict=True))
    owners = [(t, axis) for t in (a, b) for axis in free_axes(t.rank, over[t])]
    v, vector = owners[out.inner]
    s = b if v is a else a
    lv, ls = _layouts(capacity, v, s, columns=columns)
    if lv.by_columns and s.rank == 2 and node.rank == 2 and over[v] == (0,) and ls.inner == over[s][0]:
        product = Product(_long(v, 0), _long(v, 1), ls.strides[0], lv.strides[1], (out.strides[0], out.strides[1]))
        return Plan(v, s, (), product=product)
    strides, copy = lv.strides, None
    if lv.strides[vector] != 1 or lv.width != out.width:
        if BATCH in v.shape:
            return None
        strides, copy = _turned(v, lv, vector, out.width)
    rows = [
        Axis(_length(t, x), strides[x] if t is v else 0, 0 if t is v else ls.strides[x], out.strides[i])
        for i, (t, x) in enumerate(owners)
        if i != out.inner and t.shape[x] != 1
    ]
    if any(axis.v for axis in rows):
        return None
    pairs = zip(over[v], over[s], strict=True)
    sums = [Axis(_length(v, x), strides[x], ls.strides[y], 0) for x, y in pairs if v.shape[x] != 1]
    outer = [a for a, d in enumerate(node.shape) if d != 1 and a != out.inner]
    nest = Nest(out.width, tuple(rows), merged(sums))
    nests = tuple(_in_strips(nest)) if out.by_columns else (nest,)
    return Plan(v, s, nests, copy, outer=outer[0] if len(outer) == 1 else None)


def _in_strips(nest: Nest) -> Iterator[Nest]:
    """A nest of few and long rows, strip by strip: the vectors of a strip stay in the cache for all rows."""
    (rows,) = nest.rows
    strip = STRIP if (rows.length or 0) > FEW_ROWS else STRIP * 2 // 3
    whole = nest.width // strip
    if whole:
        strips = Axis(whole, strip, 0, strip)
        yield replace(nest, width=strip, rows=(strips, rows), divided=1)
    if left := nest.width % strip:
        at = whole * strip
        yield replace(nest, width=left, at_v=at, at_out=at, divided=0)


def _turned(v: Tensor, layout: Layout, vector: int, width: int) -> tuple[tuple[int, ...], Copy]:
    """v with its elements side by side along the axis `vector`: its strides then, and the copy that makes it so."""
    strides, step = [0] * v.rank, width
    for axis in reversed([x for x in range(v.rank) if x != vector]):
        strides[axis] = step
        step *= v.shape[axis]  # type: ignore[operator]
    strides[vector] = 1
    others = [a for a, d in enumerate(v.shape) if a != vector and d != 1]
    to = " + ".join(f"i{a}*{strides[a]}" for a in (*others, vector))
    source = " + ".join(f"i{a}*{layout.strides[a]}" for a in (*others, vector))
    lines = (  # whole lines of the cache are written, from as many that stay there while all of them is read
        f"for (long first = 0; first < {v.shape[vector]}; first += {LINE}) {{",
        f"const long last = first + {LINE} < {v.shape[vector]} ? first + {LINE} : {v.shape[vector]};",
        *(f"for (long i{a} = 0; i{a} < {v.shape[a]}; i{a}++)" for a in others),
        f"for (long i{vector} = first; i{vector} < last; i{vector}++)",
        f"to[{to}] = from[{source}]; }}",
    )
    return tuple(strides), Copy(step, lines)


# ── convolution: y[b,i,j,o] = Σ x[b, i·s + u·d, j·s + v·d, c] k[u,v,c,o] ──────────────────────────────────


def _convolution(node: Tensor, capacity: int) -> Plan | None:
    x, kernel = node.inputs
    if node.attributes["groups"] != 1:
        return None
    lx, lk, out = _layouts(capacity, x, kernel, node)
    if out.inner != 3 or lk.strides[3] != 1:
        return None
    (sh, sw), (dh, dw) = node.attributes["strides"], node.attributes["dilation"]
    steps = (1, sh, sw)
    rows = [Axis(_length(node, a), 0, lx.strides[a] * steps[a], out.strides[a]) for a in range(3)]
    dilations = (dh, dw, 1)
    over = [Axis(_length(kernel, a), lk.strides[a], lx.strides[a + 1] * dilations[a], 0) for a in range(3)]
    return Plan(kernel, x, (Nest(out.width, merged(rows), merged(over)),))


def _kernel_gradient(node: Tensor, capacity: int) -> Plan | None:
    x, g = node.inputs
    if node.attributes["groups"] != 1:
        return None
    lx, lg, out = _layouts(capacity, x, g, node)
    if out.inner != 3 or lg.strides[3] != 1:
        return None
    (sh, sw), (dh, dw) = node.attributes["strides"], node.attributes["dilation"]
    dilations, steps = (dh, dw, 1), (1, sh, sw)
    rows = [Axis(_length(node, a), 0, lx.strides[a + 1] * dilations[a], out.strides[a]) for a in range(3)]
    over = [Axis(_length(g, a), lg.strides[a], lx.strides[a] * steps[a], 0) for a in range(3)]
    image = 4 * (lx.size + lg.size) // capacity
    nest = Nest(out.width, merged(rows), tuple(a for a in over if a.length != 1), block=max(1, CACHED // image))
    return Plan(g, x, (nest,))


@dataclass(frozen=True)
class Phase:
    """Places h = s·q + p along an axis of x, which meet tap u only where the stride s divides h - u·d.

    With e the greatest common divisor of s and the dilation d, these are the taps u = u0 + (s/e)·t, and what t has sent
    there came from g[q + at - (d/e)·t]. `count` neighbours p, from `first` on, differ only in u0: each has one more.
    """

    first: int
    count: int
    rows: int
    u0: int
    taps: int
    at: int


def _phases(start: int, length: int, window: int, s: int, d: int) -> list[Phase]:
    """The phases of `length` places from `start` on."""
    out: list[Phase] = []
    every = s // math.gcd(s, d)
    for p in range(min(s, length)):
        h = start + p
        u0 = next((u for u in range(min(every, window)) if (h - u * d) % s == 0), window)
        new = Phase(p, 1, -(-(length - p) // s), u0, -(-(window - u0) // every), (h - u0 * d) // s)
        if out and new == replace(out[-1], first=p, count=1, u0=out[-1].u0 + out[-1].count):
            out[-1] = replace(out[-1], count=out[-1].count + 1)
        else:
            out.append(new)
    return out


def _input_gradient(node: Tensor, capacity: int, part: Tensor, start: Sequence[int]) -> Plan | None:
    """For each place in x the taps that have sent something there, and no others: one nest for each pair of phases.

    part: what is wanted of it, from `start` on: all, or a slice.
    """
    g, kernel = node.inputs
    if node.attributes["groups"] != 1:
        return None
    lg, lk, out = _layouts(capacity, g, kernel, part)
    if out.inner != 3:
        return None
    turned, copy = _turned(kernel, lk, 2, out.width)
    strides, dilation = node.attributes["strides"], node.attributes["dilation"]
    phases = [_phases(start[a], _long(part, a + 1), _long(kernel, a), strides[a], dilation[a]) for a in range(2)]
    nests = []
    for pair in itertools.product(*phases):
        first, places, at = [], [], [0, 0, 0]
        for a, phase in enumerate(pair):
            first.append(Axis(phase.count, turned[a], 0, out.strides[a + 1]))
            places.append(Axis(phase.rows, 0, lg.strides[a + 1], out.strides[a + 1] * strides[a]))
            at[0] += turned[a] * phase.u0
            at[1] += lg.strides[a + 1] * phase.at
            at[2] += out.strides[a + 1] * phase.first
        batch = Axis(None, 0, lg.strides[0], out.strides[0])
        across = next((axis.long(capacity) for axis in reversed(places) if axis.length != 1), 0)
        rows = [*first, *places, batch] if across < min(SHORT, capacity) else [*first, batch, *places]
        rows = [axis for axis in rows if axis.length != 1]
        over = [Axis(_length(kernel, 3), turned[3], lg.strides[3], 0)]
        for a, phase in reversed(list(enumerate(pair))):
            e = math.gcd(strides[a], dilation[a])
            row = next((i for i, axis in enumerate(rows) if axis is places[a]), None)
            clip = Clip(row, 1, -(dilation[a] // e), phase.at, _long(g, a + 1))
            over.insert(0, Axis(phase.taps, turned[a] * (strides[a] // e), clip.reach * lg.strides[a + 1], 0, clip))
        nests.append(Nest(out.width, tuple(rows), tuple(over), *at))
    return Plan(kernel, g, tuple(nests), copy)


def scratch_room(copy: Copy) -> int:
    return math.ceil((copy.size + 16) / 16) * 16
