"""Contractions as nests of loops: `dot`, convolution and its two gradients differ in addressing only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from talweg.engines.native.layout import Layout, padded
from talweg.engines.native.tiles import Axis, Nest, merged
from talweg.graph import BATCH, Tensor
from talweg.graph.ops.contraction import free_axes

CACHED = 1 << 18  # bytes of two operands that a sum over the batch should go through before it begins the next tile


@dataclass(frozen=True)
class Copy:
    """An operand rearranged before the nests read it: C from `from` to `to`, and how many elements that needs.

    is_batched: whether the copy goes row by row of the batch, from `lo` to `hi`.
    """

    size: int
    lines: tuple[str, ...]
    is_batched: bool = False


@dataclass(frozen=True)
class Plan:
    """What computes a contraction: nests over the operands v (in vectors) and s (by number), perhaps copied before."""

    v: Tensor
    s: Tensor
    nests: tuple[Nest, ...]
    copy_v: Copy | None = None
    copy_s: Copy | None = None

    def work(self, capacity: int) -> int:
        return sum(nest.work(capacity) for nest in self.nests)


def plan(node: Tensor, capacity: int) -> Plan | None:
    """How the micro-kernel computes `node`, or None where it cannot: no axis to run in vectors, groups, ..."""
    rules = {
        "dot": _dot,
        "conv2d": _convolution,
        "conv2d_kernel_gradient": _kernel_gradient,
        "conv2d_input_gradient": _input_gradient,
    }
    return rules[node.op.name](node, capacity)


def _layouts(capacity: int, *tensors: Tensor) -> list[Layout]:
    return [Layout(t.shape, t.dtype, capacity) for t in tensors]


def _length(t: Tensor, axis: int) -> int | None:
    d = t.shape[axis]
    return None if d is BATCH else d


# ── dot ───────────────────────────────────────────────────────────────────────────────────────────────────


def _dot(node: Tensor, capacity: int) -> Plan | None:
    a, b = node.inputs
    (out,) = _layouts(capacity, node)
    if out.inner is None or node.shape[out.inner] is BATCH or a is b:
        return None
    over = dict(zip((a, b), node.attributes["axes"], strict=True))
    owners = [(t, axis) for t in (a, b) for axis in free_axes(t.rank, over[t])]
    v, vector = owners[out.inner]
    s = b if v is a else a
    lv, ls = _layouts(capacity, v, s)
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
    return Plan(v, s, (Nest(out.width, tuple(rows), merged(sums)),), copy)


def _turned(v: Tensor, layout: Layout, vector: int, width: int) -> tuple[tuple[int, ...], Copy]:
    """v with its elements side by side along the axis `vector`: its strides then, and the copy that makes it so."""
    strides, step = [0] * v.rank, width
    for axis in reversed([x for x in range(v.rank) if x != vector]):
        strides[axis] = step
        step *= v.shape[axis]  # type: ignore[operator]
    strides[vector] = 1
    axes = [a for a, d in enumerate(v.shape) if a != vector and d != 1] + [vector]
    to = " + ".join(f"i{a}*{strides[a]}" for a in axes)
    source = " + ".join(f"i{a}*{layout.strides[a]}" for a in axes)
    loops = [f"for (long i{a} = 0; i{a} < {v.shape[a]}; i{a}++)" for a in axes]
    return tuple(strides), Copy(step, (*loops, f"to[{to}] = from[{source}];"))


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


def _input_gradient(node: Tensor, capacity: int) -> Plan | None:
    """One nest for each phase of the stride: a row h of x met tap u where h - u·d is a multiple of the stride.

    With h = s·q + p that is u = p + s·t (for d = 1), and the sum reads g[q - t]. g gets a border of zeros before, so
    that q - t may leave it on either side.
    """
    g, kernel = node.inputs
    strides, dilation = node.attributes["strides"], node.attributes["dilation"]
    if node.attributes["groups"] != 1 or any(s > 1 and d > 1 for s, d in zip(strides, dilation, strict=True)):
        return None
    lg, lk, out = _layouts(capacity, g, kernel, node)
    if out.inner != 3:
        return None
    turned, copy_v = _turned(kernel, lk, 2, out.width)
    shape = [_length(node, 1) or 1, _length(node, 2) or 1]
    taps = [_length(kernel, 0) or 1, _length(kernel, 1) or 1]
    sides = [
        _border(length, size, n, s, d)
        for length, size, n, s, d in zip(
            shape, [_length(g, 1) or 1, _length(g, 2) or 1], taps, strides, dilation, strict=True
        )
    ]
    room, copy_s = _bordered(g, lg, sides, capacity)
    nests = []
    for ph in range(min(strides[0], shape[0])):
        for pw in range(min(strides[1], shape[1])):
            rows, over, at = [Axis(None, 0, room[0], out.strides[0])], [], [0, 0, 0]
            for a, p in ((0, ph), (1, pw)):
                step, reach = strides[a], dilation[a]
                rows.append(Axis(-(-(shape[a] - p) // step), 0, room[a + 1], out.strides[a + 1] * step))
                count = -(-(taps[a] - p) // step) if taps[a] > p else 0
                over.append(Axis(count, turned[a] * step, -room[a + 1] * reach, 0))
                at[0] += turned[a] * p
                at[1] += sides[a][0] * room[a + 1]
                at[2] += out.strides[a + 1] * p
            over.append(Axis(_length(kernel, 3), turned[3], 1 if _length(kernel, 3) != 1 else 0, 0))
            if all(axis.length != 0 for axis in over):
                nests.append(Nest(out.width, _kept(rows), _kept(over), *at))
            else:  # no tap reaches this phase: its gradient is 0
                nests.append(Nest(out.width, _kept(rows), (Axis(0, 0, 0, 0),), *at))
    return Plan(kernel, g, tuple(nests), copy_v, copy_s)


def _kept(axes: list[Axis]) -> tuple[Axis, ...]:
    return tuple(a for a in axes if a.length != 1)


def _border(length: int, size: int, taps: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and after g along an axis, so that q - t (q - u·d) always finds something."""
    before = (taps - 1) * dilation // stride
    after = max(0, -(-length // stride) - size)
    return before, after


def _bordered(g: Tensor, layout: Layout, sides: list[tuple[int, int]], capacity: int) -> tuple[tuple[int, ...], Copy]:
    """g in a border of zeros: the strides of its axes then, and the copy that makes it so."""
    heights = [sum(side) + (_length(g, a) or 1) for a, side in ((1, sides[0]), (2, sides[1]))]
    channels = padded(_length(g, 3) or 1) if g.shape[3] != 1 else 1
    strides = (heights[0] * heights[1] * channels, heights[1] * channels, channels)
    count = _length(g, 3) or 1
    to = f"i0*{strides[0]} + (i1 + {sides[0][0]})*{strides[1]} + (i2 + {sides[1][0]})*{strides[2]}"
    source = " + ".join(f"i{a}*{layout.strides[a]}" for a in range(3))
    lines = (
        f"memset(to + lo*{strides[0]}, 0, (hi - lo)*{strides[0]}*sizeof *to);",
        "for (long i0 = lo; i0 < hi; i0++)",
        f"for (long i1 = 0; i1 < {g.shape[1]}; i1++)",
        f"for (long i2 = 0; i2 < {g.shape[2]}; i2++)",
        f"memcpy(to + {to}, from + {source}, {count} * sizeof *to);",
    )
    return strides, Copy(strides[0] * capacity, lines, is_batched=True)


def scratch_size(p: Plan | None) -> int:
    """Elements that a plan's copies need, each from a multiple of 64 bytes on."""
    copies = [c for c in (p.copy_v, p.copy_s) if c is not None] if p else []
    return sum(scratch_room(c) for c in copies)


def scratch_room(copy: Copy) -> int:
    return math.ceil((copy.size + 16) / 16) * 16
