"""The micro-kernel of every contraction: tiles of rows times vectors in registers, summed over a nest of loops.

The innermost axis of the result runs in vectors; it belongs to one operand (v), whose elements lie side by side along
it. The other (s) is read number by number. Each element of the result is one sum, in the order of the contracted axes:
the same bits for any tiling, and for any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

ACCUMULATORS = {16: 24, 8: 12, 4: 24}  # by lanes: AVX-512 and NEON have 32 registers, AVX2 16
MOST_ROWS = 12


@dataclass(frozen=True)
class Axis:
    """One axis of the nest: its length (None: the rows of the batch) and the strides of the three tensors."""

    length: int | None
    v: int
    s: int
    out: int

    @property
    def bound(self) -> str:
        return "n" if self.length is None else str(self.length)

    def long(self, capacity: int) -> int:
        return capacity if self.length is None else self.length


@dataclass(frozen=True)
class Nest:
    """A contraction as loops: `rows` of the result, of `width` elements each, summed `over` the other axes.

    The last of `rows` is tiled. block: rows of the batch that are summed before the next tile is turned to, where all
    of them would not stay in the cache (0: all).
    """

    width: int
    rows: tuple[Axis, ...]
    over: tuple[Axis, ...]
    at_v: int = 0
    at_s: int = 0
    at_out: int = 0
    block: int = 0

    def shared(self, capacity: int) -> int:
        """Which of `rows` threads share out: the longest."""
        lengths = [axis.long(capacity) for axis in self.rows]
        return lengths.index(max(lengths)) if lengths else -1

    def work(self, capacity: int) -> int:
        """Multiplications."""
        total = self.width
        for axis in (*self.rows, *self.over):
            total *= axis.long(capacity)
        return total


def merged(axes: list[Axis]) -> tuple[Axis, ...]:
    """The axes, neighbours made one where all three tensors go on from one to the next: fewer loops, longer tiles."""
    out: list[Axis] = []
    for axis in (a for a in axes if a.length != 1):
        last = out[-1] if out else None
        if (
            last
            and axis.length is not None
            and all(getattr(last, name) == getattr(axis, name) * axis.length for name in ("v", "s", "out"))
        ):
            length = None if last.length is None else last.length * axis.length
            if length is not None:
                out[-1] = Axis(length, axis.v, axis.s, axis.out)
                continue
        out.append(axis)
    return tuple(out)


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
    most = max(1, min(ACCUMULATORS[lanes] // panel, MOST_ROWS))
    best = max((r for r in range(1, most + 1) if rows % r == 0), default=1)
    return best if best * panel >= 8 or best == rows else most


def micro_kernel(name: str, nest: Nest, capacity: int, lanes: int) -> list[str]:
    """C for a nest: panels `lo` to `hi` of the result, and `first` to `last` of the axis that threads share."""
    tiled = nest.rows[-1] if nest.rows else Axis(1, 0, 0, 0)
    outer = nest.rows[:-1]
    shared = nest.shared(capacity)
    length = tiled.long(capacity)
    ends = ("first", "last") if shared == len(outer) or not nest.rows else ("0", tiled.bound)
    lines = [
        f"static void {name}(real *restrict out, const real *restrict v, const real *restrict s, long n,",
        "                    long first, long last, long lo, long hi)",
        "{",
        "(void)n; (void)first; (void)last;",
        f"v += {nest.at_v}; s += {nest.at_s}; out += {nest.at_out};",
    ]
    block = nest.block
    if block:
        lines.append(f"for (long b = 0; b < n; b += {block}) {{ const long e = b + {block} < n ? b + {block} : n;")
    for number, panel in enumerate(panels(nest.width, lanes)):
        lines.append(f"if (lo <= {number} && {number} < hi) {{")
        for d, axis in enumerate(outer):
            start, end = ("first", "last") if d == shared else ("0", axis.bound)
            lines.append(f"for (long r{d} = {start}; r{d} < {end}; r{d}++) {{")
        lines.append(f"long m = {ends[0]};")
        r = tile_rows(len(panel), length, lanes)
        rest = length % r if tiled.length is not None else 0
        for rows in dict.fromkeys(x for x in (r, rest, 1) if x > 0):
            step = f"for (; m + {rows} <= {ends[1]}; m += {rows}) {{"
            lines += [step, *_tile(rows, panel, nest, tiled, outer), "}"]
        lines += ["}"] * len(outer) + ["}"]
    return [*lines, *(["}"] if block else []), "}"]


def _tile(r: int, panel: list[Piece], nest: Nest, tiled: Axis, outer: tuple[Axis, ...]) -> list[str]:
    """r rows times a panel in registers, summed over all contracted axes."""
    row_s = " + ".join(["s", *(f"r{d}*{a.s}" for d, a in enumerate(outer) if a.s), f"m*{tiled.s}"])
    row_out = " + ".join(["out", *(f"r{d}*{a.out}" for d, a in enumerate(outer) if a.out), f"m*{tiled.out}"])
    places = [
        (i, j, f"*({kind}u *)(om + {i * tiled.out + at})") for i in range(r) for j, (at, kind) in enumerate(panel)
    ]
    lines = [f"{kind} " + ", ".join(f"c{i}_{j} = {{0}}" for i in range(r)) + ";" for j, (_, kind) in enumerate(panel)]
    lines.append(f"const real *sm = {row_s}; real *om = {row_out};")
    if nest.block:
        lines.append("if (b) { " + " ".join(f"c{i}_{j} = {place};" for i, j, place in places) + " }")
    for d, axis in enumerate(nest.over):
        start, end = ("b", "e") if nest.block and d == 0 else ("0", axis.bound)
        lines.append(f"for (long k{d} = {start}; k{d} < {end}; k{d}++) {{")
    at_v = " + ".join(["v", *(f"k{d}*{a.v}" for d, a in enumerate(nest.over) if a.v)])
    at_s = " + ".join(["sm", *(f"k{d}*{a.s}" for d, a in enumerate(nest.over) if a.s)])
    lines.append(f"const real *vk = {at_v}, *sk = {at_s};")
    lines += [f"const {kind} b{j} = *(const {kind}u *)(vk + {at});" for j, (at, kind) in enumerate(panel)]
    for i in range(r):
        products = " ".join(f"c{i}_{j} += a * b{j};" for j in range(len(panel)))
        lines.append(f"{{ const real a = sk[{i * tiled.s}]; {products} }}")
    lines += ["}"] * len(nest.over)
    lines += [f"{place} = c{i}_{j};" for i, j, place in places]
    return lines
