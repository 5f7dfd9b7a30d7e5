"""The C of a loop: one function that calls those of its body's kernels, at each step on other places of the sequences.

A thread goes through all steps for its own rows. What the body reads of a sequence, or adds to a stack, lies there
already, a step further each time, unless a contraction needs it side by side: that is copied at each step.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from talweg.engines.base import has_rows
from talweg.engines.native import contraction
from talweg.engines.native.comments import comment
from talweg.engines.native.division import ALONE, Division
from talweg.engines.native.layout import C_TYPE, Layout
from talweg.engines.native.looping import Body
from talweg.engines.native.loops import INDEPENDENT, axes_and_index, bound
from talweg.engines.native.memory import Detour, Memory
from talweg.engines.native.phases import Choice, Thing
from talweg.engines.native.schedule import CONTRACTIONS
from talweg.engines.native.strategies import by
from talweg.engines.native.tasks import Compute
from talweg.graph import BATCH, Tensor

if TYPE_CHECKING:
    from talweg.engines.native.unit import _Writer

ROWS = Division("rows", ("rows",), 0)


@dataclass(frozen=True)
class Step(Layout):
    """One step of a stack, which has the steps along `axis`."""

    whole: Layout | None = None
    axis: int = 0

    @cached_property
    def strides(self) -> tuple[int, ...]:
        assert self.whole is not None
        return (*self.whole.strides[: self.axis], *self.whole.strides[self.axis + 1 :])

    @property
    def is_dense(self) -> bool:
        return False

    @property
    def fits(self) -> bool:
        """Whether a row of it is padded as a row of any tensor is, so that loops may run on into the padding."""
        whole = self.whole
        assert whole is not None
        own = None if self.inner is None else self.inner + (self.inner >= self.axis)
        return whole.inner == own and not whole.by_columns and own is not None


class Inside:
    """Where the tensors of a body lie, at step `left` of the loop. It stands in for the memory of a program."""

    def __init__(self, memory: Memory, body: Body) -> None:
        self.memory, self.body = memory, body
        self.layouts: dict[Tensor, Layout] = {}
        self._pointers: dict[Tensor, str] = {}
        s = body.schedule
        operands = {x for k in s.kernels if k.op in CONTRACTIONS for x in (*k.nodes, *contraction.operands(k.nodes[0]))}
        for own, given in body.given.items():
            if given.op.name == "batch_size":
                continue
            if own in body.loop.constants:
                self.layouts[own], self._pointers[own] = memory.lay_out(given), memory.pointer(given)
            elif own in body.loop.steps and own not in operands and (view := self._view(own, given)).fits:
                self._see(own, given, view)
            else:
                self._make_room(own)
        computed = [n for k in s.kernels for n in k.nodes]
        for value, state in s.in_place.items():
            self.layouts[value], self._pointers[value] = self.layouts[state], self._pointers[state]
        loops = {n for k in s.kernels if k.op == "loop" for n in k.nodes}
        for t, node in body.stacks:
            if t in loops and t not in operands and t not in self._pointers and (view := self._view(t, node)).fits:
                self._see(t, node, view)
        for t in (t for t in computed if t not in self._pointers):
            self._make_room(t)
        for t in s.program.order:
            if t.op.name == "constant" and t.attributes["value"].size != 1:
                self._make_room(t)
                memory.offsets[t], memory.layouts[t] = memory.size - memory.room(t), self.layouts[t]

    def _view(self, own: Tensor, stack: Tensor) -> Step:
        at = min(self.body.axis, own.rank)
        return Step(own.shape, own.dtype, self.memory.capacity, False, self.memory.lay_out(stack), at)

    def _see(self, own: Tensor, stack: Tensor, view: Step) -> None:
        assert view.whole is not None
        self.layouts[own] = view
        self._pointers[own] = f"({self.memory.pointer(stack)} + left*{view.whole.strides[view.axis]})"

    def _make_room(self, t: Tensor) -> None:
        """Room for all rows in the memory of the program; for what has no rows, in that of each thread."""
        m, kind = self.memory, C_TYPE[t.dtype]
        self.layouts[t] = self.body.schedule.layout(t, m.capacity)
        if BATCH in t.shape or t.op.name == "constant":
            self._pointers[t] = f"(({kind} *)(memory + {m.size}))"
            m.size += m.room(t)
        else:
            self._pointers[t] = f"(({kind} *)(own + {m.own_size}))"
            m.own_size += m.room(t)

    def has(self, t: object) -> bool:
        return t in self._pointers

    def pointer(self, t: Tensor | Detour) -> str:
        return self.memory.pointer(t) if isinstance(t, Detour) else self._pointers[t]

    def is_seen(self, tensors: Iterable[Tensor]) -> bool:
        """Whether one of these lies in a stack."""
        return any(isinstance(self.layouts.get(t), Step) for t in tensors)

    def layout_in(self, stack: Tensor, own: Tensor) -> tuple[str, Layout]:
        """Where the step at hand of a stack lies."""
        view = self._view(own, stack)
        assert view.whole is not None
        return f"({self.memory.pointer(stack)} + left*{view.whole.strides[view.axis]})", view


def scan_function(writer: _Writer, task: Compute, name: str) -> list[str]:
    """The functions of the body's kernels, and the one that calls them."""
    body, inside = task.body, writer.inside[task]
    assert body is not None
    inner = copy.copy(writer)  # what writes a program writes a body: other tensors, in other places
    inner.schedule, inner.memory, inner.calls = body.schedule, inside, {}  # type: ignore[assignment]
    inner.names = {t: f"t{i}" for i, t in enumerate(inside.layouts)}
    lines: list[str] = []
    calls: list[str] = []
    for number, kernel in enumerate(body.schedule.kernels):
        node = kernel.nodes[0]
        plan = body.plans.get(node)
        is_plain = kernel.is_plain and not inside.is_seen([*kernel.nodes, *kernel.reads])
        mine = Compute(kernel.name, (), [], kernel=replace(kernel, is_plain=is_plain), plan=plan)
        copies: dict[Thing, int | None] = {c: None for c in task.reads if isinstance(c, Detour) and c.node is node}
        mine.chosen = Choice(ROWS if has_rows(node) else ALONE, copies)
        own = f"{name}_in_{number}"  # `name` with a number may be another loop's
        lines += inner._contraction(mine, own) if plan else inner._loops(mine, own)
        calls.append(inner.calls[mine])
    writer.calls[task] = f"{name}(memory, own, n, lo, hi, left, right);"
    order = "for (left = {0}; left >= 0; left--) {{" if body.is_backward else "for (left = 0; left <= {0}; left++) {{"
    return [
        *lines,
        comment(f"{body.loop} of {body.length} steps"),
        by("loop of one thread" if task.division == ALONE else "loop of divided rows"),
        *([by("loop backward")] if body.is_backward else []),
        *([by("step in place")] if inside.is_seen(inside.layouts) else []),
        f"static void {name}(char *memory, char *own, long n, long lo, long hi, long left, long right)\n{{",
        "(void)own; (void)n; (void)right;",
        *(["lo = 0; hi = n;"] if task.division == ALONE else []),
        *_begin(inside, body, writer.memory),
        order.format(body.length - 1),
        *_bring(inside, body),
        *calls,
        *_hand_on(inside, body),
        "}",
        "}",
    ]


