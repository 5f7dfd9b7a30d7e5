"""The schedule: which tensors are kept in memory, and which kernel computes them, in order.

A kernel is one contraction, one reduction, one scattering, or a group of elementwise tensors of one shape. Everything
that is not kept is computed where it is read.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from talweg.engines.native.contraction import operands
from talweg.engines.native.formulas import COSTLY, ELEMENTWISE, LEAVES, MOVEMENT
from talweg.engines.native.layout import Layout
from talweg.errors import GraphError
from talweg.graph import BATCH, TABLE, Program, Shape, Tensor

CONTRACTIONS = ("dot", "conv2d", "conv2d_input_gradient", "conv2d_kernel_gradient")
ALONE = ("sum", "max", "argmax", "scatter_add", "max_pool2d", "max_pool2d_gradient", "scan", *CONTRACTIONS)
"""Operations with a kernel of their own."""
MANY = 64  # inputs of a unit
FROM_MEMORY = ("scatter_add", "max_pool2d", "max_pool2d_gradient", "scan", *CONTRACTIONS)
"""Those that read an element several times, so that what they read is computed once and kept."""


@dataclass
class Kernel:
    """One function of the C source: what it computes, and what it reads from memory."""

    nodes: list[Tensor]
    reads: set[Tensor] = field(default_factory=set)
    moved: set[Tensor] = field(default_factory=set)
    """Those of `reads` that are read elsewhere than at the element being computed."""
    is_update: bool = False
    is_cut: bool = False
    """Whether its node is a slice of an input gradient, of which the rest is not computed."""
    has_sunk: bool = False
    """Whether it computes another group that only it reads."""
    is_plain: bool = True
    """Whether all that happens at an element is arithmetic with numbers read there, or everywhere the same."""

    @property
    def op(self) -> str:
        """The operation of a kernel of its own, or "loop"."""
        node = self.nodes[0].inputs[0] if self.is_cut else self.nodes[0]
        return node.op.name if node.op.name in ALONE else "loop"

    @property
    def is_contraction(self) -> bool:
        return self.op in CONTRACTIONS

    @property
    def is_random(self) -> bool:
        return any(n.op.name == "random_uniform" for n in self.nodes)

    @property
    def name(self) -> str:
        """What the C function is called: after the tensor that a user would know it by."""
        own = self.op if self.is_cut else self.nodes[-1].op.name
        return next((n.name for n in reversed(self.nodes) if n.name), own)


@dataclass
class Schedule:
    """Kernels in order; `kept`: every tensor that some kernel computes; `in_place`: tensors stored over a state."""

    program: Program
    kernels: list[Kernel]
    kept: set[Tensor]
    in_place: dict[Tensor, Tensor]  # the new value -> its state
    columns: frozenset[Shape] = frozenset()
    """Shapes of the matrices that are stored by columns: see `_by_columns`."""

    def layout(self, t: Tensor, capacity: int) -> Layout:
        """How a tensor is stored."""
        return Layout(t.shape, t.dtype, capacity, t.shape in self.columns)


def schedule(program: Program) -> Schedule:
    """Kernels for `program`, updates of the states last, so that whoever needs an old value has read it."""
    known = {*ELEMENTWISE, *MOVEMENT, *LEAVES, *ALONE, "random_uniform"}
    if unknown := sorted({n.op.name for n in program.order} - known):
        raise GraphError(f"the native engine has no rule for {', '.join(unknown)}")
    program = _with_computed_updates(program)
    cut = _cut(program)
    kept = _kept(program, cut)
    late = _updates(program)
    kernels: list[Kernel] = []
    place: dict[Tensor, int] = {}
    in_order = [n for n in program.order if n in kept]
    for is_update in (False, True):
        for node in (n for n in in_order if (n in late) == is_update):
            reads, moved = _reads(node, kept)
            after = max((place[r] for r in reads if r in place), default=-1)
            at = None if node in cut else _group_for(node, kernels, after, moved, is_update)
            if at is None:
                at = len(kernels)
                kernels.append(Kernel([], is_update=is_update, is_cut=node in cut))
            kernels[at].nodes.append(node)
            kernels[at].reads |= reads - set(kernels[at].nodes)
            kernels[at].moved |= moved
            kernels[at].is_plain &= _is_plain(node, kept)
            place[node] = at
    kernels = _sunk(kernels, set(program.results))
    place = {node: at for at, kernel in enumerate(kernels) for node in kernel.nodes}
    return Schedule(program, kernels, kept, _in_place(program, kernels, place), _by_columns(program))


def _with_computed_updates(program: Program) -> Program:
    """The program with no leaf for a result: each is computed by a kernel, so none is overwritten before it is read."""
    copy = TABLE["stop_gradient"]
    return program.with_results(copy(t) if t.op.name in LEAVES else t for t in program.results)


def _by_columns(program: Program) -> frozenset[Shape]:
    """The shapes of weights whose columns are units that see many inputs: all that a unit multiplies lies together.

    A thread has its units, and then shares no line of the cache with another one; and a layer's gradient by its input
    needs no copy of the weights turned round. All that is of such a shape (gradients, momenta) is stored alike.
    """
    found: set[Shape] = set()
    for node in program.order:
        if node.op.name == "dot":
            x, w = node.inputs
            sees_rows = x.rank == 2 and x.shape[0] is BATCH
            if sees_rows and node.attributes["axes"] == ((1,), (0,)) and w.op.name == "state" and w.rank == 2:
                inputs, units = w.shape
                if isinstance(inputs, int) and inputs >= MANY and units != 1:
                    found.add(w.shape)
    looked_up = {x.shape for node in program.order if node.op.name == "take" for x in node.inputs[:1]}
    return frozenset(found - looked_up)


def _users(program: Program) -> Counter[Tensor]:
    """How often each tensor is read, the caller's reading included."""
    users = Counter(x for node in program.order for x in node.inputs)
    users.update(program.results)
    return users


