"""Kernels that go through a tensor element by element: groups of elementwise formulas, reductions, scattering."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from talweg.engines.native.body import Body, Place, literal
from talweg.engines.native.layout import C_TYPE, Index, Layout
from talweg.engines.native.schedule import Kernel
from talweg.graph import BATCH, Shape, Tensor

LANES = 16  # a sum runs in this many lanes, whatever the machine's vectors: the same bits everywhere


@dataclass(frozen=True)
class Written:
    """A kernel's C: the statements; the length of the loop from `lo` to `hi` that threads may share out (None: there is
    none); and the space that its loops visit."""

    body: Body
    lines: list[str]
    outer: str | None
    space: Shape

    def visits(self, capacity: int) -> int:
        return math.prod(capacity if d is BATCH else d for d in self.space)


def axes_and_index(layout: Layout) -> tuple[list[int], Index]:
    """The axes that need a loop, outermost first, and the index that their variables make."""
    axes = [a for a, d in enumerate(layout.shape) if d != 1]
    return axes, tuple(f"i{a}" if a in axes else "0" for a in range(len(layout.shape)))


def bound(layout: Layout, axis: int, exact: bool) -> str:
    """Where the loop over an axis ends: along the innermost in the padding, unless it has to be `exact`."""
    d = layout.shape[axis]
    return "n" if d is BATCH else str(d) if exact or axis != layout.inner else str(layout.width)


def _for(layout: Layout, axis: int, exact: bool = True, divided: bool = False) -> str:
    start, end = ("lo", "hi") if divided else ("0", bound(layout, axis, exact))
    return f"for (long i{axis} = {start}; i{axis} < {end}; i{axis}++) {{"


def loop_kernel(kernel: Kernel, place: Place, kept: set[Tensor], stored: dict[Tensor, str]) -> Written:
    """A group of elementwise tensors: one loop nest for all. `stored`: those that go to memory, and where."""
    node = kernel.nodes[0]
    if node.op.name == "random_uniform" and place(node)[1].is_dense:
        return _random_pairs(node, place, kept, stored[node])
    layout = Layout(node.shape, node.dtype, 1)
    axes, index = axes_and_index(layout)
    body = Body(place, set(kernel.nodes), kept)
    values = {node: body.value(node, index, defining=True) for node in kernel.nodes}
    stores = [f"{to}[{place(node)[1].offset(index)}] = {values[node]};" for node, to in stored.items()]
    divided = axes[0] if len(axes) > 1 else None
    lines = [
        *(_for(layout, a, body.exact, a == divided) for a in axes),
        *body.lines,
        *stores,
        *["}"] * len(axes),
    ]
    return Written(body, lines, None if divided is None else bound(layout, divided, True), layout.shape)


def _random_pairs(node: Tensor, place: Place, kept: set[Tensor], stored: str) -> Written:
    """Random numbers two by two, as Threefry makes them, where they lie side by side."""
    count = " * ".join("n" if d is BATCH else str(d) for d in node.shape) or "1"
    lines = [
        "for (long q = lo; q < hi; q++) {",
        "uint32_t a, b; t_threefry(k0, k1, (uint32_t)q, 0, &a, &b);",
        f"{stored}[2*q] = t_unit(a); {stored}[2*q + 1] = t_unit(b);",
        "}",
    ]
    return Written(Body(place, {node}, kept), lines, f"(({count} + 1) / 2)", node.shape)


def reduce_kernel(node: Tensor, place: Place, kept: set[Tensor], stored: str) -> Written:
    """A sum, maximum, or place of the maximum."""
    if node.op.name == "argmax":
        return _argmax(node, place, kept, stored)
    x = node.inputs[0]
    return reduction(node, x, node.attributes["axes"], place, kept, stored, lambda body, index: body.value(x, index))


def reduction(
    node: Tensor,
    x: Tensor,
    over: tuple[int, ...],
    place: Place,
    kept: set[Tensor],
    stored: str,
    term: Callable[[Body, Index], str],
) -> Written:
    """`node` is the sum or maximum of `term` over the axes `over` of the space of `x`; the other axes are `node`'s."""
    space = Layout(x.shape, x.dtype, 1)
    axes, index = axes_and_index(space)
    free = [a for a in axes if a not in over]
    summed = [a for a in axes if a in over]
    to = f"{stored}[{place(node)[1].offset(tuple(i for a, i in enumerate(index) if a not in over))}]"
    body = Body(place, {node}, kept)
    value = term(body, index)
    join = _joined(node)
    if not summed:
        divided = free[0] if free else None
        lines = [
            *(_for(space, a, True, a == divided) for a in free),
            *body.lines,
            f"{to} = {value};",
            *["}"] * len(free),
        ]
        return Written(body, lines, bound(space, divided, True) if divided is not None else None, space.shape)
    if space.inner in free:
        return Written(body, _by_rows(space, free, summed, to, value, body, node), None, space.shape)
    divided = free[0] if free else None
    lines = [
        *(_for(space, a, True, a == divided) for a in free),
        f"{C_TYPE[node.dtype]} lane[{LANES}]; for (int l = 0; l < {LANES}; l++) lane[l] = {_first(node)};",
        *(_for(space, a) for a in summed[:-1]),
        *_lanes(space, value, body, join),
        *["}"] * (len(summed) - 1),
        f"for (int h = {LANES // 2}; h > 0; h >>= 1)",
        f"for (int l = 0; l < h; l++) lane[l] = {join('lane[l]', 'lane[l + h]')};",
        f"{to} = lane[0];",
        *["}"] * len(free),
    ]
    return Written(body, lines, bound(space, divided, True) if divided is not None else None, space.shape)


