"""The tasks of a step, and how each can be divided between threads: kernels, copies, what is brought and handed out."""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass

from talweg.engines.base import has_rows
from talweg.engines.native import contraction, tiles
from talweg.engines.native.division import ALONE, EVERYONE, Division, followed, summed
from talweg.engines.native.layout import SLACK, Layout
from talweg.engines.native.looping import Body
from talweg.engines.native.memory import Detour, Table
from talweg.engines.native.phases import Choice, Task, Thing
from talweg.engines.native.schedule import CONTRACTIONS, Kernel, Schedule
from talweg.graph import BATCH, Shape, Tensor

SMALL = 16384  # multiplications or elements visited, from which on a kernel is worth dividing between threads
TINY = 1024  # up to which each thread had better compute it itself than wait for another
SHARED_OUT = 1 << 15  # multiplications or elements visited, from which on threads share the rows that a sum goes over
LARGEST = 1 << 22  # bytes that the parts of such a sum may take
TURNED = 1 << 15  # numbers that each thread had better rearrange itself than wait for another
OWNED = 1 << 17  # bytes of a kernel, from which on a thread should read the columns of it that it updates itself
OWNED_AT_FIRST = 1 << 15  # and those of a first layer, whose gradient makes each thread read all rows in any case


@dataclass(eq=False)
class Bring(Task):
    """Brings an input: rows of a data set, or a setting. number: which of the data sets, or of the settings."""

    number: int = 0


@dataclass(eq=False)
class HandOut(Task):
    """Hands an output to the caller."""

    number: int = 0


@dataclass(eq=False)
class Store(Task):
    """Moves the new value of a state to where the state is kept."""


@dataclass(eq=False)
class Rearrange(Task):
    """Copies an operand of a contraction, so that vectors of it lie side by side."""

    copy: contraction.Copy | None = None
    source: Tensor | None = None


@dataclass(eq=False)
class Compute(Task):
    """Runs a kernel. plan: of a contraction's; work: its multiplications, or the elements that it visits.

    parts: where parts of the batch are summed each on its own, what takes these sums.
    """

    kernel: Kernel | None = None
    plan: contraction.Plan | None = None
    work: int = 0
    parts: Detour | None = None
    body: Body | None = None
    """What is done at each step of a loop."""


@dataclass(eq=False)
class Combine(Compute):
    """Adds up what the parts of the batch contribute."""


def tasks(s: Schedule, capacity: int, threads: int, lanes: int) -> list[Task]:
    """Everything that a step does, in an order in which one thread could do it."""
    program = s.program
    plans = {
        k.nodes[0]: plan
        for k in s.kernels
        if k.is_contraction
        if (plan := contraction.plan(k.nodes[0], capacity, s.columns))
    }
    rows = [x for x in program.inputs if has_rows(x)]
    tables: dict[Tensor, Table] = {}
    for x in rows:
        if _can_stay(x, s, plans, tables, lanes):
            tables[x] = Table(x)
    settings = [x for x in program.inputs if not has_rows(x)]
    out: list[Task] = []
    for i, x in enumerate(rows):
        choice = Choice(EVERYONE, {}) if x in tables else _divided(_rows(0), {})
        out.append(Bring(f"rows of {x.name}", (tables.get(x, x),), [choice], number=i))
    for i, x in enumerate(settings):
        is_tiny = _count(x.shape, capacity) <= TINY
        out.append(Bring(x.name or "a setting", (x,), [Choice(EVERYONE if is_tiny else ALONE, {})], number=i))
    for kernel in s.kernels:
        out += _kernel_tasks(kernel, s, plans.get(kernel.nodes[0]), tables, capacity, threads, lanes)
    for state, value in program.updates.items():
        if s.in_place.get(value) is not state:
            out.append(Store(f"store {state.name}", (), [Choice(ALONE, {value: None})], (state,)))
    for i, (name, t) in enumerate(program.outputs.items()):
        choice = _divided(_rows(0), {t: 0}) if has_rows(t) else Choice(ALONE, {t: None})
        out.append(HandOut(f"hand out {name}", (), [choice], number=i))
    return out


def _can_stay(
    x: Tensor, s: Schedule, plans: dict[Tensor, contraction.Plan], tables: Container[Tensor], lanes: int
) -> bool:
    """Whether rows of a data set can be read where they are: by contractions only, which find whole vectors there.

    A contraction reads one of its operands so: where the other is among `tables`, this one is gathered.
    """
    if x.dtype != "float" or x.rank < 2 or not Layout(x.shape[1:], x.dtype, 1).is_dense:
        return False
    readers = [k for k in s.kernels if x in k.reads]
    for plan in (plans.get(k.nodes[0]) for k in readers):
        if plan is None or plan.v is plan.s or plan.v in tables or plan.s in tables:
            return False
        if plan.v is x and (plan.copy or plan.product or any(nest.width % lanes for nest in plan.nests)):
            return False
    return bool(readers) and all(x in contraction.operands(k.nodes[0]) for k in readers)


