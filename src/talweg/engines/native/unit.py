"""The translation unit: a program as one C source, and where in memory each of its tensors lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from talweg.engines.base import has_rows
from talweg.engines.native import loops, products, profile, runtime, tiles, transfer, vectormath, windows
from talweg.engines.native.body import Body
from talweg.engines.native.comments import comment, described
from talweg.engines.native.layout import C_TYPE, Layout
from talweg.engines.native.memory import Detour, Memory, Run, Table, plan_memory
from talweg.engines.native.phases import Task, Thing, phases
from talweg.engines.native.scanning import Inside, scan_function
from talweg.engines.native.schedule import Schedule, schedule
from talweg.engines.native.strategies import by, used
from talweg.engines.native.tasks import SMALL, Bring, Combine, Compute, HandOut, Rearrange, Store, tasks
from talweg.graph import Program, Tensor, input_tensor
from talweg.graph.ops.contraction import free_axes


@dataclass(frozen=True)
class Unit:
    """A program's C source and memory.

    is_parallel: whether any kernel is worth dividing between threads. strategies: how often each way of writing C was
    taken (`strategies.NAMES`).
    """

    source: str
    program: Program
    memory: Memory
    is_parallel: bool
    counters: profile.Counters

    @property
    def strategies(self) -> Counter[str]:
        return used(self.source)


def unit(program: Program, capacity: int, precision: str, lanes: int, threads: int = 2, profiled: bool = False) -> Unit:
    """C for `program`, for batches of at most `capacity` rows, on vectors of `lanes` numbers.

    The C runs on any number of threads, with the same result; how it is divided suits `threads` best. profiled: with
    counters of the time that each kernel takes.
    """
    writer = _Writer(program, capacity, precision, lanes, threads, profiled)
    source = "\n".join([*writer.head(), *writer.functions(), *writer.step(), *writer.steps()])
    return Unit(source, writer.program, writer.memory, writer.is_parallel, writer.counters)


class _Writer:
    """Writes the parts of a unit."""

    def __init__(
        self, program: Program, capacity: int, precision: str, lanes: int, threads: int, profiled: bool
    ) -> None:
        self.capacity, self.precision, self.lanes = capacity, precision, lanes
        self.schedule: Schedule = schedule(program)
        self.program = self.schedule.program
        self.phases = [_runs(phase) for phase in phases(tasks(self.schedule, capacity, threads, lanes))]
        self.memory = plan_memory(self.schedule, self.phases, capacity, precision)
        computed = [t for runs in self.phases for run in runs for t in run.tasks if isinstance(t, Compute)]
        self.inside = {t: Inside(self.memory, t.body) for t in computed if t.body}
        self.names = {t: f"t{i}" for i, t in enumerate(self.memory.layouts)}
        self.calls: dict[Task, str] = {}
        self.functions_of: dict[Task, str] = {}
        self.label_of: dict[Task, str] = {}
        everything = [task for runs in self.phases for run in runs for task in run.tasks]
        self.rows_together = tiles.PART if any(isinstance(t, Compute) and t.parts for t in everything) else 1
        self.counters = self._counters(profiled)
        self.memory.size += self.counters.size
        self.is_parallel = any(
            isinstance(task, Compute) and task.division.is_shared and task.work >= SMALL for task in everything
        )

    def _counters(self, profiled: bool) -> profile.Counters:
        """An entry for each task, and one for each meeting of the threads."""
        counters = profile.Counters(self.program, self.capacity, profiled, self.memory.size)
        taken: set[str] = set()
        for number, runs in enumerate(self.phases):
            for task in (task for run in runs for task in run.tasks):
                nodes = [n for n in (task.kernel.nodes if isinstance(task, Compute) and task.kernel else task.writes)]
                tensors = [n for n in nodes if isinstance(n, Tensor)]
                if isinstance(task, Rearrange) and task.source is not None:
                    tensors = [task.source]
                is_kernel = isinstance(task, Compute | Rearrange)
                self.functions_of[task] = f"kernel_{len(self.functions_of)}"  # no name from a file becomes C
                self.label_of[task] = label = self._label(task.name, taken) if is_kernel else task.name
                is_cut = isinstance(task, Compute) and task.kernel is not None and task.kernel.is_cut
                counters.add(task, label, tensors if is_kernel else (), isinstance(task, Rearrange), is_cut)
            counters.add(number, profile.WAIT, ())
        return counters

    @staticmethod
    def _label(name: str, taken: set[str]) -> str:
        """What people call a kernel, and no other one: in a profile, and above its function."""
        plain = "k_" + "".join(c if c.isalnum() else "_" for c in name)
        unique = plain if plain not in taken else f"{plain}_{len(taken)}"
        taken.add(unique)
        return unique

    def head(self) -> list[str]:
        """A comment with the network, types, elementary functions, threads."""
        real, size = ("float", 4) if self.precision == "float32" else ("double", 8)
        leaves = [described(t) for t in (*self.program.inputs, *self.program.states)]
        vector = "typedef real {0} __attribute__((vector_size({1}))); "
        vector += "typedef real {0}u __attribute__((vector_size({1}), aligned(sizeof(real)), may_alias));"
        return [
            comment(f"Written by Talweg - {self.program.name} - batches of up to {self.capacity} rows", leaves),
            runtime.INCLUDES,
            f"typedef {real} real;",
            vector.format("vec", self.lanes * size),
            vector.format("half", self.lanes * size // 2),
            products.shuffles(self.lanes, size),
            vectormath.source(self.precision),
            runtime.THREADS,
            *self.counters.source(),
            f"enum {{ SHARED = {self.memory.size}, OWN = {self.memory.own_size}, PART = {tiles.PART} }};",
        ]

    # ── functions ─────────────────────────────────────────────────────────────────────────────────────────

    def functions(self) -> list[str]:
        """One C function for each kernel and each copy, named after the tensor that it computes."""
        lines: list[str] = []
        for task, name in self.functions_of.items():
            if isinstance(task, Compute | Rearrange):
                lines.append(comment(f"{name} is {self.label_of[task]}"))
            if isinstance(task, Rearrange):
                lines += self._copy(task, name)
            elif isinstance(task, Compute) and task.body:
                lines += scan_function(self, task, name)
            elif isinstance(task, Compute):
                lines += self._contraction(task, name) if task.plan else self._loops(task, name)
            else:
                self.calls[task] = self._transfer(task)
        return lines

    def _transfer(self, task: Task) -> str:
        """What moves numbers into the block of memory, within it, and out of it."""
        if isinstance(task, Bring):
            (x,) = task.writes
            if isinstance(x, Table):
                return "\n".join(transfer.table(task.number, x.of, self.memory.pointer(x)))
            assert isinstance(x, Tensor)
            write = transfer.gather if has_rows(x) else transfer.setting
            return "\n".join(write(task.number, x, self.memory.layouts[x], self._at(x)))
        (t,) = task.reads
        assert isinstance(t, Tensor)
        if isinstance(task, HandOut):
            return "\n".join(transfer.output(task.number, t, self.memory.layouts[t], self._at(t)))
        assert isinstance(task, Store)
        (state,) = task.overwrites
        assert isinstance(state, Tensor)
        size = self.memory.layouts[t].size * self.memory.width_of(t)
        return f"{by('new value moved')} memcpy({self._at(state)}, {self._at(t)}, {size});"

    def _loops(self, task: Compute, name: str) -> list[str]:
        kernel = task.kernel
        assert kernel is not None
        node, kept, parts = kernel.nodes[0], self.schedule.kept, self._parts(task)
        stored = {n: self.names[n] for n in kernel.nodes if self.memory.has(n)}
        part = task.parts.size // -(-self.capacity // tiles.PART) if task.parts else 0
        if isinstance(task, Combine):
            written = loops.combining_kernel(node, self._place, kept, self.names[node], parts, part)
        elif kernel.op in ("loop", "max_pool2d"):
            written = loops.loop_kernel(kernel, self._place, kept, stored, parts)
        elif kernel.op == "dot":
            written = self._sums_of_products(node, parts)
        elif kernel.op == "scatter_add":
            written = loops.scatter_kernel(node, self._place, kept, self.names[node], parts)
        elif kernel.op in windows.WINDOWED:
            written = windows.window_kernel(node, self._place, kept, self.names[node], parts)
        else:
            to = "parts" if part else self.names[node]
            written = loops.reduce_kernel(node, self._place, kept, to, {} if part else parts, part)
        self.calls[task] = f"{name}(memory, own, n, lo, hi, left, right);"
        return [
            comment(f"{described(kernel.nodes[-1])} by {' '.join(sorted({n.op.name for n in kernel.nodes}))}"),
            f"static void {name}(char *memory, char *own, long n, long lo, long hi, long left, long right)\n{{",
            "(void)memory; (void)own; (void)n; (void)lo; (void)hi; (void)left; (void)right;",
            *([f"real *restrict parts = {self.memory.pointer(task.parts)};"] if task.parts else []),
            *self._pointers(dict(written.body.used) | {to: n for n, to in stored.items()}),
            *self._keys(kernel.nodes),
            *written.lines,
            "}",
        ]

    def _pointers(self, used: dict[str, Tensor]) -> list[str]:
        """A pointer for each tensor. A value stored over its state has the state's, so that the compiler knows."""
        lines, first = [], dict[str, str]()
        for name, t in used.items():
            kind, same = C_TYPE[t.dtype], first.setdefault(self._at(t), name)
            lines += [by("in place")] if same != name else []
            lines.append(f"{kind} *restrict {name} = {self._at(t)};" if same == name else f"{kind} *{name} = {same};")
        return lines

    def _keys(self, nodes: Iterable[Tensor]) -> list[str]:
        """The key of the stream of random numbers that a kernel draws from."""
        for n in nodes:
            if n.op.name == "random_uniform":
                seed, step = (self._at(x) for x in n.inputs)
                stream = f"{n.attributes['stream']}u"
                return [f"uint32_t k0, k1; t_threefry({seed}[0], {seed}[1], {stream}, *{step}, &k0, &k1);"]
        return []

    # ── contractions ──────────────────────────────────────────────────────────────────────────────────────

    def _copy(self, task: Rearrange, name: str) -> list[str]:
        assert task.copy is not None and task.source is not None
        self.calls[task] = f"{name}({self.memory.pointer(task.writes[0])}, {self._at(task.source)}, lo, hi);"
        arguments = "real *restrict to, const real *restrict from, long lo, long hi"
        head = f"static void {name}({arguments})\n{{\n(void)lo; (void)hi;"
        return [by("operand rearranged"), head, *task.copy.lines, "}"]

    def _contraction(self, task: Compute, name: str) -> list[str]:
        kernel, p = task.kernel, task.plan
        assert kernel is not None and p is not None
        node = kernel.nodes[0]
        copies: dict[Tensor | None, Thing] = {c.operand: c for c in task.reads if isinstance(c, Detour)}
        tables: dict[Tensor | None, Thing] = {c.of: c for c in task.reads if isinstance(c, Table)}
        table = "v" if p.v in tables else "s" if p.s in tables else ""
        copies.update(tables)
        v, s = (self.memory.pointer(copies.get(t, t)) for t in (p.v, p.s))
        part = task.parts.size // -(-self.capacity // tiles.PART) if task.parts else 0
        to = self.memory.pointer(task.parts) if task.parts else self._at(node)
        lines = [by(name) for name in p.strategies(node)]
        lines += [comment(f"{described(node)} sums products of {described(p.v)} and {described(p.s)}")]
        calls = []
        if p.product:
            lines += products.product_kernel(name, p.product, self.lanes, table == "s")
            of_units = task.division.is_shared and task.division.axis != p.outer
            of_rows = task.division.is_shared and not of_units
            rows = "lo, hi" if of_rows else f"0, {'n' if p.product.rows is None else p.product.rows}"
            units = "lo, hi" if of_units else f"0, {p.product.units}"
            calls.append(f"{name}({to}, {s}, {v}, {rows}, {units});")
        for number, nest in enumerate(p.nests):
            own = f"{name}_{number}" if len(p.nests) > 1 else name
            shared = None if part else _shared_axis(nest, task, self.capacity)
            lines += tiles.micro_kernel(own, nest, self.capacity, self.lanes, shared, part, table)
            panels = (
                "first_panel, last_panel"
                if task.division.kind == "inner"
                else f"0, {len(tiles.panels(nest.width, self.lanes))}"
            )
            calls.append(f"{own}({to}, {v}, {s}, n, lo, hi, {panels});")
        self.calls[task] = "\n".join(calls)
        return lines

    def _sums_of_products(self, node: Tensor, parts: loops.Parts) -> loops.Written:
        """A contraction whose result has no axis for vectors: each element a sum in lanes."""
        a, b = node.inputs
        over_a, over_b = node.attributes["axes"]
        free_a, free_b = free_axes(a.rank, over_a), free_axes(b.rank, over_b)
        space = input_tensor("space", (*node.shape, *(a.shape[x] for x in over_a)))

        def product(body: Body, index: tuple[str, ...]) -> str:
            at_a, at_b = ["0"] * a.rank, ["0"] * b.rank
            for i, x in zip(index, free_a, strict=False):
                at_a[x] = i
            for i, x in zip(index[len(free_a) :], free_b, strict=False):
                at_b[x] = i
            for i, x, y in zip(index[node.rank :], over_a, over_b, strict=True):
                at_a[x] = at_b[y] = i
            return f"{body.value(a, tuple(at_a))} * {body.value(b, tuple(at_b))}"

        over = tuple(range(node.rank, space.rank))
        kept, to = self.schedule.kept, self.names[node]
        written = loops.reduction(node, space, over, self._place, kept, to, parts, product)
        return loops.Written(written.body, [by("sums of products"), *written.lines])

    # ── a step ────────────────────────────────────────────────────────────────────────────────────────────

    def step(self) -> list[str]:
        """One step: phase after phase, and in each what a thread does for its part."""
        lines = [
            "\n/* One step. Between one barrier and the next, no thread reads what another one writes. */",
            "static void step(const job *j, char *own, int64_t first, int64_t at, int thread)\n{",
            "char *memory = j->memory; const int threads = j->threads; const long left = 0, right = 0;",
            "const long n = (long)(j->rows - first < j->batch ? j->rows - first : j->batch);",
            "const int64_t *order = j->order + first;",
            "(void)memory; (void)own; (void)n; (void)order; (void)at; (void)thread; (void)threads;",
            "(void)left; (void)right;",
        ]
        for number, runs in enumerate(self.phases):
            for run in runs:
                lines += [*self._strategies(run), *self._head_of(run)]
                for task in run.tasks:
                    lines += [self.calls[task], *self.counters.lap(task)]
                lines += ["}"] * (2 if run.block else 1)
            lines += ["barrier(threads);", *self.counters.lap(number)]
        return [*lines, "}"]

    def steps(self) -> list[str]:
        return [
            "/* All steps of a call. */",
            "static void steps(const job *j, int thread)",
            "{",
            "char *own = j->memory + SHARED + thread * (long)OWN;",
            *self.counters.begin(),
            "for (int64_t first = 0, at = 0; first < j->rows; first += j->batch, at++)",
            "step(j, own, first, at, thread);",
            *self.counters.end(),
            "}",
        ]

    def _strategies(self, run: Run) -> list[str]:
        """What is noted of a run."""
        kinds = {"rows": "rows divided", "outer": "outer divided", "inner": "panels divided"}
        kind = run.tasks[0].division.kind
        made = [thing for task in run.tasks for thing in task.writes]
        taken = {
            kinds.get(kind, kind): True,
            "blocks of the batch" if kind == "rows" else "blocks of weights": run.block > 0,
            "memory of a thread": kind != "everyone" and any(thing in self.memory.own for thing in made),
            "columns": any(isinstance(t, Tensor) and self.memory.lay_out(t).by_columns for t in made),
        }
        return [by(name) for name, is_so in taken.items() if is_so]

    def _head_of(self, run: Run) -> list[str]:
        """From where to where a thread goes."""
        division = run.tasks[0].division
        if division.kind == "everyone":
            return ["{ const long lo = 0, hi = 0; (void)lo; (void)hi;"]
        if division.kind == "alone":
            return ["if (thread == 0) { const long lo = 0, hi = 0; (void)lo; (void)hi;"]
        if division.kind == "inner":
            (_, width) = division.key
            starts = [panel[0][0] for panel in tiles.panels(width, self.lanes)]  # type: ignore[arg-type]
            columns = ", ".join(map(str, [*starts, width]))
            halves = [f"part({len(starts)}, 1, thread{more}, threads)" for more in ("", " + 1")]
            head = [
                f"{{ static const long start[] = {{ {columns} }}; /* columns of panels of vectors */",
                f"const long first_panel = {halves[0]}, last_panel = {halves[1]};",
                "const long left = start[first_panel], right = start[last_panel]; (void)left; (void)right;",
            ]
            if not run.block:
                return [*head, f"const long lo = 0, hi = {run.length}; (void)lo; (void)hi;"]
            return [
                *head,
                f"for (long lo = 0, hi; lo < {run.length}; lo = hi) {{",
                f"hi = lo + {run.block} < {run.length} ? lo + {run.block} : {run.length};",
            ]
        length, unit_ = ("n", self.rows_together) if division.kind == "rows" else _length(run)
        bounds = [f"part({length}, {unit_}, thread{more}, threads)" for more in ("", " + 1")]
        if not run.block:
            return [f"{{ const long lo = {bounds[0]}, hi = {bounds[1]}; (void)lo; (void)hi;"]
        return [
            f"{{ const long from = {bounds[0]}, to = {bounds[1]};",
            f"for (long lo = from, hi; lo < to; lo = hi) {{ hi = lo + {run.block} < to ? lo + {run.block} : to;",
        ]

    def _parts(self, task: Task) -> loops.Parts:
        """The axes of which a call of the task's function does a part."""
        division, along = task.division, task.chosen.along
        if division.kind == "inner" and division.axis is not None:
            parts = {division.axis: ("left", "right")}
            return parts if along is None else parts | {along: ("lo", "hi")}
        return {division.axis: ("lo", "hi")} if division.axis is not None else {}

    def _place(self, t: Tensor) -> tuple[str, Layout]:
        return self.names[t], self.memory.layouts[t]

    def _at(self, t: Tensor) -> str:
        return self.memory.pointer(t)


