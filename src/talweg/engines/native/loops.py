"""Kernels that go through a tensor element by element: groups of elementwise formulas, reductions, scattering."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from talweg.engines.native.body import Body, Place, literal
from talweg.engines.native.layout import C_TYPE, Index, Layout
from talweg.engines.native.schedule import Kernel
from talweg.engines.native.strategies import by
from talweg.engines.native.tiles import NEXT_PART
from talweg.graph import BATCH, Tensor

INDEPENDENT = "#pragma GCC ivdep"  # no pass of the loop reads what another one writes: no need to look for overlaps
LANES = 16  # a sum runs in this many lanes, whatever the machine's vectors: the same bits everywhere
SIDE_BY_SIDE = 64  # numbers in the rows that a sum over rows of few numbers adds to in turn


@dataclass(frozen=True)
class Written:
    """A kernel's C: the body of its loops, and all statements."""

    body: Body
    lines: list[str]


def axes_and_index(layout: Layout) -> tuple[list[int], Index]:
    """The axes that need a loop, outermost first, and the index that their variables make."""
    axes = [a for a in layout.order if layout.shape[a] != 1]
    return axes, tuple(f"i{a}" if a in axes else "0" for a in range(len(layout.shape)))


def bound(layout: Layout, axis: int, exact: bool) -> str:
    """Where the loop over an axis ends: along the innermost in the padding, unless it has to be `exact`."""
    d = layout.shape[axis]
    return "n" if d is BATCH else str(d) if exact or axis != layout.inner else str(layout.width)


def _innermost(layout: Layout) -> str:
    """The variable of the loop that may go on into the padding."""
    return f"i{layout.inner}" if layout.inner is not None else ""


Parts = dict[int, tuple[str, str]]  # axes of which a call does only a part, and from where to where, as C


def _for(layout: Layout, axis: int, exact: bool = True, parts: Parts | None = None) -> str:
    """The head of a loop over an axis. Along the innermost, a part may end in the padding."""
    end = bound(layout, axis, exact)
    start, last = (parts or {}).get(axis, ("0", end))
    if last != end and exact and axis == layout.inner and layout.shape[axis] is not BATCH:
        last = f"({last} < {end} ? {last} : {end})"
    return f"for (long i{axis} = {start}; i{axis} < {last}; i{axis}++) {{"


def loop_kernel(kernel: Kernel, place: Place, kept: set[Tensor], stored: dict[Tensor, str], parts: Parts) -> Written:
    """A group of elementwise tensors: one loop nest for all. `stored`: those that go to memory, and where."""
    node = kernel.nodes[0]
    layout = place(node)[1]
    if are_pairs(node, layout):
        return _random_pairs(node, place, kept, stored[node], parts)
    if len(kernel.nodes) == 1 and node.op.name == "concat" and node.attributes["axis"] not in parts:
        return _concatenation(node, place, kept, stored[node], parts)
    axes, index = axes_and_index(layout)
    if _has_margins(kernel, parts):
        return _padded(node, place, kept, stored[node], parts)
    if len(axes) > 1 and not set(parts) - {axes[0]} and _is_flat(kernel):
        # Everything that is read lies as the result does: one loop for all axes, with no end of a row.
        row = layout.strides[axes[0]]
        start, end = parts.get(axes[0], ("0", bound(layout, axes[0], True)))
        way = "flat group"
        heads = [f"for (long i = {start}*{row}; i < {end}*{row}; i++) {{"]
        index = tuple("i" if a == layout.inner else "0" for a in range(len(index)))
        body = Body(place, set(kernel.nodes), kept)
        values = {node: body.value(node, index, defining=True) for node in kernel.nodes}
    else:
        body = Body(place, set(kernel.nodes), kept, _innermost(layout))
        values = {node: body.value(node, index, defining=True) for node in kernel.nodes}
        heads = [_for(layout, a, body.exact, parts) for a in axes]
        way = "group" if axes else "single number"
    stores = [f"{to}[{place(node)[1].offset(index)}] = {values[node]};" for node, to in stored.items()]
    heads[-1:] = [INDEPENDENT, *heads[-1:]] if heads else []
    noted = [by(way), *([by("exact ends")] if body.exact else []), *([by("sunk group")] if kernel.has_sunk else [])]
    return Written(body, [*noted, *heads, *body.lines, *stores, *["}"] * (len(heads) - 1 if heads else 0)])


