"""The translation unit: a program as one C source, and where in memory each of its tensors lies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from talweg.engines.native import contraction, loops, runtime, tiles, transfer, vectormath, windows
from talweg.engines.native.body import Body
from talweg.engines.native.layout import C_TYPE, Layout
from talweg.engines.native.memory import Memory, plan_memory
from talweg.engines.native.schedule import CONTRACTIONS, Kernel, Schedule, schedule
from talweg.graph import BATCH, Dim, Program, Tensor, input_tensor
from talweg.graph.ops.contraction import free_axes

SMALL = 16384  # multiplications or elements visited, below which a kernel is not worth dividing between threads
LEAST_PANELS = 4  # panels of a contraction from which on threads share them out, rather than its rows


@dataclass(frozen=True)
class Unit:
    """A program's C source and memory. is_parallel: whether any kernel is worth dividing between threads."""

    source: str
    program: Program
    memory: Memory
    is_parallel: bool


def unit(program: Program, capacity: int, precision: str, lanes: int) -> Unit:
    """C for `program`, for batches of at most `capacity` rows, on vectors of `lanes` numbers."""
    writer = _Writer(program, capacity, precision, lanes)
    source = "\n".join([*writer.head(), *writer.kernels(), *writer.step(), *writer.steps()])
    return Unit(source, writer.program, writer.memory, any(is_divided for is_divided, _ in writer.calls))


