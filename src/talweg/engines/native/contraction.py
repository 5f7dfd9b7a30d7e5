"""Contractions as nests of loops: `dot`, convolution and its two gradients differ in addressing only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from talweg.engines.native.layout import Layout, padded
from talweg.engines.native.products import Product
from talweg.engines.native.tiles import Axis, Clip, Nest, merged
from talweg.errors import GraphError
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

    product: instead of nests, where both operands lie along what is summed (v has the units, s the rows).
    outer: the axis of the result that the nests' rows `divided` are, or the product's, where there is one beside the
    innermost.
    """

    v: Tensor
    s: Tensor
    nests: tuple[Nest, ...]
    copy: Copy | None = None
    product: Product | None = None
    outer: int | None = None

    def __post_init__(self) -> None:
        if bool(self.nests) == bool(self.product):
            raise GraphError(f"a contraction is either nests or a product, but {self} has both, or none")

    @property
    def can_be_shared(self) -> bool:
        """Whether threads can share rows of the result that are those of no batch."""
        return self.outer is not None or any(nest.shared(1) >= 0 for nest in self.nests[:1])

    @property
    def runs_along(self) -> bool:
        """Whether it goes along the innermost axis of the result, panel by panel, from the first to the last."""
        return len(self.nests) == 1 and self.nests[0].divided is None

    def strategies(self, node: Tensor) -> list[str]:
        """What is noted of the plan for `node`, whatever its nests."""
        gradient = node.inputs[0] if node.op.name == "slice" else node
        taken = {
            "strips": any(nest.divided == 1 for nest in self.nests),
            "strip left over": any(nest.divided == 0 for nest in self.nests),
            "phases": len(self.nests) > 1 and gradient.op.name == "conv2d_input_gradient",
            "slice of an input gradient": gradient is not node,
            "border left out": operands(gradient) != gradient.inputs,
        }
        return [name for name, is_so in taken.items() if is_so]

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
        row, own = 1 - over[s][0], 1 - out.inner
        apart = ls.strides[row], lv.strides[1], out.strides[own]
        product = Product(_long(v, 0), _long(v, 1), _length(s, row), *apart)
        return Plan(v, s, (), product=product, outer=None if s.shape[row] == 1 else own)
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
    to = " + ".join(f"i{a}*{step}" for a, step in enumerate(strides) if v.shape[a] != 1)
    return tuple(strides), Copy(step, _copied(v, layout, vector, to))


def _copied(v: Tensor, layout: Layout, vector: int, to: str) -> tuple[str, ...]:
    """Loops that copy v, where its elements go `to`: side by side along the axis `vector`."""
    others = [a for a, d in enumerate(v.shape) if a != vector and d != 1]
    source = " + ".join(f"i{a}*{layout.strides[a]}" for a in (*others, vector))
    return (  # whole lines of the cache are written, from as many that stay there while all of them is read
        f"for (long first = 0; first < {v.shape[vector]}; first += {LINE}) {{",
        f"const long last = first + {LINE} < {v.shape[vector]} ? first + {LINE} : {v.shape[vector]};",
        *(f"for (long i{a} = 0; i{a} < {v.shape[a]}; i{a}++)" for a in others),
        f"for (long i{vector} = first; i{vector} < last; i{vector}++)",
        f"to[{to}] = from[{source}]; }}",
    )


# ── convolution: y[b,i,j,o] = Σ x[b, i·s + u·d, j·s + v·d, c] k[u,v,c,o] ──────────────────────────────────


def operands(node: Tensor) -> tuple[Tensor, ...]:
    """What computing a contraction reads: of a convolution's picture with a border of zeros only what is inside."""
    x = node.inputs[0]
    if node.op.name not in ("conv2d", "conv2d_kernel_gradient") or node.attributes["groups"] != 1 or node.shape[3] == 1:
        return node.inputs
    if x.op.name != "pad" or x.attributes["value"] != 0:
        return node.inputs
    batch, *edges, channels = x.attributes["padding"]
    is_border = batch == channels == (0, 0, 0) and not any(between for *_, between in edges)
    return (x.inputs[0], *node.inputs[1:]) if is_border else node.inputs


def _within(
    node: Tensor, lx: Layout, rows: list[Axis], over: list[Axis], pairs: Iterable[tuple[Axis, int, Axis, int]]
) -> tuple[tuple[Axis, ...], tuple[Axis, ...], int]:
    """Rows and contracted axes over a picture that meet nothing of its border; and the place in x of its first corner.

    pairs: of height and of width, the row and the contracted axis that go along it, each with how far at a time.
    """
    x, picture = node.inputs[0], operands(node)[0]
    if x is picture:
        return merged(rows), merged(over), 0
    rows, corner = [row for row in rows if row.length != 1], 0
    for a, (row, step, axis, reach) in enumerate(pairs, start=1):
        low, high, _ = x.attributes["padding"][a]
        if low or high:
            number = next((i for i, other in enumerate(rows) if other is row), None)
            clip = Clip(number, step, reach, -low, _long(picture, a))
            over = [replace(axis, clip=clip) if other is axis else other for other in over]
            corner -= low * lx.strides[a]
    return tuple(rows), merged(over), corner