def _rows(axis: int) -> Division:
    return Division("rows", ("rows",), axis)


def _divided(division: Division, reads: dict[Thing, int | None]) -> Choice:
    """A choice whose blocks are along the axis that is divided; without blocks where that is the innermost."""
    return Choice(division, reads) if division.kind == "inner" else Choice(division, reads, division.axis, reads)


def _kernel_tasks(
    kernel: Kernel,
    s: Schedule,
    plan: contraction.Plan | None,
    tables: dict[Tensor, Table],
    capacity: int,
    threads: int,
    lanes: int,
) -> list[Task]:
    """The task of a kernel, after those of the copies that it reads in place of its operands."""
    node = kernel.nodes[0]
    if kernel.op == "scan":
        return _scan_tasks(kernel, s, capacity)
    out: list[Task] = []
    instead: dict[Tensor, Thing] = dict(tables)
    if plan and plan.copy:
        room = contraction.scratch_room(plan.copy)
        instead[plan.v] = thing = Detour(node, plan.v, room)
        choice = Choice(EVERYONE if room <= TURNED else ALONE, {plan.v: None})
        out.append(Rearrange(f"{kernel.name}, an operand", (thing,), [choice], copy=plan.copy, source=plan.v))
    overwrites = tuple(s.in_place[n] for n in kernel.nodes if n in s.in_place)
    work = plan.work(capacity) if plan else _visits(node, capacity)
    if parts := _parts(kernel, plan, work, s, capacity):
        reads = {instead.get(x, x): a for x, a in summed(kernel, s.kept).items()}
        choice = _divided(_rows(0), reads)
        out.append(Compute(kernel.name, (parts,), [choice], kernel=kernel, plan=plan, work=work, parts=parts))
        total = _count(node.shape, capacity)
        divisions = _divisions(kernel, None, total, s, capacity, threads, lanes)
        choices = [_divided(d, {parts: None}) for d in divisions]
        out.append(Combine(f"{kernel.name}, sum", (node,), choices, kernel=kernel, work=total, parts=parts))
        return out
    choices = []
    for d in _divisions(kernel, plan, work, s, capacity, threads, lanes):
        along = _other_axis(node, d, plan) if d.kind == "inner" else d.axis
        ways = [{instead.get(x, x): a for x, a in followed(kernel, axis, s.kept).items()} for axis in (d.axis, along)]
        choices.append(Choice(d, ways[0], along, ways[1]))
    out.append(Compute(kernel.name, tuple(kernel.nodes), choices, overwrites, kernel=kernel, plan=plan, work=work))
    return out


def _scan_tasks(kernel: Kernel, s: Schedule, capacity: int) -> list[Task]:
    """The task of a loop, after those of the copies that contractions in its body read in place of what is constant."""
    body = Body(kernel.nodes, capacity, s.columns)
    out: list[Task] = []
    reads: dict[Thing, int | None] = {x: 0 if has_rows(x) else None for x in kernel.nodes[0].inputs}
    for node, plan in body.plans.items():
        if plan.copy:
            source, room = body.given[plan.v], contraction.scratch_room(plan.copy)
            thing = Detour(node, plan.v, room)
            choice = Choice(EVERYONE if room <= TURNED else ALONE, {source: None})
            out.append(Rearrange(f"{kernel.name}, an operand", (thing,), [choice], copy=plan.copy, source=source))
            reads[thing] = None
    inner = [k.nodes[0] for k in body.schedule.kernels]
    work = sum(body.plans[n].work(capacity) if n in body.plans else _visits(n, capacity) for n in inner) * body.length
    choices = [Choice(_rows(0), reads)] if body.is_rowwise else []
    choices += [Choice(ALONE, reads)] if work < SMALL or not body.is_rowwise else []
    out.append(Compute(kernel.name, tuple(kernel.nodes), choices, kernel=kernel, work=work, body=body))
    return out


