"""What came out, as text: a table for each workload, its bars, and the machine."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.conversation import TALWEG
from benchmarks.rounds import Entry, Outcome
from benchmarks.whole_process import CACHED, COLD, Program
from benchmarks.workloads import LIMIT_BAR, LIMITED, NEURON_BAR, NEURON_BAR_SET_BY

MARKERS = "<!-- measured -->", "<!-- end of measured -->"  # what is between them in a page, a run replaces
LIMIT = "hand-written C"
NOISY = 0.1  # cores that others used, from which on it is said


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Rows as a Markdown table; the first is the head. Columns after the first `left` are to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        return f"| {' | '.join(cells)} |"

    rule = [("-" * w if i < left else "-" * (w - 1) + ":") for i, w in enumerate(widths)]
    return [line(rows[0]), line(rule), *map(line, rows[1:])]


def number(value: float) -> str:
    """Three significant digits, written out."""
    if not math.isfinite(value):
        return "–"
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{max(0, digits)}f}"


def workload_table(outcome: Outcome, peak: dict[str, float] | None) -> list[str]:
    """A line for each that was timed, and below it the bars, who was not timed and why, and who else was at work."""
    best = outcome.best_peer
    rows = [["", "min µs", "median µs", "best peer ÷ it", "of peak", "MB", "start s", "loss off", "steps a turn"]]
    for e in outcome.entries:
        if not e.microseconds:
            continue
        times = number(best.least / e.least) if best else "–"
        part = f"{outcome.flops / e.least / peak['gflops'] / 1e3:.1%}" if peak else "–"
        off = "unchecked" if e.loss_error is None else f"{e.loss_error:.0e}"
        least, median = number(e.least), number(e.median)
        rows.append([e.name, least, median, times, part, f"{e.megabytes:.0f}", f"{e.start:.1f}", off, f"{e.steps:,}"])
    lines = [f"### {outcome.workload}: {outcome.title}; batch {outcome.batch}", ""]
    lines += [f"{number(outcome.flops / 1e6)} MFLOP a step; {outcome.data}; checked against {outcome.reference}", ""]
    lines += aligned(rows) if len(rows) > 1 else ["Nothing was timed."]
    lines += [""] + [f"- {e.name}: {e.status}: {e.reason}" for e in outcome.entries if not e.microseconds]
    lines += _bars(outcome) + _noise(outcome.entries)
    return [*lines, ""]


def bars(outcome: Outcome) -> list[dict[str, Any]]:
    """What was asked for, what was measured (the best turns of either), and whether that is enough.

    Where another peer has become the best since the bar was set, the one that set it is compared with as well.
    """
    mine, best, limit = outcome.entry(TALWEG.name), outcome.best_peer, outcome.entry(LIMIT)
    found: list[dict[str, Any]] = []
    peers = {"the best peer": best}
    if best and best.name != outcome.bar_set_by:
        peers["the peer that set the bar"] = outcome.entry(outcome.bar_set_by)
    for which, peer in peers.items():
        if mine and peer:
            times = peer.least / mine.least
            what = f"at least {outcome.bar:g} times as fast as {which} ({peer.name})"
            found.append({"bar": what, "measured": times, "met": times >= outcome.bar})
    if mine and limit and outcome.workload in LIMITED:
        times = mine.least / limit.least
        what = f"at most {LIMIT_BAR:g} times the time of the hand-written C"
        found.append({"bar": what, "measured": times, "met": times <= LIMIT_BAR})
    return found


def _bars(outcome: Outcome) -> list[str]:
    return _judged(bars(outcome))


def _judged(found: Sequence[dict[str, Any]]) -> list[str]:
    return [f"- bar: {b['bar']}: {number(b['measured'])}, {'met' if b['met'] else 'NOT met'}" for b in found]


def _noise(entries: Sequence[Entry]) -> list[str]:
    """Says it where the machine was not ours alone: times are then too long, and ratios less sure."""
    lines = []
    others = [part for e in entries for part in e.others]
    if others and statistics.median(others) > NOISY:
        lines += [f"- while it was timed, other processes used {statistics.median(others):.1f} cores (median of turns)"]
    awake = {e.name: max(e.siblings) for e in entries if e.siblings and max(e.siblings) > NOISY}
    lines += [f"- while {name} was timed, its sleeping rivals used {used:.1f} cores" for name, used in awake.items()]
    return lines


def neuron_table(programs: Sequence[Program]) -> list[str]:
    lines = ["### W6: one neuron, 6 points, 500 epochs; the whole process", ""]
    rows = [["", "min s", "median s"], *([p.name, number(p.least), number(p.median)] for p in programs if p.seconds)]
    lines += [*aligned(rows), ""] + [f"- {p.name}: {p.reason}" for p in programs if p.reason]
    return [*lines, *_judged(neuron_bars(programs)), ""]


def neuron_bars(programs: Sequence[Program]) -> list[dict[str, Any]]:
    """Against the best peer, and against Keras, whose program it is."""
    mine = next((p for p in programs if p.name == CACHED and p.seconds), None)
    peers = [p for p in programs if p.name not in (CACHED, COLD) and p.seconds]
    if mine is None or not peers:
        return []
    best = min(peers, key=lambda p: p.least)
    compared = {p.name: p for p in (best, *(p for p in peers if p.name == NEURON_BAR_SET_BY))}
    return [
        {"bar": f"at least {NEURON_BAR:g} times as fast as {name}", "measured": p.least / mine.least}
        | {"met": p.least / mine.least >= NEURON_BAR}
        for name, p in compared.items()
    ]


def starting_table(found: dict[str, dict[str, Any]]) -> list[str]:
    """Talweg's compile times and the time from `python` to the first trained epoch, in seconds."""
    columns = ("train", "evaluate", "predict", "first epoch")
    rows = [["", "cache", *columns]]
    for name, states in found.items():
        for state in ("cold", "cached"):
            if state in states:
                rows.append([name, state, *(number(states[state][c]) if c in states[state] else "" for c in columns)])
    lines = ["### Talweg: seconds to compile each program, and from `python` to the end of the first epoch", ""]
    lines += [*aligned(rows), ""] if len(rows) > 1 else []
    reasons = [f"- {name}: {s['reason']}" for name, s in found.items() if "reason" in s]
    return [*lines, *reasons, *([""] if reasons else [])]