class _Writer:
    """Writes the parts of a unit; `calls` collects, in order, what a step does: (is it divided?, C statement)."""

    def __init__(self, program: Program, capacity: int, precision: str, lanes: int) -> None:
        self.capacity, self.precision, self.lanes = capacity, precision, lanes
        self.schedule: Schedule = schedule(program)
        self.program = self.schedule.program
        sums = [k.nodes[0] for k in self.schedule.kernels if k.op in CONTRACTIONS]
        self.plans = {node: contraction.plan(node, capacity) for node in sums}
        scratch = {node: size for node, p in self.plans.items() if (size := contraction.scratch_size(p))}
        self.memory = plan_memory(self.schedule, capacity, precision, scratch)
        self.names = {t: f"t{i}" for i, t in enumerate(self.memory.layouts)}
        self.calls: list[tuple[bool, str]] = []

    def head(self) -> list[str]:
        """A comment with the network, types, elementary functions, threads."""
        real, size = ("float", 4) if self.precision == "float32" else ("double", 8)
        leaves = [
            f" * {t.op.name:<6} {t.name:<44} {list(t.shape)}" for t in (*self.program.inputs, *self.program.states)
        ]
        vector = "typedef real {0} __attribute__((vector_size({1}))); "
        vector += "typedef real {0}u __attribute__((vector_size({1}), aligned(sizeof(real)), may_alias));"
        return [
            f"/* Written by Talweg: program {self.program.name!r}, for batches of up to {self.capacity} rows.\n *",
            *leaves,
            " */",
            runtime.INCLUDES,
            f"typedef {real} real;",
            vector.format("vec", self.lanes * size),
            vector.format("half", self.lanes * size // 2),
            vectormath.source(self.precision),
            runtime.THREADS,
        ]

    # ── kernels ───────────────────────────────────────────────────────────────────────────────────────────

    def kernels(self) -> list[str]:
        """One C function for each kernel, named after the tensor that it computes."""
        taken: set[str] = set()
        functions: list[str] = []
        for kernel in self.schedule.kernels:
            plain = "k_" + "".join(c if c.isalnum() else "_" for c in kernel.name)
            name = plain if plain not in taken else f"{plain}_{len(taken)}"
            taken.add(name)
            plan = self.plans.get(kernel.nodes[0])
            functions += self._contraction(kernel.nodes[0], name, plan) if plan else self._loops(kernel, name)
        for state, value in self.program.updates.items():
            if self.schedule.in_place.get(value) is not state:
                size = self.memory.layouts[state].size * self.memory.width_of(state)
                self.calls.append((False, f"memcpy({self._at(state)}, {self._at(value)}, {size}); /* {state.name} */"))
        return functions

    def _loops(self, kernel: Kernel, name: str) -> list[str]:
        node, kept = kernel.nodes[0], self.schedule.kept
        if kernel.op in ("loop", "max_pool2d"):
            stored = {n: self.names[n] for n in kernel.nodes if n in self.memory.offsets}
            written = loops.loop_kernel(kernel, self._place, kept, stored)
        elif kernel.op == "dot":
            written = self._sums_of_products(node)
        elif kernel.op == "scatter_add":
            written = loops.scatter_kernel(node, self._place, kept, self.names[node])
        elif kernel.op in windows.WINDOWED:
            written = windows.window_kernel(node, self._place, kept, self.names[node])
        else:
            written = loops.reduce_kernel(node, self._place, kept, self.names[node])
        used = dict(written.body.used)
        used |= {self.names[n]: n for n in kernel.nodes if n in self.memory.offsets}
        self._call(f"{name}(memory, n, {{}}, {{}});", written.outer, written.visits(self.capacity))
        return [
            f"/* {kernel.nodes[-1]!r}: {', '.join(sorted({n.op.name for n in kernel.nodes}))} */",
            f"static void {name}(char *memory, long n, long lo, long hi)\n{{",
            "(void)memory; (void)n; (void)lo; (void)hi;",
            *self._pointers(used),
            *self._keys(kernel.nodes),
            *written.lines,
            "}",
        ]

    def _pointers(self, used: dict[str, Tensor]) -> list[str]:
        """A pointer for each tensor. A value stored over its state has the state's, so that the compiler knows."""
        lines, first = [], dict[int, str]()
        for name, t in used.items():
            kind, same = C_TYPE[t.dtype], first.setdefault(self.memory.offsets[t], name)
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

    def _contraction(self, node: Tensor, name: str, p: contraction.Plan) -> list[str]:
        lines = [f"/* {node!r}: sums of products of {p.v!r} and {p.s!r} */"]
        places, at = [], self.memory.scratch.get(node, 0)
        for label, t, copy in (("v", p.v, p.copy_v), ("s", p.s, p.copy_s)):
            if copy is None:
                places.append(self._at(t))
                continue
            places.append(f"((real *)(memory + {at}))")
            at += contraction.scratch_room(copy) * self.memory.width_of(t)
            arguments = "real *restrict to, const real *restrict from, long lo, long hi"
            lines += [f"static void {name}_{label}({arguments})\n{{\n(void)lo; (void)hi;", *copy.lines, "}"]
            call = f"{name}_{label}({places[-1]}, {self._at(t)}, {{}}, {{}});"
            self._call(call, "n" if copy.is_batched else None, copy.size)
        calls, is_divided = [], p.work(self.capacity) >= SMALL
        for number, nest in enumerate(p.nests):
            own = f"{name}_{number}" if len(p.nests) > 1 else name
            lines += tiles.micro_kernel(own, nest, self.capacity, self.lanes)
            panels = len(tiles.panels(nest.width, self.lanes))
            shared = nest.rows[nest.shared(self.capacity)].bound if nest.rows else "1"
            by_panel = is_divided and panels >= LEAST_PANELS
            part = _part(shared, is_divided and not by_panel), _part(str(panels), by_panel)
            calls.append(f"{own}({self._at(node)}, {places[0]}, {places[1]}, n, {part[0]}, {part[1]});")
        self.calls.append((is_divided, "\n".join(calls)))
        return lines

    def _sums_of_products(self, node: Tensor) -> loops.Written:
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
        return loops.reduction(node, space, over, self._place, self.schedule.kept, self.names[node], product)

    # ── a step, and many ──────────────────────────────────────────────────────────────────────────────────

    def _call(self, call: str, outer: str | None, work: int) -> None:
        """Calls a kernel over its outer loop, 0 to `outer`, which threads share out where the work is worth it."""
        is_divided = outer is not None and work >= SMALL
        part = _part(outer or "1", is_divided)
        self.calls.append((is_divided, call.format(*part.split(", "))))

    def step(self) -> list[str]:
        """One step: every kernel in order. Threads meet before and after those that they share."""
        lines = [
            "\n/* One step: every kernel, in order. */",
            "static void step(char *memory, long n, int thread, int threads)\n{",
            "(void)memory; (void)n; (void)thread; (void)threads;",
        ]
        alone = False
        for i, (is_divided, call) in enumerate(self.calls):
            if alone and is_divided:
                lines.append("}")
            if i and (is_divided or not alone):
                lines.append("barrier(threads);")
            if not is_divided and not alone:
                lines.append("if (thread == 0) {")
            alone = not is_divided
            lines.append(call)
        return [*lines, *(["}"] if alone else []), "barrier(threads);", "}"]

    def steps(self) -> list[str]:
        """All steps of a call: gather the rows, take the settings, compute, hand out."""
        rows = [x for x in self.program.inputs if _has_rows(x)]
        others = [x for x in self.program.inputs if not _has_rows(x)]
        layouts = self.memory.layouts
        return [
            "\n/* All steps of a call: gather the rows, take the settings, compute, hand out. */",
            "static void steps(const job *j, int thread)\n{",
            "char *memory = j->memory; const int threads = j->threads;",
            "for (int64_t first = 0, at = 0; first < j->rows; first += j->batch, at++) {",
            "const long n = (long)(j->rows - first < j->batch ? j->rows - first : j->batch);",
            "const int64_t *order = j->order + first;",
            "const long lo = n * thread / threads, hi = n * (thread + 1) / threads;",
            "(void)order; (void)at; (void)lo; (void)hi;",
            *(line for i, x in enumerate(rows) for line in transfer.gather(i, x, layouts[x], self._at(x))),
            "if (thread == 0) {",
            *(line for i, x in enumerate(others) for line in transfer.setting(i, x, layouts[x], self._at(x))),
            "}\nbarrier(threads);\nstep(memory, n, thread, threads);\nif (thread == 0) {",
            *(
                line
                for i, t in enumerate(self.program.outputs.values())
                for line in transfer.output(i, t, layouts[t], self._at(t))
            ),
            "}\n}\n}\n",
        ]

    def _place(self, t: Tensor) -> tuple[str, Layout]:
        return self.names[t], self.memory.layouts[t]

    def _at(self, t: Tensor) -> str:
        return f"(({C_TYPE[t.dtype]} *)(memory + {self.memory.offsets[t]}))"


def _has_rows(x: Tensor) -> bool:
    """Whether an input is rows of a data set rather than a setting."""
    first: Dim | None = x.shape[0] if x.shape else None
    return first is BATCH


def _part(length: str, is_divided: bool) -> str:
    """From where to where a thread goes: its part of `length`, or all of it."""
    return f"{length} * thread / threads, {length} * (thread + 1) / threads" if is_divided else f"0, {length}"
