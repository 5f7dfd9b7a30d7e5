"""Contractions: one register-tiled micro-kernel for all of them. They differ in addressing only.

The innermost axis of the result runs in vectors; it belongs to one operand (v), whose elements lie side by side along
it. The other (s) is read number by number. Each element of the result is one sum, in the order of the contracted axes:
the same bits for any tiling, and for any number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from talweg.engines.native.layout import Layout
from talweg.graph import BATCH, Tensor
from talweg.graph.ops.contraction import free_axes

ACCUMULATORS = {16: 24, 8: 12, 4: 24}  # by lanes: AVX-512 and NEON have 32 registers, AVX2 16


@dataclass(frozen=True)
class Axis:
    """One axis of the loop nest: its length (None: the rows of the batch) and the strides of the three tensors."""

    length: int | None
    v: int
    s: int
    out: int

    @property
    def bound(self) -> str:
        return "n" if self.length is None else str(self.length)


@dataclass(frozen=True)
class Plan:
    """A contraction as loops: the result's innermost axis runs in vectors, `rows` are its others, `over` the sums."""

    v: Tensor
    s: Tensor
    vector: int  # the axis of v
    width: int  # the padded length of that axis in the result
    rows: tuple[Axis, ...]
    over: tuple[Axis, ...]
    turned: tuple[
        int, ...
    ] = ()  # strides of v once turned, so that its elements lie side by side along `vector`; else empty

    @property
    def turned_size(self) -> int:
        """Elements of v once turned."""
        others = [d for a, d in enumerate(self.v.shape) if a != self.vector and isinstance(d, int)]
        return self.width * math.prod(others)


def plan(node: Tensor, layouts: dict[Tensor, Layout]) -> Plan | None:
    """How `node` is computed by the micro-kernel, or None where its result has no axis to run in vectors."""
    a, b = node.inputs
    over_a, over_b = node.attributes["axes"]
    free = {a: free_axes(a.rank, over_a), b: free_axes(b.rank, over_b)}
    out = layouts[node]
    if out.inner is None or node.shape[out.inner] is BATCH or a is b:
        return None
    owners = [(a, x) for x in free[a]] + [(b, x) for x in free[b]]
    v, vector = owners[out.inner]
    s = b if v is a else a
    over = {a: over_a, b: over_b}
    lv, ls = layouts[v], layouts[s]

    def length(t: Tensor, axis: int) -> int | None:
        d = t.shape[axis]
        return None if d is BATCH else d

    pairs = [(x, y) for x, y in zip(over[v], over[s], strict=True) if v.shape[x] != 1]
    strides, turned = list(lv.strides), lv.strides[vector] != 1 or lv.width != out.width
    if turned:
        if any(v.shape[x] is BATCH for x in range(v.rank)):
            return None
        step = out.width
        for axis in reversed([x for x in range(v.rank) if x != vector]):
            strides[axis] = step
            step *= v.shape[axis]  # type: ignore[operator]
        strides[vector] = 1
    rows = tuple(
        Axis(length(t, x), strides[x] if t is v else 0, 0 if t is v else ls.strides[x], out.strides[i])
        for i, (t, x) in enumerate(owners)
        if i != out.inner and t.shape[x] != 1
    )
    sums = tuple(Axis(length(v, x), strides[x], ls.strides[y], 0) for x, y in pairs)
    if any(r.v for r in rows):
        return None
    return Plan(v, s, vector, out.width, rows, sums, tuple(strides) if turned else ())


Piece = tuple[int, str]  # where a vector begins in the row, and its C type: vec, or half