def _has_margins(kernel: Kernel, parts: Parts) -> bool:
    """Whether a kernel is one `pad` with nothing between the elements, and threads share an axis without margins."""
    node = kernel.nodes[0]
    if len(kernel.nodes) > 1 or node.op.name != "pad":
        return False
    return all(p == (0, 0, 0) or (p[2] == 0 and a not in parts) for a, p in enumerate(node.attributes["padding"]))


def _padded(node: Tensor, place: Place, kept: set[Tensor], stored: str, parts: Parts) -> Written:
    """A tensor with margins: along each axis that has them one loop before, one inside, one after; no test within."""
    x, layout = node.inputs[0], place(node)[1]
    axes, index = axes_and_index(layout)
    low = {a: before for a, (before, after, _) in enumerate(node.attributes["padding"]) if before or after}
    body = Body(place, {node}, kept, _innermost(layout))
    value = body.value(x, tuple(f"({i} - {low[a]})" if low.get(a) else i for a, i in enumerate(index)))
    filler = literal(node.attributes["value"], node.dtype)

    def loops(level: int) -> list[str]:
        if level == len(axes):
            return [*body.lines, f"{stored}[{layout.offset(index)}] = {value};"]
        a, inner = axes[level], loops(level + 1)
        pragma = [INDEPENDENT] if level == len(axes) - 1 else []
        if a not in low:
            return [*pragma, _for(layout, a, body.exact, parts), *inner, "}"]
        end = low[a] + x.shape[a]
        last = layout.width if a == layout.inner else layout.lengths[a]
        here = layout.offset(tuple(i if b in axes[:level] else "0" for b, i in enumerate(index)))
        return [
            *_margin(f"{stored} + {here}", 0, low[a] * layout.strides[a], filler),
            *pragma,
            f"for (long i{a} = {low[a]}; i{a} < {end}; i{a}++) {{",
            *inner,
            "}",
            *_margin(f"{stored} + {here}", end * layout.strides[a], last * layout.strides[a], filler),
        ]

    return Written(body, [by("margins"), *loops(0)])


def _margin(to: str, start: int, end: int, filler: str) -> list[str]:
    return [f"for (long j = {start}; j < {end}; j++) ({to})[j] = {filler};"] if start < end else []


def _concatenation(node: Tensor, place: Place, kept: set[Tensor], stored: str, parts: Parts) -> Written:
    """A loop nest for each of the tensors that are joined."""
    layout, axis, start = place(node)[1], node.attributes["axis"], 0
    whole, lines = Body(place, {node}, kept), [by("concatenation")]
    for x in node.inputs:
        index = tuple("0" if d == 1 else f"i{a}" for a, d in enumerate(x.shape))
        to = layout.offset((*index[:axis], f"{index[axis]} + {start}", *index[axis + 1 :]))
        body = Body(place, {node}, kept, _innermost(layout))
        value = body.value(x, index)
        own = f"for (long i{axis} = 0; i{axis} < {x.shape[axis]}; i{axis}++) {{"
        heads = [own if a == axis else _for(layout, a, body.exact, parts) for a in layout.order if x.shape[a] != 1]
        heads[-1:] = [INDEPENDENT, *heads[-1:]] if heads else []
        count = sum(head != INDEPENDENT for head in heads)
        lines += ["{", *heads, *body.lines, f"{stored}[{to}] = {value};", *["}"] * (count + 1)]
        whole.used |= body.used
        start += x.shape[axis]
    return Written(whole, lines)


