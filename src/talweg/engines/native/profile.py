"""Counters in a program's C: how long each thread spent in each kernel, and how long it waited for the others.

A lap is the time since the thread's last lap. One ends after every statement of a step and after every barrier, so that
the laps of a thread add up to the time that it was at work on steps. The counters lie behind the block of tensors.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from talweg.engines.native.contraction import operands
from talweg.engines.native.runtime import MOST_THREADS
from talweg.engines.native.schedule import CONTRACTIONS
from talweg.graph import BATCH, Array, Program, Tensor

HEAD = 8  # numbers before the laps: steps, ticks, nanoseconds, threads
REDUCTIONS = ("sum", "max", "argmax")
WAIT = "wait"  # the name of laps that are spent at a barrier
NAMED = 3  # operations of a group that are named

SOURCE = """
/* ── laps: counters for each thread, in the ticks of a clock that runs evenly and costs little to read ─────────── */

#include <time.h>

static int64_t ticks(void)
{
#if defined(__x86_64__)
    return (int64_t)__builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    int64_t now;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(now));
    return now;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
#endif
}

/* Of all threads (thread < 0): steps, ticks, nanoseconds, threads. Of one: the tick of its last lap, then its laps. */
static int64_t *counters(char *memory, int thread)
{
    return (int64_t *)(memory + AT) + HEAD + (thread < 0 ? -HEAD : thread * ROOM);
}

static void lap(char *memory, int thread, int entry)
{
    int64_t *mine = counters(memory, thread), now = ticks();
    mine[1 + entry] += now - mine[0];
    mine[0] = now;
}

/* Before the first step of a call (sign -1) and after the last (1): what a tick is, the first thread finds out. */
static void count(char *memory, int64_t steps, int thread, int threads, int sign)
{
    int64_t *all = counters(memory, -1), tick = ticks();
    struct timespec now;
    if (sign < 0) counters(memory, thread)[0] = tick;
    if (thread > 0) return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    all[1] += sign * tick;
    all[2] += sign * (now.tv_sec * 1000000000ll + now.tv_nsec);
    if (sign > 0) all[0] += steps, all[3] = threads;
}
"""


@dataclass(frozen=True)
class Lap:
    """What one kernel takes of a step, in microseconds; or what the barrier after a phase takes.

    kernel           what stands above its C function; or "bring ...", "hand out ...", "wait": what a step does besides
    what             the operation and the shape of its result
    multiplications  in a full batch, where it is a contraction
    busy             each thread at work in it; 0 for a thread that has no part in it
    waiting          each thread for the others
    """

    kernel: str
    what: str
    multiplications: int = 0
    busy: tuple[float, ...] = ()
    waiting: tuple[float, ...] = ()

    @property
    def microseconds(self) -> float:
        """What the step is longer for it, waiting included. Those of all laps add up to the step's."""
        return (sum(self.busy) + sum(self.waiting)) / max(1, len(self.busy))

    @property
    def waited(self) -> float:
        """The mean of all threads."""
        return sum(self.waiting) / max(1, len(self.waiting))

    @property
    def gflops(self) -> float:
        """10⁹ operations a second, a multiplication and its addition being two; 0 where it is no contraction."""
        return 2 * self.multiplications / self.microseconds / 1e3 if self.microseconds else 0.0


@dataclass(frozen=True)
class Profile:
    """Where the time of a step goes: `microseconds` altogether on `threads` threads, the mean of `steps` steps.

    The laps are in the order of a step.
    """

    steps: int
    threads: int
    microseconds: float
    laps: tuple[Lap, ...]

    @property
    def waited(self) -> float:
        """What a thread waits in a step, in microseconds: the mean of all threads."""
        return sum(lap.waited for lap in self.laps)