def _by_rows(
    space: Layout, free: list[int], summed: list[int], to: str, value: str, body: Body, node: Tensor
) -> list[str]:
    """The innermost axis stays: a row of results, each of which is summed in order."""
    outer, last = free[:-1], free[-1]
    return [
        *(_for(space, a) for a in outer),
        f"{_for(space, last, body.exact)} {to} = {_first(node)}; }}",
        *(_for(space, a) for a in summed),
        _for(space, last, body.exact),
        *body.lines,
        f"{to} = {_joined(node)(to, value)};",
        *["}"] * (1 + len(summed) + len(outer)),
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


def _argmax(node: Tensor, place: Place, kept: set[Tensor], stored: str) -> Written:
    """The place of the first of the largest; NaN counts as larger than all, as in NumPy."""
    x, axis = node.inputs[0], node.attributes["axis"]
    space = Layout(x.shape, x.dtype, 1)
    axes, index = axes_and_index(space)
    free = [a for a in axes if a != axis]
    to = place(node)[1].offset(tuple(i for a, i in enumerate(index) if a != axis))
    body = Body(place, {node}, kept)
    value = body.value(x, index)
    is_better = f"i{axis} == 0 || {value} > top || ({value} != {value} && top == top)"
    divided = free[0] if free else None
    lines = [
        *(_for(space, a, True, a == divided) for a in free),
        f"int32_t best = 0; {C_TYPE[x.dtype]} top = 0;",
        f"for (long i{axis} = 0; i{axis} < {bound(space, axis, True)}; i{axis}++) {{",
        *body.lines,
        f"if ({is_better}) {{ top = {value}; best = (int32_t)i{axis}; }}",
        "}",
        f"{stored}[{to}] = best;",
        *["}"] * len(free),
    ]
    return Written(body, lines, bound(space, divided, True) if divided is not None else None, space.shape)


def scatter_kernel(node: Tensor, place: Place, kept: set[Tensor], stored: str) -> Written:
    """Each row of values is added to the row that its index names, one after another."""
    x, indices = node.inputs
    last = node.attributes["rows"] - 1
    space, out = Layout(x.shape, x.dtype, 1), place(node)[1]
    axes, index = axes_and_index(space)
    body = Body(place, {node}, kept)
    row, value = body.value(indices, index[: indices.rank]), body.value(x, index)
    to = out.offset((f"({row} < 0 ? 0 : {row} > {last} ? {last} : {row})", *index[indices.rank :]))
    lines = [
        f"for (long i = 0; i < {out.size}; i++) {stored}[i] = 0;",
        *(_for(space, a) for a in axes),
        *body.lines,
        f"{stored}[{to}] += {value};",
        *["}"] * len(axes),
    ]
    return Written(body, lines, None, space.shape)