def _cut(program: Program) -> dict[Tensor, Tensor]:
    """Slices that are all that is read of an input gradient, as of a padded picture's -> that gradient."""
    users = _users(program)
    return {
        node: x
        for node in program.order
        if node.op.name == "slice"
        for x in node.inputs
        if x.op.name == "conv2d_input_gradient" and users[x] == 1 and x.attributes["groups"] == 1
        if x.shape[3] != 1 and all(step == 1 for *_, step in node.attributes["ranges"]) and x.shape[3] == node.shape[3]
        if node.attributes["ranges"][0][:2] == (0, BATCH)
    }


def _kept(program: Program, cut: dict[Tensor, Tensor]) -> set[Tensor]:
    """Results, what has a kernel of its own, and what is read more than once or by a contraction."""
    users = _users(program)
    kept = {t for t in program.results if t.op.name not in LEAVES}
    for node in program.order:
        if node.op.name in (*ALONE, "random_uniform") or (node.op.name in ELEMENTWISE and users[node] > 1):
            kept.add(node)
        if node.op.name in FROM_MEMORY or _is_regrouping(node):
            kept |= {x for x in operands(node) if x.op.name not in LEAVES}
        if node.op.name in (*MOVEMENT, "sum", "max"):
            kept |= {x for x in node.inputs if _is_costly(x, kept)}
    return kept - set(cut.values()) | set(cut)


def _is_regrouping(node: Tensor) -> bool:
    """Whether `node` is a reshape that does more than put in or take out axes of length 1."""
    long = [[d for d in t.shape if d != 1] for t in (node, *node.inputs)]
    return node.op.name == "reshape" and long[0] != long[1]


def _is_costly(node: Tensor, kept: set[Tensor]) -> bool:
    """Whether computing `node` again for each of several readers would cost more than a load."""
    if node in kept or node.op.name in LEAVES:
        return False
    return node.op.name in COSTLY or any(_is_costly(x, kept) for x in node.inputs)