def _begin(inside: Inside, body: Body, memory: Memory) -> list[str]:
    """The states before the first step."""
    out: list[str] = []
    for own in body.loop.carried:
        given = body.given[own]
        out += _copy(own, (inside.pointer(own), inside.layouts[own]), (memory.pointer(given), memory.lay_out(given)))
    return out


def _bring(inside: Inside, body: Body) -> list[str]:
    """The elements of sequences that are not read where they lie."""
    out: list[str] = []
    for own in body.loop.steps:
        if not isinstance(inside.layouts[own], Step):
            out.append(by("step copied"))
            out += _copy(own, (inside.pointer(own), inside.layouts[own]), inside.layout_in(body.given[own], own))
    return out


def _hand_on(inside: Inside, body: Body) -> list[str]:
    """What was not stored where it belongs: to the stacks, and then the new states over the old."""
    out: list[str] = []
    for t, node in body.stacks:
        pointer, layout = inside.layout_in(node, t)
        if inside.pointer(t) != pointer:
            out.append(by("step copied"))
            out += _copy(t, (pointer, layout), (inside.pointer(t), inside.layouts[t]))
    for state, value in body.updates.items():
        if body.schedule.in_place.get(value) is not state:
            places = [(inside.pointer(t), inside.layouts[t]) for t in (state, value)]
            out += _copy(state, *places)
    return out


Place = tuple[str, Layout]


def _copy(t: Tensor, to: Place, source: Place) -> list[str]:
    """The rows at hand of a tensor, from one place to another."""
    layout = Layout(t.shape, t.dtype, 1)
    axes, index = axes_and_index(layout)
    kind, heads = C_TYPE[t.dtype], []
    for a in axes:
        start, end = ("lo", "hi") if t.shape[a] is BATCH else ("0", bound(layout, a, True))
        heads.append(f"for (long i{a} = {start}; i{a} < {end}; i{a}++)")
    heads[-1:] = [INDEPENDENT, *heads[-1:]] if heads else []
    return [
        f"{{ {kind} *to = {to[0]}; const {kind} *from = {source[0]};",
        *heads,
        f"to[{to[1].offset(index)}] = from[{source[1].offset(index)}]; }}",
    ]