def _is_flat(kernel: Kernel) -> bool:
    """Whether each tensor that a group reads is of the group's shape and read in place, or a single number repeated."""
    shape = kernel.nodes[0].shape
    in_place = all(x.shape == shape and x not in kernel.moved for x in kernel.reads if any(d != 1 for d in x.shape))
    return in_place and kernel.is_plain


def combining_kernel(node: Tensor, place: Place, kept: set[Tensor], stored: str, parts: Parts, part: int) -> Written:
    """The sum of what the parts of the batch came to, one after the other: the same for any number of threads."""
    layout = place(node)[1]
    axes, index = axes_and_index(layout)
    to = place(node)[1].offset(index)
    heads = [_for(layout, a, False, parts) for a in axes]
    lines = [
        by("parts joined"),
        *heads[:-1],
        "for (long b = 0; b * PART < n; b++) {",
        *heads[-1:],
        f"{stored}[{to}] = (b ? {stored}[{to}] : 0) + parts[b * {part}L + {to}];",
        *["}"] * (len(heads) + 1),
    ]
    return Written(Body(place, {node}, kept), lines)


def are_pairs(node: Tensor, layout: Layout) -> bool:
    """Whether `node` is random numbers of which a row is a whole number of pairs, which lie one after the other."""
    row = Layout(node.shape[1:], node.dtype, 1)
    is_drawn = node.op.name == "random_uniform" and bool(node.shape) and not layout.by_columns
    return is_drawn and row.size % 2 == 0 and row.is_dense


def _random_pairs(node: Tensor, place: Place, kept: set[Tensor], stored: str, parts: Parts) -> Written:
    """Random numbers two by two, as Threefry makes them, where they lie side by side."""
    row = math.prod(d for d in node.shape[1:] if d is not BATCH) // 2
    start, end = parts.get(0, ("0", "n" if node.shape[0] is BATCH else str(node.shape[0])))
    lines = [
        by("random pairs"),
        f"for (long q = {start}*{row}; q < {end}*{row}; q++) {{",
        "uint32_t a, b; t_threefry(k0, k1, (uint32_t)q, 0, &a, &b);",
        f"{stored}[2*q] = t_unit(a); {stored}[2*q + 1] = t_unit(b);",
        "}",
    ]
    return Written(Body(place, {node}, kept), lines)


def reduce_kernel(node: Tensor, place: Place, kept: set[Tensor], stored: str, parts: Parts, part: int = 0) -> Written:
    """A sum, maximum, or place of the maximum."""
    if node.op.name == "argmax":
        return _argmax(node, place, kept, stored, parts)
    x, over = node.inputs[0], node.attributes["axes"]
    return reduction(node, x, over, place, kept, stored, parts, lambda body, index: body.value(x, index), part)


