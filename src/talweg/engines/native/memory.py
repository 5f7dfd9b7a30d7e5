"""The memory plan: one block for everything, laid out before the first step; tensors that never live at once share.

Most of a step's tensors live within one run of kernels that a thread does block by block: each thread has room of its
own for one block of them, which stays in its cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from talweg.engines.native.division import EVERYONE
from talweg.engines.native.layout import C_TYPE, SLACK, Layout
from talweg.engines.native.phases import Task, Thing
from talweg.engines.native.schedule import FROM_MEMORY, Schedule
from talweg.graph import Tensor

ALIGNMENT = 64  # bytes
CACHED = 3 << 17  # bytes of a block's tensors, so that they and what else is read stay in a core's own cache


@dataclass(frozen=True)
class Detour:
    """Numbers on the way to `node`, as many as `size`: its `operand`, rearranged; or (None) what parts of the batch
    contribute to it."""

    node: Tensor
    operand: Tensor | None
    size: int


@dataclass(frozen=True)
class Table:
    """Where the rows of an input lie, and those of the next batch: they are read from the caller's array."""

    of: Tensor


@dataclass(eq=False)
class Run:
    """Tasks that a thread does one after the other for its part, in blocks of `block` along an axis (0: all at once).

    length: of that axis, where it is not the one that threads share.
    """

    tasks: list[Task]
    length: int = 0
    block: int = 0