def machine_lines(machine: dict[str, Any], peak: dict[str, float] | None) -> list[str]:
    m = machine
    lines = [
        f"- measured on {m['date']}",
        f"- {m['cores']} cores of {m['processor']}, caches {m['caches']}, {m['memory_gigabytes']} GB, {m['system']}; "
        f"{m['threads']} threads for everyone; load at the start {m['load']:.1f}",
        f"- {m['compiler']}; Python {m['python']}",
    ]
    if peak:
        lines.append(
            f"- measured peak: {peak['gflops']:.0f} GFLOP/s float32 (one thread {peak['gflops_one_thread']:.0f}), "
            f"reading {peak['cache_gigabytes']:.0f} GB/s from caches, {peak['memory_gigabytes']:.0f} GB/s from memory"
        )
    return ["### Machine", "", *lines, ""]


def into_page(page: str, report: Sequence[str], markers: tuple[str, str] = MARKERS) -> str:
    """The page with the report between its markers, in place of what was there."""
    before, _, rest = page.partition(markers[0])
    _, _, after = rest.partition(markers[1])
    return "\n".join([before + markers[0], "", "\n".join(report).strip(), "", markers[1] + after])


def versions(outcomes: Sequence[Outcome]) -> list[str]:
    found = {e.name: e.version for outcome in outcomes for e in outcome.entries if e.version}
    return ["### Versions", "", *(f"- {name}: {version}" for name, version in found.items()), ""]
