"""The micro-kernel of every contraction: tiles of rows times vectors in registers, summed over a nest of loops.

The innermost axis of the result runs in vectors; it belongs to one operand (v), whose elements lie side by side along
it. The other (s) is read number by number. Each element of the result is one sum, in the order of the contracted axes:
the same bits for any tiling, and for any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from talweg.engines.native.strategies import by
from talweg.errors import GraphError

MOST_ROWS = 16
MOST_WHOLE = 6  # rows of a short last axis, which no tile divides
FEW = 8  # vectors in a tile of the rows that are left over: they keep the multipliers busy

PART = 8  # rows of the batch that are summed on their own, where threads share out the rows that a sum goes over
NEXT_PART = """for (long b = {first}, e; b < {last}; b = e) {{
e = (b / PART + 1) * PART < {last} ? (b / PART + 1) * PART : {last}; real *restrict part = {to} + b / PART * {size}L;"""


@dataclass(frozen=True)
class Clip:
    """What a row meets of a contracted axis: those k for which 0 <= row·step + k·reach + at < size.

    axis: which of the nest's `rows` it is that counts (None: there is one row only, the first).
    """

    axis: int | None
    step: int
    reach: int
    at: int
    size: int

    def meets(self, row: int, k: int) -> bool:
        return 0 <= row * self.step + k * self.reach + self.at < self.size

    def bounds(self, row: str, length: int) -> tuple[str, str]:
        """The first k, and one past the last, as C."""
        place, reach = f"({row}*{self.step} + {self.at})", abs(self.reach)
        outside, inside = f"{place} - {self.size}", place
        if self.reach > 0:
            outside, inside = f"-1 - {place}", f"{self.size - 1} - {place}"
        first = f"{outside} < 0 ? 0 : ({outside})/{reach} + 1"
        return first, f"{inside} < 0 ? 0 : ({inside})/{reach} < {length} ? ({inside})/{reach} + 1 : {length}"


@dataclass(frozen=True)
class Axis:
    """One axis of the nest: its length (None: the rows of the batch), the strides of the three tensors, its clip."""

    length: int | None
    v: int
    s: int
    out: int
    clip: Clip | None = None

    @property
    def bound(self) -> str:
        return "n" if self.length is None else str(self.length)

    def long(self, capacity: int) -> int:
        return capacity if self.length is None else self.length


NOTHING = Axis(1, 0, 0, 0)


@dataclass(frozen=True)
class Nest:
    """A contraction as loops: `rows` of the result, of `width` elements each, summed `over` the other axes.

    The last of `rows` is tiled; where it is short, each tile has all of it, and rows of the one before. All rows of a
    tile are multiplied by the same vectors of v: v does not move along an axis that tiles have several rows of.
    block: rows of the batch that are summed before the next tile is turned to, where all of them would not stay in the
    cache (0: all). divided: which of `rows` threads share out, where it is not the longest.
    pieces: where the elements of a row do not all lie side by side, how far from its place each `piece` of them begins.
    """

    width: int
    rows: tuple[Axis, ...]
    over: tuple[Axis, ...]
    at_v: int = 0
    at_s: int = 0
    at_out: int = 0
    block: int = 0
    divided: int | None = None
    pieces: tuple[int, ...] = ()
    piece: int = 0

    def __post_init__(self) -> None:
        """Raises `GraphError` for what tiles cannot compute."""
        clipped = [a.clip.axis for a in self.over if a.clip is not None and a.clip.axis is not None]
        wrong = {
            "v moves along the axis that is tiled": bool(self.rows) and self.rows[-1].v != 0,
            "the result stays where its rows move": any(axis.out == 0 for axis in self.rows),
            "a clip counts along no axis": any(not 0 <= axis < len(self.rows) for axis in clipped),
            "threads cannot share what tiles have whole": self.divided is not None and self.divided not in self._free(),
            "blocks are of rows of the batch": self.block > 0 and (not self.over or self.over[0].length is not None),
            "pieces do not fill a row": bool(self.pieces) and len(self.pieces) * self.piece > self.width,
        }
        if found := [what for what, is_so in wrong.items() if is_so]:
            raise GraphError(f"the native engine has no tiles for {self}: {', '.join(found)}")

    def is_clipped(self, axis: int) -> bool:
        """Whether what is summed depends on the place along one of `rows`."""
        return any(a.clip is not None and a.clip.axis == axis for a in self.over)

    @property
    def has_whole(self) -> bool:
        """Whether the last of `rows` is short enough for tiles to hold all of it, and rows of the one before."""
        if len(self.rows) < 2 or self.rows[-2].v != 0:
            return False
        return self.rows[-1].length is not None and self.rows[-1].length <= MOST_WHOLE

    def _free(self) -> list[int]:
        """Those of `rows` that can be divided anywhere."""
        tiled = len(self.rows) - 1 - self.has_whole
        return [i for i in range(tiled + 1) if i < tiled or not self.is_clipped(i)]

    def shared(self, capacity: int) -> int:
        """Which of `rows` threads share out: the longest that can be divided anywhere (-1: none can)."""
        if self.divided is not None:
            return self.divided
        return max(self._free(), key=lambda i: self.rows[i].long(capacity), default=-1)

    def work(self, capacity: int) -> int:
        """Multiplications."""
        total = self.width
        for axis in (*self.rows, *self.over):
            total *= axis.long(capacity)
        return total


def merged(axes: list[Axis]) -> tuple[Axis, ...]:
    """The axes, neighbours made one where all three tensors go on from one to the next: fewer loops, longer tiles."""
    out: list[Axis] = []
    for axis in (a for a in axes if a.length != 1 or a.clip):
        last = out[-1] if out else None
        if (
            last
            and axis.length is not None
            and last.clip is None
            and axis.clip is None
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


def most_rows(panel: int, lanes: int) -> int:
    """Rows that a tile of `panel` vectors may have, so that registers are left for v's vectors and a number of s."""
    sums = 12 if lanes == 8 else 24  # AVX2 has 16 registers, AVX-512 and NEON have 32
    return min(sums // panel, MOST_ROWS)


def tile_rows(length: int, most: int, few: int) -> int:
    """How many of `length` rows make a tile, so that all tiles load least: those left over go in tiles of a `few`."""

    def loads(r: int) -> int:
        tiles, left = length // r, -(-(length % r) // few)
        return tiles * (r + 1) + left * (few + 1)

    return min(range(1, most + 1), key=loads)


def micro_kernel(
    name: str, nest: Nest, capacity: int, lanes: int, shared: int | None, part: int = 0, table: str = ""
) -> list[str]:
    """C for a nest: panels `lo` to `hi` of the result, and of its rows `first` to `last` of the one that is `shared`.

    part: where rows of the batch are summed in parts, `first` to `last` of them, how many numbers a part's result has.
    table: "v" or "s" where the rows of that operand lie here and there; it is then a table of where.
    """
    kinds = {t: "const real **restrict " if t == table else "const real *restrict " for t in "vs"}
    lines = [
        f"static void {name}(real *restrict out, {kinds['v']}v, {kinds['s']}s, long n,",
        "                    long first, long last, long lo, long hi)",
        "{",
        "(void)n; (void)first; (void)last;",
        *_strategies(nest, lanes, part, table),
    ]
    if part:
        lines.append(NEXT_PART.format(first="first", last="last", to="out", size=part))
        lines.append("real *restrict out = part;")
    elif nest.block:
        block = nest.block
        lines.append(f"for (long b = 0; b < n; b += {block}) {{ const long e = b + {block} < n ? b + {block} : n;")
    for number, panel in enumerate(panels(nest.width, lanes)):
        tiles = _Tiles(nest, panel, lanes, "b % PART" if part else "b" if nest.block else None, table)
        lines.append(f"if (lo <= {number} && {number} < hi) {{")
        for d, axis in enumerate(tiles.outer):
            start, end = ("first", "last") if d == shared else ("0", axis.bound)
            lines.append(f"for (long r{d} = {start}; r{d} < {end}; r{d}++) {{")
        lines += tiles.lines(capacity, is_shared=shared == len(tiles.outer))
        lines += ["}"] * len(tiles.outer) + ["}"]
    return [*lines, *(["}"] if part or nest.block else []), "}"]


def _strategies(nest: Nest, lanes: int, part: int, table: str) -> list[str]:
    """What is noted of a nest, whatever its tiles."""
    pieces = [piece for panel in panels(nest.width, lanes) for piece in panel]
    taken = {
        "tiles": True,
        "tiles of no rows": not nest.rows,
        "several panels": len(panels(nest.width, lanes)) > 1,
        "half a vector": any(kind == "half" for _, kind in pieces),
        "pieces": bool(nest.pieces),
        "blocks of a sum": bool(nest.block) and not part,
        "parts of a product": bool(part),
        "vectors from a data set": table == "v",
        "numbers from a data set": table == "s",
    }
    return [by(name) for name, is_so in taken.items() if is_so]


Rows = list[tuple[int, int]]  # of a tile: which one along the axis that is tiled, and along the one it has whole


class _Tiles:
    """The tiles of one panel of a nest: rows of the axis `tiled`, each with all rows of the axis `whole`.

    again: C that is true where a tile adds to what it found before, as it sums rows `b` to `e` of the batch only.
    """

    def __init__(self, nest: Nest, panel: list[Piece], lanes: int, again: str | None, table: str) -> None:
        self.nest, self.panel, self.again, self.table, self._lanes = nest, panel, again, table, lanes
        rows, most = nest.rows or (NOTHING,), most_rows(len(panel), lanes)
        has_whole = nest.has_whole and 2 * rows[-1].long(1) <= most
        self.whole = rows[-1] if has_whole else NOTHING
        self.outer, self.tiled = (rows[:-2], rows[-2]) if has_whole else (rows[:-1], rows[-1])
        self._most = most // self.whole.long(1)
        tiled = len(nest.rows) - 1 - has_whole
        self._own: dict[int | None, int] = {tiled: 0, len(nest.rows) - 1: int(has_whole)}
        """Which number of a tile's row counts along an axis of the nest."""

    def lines(self, capacity: int, is_shared: bool) -> list[str]:
        """Loops over the tiles."""
        length = self.tiled.long(capacity)
        if self.tiled.length is not None and not is_shared:
            return self._fixed(length)
        start, end = ("first", "last") if is_shared else ("0", self.tiled.bound)
        out = [by("tiles up to an end"), f"long m = {start};"]
        few = max(1, FEW // (len(self.panel) * self.whole.long(1)))
        size = tile_rows(length, self._most, few)
        for r in dict.fromkeys((size, min(size, few), 1)):
            loop = [f"for (; m + {r} <= {end}; m += {r}) {{"]
            if 1 < r <= few and not self.again:  # the last one begins earlier, where there are rows enough for one
                loop = [by("tiles that begin earlier"), f"for (; m < {end} && {end} - {start} >= {r}; m += {r}) {{"]
                loop.append(f"if (m + {r} > {end}) m = {end} - {r};")
            out += [*loop, *self._tile(r), "}"]
        return out

    def _fixed(self, length: int) -> list[str]:
        """Tiles at known places: of two sizes, and others where rows at the ends meet less of what is summed."""
        count = -(-length // self._most)
        sizes = [length // count + (i < length % count) for i in range(count)]
        tiles = [(sum(sizes[:i]), r) for i, r in enumerate(sizes)]
        out = [by("tiles at known places")]
        for (r, _), group in groupby(tiles, lambda tile: (tile[1], self._all_met(*tile))):
            starts = [start for start, _ in group]
            loop = f"for (long m = {starts[0]}; m < {starts[-1] + r}; m += {r}) {{"
            out += [loop, *self._tile(r, starts[0]), "}"]
        return out

    def _rows(self, r: int) -> Rows:
        return [(i, w) for i in range(r) for w in range(self.whole.long(1))]

    def _all_met(self, start: int, r: int) -> list[list[Rows] | None]:
        """What r rows of `tiled` meet, from `start` on."""
        return [self._met(axis, self._rows(r), start) for axis in self.nest.over]

    def _met(self, axis: Axis, rows: Rows, start: int) -> list[Rows] | None:
        """For each k of a contracted axis those of a tile's rows that meet it; None where that is not the tile's."""
        clip = axis.clip
        if clip is None or (own := self._own.get(clip.axis)) is None:
            return None
        first = (start, 0)[own]
        return [[row for row in rows if clip.meets(first + row[own], k)] for k in range(axis.long(1))]

    def _tile(self, r: int, start: int = 0) -> list[str]:
        """A tile at `m`: r rows of `tiled` in registers, summed over all contracted axes.

        start: an m where they meet what they meet at all others.
        """
        rows = self._rows(r)
        sums = [
            (kind, f"c{i}_{w}_{j}", f"*({kind}u *)(to + {i * self.tiled.out + w * self.whole.out + at})")
            for i, w in rows
            for j, (at, kind) in enumerate(self.panel)
        ]
        is_table = self.table == "s" and self.tiled.length is None  # each row of the tile is somewhere else
        here: Path = (*((f"r{d}", axis) for d, axis in enumerate(self.outer)), ("m", self.tiled))
        lines = [by("whole axis")] if self.whole is not NOTHING else []
        lines += [f"{kind} {c} = {{0}};" for kind, c, _ in sums]
        lines.append(f"real *to = {_at('out', self.nest.at_out, here)};")
        if self.table == "v":
            lines.append(f"const long ahead = m / {r} % {len(self.panel)} * {self._lanes};")
        if is_table:
            lines += [f"const real *s{i} = s[m + {i}];" for i in range(r)]
        if self.again:
            lines.append(f"if ({self.again}) {{ " + " ".join(f"{c} = {place};" for _, c, place in sums) + " }")
        lines += self._summed(0, here, rows, start)
        return [*lines, *(self._in_pieces(r) if self.nest.pieces else [f"{place} = {c};" for _, c, place in sums])]

    def _in_pieces(self, r: int) -> list[str]:
        """Stores a tile whose rows are in pieces: from registers to where they lie side by side, and from there."""
        first, (last, kind) = self.panel[0][0], self.panel[-1]
        end, piece, whole = last + (self._lanes if kind == "vec" else self._lanes // 2), self.nest.piece, self.whole
        count, size = whole.long(1), end - first
        lines = [f"real side[{r * count}][{size}];"]
        for number, (i, w) in enumerate(self._rows(r)):
            for j, (at, kind) in enumerate(self.panel):
                lines.append(f"*({kind}u *)(side[{number}] + {at - first}) = c{i}_{w}_{j};")
        lines.append(f"for (long i = 0; i < {r}; i++) for (long w = 0; w < {count}; w++) {{")
        lines.append(f"real *row = to + i*{self.tiled.out} + w*{whole.out}, *from = side[i*{count} + w];")
        for number, place in enumerate(self.nest.pieces):
            begin, stop = max(first, number * piece), min(end, (number + 1) * piece)
            if begin < stop:
                to = place + begin - number * piece
                lines.append(f"memcpy(row + {to}, from + {begin - first}, {stop - begin} * sizeof(real));")
        return [*lines, "}"]

    def _summed(self, d: int, here: Path, rows: Rows, start: int) -> list[str]:
        """Loops over the contracted axes from `d` on; where the tile's rows do not all meet all, over parts of them."""
        nest = self.nest
        if d == len(nest.over):
            is_table = self.table == "s" and self.tiled.length is None
            at_s = _at("", nest.at_s, tuple(x for x in here if x[0] != "m")) if is_table else None
            lines = [f"const real *vk = {_at('v', nest.at_v, here, self.table)};"]
            if self.table == "v":  # the next batch's rows are sent for meanwhile, a tile for one of its panel's vectors
                lines.append(f"__builtin_prefetch({_at('v', nest.at_v, here, 'v', 'n + ')} + ahead, 0, 2);")
            lines.append(
                f"const long k = {at_s};" if at_s else f"const real *sk = {_at('s', nest.at_s, here, self.table)};"
            )
            lines += [f"const {kind} b{j} = *(const {kind}u *)(vk + {at});" for j, (at, kind) in enumerate(self.panel)]
            for i, w in rows:
                products = " ".join(f"c{i}_{w}_{j} += a * b{j};" for j in range(len(self.panel)))
                number = f"s{i}[k + {w * self.whole.s}]" if at_s else f"sk[{i * self.tiled.s + w * self.whole.s}]"
                lines.append(f"{{ const real a = {number}; {products} }}")
            return lines
        axis = nest.over[d]
        if (met := self._met(axis, rows, start)) is not None:
            lines = [by("clips in a tile")]
            for those, group in groupby(range(len(met)), met.__getitem__):
                ks = list(group)
                k: str | int = f"k{d}" if len(ks) > 1 else ks[0]
                loop = f"for (long {k} = {ks[0]}; {k} < {ks[-1] + 1}; {k}++) {{" if len(ks) > 1 else "{"
                if those:
                    lines += [loop, *self._summed(d + 1, (*here, (k, axis)), those, start), "}"]
            return lines
        low, high, noted = "0", axis.bound, list[str]()
        if self.again and d == 0:
            low, high = "b", "e"
        if axis.clip is not None:
            noted = [by("clips of a loop")]
            low, high = axis.clip.bounds("0" if axis.clip.axis is None else f"r{axis.clip.axis}", axis.long(1))
        inner = self._summed(d + 1, (*here, (f"k{d}", axis)), rows, start)
        return [*noted, f"for (long k{d} = {low}, e{d} = {high}; k{d} < e{d}; k{d}++) {{", *inner, "}"]


Path = tuple[tuple[str | int, Axis], ...]  # how far along each axis


def _at(tensor: str, start: int, path: Path, table: str = "", later: str = "") -> str:
    """A place in one of the three tensors, as C; in the one that is given by a `table`, of a row of the batch.

    later: C that is added to the row's number in the table.
    """
    steps = [(index, getattr(axis, tensor or "s"), axis.length is None) for index, axis in path]
    fixed = start + sum(index * step for index, step, _ in steps if isinstance(index, int))
    base, terms = tensor, [f"{i}*{step}" for i, step, _ in steps if isinstance(i, str) and step]
    if tensor and tensor == table:
        base = next(f"{tensor}[{later}{i}]" for i, _, is_row in steps if is_row)
        terms = [f"{i}*{step}" for i, step, is_row in steps if isinstance(i, str) and step and not is_row]
    return " + ".join([*([base] if base else []), *terms, str(fixed)])