def _updates(program: Program) -> set[Tensor]:
    """New values of states, and what is computed from them."""
    late: set[Tensor] = set(program.updates.values())
    for node in program.order:
        if any(x in late for x in node.inputs):
            late.add(node)
    return late


def _reads(node: Tensor, kept: set[Tensor]) -> tuple[set[Tensor], set[Tensor]]:
    """What computing `node` loads: kept tensors and leaves; and those of them that a movement leads to."""
    reads: set[Tensor] = set()
    moved: set[Tensor] = set()
    alone = node.op.name in ALONE
    stack = [(x, alone or (node.op.name in MOVEMENT)) for x in node.inputs]
    seen: set[tuple[Tensor, bool]] = set()
    while stack:
        x, is_moved = stack.pop()
        if (x, is_moved) in seen:
            continue
        seen.add((x, is_moved))
        if x in kept or x.op.name in LEAVES:
            reads.add(x)
            if is_moved:
                moved.add(x)
        else:
            stack += [(y, is_moved or x.op.name in MOVEMENT) for y in x.inputs]
    return reads, moved


def _is_plain(node: Tensor, kept: set[Tensor]) -> bool:
    """Whether computing `node` takes no movement but the repetition of single numbers, and no random number."""
    if node.op.name in ("broadcast", "reshape"):
        return math.prod(d if isinstance(d, int) else 2 for d in node.inputs[0].shape) == 1
    here = node.op.name in ELEMENTWISE
    return here and all(_is_plain(x, kept) for x in node.inputs if x not in kept and x.op.name not in LEAVES)


def _group_for(node: Tensor, kernels: list[Kernel], after: int, moved: set[Tensor], is_update: bool) -> int | None:
    """The kernel that `node` can join: a group of its shape, after all that it reads, itself read in place only."""
    if node.op.kin is not None:  # all that is wanted of one loop is computed by one kernel
        kin = node.op.kin(node)
        return next((i for i, k in enumerate(kernels) if k.op == node.op.name and node.op.kin(k.nodes[0]) == kin), None)
    if node.op.name in (*ALONE, "random_uniform"):
        return None
    for at in reversed(range(max(after, 0), len(kernels))):
        k = kernels[at]
        is_like = k.op == "loop" and k.is_update == is_update and k.nodes[0].shape == node.shape
        if is_like and not k.is_random and not moved & set(k.nodes):
            return at
    return None


def _sunk(kernels: list[Kernel], results: set[Tensor]) -> list[Kernel]:
    """The kernels, without groups that only one other group of their shape reads: it computes them itself.

    Those stay of which there is less to read than of what they are computed from.
    """
    for k in reversed([k for k in kernels if _is_movable(k)]):
        nodes, shape = set(k.nodes), k.nodes[0].shape
        readers = [other for other in kernels if other.reads & nodes]
        if len(readers) != 1 or nodes & results:
            continue
        (into,) = readers
        more = [x for x in k.reads - into.reads if x.shape == shape]
        if _is_movable(into) and into.nodes[0].shape == shape and not into.moved & nodes and len(more) <= len(nodes):
            into.nodes[:0] = k.nodes
            into.has_sunk = True
            into.reads = k.reads | into.reads - nodes
            into.moved |= k.moved
            into.is_plain &= k.is_plain
            kernels = [other for other in kernels if other is not k]
    return kernels


def _is_movable(k: Kernel) -> bool:
    return k.op == "loop" and not k.is_update and not k.is_random


def _in_place(program: Program, kernels: list[Kernel], place: dict[Tensor, int]) -> dict[Tensor, Tensor]:
    """New values that may be stored over their state at once: nobody reads the old one later, or elsewhere."""
    out: dict[Tensor, Tensor] = {}
    for state, value in program.updates.items():
        if value not in place or value in out:
            continue
        k = kernels[place[value]]
        read_later = any(state in other.reads for other in kernels[place[value] + 1 :])
        if k.op == "loop" and not read_later and state not in k.moved and value.shape == state.shape:
            out[value] = state
    return out