def panels(width: int, lanes: int) -> list[list[Piece]]:
    """The vectors of a row, in panels of at most 4: 13 vectors are 4 + 3 + 3 + 3. A row may end with half a vector."""
    pieces = [(at, "vec") for at in range(0, width - lanes + 1, lanes)]
    if width % lanes:
        pieces.append((width - width % lanes, "half"))
    count = -(-len(pieces) // 4)
    sizes = [len(pieces) // count + (1 if i < len(pieces) % count else 0) for i in range(count)]
    starts = [sum(sizes[:i]) for i in range(count)]
    return [pieces[a : a + n] for a, n in zip(starts, sizes, strict=True)]


def tile_rows(panel: int, rows: int, lanes: int) -> int:
    """Rows of a tile of `panel` vectors: as many as the registers allow, dividing `rows` where that costs little."""
    most = max(1, min(ACCUMULATORS[lanes] // panel, 12))
    best = max((r for r in range(1, most + 1) if rows % r == 0), default=1)
    return best if best * panel >= 8 or best == rows else most


def micro_kernel(name: str, p: Plan, capacity: int, lanes: int) -> list[str]:
    """C for the contraction: tiles of rows times panels, from panel `lo` to `hi` and row `first` to `last`."""
    tiled = p.rows[-1] if p.rows else Axis(1, 0, 0, 0)
    outer = p.rows[:-1]
    length = capacity if tiled.length is None else tiled.length
    lines = [
        f"static void {name}(real *restrict out, const real *restrict v, const real *restrict s, long n,",
        "                    long first, long last, long lo, long hi)",
        "{",
    ]
    for number, panel in enumerate(panels(p.width, lanes)):
        r = tile_rows(len(panel), length, lanes)
        lines.append(f"if (lo <= {number} && {number} < hi) {{")
        for depth, axis in enumerate(outer):
            lines.append(f"for (long r{depth} = 0; r{depth} < {axis.bound}; r{depth}++) {{")
        base_s = " + ".join(f"r{d}*{a.s}" for d, a in enumerate(outer) if a.s) or "0"
        base_o = " + ".join(f"r{d}*{a.out}" for d, a in enumerate(outer) if a.out) or "0"
        lines.append("long m = first;")
        if r > 1:
            lines += [f"for (; m + {r} <= last; m += {r}) {{", *_tile(r, panel, tiled, p.over, base_s, base_o), "}"]
        rest = length % r if tiled.length is not None else 0
        if rest > 1:
            lines += [
                f"for (; m + {rest} <= last; m += {rest}) {{",
                *_tile(rest, panel, tiled, p.over, base_s, base_o),
                "}",
            ]
        lines += ["for (; m < last; m++) {", *_tile(1, panel, tiled, p.over, base_s, base_o), "}"]
        lines += ["}"] * len(outer) + ["}"]
    return [*lines, "}"]


def _tile(r: int, panel: list[Piece], tiled: Axis, over: tuple[Axis, ...], base_s: str, base_o: str) -> list[str]:
    """r rows times `panel` vectors in registers, summed over all contracted axes."""
    lines = [f"{kind} " + ", ".join(f"c{i}_{j} = {{0}}" for i in range(r)) + ";" for j, (_, kind) in enumerate(panel)]
    lines.append(f"const real *sm = s + {base_s} + m*{tiled.s};")
    for depth, axis in enumerate(over):
        lines.append(f"for (long k{depth} = 0; k{depth} < {axis.bound}; k{depth}++) {{")
    at_v = " + ".join(["v", *(f"k{d}*{a.v}" for d, a in enumerate(over) if a.v)])
    at_s = " + ".join(["sm", *(f"k{d}*{a.s}" for d, a in enumerate(over) if a.s)])
    lines.append(f"const real *vk = {at_v}, *sk = {at_s};")
    lines += [f"const {kind} b{j} = *(const {kind}u *)(vk + {at});" for j, (at, kind) in enumerate(panel)]
    for i in range(r):
        lines.append(
            f"{{ const real a = sk[{i * tiled.s}]; "
            + " ".join(f"c{i}_{j} += a * b{j};" for j in range(len(panel)))
            + " }"
        )
    lines += ["}"] * len(over)
    for i in range(r):
        for j, (at, kind) in enumerate(panel):
            lines.append(f"*({kind}u *)(out + {base_o} + (m + {i})*{tiled.out} + {at}) = c{i}_{j};")
    return lines


def turn(p: Plan, layout: Layout) -> list[str]:
    """C that copies v so that its elements lie side by side along the vector axis."""
    axes = [a for a, d in enumerate(layout.shape) if a != p.vector and d != 1] + [p.vector]
    to = " + ".join(f"i{a}*{p.turned[a]}" for a in axes)
    source = " + ".join(f"i{a}*{layout.strides[a]}" for a in axes)
    return [*(f"for (long i{a} = 0; i{a} < {layout.shape[a]}; i{a}++)" for a in axes), f"to[{to}] = from[{source}];"]