def _parts(kernel: Kernel, plan: contraction.Plan | None, work: int, s: Schedule, capacity: int) -> Detour | None:
    """Room for the sums of parts of the batch, where a result is so small that threads had better share its rows."""
    node = kernel.nodes[0]
    if BATCH in node.shape or not any(BATCH in x.shape for x in node.inputs) or work < SHARED_OUT:
        return None
    if kernel.op == "sum":
        x, over = node.inputs[0], node.attributes["axes"]
        inner = Layout(x.shape, x.dtype, capacity).inner
        if inner is None or inner in over or x.rank < 3:
            return None
    elif kernel.op != "conv2d_kernel_gradient" or plan is None:
        return None
    size = s.layout(node, capacity).size + SLACK
    count = -(-capacity // tiles.PART)
    return Detour(node, None, size * count) if count > 1 and 4 * size * count <= LARGEST else None


def _divisions(
    kernel: Kernel, plan: contraction.Plan | None, work: int, s: Schedule, capacity: int, threads: int, lanes: int
) -> list[Division]:
    """The ways to divide a kernel, the best first."""
    node = kernel.nodes[0]
    layout = s.layout(node, capacity)
    long = [a for a, d in enumerate(node.shape) if d != 1]
    out: list[Division] = []
    outer = [a for a in long if a != layout.inner]
    longest = max(outer, key=lambda a: layout.lengths[a], default=None)
    if BATCH in node.shape:
        out.append(_rows(node.shape.index(BATCH)))
    elif plan and plan.can_be_shared:
        key = node if plan.outer is None else node.shape[plan.outer]
        out.append(Division("outer", ("outer", key), plan.outer))
    elif (
        plan is None
        and longest is not None
        and kernel.op in ("loop", "sum", "max", "argmax", *CONTRACTIONS)
        and not kernel.is_random
    ):
        out.append(Division("outer", ("outer", node.shape[longest]), longest))
    inner = layout.inner
    if inner is not None and node.shape[inner] in {units for _, units in s.columns} and not layout.by_columns:
        is_read = plan is not None and plan.product is not None and _is_owned(node, plan, s, capacity)
        if (plan is None and _runs_along(kernel, None, inner)) or (plan is not None and plan.product):
            out.insert(0 if is_read else len(out), Division("outer", ("outer", node.shape[inner]), inner))
    elif inner is not None and node.shape[inner] is not BATCH and _runs_along(kernel, plan, inner):
        division = Division("inner", ("inner", layout.width), inner)
        if len(tiles.panels(layout.width, lanes)) >= threads > 1:
            out.insert(0 if _is_owned(node, plan, s, capacity) else len(out), division)
    if work <= TINY and not set(kernel.nodes) & set(s.program.updates.values()) and BATCH not in node.shape:
        out.append(EVERYONE)
    if work < SMALL or not out:
        out.append(ALONE)
    return out


def _other_axis(node: Tensor, division: Division, plan: contraction.Plan | None) -> int | None:
    """The other axis of weights of which threads share one: along it, they can be done block by block."""
    others = [a for a, d in enumerate(node.shape) if d != 1 and a != division.axis]
    is_plain = len(others) == 1 and BATCH not in node.shape
    return others[0] if is_plain and (plan is None or plan.outer is not None) else None


def _runs_along(kernel: Kernel, plan: contraction.Plan | None, inner: int) -> bool:
    """Whether a kernel's innermost loop runs along the innermost axis of its result."""
    if plan:
        return plan.runs_along
    if kernel.op in ("sum", "max"):
        x, over = kernel.nodes[0].inputs[0], kernel.nodes[0].attributes["axes"]
        space = Layout(x.shape, x.dtype, 1)
        return space.inner is not None and space.inner not in over
    return kernel.op == "loop" and not kernel.is_random


def _is_owned(node: Tensor, plan: contraction.Plan | None, s: Schedule, capacity: int) -> bool:
    """Whether `node` is a large array of weights or their gradient, or is made of one that is larger than itself."""
    size = s.layout(node, capacity).size
    if BATCH not in node.shape:
        return 4 * size >= OWNED
    if plan is None or BATCH in plan.v.shape:
        return False
    weights = s.layout(plan.v, capacity).size
    if plan.s.op.name == "input":  # its rows are read by all threads in any case, for the gradient
        return 4 * weights >= OWNED_AT_FIRST
    activations = size + s.layout(plan.s, capacity).size
    return 4 * weights >= OWNED and weights > activations


def _visits(node: Tensor, capacity: int) -> int:
    """Elements that a kernel goes through."""
    shapes = [node.shape, *(x.shape for x in node.inputs)] if node.op.name not in ("take", "concat") else [node.shape]
    return max(_count(shape, capacity) for shape in shapes)


def _count(shape: Shape, capacity: int) -> int:
    return math.prod(d if isinstance(d, int) else capacity for d in shape)