@dataclass
class Counters:
    """Puts laps into a unit's C; where `is_on` is False, nothing.

    at: bytes from the beginning of the block to the counters. laps: the entries, with nothing counted yet.
    """

    program: Program
    capacity: int
    is_on: bool
    at: int = 0
    laps: list[Lap] = field(default_factory=list)
    entries: dict[Hashable, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that the counters of all threads need."""
        return 8 * (HEAD + MOST_THREADS * self._room) if self.is_on else 0

    @property
    def _room(self) -> int:
        """Numbers for one thread: whole lines of the cache, so that no other thread writes into them."""
        return -(-(1 + len(self.laps)) // 8) * 8

    def add(
        self, key: Hashable, kernel: str, nodes: Sequence[Tensor] = (), is_copy: bool = False, is_cut: bool = False
    ) -> None:
        """An entry for what a step does next: `kernel` computes `nodes`, or copies them; is_cut: see `Kernel`."""
        self.entries[key] = len(self.laps)
        what, products = self._described(nodes, is_copy, is_cut) if nodes and self.is_on else ("", 0)
        self.laps.append(Lap(kernel, what, products))

    def _described(self, nodes: Sequence[Tensor], is_copy: bool, is_cut: bool) -> tuple[str, int]:
        states = {value: state.name for state, value in self.program.updates.items()}
        names = list(dict.fromkeys((n.inputs[0] if is_cut else n).op.name for n in nodes))
        what = ", ".join([*names[:NAMED], *(["..."] if len(names) > NAMED else [])])
        if nodes[-1] in states:
            what = f"update of {states[nodes[-1]]}"
        lengths, products = _lengths(nodes[-1], self.capacity), 0
        if not is_copy:
            products = sum(multiplications(n, self.capacity) for n in nodes if n.op.name in CONTRACTIONS or is_cut)
        text = f"{'copy of ' if is_copy else ''}{what} {_written(lengths)}"
        if products:
            text += f" over {products // math.prod(lengths)}"
        elif nodes[-1].op.name in REDUCTIONS and not is_copy:
            text += f" of {_written(_lengths(nodes[-1].inputs[0], self.capacity))}"
        return text, products

    def source(self) -> list[str]:
        """The C of the counters, after all entries were added."""
        return [f"enum {{ AT = {self.at}, HEAD = {HEAD}, ROOM = {self._room} }};", SOURCE] if self.is_on else []

    def begin(self) -> list[str]:
        return ["count(j->memory, 0, thread, j->threads, -1);"] if self.is_on else []

    def end(self) -> list[str]:
        steps = "(j->rows + j->batch - 1) / j->batch"
        return [f"count(j->memory, {steps}, thread, j->threads, 1);"] if self.is_on else []

    def lap(self, key: Hashable) -> list[str]:
        """After a statement."""
        return [f"lap(memory, thread, {self.entries[key]});"] if self.is_on else []

    def read(self, block: Array) -> Profile:
        """What was counted in a session's block since the last time; counting begins anew."""
        numbers = block[self.at : self.at + self.size].view(np.int64)
        (steps, ticks, nanoseconds, threads), each = numbers[:4].tolist(), numbers[HEAD:].reshape(MOST_THREADS, -1)
        a_step = nanoseconds / 1e3 / max(1, steps)
        spent = (each[:threads, 1 : 1 + len(self.laps)] * (a_step / max(1, ticks))).T.tolist()
        numbers[...] = 0
        none = (0.0,) * threads
        laps = [
            replace(lap, busy=none, waiting=(*times,))
            if lap.kernel == WAIT
            else replace(lap, busy=(*times,), waiting=none)
            for lap, times in zip(self.laps, spent, strict=True)
        ]
        return Profile(steps, threads, a_step, tuple(laps))


def multiplications(node: Tensor, capacity: int) -> int:
    """Of a contraction, for `capacity` rows; those with zeros of a convolution's border only where they are done.

    Of a slice of an input gradient: those that the places of the slice take.
    """
    if node.op.name == "dot":
        over = [_lengths(node.inputs[0], capacity)[axis] for axis in node.attributes["axes"][0]]
        return math.prod([*_lengths(node, capacity), *over])
    if node.op.name in ("slice", "conv2d_input_gradient"):
        return _sent_back(node, capacity)
    return _slid_over(node, capacity)


def _slid_over(node: Tensor, capacity: int) -> int:
    """Pairs of a place of a convolution's result and a tap that lies within the picture there, times channels."""
    x, (picture, other) = node.inputs[0], operands(node)
    kernel, result = (_lengths(t, capacity) for t in ((other, node) if node.op.name == "conv2d" else (node, other)))
    total = result[0] * result[3] * kernel[2]
    for a, (s, d) in enumerate(zip(node.attributes["strides"], node.attributes["dilation"], strict=True)):
        low = 0 if picture is x else x.attributes["padding"][a + 1][0]
        inside, taps = range(low, low + _lengths(picture, capacity)[a + 1]), range(kernel[a])
        total *= sum(i * s + u * d in inside for i in range(result[a + 1]) for u in taps)
    return total


def _sent_back(node: Tensor, capacity: int) -> int:
    """Pairs of a place and a tap that has sent something there, times channels."""
    whole = node if node.op.name != "slice" else node.inputs[0]
    g, kernel = (_lengths(x, capacity) for x in whole.inputs)
    total = g[0] * kernel[2] * kernel[3]
    for a, (s, d) in enumerate(zip(whole.attributes["strides"], whole.attributes["dilation"], strict=True)):
        start = 0 if node is whole else node.attributes["ranges"][a + 1][0]
        places = range(start, start + _lengths(node, capacity)[a + 1])
        total *= sum(
            (h - u * d) % s == 0 and 0 <= (h - u * d) // s < g[a + 1] for h in places for u in range(kernel[a])
        )
    return total


def _written(lengths: Sequence[int]) -> str:
    return "x".join(map(str, lengths)) or "1"


def _lengths(t: Tensor, capacity: int) -> list[int]:
    return [capacity if d is BATCH else d for d in t.shape]
