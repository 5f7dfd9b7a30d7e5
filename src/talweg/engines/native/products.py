"""The kernel of contractions whose operands both lie along what is summed: y[b, u] = Σ_k x[b, k] w[u, k].

The sum itself runs in vectors, a tile of rows times units at once; at the end each vector is added up, all of a tile
together: halves of two vectors are interleaved and added, until there is one vector of sums. Each sum is in the order
of its lanes: the same bits for any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

from talweg.engines.native.strategies import by

ROWS, UNITS = 4, {16: (6, 4), 8: (2,), 4: (6, 4), 2: (6, 4)}  # of a tile, by lanes: AVX2 has 16 registers, others 32

SHUFFLES = """
/* Loaded once, and not by every instruction that uses it: there are fewer loads than multiplications in a cycle. */
#if defined(__AVX512F__) || ({size} <= 32 && defined(__AVX__)) || ({size} <= 16 && defined(__x86_64__))
#define ONCE(a) __asm__("" : "+v"(a))
#else
#define ONCE(a) (void)a
#endif

/* Lanes of two vectors, numbered through; and interleaved: those of the first half of each, or of the second. */
typedef {whole} lanes_t __attribute__((vector_size({size})));
#if defined(__clang__)
#define LANES_OF(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define LANES_OF(a, b, ...) __builtin_shuffle(a, b, (lanes_t) {{ __VA_ARGS__ }})
#endif
#define FIRST_HALVES(a, b) LANES_OF(a, b, {first})
#define SECOND_HALVES(a, b) LANES_OF(a, b, {second})
"""


@dataclass(frozen=True)
class Product:
    """length: of the sum. rows: of x (None: those of the batch). x, out: from a row to the next; w: from a unit to the
    next. A unit's results lie side by side."""

    length: int
    units: int
    rows: int | None
    x: int
    w: int
    out: int

    def work(self, capacity: int) -> int:
        """Multiplications."""
        return self.length * self.units * (capacity if self.rows is None else self.rows)


def shuffles(lanes: int, width: int) -> str:
    """C for interleaving two vectors of so many numbers, of `width` bytes each."""
    half = lanes // 2
    first = [lane + other for lane in range(half) for other in (0, lanes)]
    return SHUFFLES.format(
        whole="int32_t" if width == 4 else "int64_t",
        size=lanes * width,
        first=", ".join(map(str, first)),
        second=", ".join(str(i + half) for i in first),
    )


def product_kernel(name: str, p: Product, lanes: int, is_table: bool) -> list[str]:
    """C for rows `first` to `last` and units `lo` to `hi`. is_table: x is a table of where its rows lie."""
    x = "const real **restrict x" if is_table else "const real *restrict x"
    lines = [
        f"static void {name}(real *restrict out, {x}, const real *restrict w,",
        "                    long first, long last, long lo, long hi)",
        "{",
        by("product from a data set" if is_table else "product"),
        *([by("product of no batch")] if p.rows is not None else []),
        *([by("product with a rest")] if p.length % lanes else []),
        *_left(p.length % lanes, lanes),
        "long u = lo;",
    ]
    for units in UNITS[lanes]:
        is_last = units == UNITS[lanes][-1]  # its units may be fewer: the others are the first once more, for nothing
        lines.append(f"for (; u {'' if is_last else f'+ {units - 1} '}< hi; u += {units}) {{")
        lines += [*_tiles(p, units, lanes, is_table), "}"]
    return [*lines, "}"]


def _left(count: int, lanes: int) -> list[str]:
    """The mask of the last `count` lanes."""
    mask = ", ".join("-1" if lane >= lanes - count else "0" for lane in range(lanes))
    return [f"const lanes_t left = {{ {mask} }};"] if count else []


