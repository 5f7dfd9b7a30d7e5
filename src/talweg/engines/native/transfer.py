"""C for what goes between the caller's arrays, which are dense, and the block of memory, whose rows are padded."""

from __future__ import annotations

import math

from talweg.engines.native.body import flat_index
from talweg.engines.native.layout import C_TYPE, LINE, Layout
from talweg.engines.native.loops import axes_and_index, bound
from talweg.engines.native.strategies import by
from talweg.graph import BATCH, Tensor


def gather(number: int, x: Tensor, layout: Layout, pointer: str) -> list[str]:
    """Rows ``order[lo..hi]`` of data set `number` into the buffer of `x`."""
    kind, row = C_TYPE[x.dtype], math.prod(d for d in x.shape[1:] if d is not BATCH)
    axes, index = axes_and_index(layout)
    lines = [by("rows gathered" if len(axes) <= 2 else "padded rows gathered")]
    lines.append(f"{{ {kind} *to = {pointer}; const {kind} *from = (const {kind} *)j->data[{number}];")
    if len(axes) <= 2:  # a row lies side by side in both
        to = f"to + i*{layout.strides[0]}"
        lines.append(f"for (long i = lo; i < hi; i++) memcpy({to}, from + order[i]*{row}, {row} * sizeof *to);")
    else:
        lines += [  # rows lie anywhere in a large array: the next one is sent for
            f"for (long i0 = lo; i0 < hi; i0++) {{ const {kind} *next = from + order[i0 + 1 < hi ? i0 + 1 : i0]*{row};",
            f"for (long i = 0; i < {row}; i += {LINE}) __builtin_prefetch(next + i);",
        ]
        lines += [f"for (long i{a} = 0; i{a} < {bound(layout, a, True)}; i{a}++)" for a in axes[1:]]
        at = flat_index(("0", *index[1:]), x.shape)
        lines.append(f"to[{layout.offset(index)}] = from[order[i0]*{row} + {at}]; }}")
    return [*lines, "}"]


def table(number: int, x: Tensor, pointer: str) -> list[str]:
    """Where the rows of data set `number` lie that this step is about, and then those of the next (or these again)."""
    row = math.prod(d for d in x.shape[1:] if d is not BATCH)
    return [
        by("rows in place"),
        f"{{ const real **rows = {pointer}, *from = j->data[{number}];",
        f"for (long i = 0; i < n; i++) rows[i] = from + order[i]*{row};",
        f"for (long i = 0; i < n; i++) rows[n + i] = from + order[first + n + i < j->rows ? n + i : i]*{row}; }}",
    ]


def setting(number: int, x: Tensor, layout: Layout, pointer: str) -> list[str]:
    """The value of setting `number` at step `at` into the buffer of `x`."""
    kind = C_TYPE[x.dtype]
    axes, index = axes_and_index(layout)
    source = f"(const {kind} *)(j->settings[{number}] + at * j->strides[{number}])"
    return [
        by("setting"),
        f"{{ {kind} *to = {pointer}; const {kind} *from = {source};",
        *(f"for (long i{a} = 0; i{a} < {bound(layout, a, True)}; i{a}++)" for a in axes),
        f"to[{layout.offset(index)}] = from[{flat_index(index, x.shape)}]; }}",
    ]


def output(number: int, t: Tensor, layout: Layout, pointer: str) -> list[str]:
    """Output `number` to the caller: the rows of this step where it has a batch axis, else after the last step."""
    kind, is_rows = C_TYPE[t.dtype], bool(t.shape) and t.shape[0] is BATCH
    axes, index = axes_and_index(layout)
    ends = {a: ("lo", "hi") if a == 0 and is_rows else ("0", bound(layout, a, True)) for a in axes}
    when = "1" if is_rows else "first + j->batch >= j->rows"
    start = f"first*{math.prod(d for d in t.shape[1:] if d is not BATCH)} + " if is_rows else ""
    return [
        by("output of rows" if is_rows else "output at the end"),
        f"if ({when}) {{ {kind} *to = ({kind} *)j->outputs[{number}]; const {kind} *from = {pointer};",
        *(f"for (long i{a} = {ends[a][0]}; i{a} < {ends[a][1]}; i{a}++)" for a in axes),
        f"to[{start}{flat_index(index, t.shape)}] = from[{layout.offset(index)}]; }}",
    ]
