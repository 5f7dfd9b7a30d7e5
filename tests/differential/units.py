"""Many programs in one shared object: the C of each is what users get, its names numbered.

Every unit begins with the same text (types, elementary functions, threads), which stands once; a switch says whose
steps the threads do. So what a compiler needs is little more than what the kernels need.
"""

from __future__ import annotations

import ctypes
import platform
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from conformance.families import Family
from talweg.engines.native import Native, build, compilers
from talweg.engines.native.memory import Memory, Thing, plan_memory
from talweg.engines.native.unit import Unit, unit
from talweg.graph import Program

APART = 512
"""Bytes between one tensor and the next, of which nobody knows."""
OWN = "enum { SHARED"
"""Where the text of a unit that others do not share begins."""
DECLARED = "static void steps(const job *j, int thread);"
ONCE, WITHOUT_ONCE = '__asm__("" : "+v"(a))', "(void)(a)"
"""A hint for registers, which refuses vectors that this machine has no registers for."""
TARGETS = {4: ("-march=x86-64",), 8: ("-march=haswell",), 16: ("-march=native",)}


@dataclass(frozen=True)
class Written:
    """A program as C, for batches of so many rows; `used`: bytes of the shared memory that something lies in."""

    unit: Unit
    family: Family
    capacity: int
    threads: int
    used: list[tuple[int, int]]
    own: list[tuple[int, int]]


def write(family: Family, recipe: dict[str, Any], threads: int) -> Written:
    """What users' engine would write, on a machine of the recipe's vectors."""
    lanes = recipe["lanes"] if recipe["precision"] == "float32" else recipe["lanes"] // 2
    program = simplified(family.program, recipe["precision"])
    with _watched(APART * recipe["apart"]) as rooms:
        made = unit(program, recipe["capacity"], recipe["precision"], lanes, threads)
    m = made.memory
    used = [(at, at + rooms.sizes[thing]) for thing, at in m.offsets.items()] + rooms.later
    own = [(at, at + rooms.sizes[thing]) for thing, (at, _) in m.own.items()] + rooms.own_later
    return Written(made, family, recipe["capacity"], threads, used, own)


def simplified(program: Program, precision: str) -> Program:
    """What the engine does before it writes."""
    return Native._simpler(SimpleNamespace(precision=precision), program)  # type: ignore[arg-type]


@dataclass
class _Rooms:
    """How many bytes of memory are each thing's; and what loops took for themselves after all was planned."""

    sizes: dict[Thing, int] = field(default_factory=dict)
    later: list[tuple[int, int]] = field(default_factory=list)
    own_later: list[tuple[int, int]] = field(default_factory=list)


@contextmanager
def _watched(apart: int) -> Iterator[_Rooms]:
    """Lets tensors lie so many bytes apart."""
    rooms, plain, planned = _Rooms(), Memory.room, set[int]()

    def room(self: Memory, t: Thing, rows: int | None = None, axis: int = 0) -> int:
        rooms.sizes[t] = size = plain(self, t, rows, axis)
        if id(self) in planned:
            rooms.later.append((self.size, self.size + size))
            rooms.own_later.append((self.own_size, self.own_size + size))
        return size + apart

    def plan(*arguments: Any) -> Memory:
        memory = plan_memory(*arguments)
        planned.add(id(memory))
        return memory

    with mock.patch.object(Memory, "room", room), mock.patch(f"{unit.__module__}.plan_memory", plan):
        yield rooms


# ── one object ────────────────────────────────────────────────────────────────────────────────────────────


class CompilerSaid(Exception):
    """What the compiler complained of."""


def _numbered(own: str, number: int) -> str:
    """A program's own part, with a number after each name that it gives to something."""
    given = [
        *re.findall(r"^static [\w ]*?\**(\w+)\(", own, re.MULTILINE),
        *re.findall(r"(\w+) =", own.partition("}")[0]),
    ]
    return re.sub(rf"\b({'|'.join(dict.fromkeys(given))})\b", rf"\1_p{number}", own)


def own_part(source: str) -> str:
    """What is not the same in every unit."""
    return source[source.index(OWN) :]


def together(sources: Sequence[str]) -> str:
    """One C text of all: the common head, each program's own part, and the switch between them."""
    head = sources[0][: sources[0].index(OWN)]
    assert DECLARED in head
    head = head[head.index("#include") :].replace(ONCE, WITHOUT_ONCE)
    own = [_numbered(own_part(source), i) for i, source in enumerate(sources)]
    table = ", ".join(f"steps_p{i}" for i in range(len(sources)))
    switch = f"""
typedef void doing(const job *j, int thread);
static doing *const all[] = {{ {table} }};
static int chosen;
static void steps(const job *j, int thread) {{ all[chosen](j, thread); }}
void talweg_choose(int number) {{ chosen = number; }}
"""
    return "\n".join([head, *own, switch])


def flags(lanes: int, is_fast: bool) -> list[str]:
    """The compiler's, for vectors of so many numbers."""
    own, _ = build.machine()
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    kept = [f for f in own if not (is_x86 and f.startswith("-march"))]
    kept += _understood(lanes) if is_x86 else []
    return kept if is_fast else [*kept, "-O0", "-fno-asynchronous-unwind-tables"]


def _understood(lanes: int) -> tuple[str, ...]:
    """What the C is compiled for: as its vectors are wide, or this machine where that has less."""
    has = compilers.processor()
    return TARGETS[16 if lanes == 8 and " avx2 " not in has else lanes]


def compiled(sources: Sequence[str], lanes: int, is_fast: bool) -> Path:
    """The object of all programs, in a folder of its own. Raises `CompilerSaid`."""
    command = build.compiler()
    assert command is not None
    folder = Path(tempfile.mkdtemp(prefix="differential-"))
    text, made = folder / "programs.c", folder / "programs.so"
    text.write_text(together(sources))
    line = [*command, *flags(lanes, is_fast), "-o", str(made), str(text), "-lm"]
    said = subprocess.run(line, capture_output=True, text=True, errors="replace", check=False)
    if said.returncode:
        raise CompilerSaid(said.stderr[:2000])
    return made


class Object:
    """A loaded object; `run(number)` is what a session calls in place of its own."""

    def __init__(self, path: Path) -> None:
        self._loaded = ctypes.CDLL(str(path))

    def run(self, number: int) -> Any:
        def call(*arguments: Any) -> Any:
            self._loaded.talweg_choose(ctypes.c_int(number))
            return self._loaded.talweg_run(*arguments)

        return call