def _tiles(p: Product, units: int, lanes: int, is_table: bool) -> list[str]:
    """All rows times `units` units from u on, tile by tile."""
    whole = p.length - p.length % lanes
    vectors = [f"c{i}_{j}" for i in range(ROWS) for j in range(units)]
    lines = [f"const real *w{j} = w + (u + {j} < hi ? u + {j} : u)*{p.w};" for j in range(units)]
    lines.append(f"for (long m = first; m < last; m += {ROWS}) {{")
    for i in range(ROWS):
        row = f"(m + {i} < last ? m + {i} : m)"
        lines.append(f"const real *x{i} = {f'x[{row}]' if is_table else f'x + {row}*{p.x}'};")
        if is_table:  # rows that lie anywhere in a large array: the next ones are sent for, where they are first read
            lines.append(f"const real *y{i} = x[m + {ROWS + i} < last ? m + {ROWS + i} : first];")
    lines += [f"vec {c} = {{0}};" for c in vectors]
    lines.append(f"for (long k = 0; k < {whole}; k += {lanes}) {{")
    for of_whole in (True, False) if whole < p.length else (True,):
        if not of_whole:  # the last vector begins earlier: of both operands, what was multiplied already counts as 0
            lines.append(f"{{ const long k = {p.length - lanes};")
        loaded = "vec {0} = {1}; ONCE({0});" if of_whole else "const vec {0} = (vec)((lanes_t){1} & left);"
        lines += [loaded.format(f"b{j}", f"*(const vecu *)(w{j} + k)") for j in range(units)]
        if is_table and of_whole:
            lines.append(f"if (u == lo) {{ {' '.join(f'__builtin_prefetch(y{i} + k);' for i in range(ROWS))} }}")
        for i in range(ROWS):
            sums = " ".join(f"c{i}_{j} += a * b{j};" for j in range(units))
            lines.append(f"{{ {loaded.format('a', f'*(const vecu *)(x{i} + k)')} {sums} }}")
        lines.append("}")
    lines.append(f"real sum[{len(vectors) + lanes}];")
    start = 0
    while start < len(vectors):
        size = min(lanes, 1 << (len(vectors) - start).bit_length() - 1)
        added, where = _added_up(vectors[start : start + size], lanes)
        in_order = ", ".join(map(str, where + [0] * (lanes - size)))
        c = vectors[start]
        lines += [*added, f"*(vecu *)(sum + {start}) = LANES_OF({c}, {c}, {in_order});"]
        start += size
    lines.append(f"real *to = out + m*{p.out} + u;")
    lines.append(f"if (m + {ROWS} <= last && u + {units} <= hi) {{")
    lines += [f"memcpy(to + {i * p.out}, sum + {i * units}, {units} * sizeof *to);" for i in range(ROWS)]
    lines.append("} else")
    lines.append(f"for (long i = 0; i < {ROWS} && m + i < last; i++)")
    lines.append(f"for (long j = 0; j < {units} && u + j < hi; j++)")
    lines.append(f"to[i*{p.out} + j] = sum[i*{units} + j];")
    return [*lines, "}"]


def _added_up(vectors: list[str], lanes: int) -> tuple[list[str], list[int]]:
    """C that leaves the sums of vectors, as many as a power of 2, in the first of them; and the lane of each."""
    lines, names, whose = [], vectors, [[i] * lanes for i in range(len(vectors))]
    for _ in range(lanes.bit_length() - 1):  # a last one is paired with itself: its sums are in several lanes
        pairs = [(names[i], names[min(i + 1, len(names) - 1)]) for i in range(0, len(names), 2)]
        lines += [f"{a} = FIRST_HALVES({a}, {b}) + SECOND_HALVES({a}, {b});" for a, b in pairs]
        mixed = [(whose[i], whose[min(i + 1, len(whose) - 1)]) for i in range(0, len(whose), 2)]
        whose = [[pair[lane % 2][lane // 2] for lane in range(lanes)] for pair in mixed]
        names = names[::2]
    return lines, [whose[0].index(i) for i in range(len(vectors))]