@dataclass
class Memory:
    """layouts of every tensor; offsets (bytes) of those that all threads share; `own`: those that each has one of."""

    precision: str
    capacity: int
    schedule: Schedule
    layouts: dict[Tensor, Layout] = field(default_factory=dict)
    offsets: dict[Thing, int] = field(default_factory=dict)
    own: dict[Thing, tuple[int, int]] = field(default_factory=dict)  # offset, and elements from a row to the next
    size: int = 0
    own_size: int = 0
    alignment: int = ALIGNMENT

    def width_of(self, t: Thing) -> int:
        """Bytes of one element."""
        if isinstance(t, Table):
            return 8
        if isinstance(t, Detour) or t.dtype == "float":  # type: ignore[attr-defined]
            return 8 if self.precision == "float64" else 4
        return 1 if t.dtype == "uint8" else 4  # type: ignore[attr-defined]

    def has(self, t: Thing) -> bool:
        """Whether `t` goes to memory."""
        return t in self.offsets or t in self.own

    def pointer(self, t: Thing) -> str:
        """Where a thing lies, as C. Of an own tensor's rows there are those from `lo` on."""
        if isinstance(t, Table):
            return f"((const real **)(own + {self.own[t][0]}))"
        kind = "real" if isinstance(t, Detour) else C_TYPE[t.dtype]  # type: ignore[attr-defined]
        if t not in self.own:
            return f"(({kind} *)(memory + {self.offsets[t]}))"
        offset, row = self.own[t]
        return f"(({kind} *)(own + {offset}) - lo*{row})" if row else f"(({kind} *)(own + {offset}))"

    def lay_out(self, t: Tensor) -> Layout:
        if t not in self.layouts:
            self.layouts[t] = self.schedule.layout(t, self.capacity)
        return self.layouts[t]

    def is_outermost(self, t: Thing, axis: int) -> bool:
        """Whether what lies at one index along `axis` lies together."""
        if not isinstance(t, Tensor):
            return False
        layout = self.lay_out(t)
        return all(layout.shape[a] == 1 for a in layout.order[: layout.order.index(axis)])

    def row(self, t: Thing, axis: int) -> int:
        """Elements from one index along `axis` to the next."""
        return self.lay_out(t).strides[axis]  # type: ignore[arg-type]

    def room(self, t: Thing, rows: int | None = None, axis: int = 0) -> int:
        """Bytes for a thing, or for `rows` of it along an axis; a loop of whole vectors may go a little further."""
        if isinstance(t, Table):
            return -(-8 * 2 * self.capacity // ALIGNMENT) * ALIGNMENT
        whole = t.size if isinstance(t, Detour) else self.lay_out(t).size  # type: ignore[arg-type]
        count = whole if rows is None else rows * self.row(t, axis)
        return -(-(count + SLACK) * self.width_of(t) // ALIGNMENT) * ALIGNMENT


def plan_memory(s: Schedule, phases: Sequence[Sequence[Run]], capacity: int, precision: str) -> Memory:
    """A place for every leaf, every tensor that a kernel leaves for another, and every copy."""
    m = Memory(precision, capacity, s)
    program, results = s.program, set(s.program.results)
    tasks = [task for runs in phases for run in runs for task in run.tasks]
    last: dict[Thing, int] = {}
    for task in tasks:
        for thing in task.reads:
            last[thing] = max(last.get(thing, -1), task.phase)
    # What each thread has its own of.
    for thing in (thing for task in tasks if task.division is EVERYONE for thing in task.writes):
        m.own[thing] = (m.own_size, 0)
        m.own_size += m.room(thing)
    # What all share: inputs, states, constants from the first step to the last ...
    in_memory = (*FROM_MEMORY, "random_uniform")  # whose keys are looked up, also where they are constants
    factors = {x for t in program.order if t.op.name in in_memory for x in t.inputs}
    constants = [t for t in program.order if t.op.name == "constant"]
    tables = {thing.of for thing in m.own if isinstance(thing, Table)}
    leaves = [*(x for x in program.inputs if x not in tables), *program.states]
    leaves += [t for t in constants if t.attributes["value"].size != 1 or t in factors]
    for t in (t for t in dict.fromkeys(leaves) if t not in m.own):
        m.offsets[t] = m.size
        m.size += m.room(t)
    for value, state in s.in_place.items():
        m.layouts[value], m.offsets[value] = m.lay_out(value), m.offsets[state]
    base = m.own_size
    for run in (run for runs in phases for run in runs):
        m.own_size = max(m.own_size, _plan_run(m, run, results, last, base))
    # ... and the rest from the phase that makes it to the last that reads it: first fit into what is free meanwhile.
    end = len(phases)
    living: list[tuple[int, int, int]] = []  # (offset, size, last phase)
    for number, runs in enumerate(phases):
        living = [x for x in living if x[2] >= number]
        for thing in (thing for run in runs for task in run.tasks for thing in task.writes):
            until = end if thing in results else last.get(thing, -1)
            if until < 0 or thing in m.offsets or thing in m.own:
                continue
            room = m.room(thing)
            m.offsets[thing] = _gap(living, room, base=m.size)
            living.append((m.offsets[thing], room, until))
    m.size = max([m.size, *(m.offsets[t] + m.room(t) for t in m.offsets)])
    m.size += 64 * ALIGNMENT
    for k in s.kernels:
        for n in k.nodes:
            m.lay_out(n)
    return m


def _plan_run(m: Memory, run: Run, results: set[Tensor], last: dict[Thing, int], base: int) -> int:
    """Chooses the length of a run's blocks, and places for a block of what is needed nowhere else; where these end."""
    if run.tasks[0].division.kind == "inner" and not run.length:
        return base
    made = {thing: (i, task.chosen.along) for i, task in enumerate(run.tasks) for thing in task.writes}
    until = {thing: i for i, task in enumerate(run.tasks) for thing in task.reads}
    lives: dict[Thing, tuple[int, int, int]] = {}  # when it is made, when it is last read, along which axis it is cut
    for thing, (i, axis) in made.items():
        is_local = thing in until and last.get(thing) == run.tasks[0].phase
        is_kept = thing in results or thing in m.offsets
        if is_local and not is_kept and axis is not None and m.is_outermost(thing, axis):
            lives[thing] = (i, until[thing], axis)
    most = max(
        sum(m.row(t, axis) * m.width_of(t) for t, (a, z, axis) in lives.items() if a <= i <= z)
        for i in range(len(run.tasks))
    )
    if not most:
        return base
    is_batched = run.tasks[0].division.kind == "rows"
    rows = max(1, (CACHED if is_batched else CACHED // 6) // most)
    run.block = rows - rows % 8 if rows >= 8 else rows
    if is_batched:
        run.block = min(run.block, m.capacity)
    living: list[tuple[int, int, int]] = []
    end = base
    for thing, (i, z, axis) in lives.items():
        living = [x for x in living if x[2] >= i]
        size = m.room(thing, run.block, axis)
        at = _gap(living, size, base)
        living.append((at, size, z))
        m.own[thing] = (at, m.row(thing, axis))
        end = max(end, at + size)
    return end


def _gap(living: list[tuple[int, int, int]], size: int, base: int) -> int:
    at = base
    for offset, length, _ in sorted(living):
        if offset - at >= size:
            return at
        at = max(at, offset + length)
    return at