def _runs(phase: list[Task]) -> list[Run]:
    """What is computed by everyone, then what is divided, alike together, then what thread 0 does alone."""
    order = {"everyone": 0, "rows": 1, "outer": 1, "inner": 1, "alone": 2}
    groups: dict[tuple[object, ...], Run] = {}
    for task in phase:
        groups.setdefault((task.division.kind, *task.division.key), Run([])).tasks.append(task)
    runs = [part for run in groups.values() for part in _alike(run)]
    return sorted(runs, key=lambda run: order[run.tasks[0].division.kind])


def _alike(run: Run) -> list[Run]:
    """A run, divided where threads share columns: what can be done block by block along the rows goes together."""
    if run.tasks[0].division.kind != "inner":
        return [run]
    out: list[Run] = []
    for task in run.tasks:
        assert isinstance(task, Compute) and task.kernel is not None
        along = task.chosen.along
        length = 0 if along is None else task.kernel.nodes[0].shape[along]
        assert isinstance(length, int)
        here = {thing: other.chosen.along for other in (out[-1].tasks if out else []) for thing in other.writes}
        in_step = all(task.chosen.reads_along.get(thing) == here[thing] for thing in task.reads if thing in here)
        if not out or out[-1].length != length or not in_step:
            out.append(Run([], length))
        out[-1].tasks.append(task)
    return out


def _shared_axis(nest: tiles.Nest, task: Task, capacity: int) -> int | None:
    """Which of a nest's rows a call does a part of."""
    if task.division.kind == "rows":
        return next(i for i, axis in enumerate(nest.rows) if axis.length is None)
    if task.division.kind == "inner" and task.chosen.along is not None:
        return 0
    return nest.shared(capacity) if task.division.kind == "outer" else None


def _length(run: Run) -> tuple[int, int]:
    """The length that threads share out, and the unit in which they do."""
    task = run.tasks[0]
    assert isinstance(task, Compute)
    length = task.division.key[1]
    if not isinstance(length, int):
        assert task.plan is not None
        nest = task.plan.nests[0]
        length = nest.rows[nest.shared(0)].length
    assert isinstance(length, int)
    return length, 4 if length >= 64 else 1