def _convolution(node: Tensor, capacity: int) -> Plan | None:
    x, kernel = operands(node)
    if node.attributes["groups"] != 1:
        return None
    lx, lk, out = _layouts(capacity, x, kernel, node)
    if out.inner != 3 or lk.strides[3] != 1:
        return None
    (sh, sw), (dh, dw) = node.attributes["strides"], node.attributes["dilation"]
    steps, dilations = (1, sh, sw), (dh, dw, 1)
    rows = [Axis(_length(node, a), 0, lx.strides[a] * steps[a], out.strides[a]) for a in range(3)]
    over = [Axis(_length(kernel, a), lk.strides[a], lx.strides[a + 1] * dilations[a], 0) for a in range(3)]
    pairs = zip(rows[1:], (sh, sw), over, (dh, dw), strict=False)
    places, taps, corner = _within(node, lx, rows, over, pairs)
    return Plan(kernel, x, (Nest(out.width, places, taps, at_s=corner),))


def _kernel_gradient(node: Tensor, capacity: int) -> Plan | None:
    x, g = operands(node)
    if node.attributes["groups"] != 1:
        return None
    lx, lg, out = _layouts(capacity, x, g, node)
    if out.inner != 3 or lg.strides[3] != 1:
        return None
    (sh, sw), (dh, dw) = node.attributes["strides"], node.attributes["dilation"]
    dilations, steps = (dh, dw, 1), (1, sh, sw)
    rows = [Axis(_length(node, a), 0, lx.strides[a + 1] * dilations[a], out.strides[a]) for a in range(3)]
    over = [Axis(_length(g, a), lg.strides[a], lx.strides[a] * steps[a], 0) for a in range(3)]
    pairs = zip(rows, (dh, dw), over[1:], (sh, sw), strict=False)
    taps, places, corner = _within(node, lx, rows, over, pairs)
    image = 4 * (lx.size + lg.size) // capacity
    return Plan(g, x, (Nest(out.width, taps, places, at_s=corner, block=max(1, CACHED // image)),))


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
    strides, dilation = node.attributes["strides"], node.attributes["dilation"]
    common = [math.gcd(s, d) for s, d in zip(strides, dilation, strict=True)]
    taps, copy = _by_phases(kernel, lk, [s // e for s, e in zip(strides, common, strict=True)])
    phases = [_phases(start[a], _long(part, a + 1), _long(kernel, a), strides[a], dilation[a]) for a in range(2)]
    channels = _long(part, 3)
    nests = []
    for pair in itertools.product(*phases):
        first, places, at = [], [], [0, 0, 0]
        for a, phase in enumerate(pair):
            first.append(Axis(phase.count, taps.place[a], 0, out.strides[a + 1]))
            places.append(Axis(phase.rows, 0, lg.strides[a + 1], out.strides[a + 1] * strides[a]))
            at[0] += taps.place[a] * phase.u0
            at[1] += lg.strides[a + 1] * phase.at
            at[2] += out.strides[a + 1] * phase.first
        pieces = [0]
        while first and first[-1].v == len(pieces) * channels:  # in v side by side, so that vectors hold several places
            beside = first.pop()
            pieces = [p * beside.out + piece for p in range(beside.long(1)) for piece in pieces]
        batch = Axis(None, 0, lg.strides[0], out.strides[0])
        across = next((axis.long(capacity) for axis in reversed(places) if axis.length != 1), 0)
        rows = [*first, *places, batch] if across < min(SHORT, capacity) else [*first, batch, *places]
        rows = [axis for axis in rows if axis.length != 1]
        over = [Axis(_length(kernel, 3), taps.filter, lg.strides[3], 0)]
        for a, phase in reversed(list(enumerate(pair))):
            row = next((i for i, axis in enumerate(rows) if axis is places[a]), None)
            clip = Clip(row, 1, -(dilation[a] // common[a]), phase.at, _long(g, a + 1))
            over.insert(0, Axis(phase.taps, taps.next[a], clip.reach * lg.strides[a + 1], 0, clip))
        nest = Nest(padded(len(pieces) * channels), tuple(rows), tuple(over), at[0], at[1], at[2])
        nests.append(replace(nest, pieces=tuple(pieces), piece=channels) if len(pieces) > 1 else nest)
    return Plan(kernel, g, tuple(nests), copy)


@dataclass(frozen=True)
class Taps:
    """Strides of a kernel turned round: between the taps of neighbouring places, of one place, and between filters."""

    place: tuple[int, int]
    next: tuple[int, int]
    filter: int


def _by_phases(kernel: Tensor, layout: Layout, every: Sequence[int]) -> tuple[Taps, Copy]:
    """A kernel with its channels side by side, of which each of `every` so many neighbouring places meets other taps.

    Channels that do not fill vectors are followed by those of the neighbours' taps.
    """
    height, width, channels, filters = (_long(kernel, a) for a in range(4))
    (down, across), row = every, padded(channels)
    if channels % LINE == 0:
        strides, copy = _turned(kernel, layout, 2, row)
        return Taps(strides[:2], (strides[0] * down, strides[1] * across), strides[3]), copy  # type: ignore[arg-type]
    row = padded(down * across * channels)
    place, tap = (across * channels, channels), (-(-width // across) * filters * row, filters * row)
    to = [f"i{a}/{every[a]}*{tap[a]} + i{a}%{every[a]}*{place[a]}" for a in range(2)] + ["i2", f"i3*{row}"]
    lines = _copied(kernel, layout, 2, " + ".join(t for t, d in zip(to, kernel.shape, strict=True) if d != 1))
    return Taps(place, tap, row), Copy(-(-height // down) * tap[0], lines)


def scratch_room(copy: Copy) -> int:
    return math.ceil((copy.size + 16) / 16) * 16