def reduction(
    node: Tensor,
    x: Tensor,
    over: tuple[int, ...],
    place: Place,
    kept: set[Tensor],
    stored: str,
    parts: Parts,
    term: Callable[[Body, Index], str],
    part: int = 0,
) -> Written:
    """`node` is the sum or maximum of `term` over the axes `over` of the space of `x`; the other axes are `node`'s.

    part: where rows of the batch are summed in parts, how many numbers a part's result takes.
    """
    space = Layout(x.shape, x.dtype, 1)
    axes, index = axes_and_index(space)
    own = [a for a in range(x.rank) if a not in over]
    shared = {own[a]: part_of for a, part_of in parts.items()}
    free, summed = [a for a in axes if a not in over], [a for a in axes if a in over]
    to = f"{'part' if part else stored}[{place(node)[1].offset(tuple(index[a] for a in own))}]"
    body = Body(place, {node}, kept, _innermost(space))
    value = term(body, index)
    if space.inner in own and place(node)[1].inner != own.index(space.inner):
        body.exact = True  # the result has its padding along another axis
    join = _joined(node)
    heads = [_for(space, a, True, shared) for a in free]
    noted = [by("maximum")] if node.op.name == "max" else []
    if not summed:
        return Written(
            body, [by("sum of nothing"), *noted, *heads, *body.lines, f"{to} = {value};", *["}"] * len(free)]
        )
    if space.inner in free:  # it stays: a row of results, each of which is summed in order
        last = _for(space, free[-1], body.exact, shared)
        batch = "for (long i{} = b; i{} < e; i{}++) {{"
        over_rows = [batch.format(a, a, a) if part and x.shape[a] is BATCH else _for(space, a) for a in summed]
        begun = f"{'if (b % PART == 0) ' if part else ''}{last} {to} = {_first(node)}; }}"
        if (
            (side := SIDE_BY_SIDE // space.width) > 1
            and isinstance(x.shape[summed[-1]], int)
            and not shared.keys() & free
        ):
            noted.append(by("sums side by side"))
            lines = [
                *heads[:-1],
                begun,
                *_side_by_side(node, space, summed[-1], over_rows, last, side, body, value, to),
            ]
        else:
            row = [last, *body.lines, f"{to} = {join(to, value)};", "}"]
            lines = [*heads[:-1], begun, *over_rows, *row, *["}"] * len(over_rows)]
        lines += ["}"] * len(heads[:-1])
        noted.append(by("parts of a sum" if part else "sum of rows"))
        if part:
            lines = [NEXT_PART.format(first="lo", last="hi", to="parts", size=part), *lines, "}"]
        return Written(body, [*noted, *lines])
    lines = [
        *noted,
        by("exact sum in lanes" if body.exact else "sum in lanes"),
        *heads,
        f"{C_TYPE[node.dtype]} lane[{LANES}]; for (int l = 0; l < {LANES}; l++) lane[l] = {_first(node)};",
        *(_for(space, a) for a in summed[:-1]),
        *_lanes(space, value, body, join),
        *["}"] * (len(summed) - 1),
        f"for (int h = {LANES // 2}; h > 0; h >>= 1)",
        f"for (int l = 0; l < h; l++) lane[l] = {join('lane[l]', 'lane[l + h]')};",
        f"{to} = lane[0];",
        *["}"] * len(free),
    ]
    return Written(body, lines)


def _side_by_side(
    node: Tensor, space: Layout, axis: int, over: list[str], last: str, side: int, body: Body, value: str, to: str
) -> list[str]:
    """Short rows of results: neighbours along the summed `axis` go to `side` of them in turn, which are then joined.

    Each addition would otherwise wait for the one before.
    """
    join, inner, length = _joined(node), space.inner, space.lengths[axis]
    kind, width = C_TYPE[node.dtype], space.width
    side = min(side, length)
    row = [last, *body.lines, f"sum[s][i{inner}] = {join(f'sum[s][i{inner}]', value)};", "}"]
    whole = length - length % side
    return [
        f"{kind} sum[{side}][{width}];",
        f"for (int s = 0; s < {side}; s++) for (int l = 0; l < {width}; l++) sum[s][l] = {_first(node)};",
        *over[:-1],
        f"for (long r = 0; r < {whole}; r += {side})",
        f"for (int s = 0; s < {side}; s++) {{ const long i{axis} = r + s;",
        *row,
        "}",
        *(
            [f"for (long i{axis} = {whole}, s = 0; i{axis} < {length}; i{axis}++, s++) {{", *row, "}"]
            if whole < length
            else []
        ),
        *["}"] * (len(over) - 1),
        f"for (int s = 0; s < {side}; s++)",
        f"{last} {to} = {join(to, f'sum[s][i{inner}]')}; }}",
    ]


def _lanes(space: Layout, value: str, body: Body, join: Callable[[str, str], str]) -> list[str]:
    """The innermost axis is summed, in lanes: element j goes to lane j mod 16."""
    inner = space.inner
    assert inner is not None
    end = bound(space, inner, True)
    block = (
        f"for (long j = 0; j < {{}}; j += {LANES}) for (int l = 0; l < {LANES}; l++) {{{{ const long i{inner} = j + l;"
    )
    if not body.exact:  # whole vectors, with the padding left out
        return [block.format(end), *body.lines, f"lane[l] = i{inner} < {end} ? {join('lane[l]', value)} : lane[l]; }}"]
    whole = f"({end} & ~{LANES - 1}L)"
    return [
        block.format(whole),
        *body.lines,
        f"lane[l] = {join('lane[l]', value)}; }}",
        f"for (long i{inner} = {whole}; i{inner} < {end}; i{inner}++) {{ const int l = (int)(i{inner} & {LANES - 1});",
        *body.lines,
        f"lane[l] = {join('lane[l]', value)}; }}",
    ]


def _first(node: Tensor) -> str:
    """What a reduction begins with."""
    if node.op.name != "max":
        return "0"
    return literal(-math.inf, "float") if node.dtype == "float" else "INT32_MIN"


def _joined(node: Tensor) -> Callable[[str, str], str]:
    if node.op.name != "max":
        return lambda a, b: f"{a} + {b}"
    return lambda a, b: f"t_max({a}, {b})" if node.dtype == "float" else f"({a} > {b} ? {a} : {b})"


def _argmax(node: Tensor, place: Place, kept: set[Tensor], stored: str, parts: Parts) -> Written:
    """The place of the first of the largest; NaN counts as larger than all, as in NumPy."""
    x, axis = node.inputs[0], node.attributes["axis"]
    space = Layout(x.shape, x.dtype, 1)
    axes, index = axes_and_index(space)
    own = [a for a in range(x.rank) if a != axis]
    shared = {own[a]: part_of for a, part_of in parts.items()}
    free = [a for a in axes if a != axis]
    to = place(node)[1].offset(tuple(index[a] for a in own))
    body = Body(place, {node}, kept)
    value = body.value(x, index)
    is_better = f"i{axis} == 0 || {value} > top || ({value} != {value} && top == top)"
    lines = [
        by("place of the maximum"),
        *(_for(space, a, True, shared) for a in free),
        f"int32_t best = 0; {C_TYPE[x.dtype]} top = 0;",
        f"for (long i{axis} = 0; i{axis} < {bound(space, axis, True)}; i{axis}++) {{",
        *body.lines,
        f"if ({is_better}) {{ top = {value}; best = (int32_t)i{axis}; }}",
        "}",
        f"{stored}[{to}] = best;",
        *["}"] * len(free),
    ]
    return Written(body, lines)


def scatter_kernel(node: Tensor, place: Place, kept: set[Tensor], stored: str, parts: Parts) -> Written:
    """Each row of values is added to the row that its index names, one after another."""
    (x, indices), paired = node.inputs, node.attributes["paired"]
    last = node.attributes["rows"] - 1
    space, out = Layout(x.shape, x.dtype, 1), place(node)[1]
    (axes, index), (out_axes, out_index) = axes_and_index(space), axes_and_index(out)
    body = Body(place, {node}, kept)
    row, value = body.value(indices, index[: indices.rank]), body.value(x, index)
    clipped = f"({row} < 0 ? 0 : {row} > {last} ? {last} : {row})"
    to = out.offset((*index[:paired], clipped, *index[indices.rank :]))
    own = {a if a < paired else a - paired - 1 + indices.rank: ends for a, ends in parts.items()}
    lines = [
        by("scattering"),
        *(_for(out, a, True, parts) for a in out_axes),
        f"{stored}[{out.offset(out_index)}] = 0;",
        *["}"] * len(out_axes),
        *(_for(space, a, True, own) for a in axes),
        *body.lines,
        f"{stored}[{to}] += {value};",
        *["}"] * len(axes),
    ]
    return Written(body, lines)
