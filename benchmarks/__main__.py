"""``python -m benchmarks``: Talweg and its installed peers on the same work, in turns, and a table of it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import machine, profiles, rounds, table, whole_process
from benchmarks.conversation import ON_JAX, PEERS, TALWEG, Failure, hand_written
from benchmarks.rounds import Effort
from benchmarks.workloads import NEURON, TRAINED

QUICK, FULL = Effort(rounds=2, longest=0.5), Effort()
NEURON_ROUNDS = {True: 1, False: 5}


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Talweg and its installed peers on the same work, in turns. python -m benchmarks.environments "
        "makes the peers' environments; $TALWEG_DATA names the folder that holds MNIST. See docs/performance.md.",
    )
    names = ", ".join([*TRAINED, NEURON])
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"{names}; by default all")
    parser.add_argument("--peers", help="only those whose names contain one of these, separated by commas; '' for none")
    parser.add_argument("--threads", type=int, default=2, help="threads, and processors, for everyone (default: 2)")
    parser.add_argument("--limits", metavar="FOLDER", help="the folder of a limit study: its C runs along")
    parser.add_argument("--profile", action="store_true", help="instead: where the time of Talweg's steps goes")
    parser.add_argument("--quick", action="store_true", help="few and short turns: to see that it works, not how fast")
    parser.add_argument("--rounds", type=int, help=f"turns of each (default: {FULL.rounds})")
    parser.add_argument("--longest", type=float, help=f"seconds after which a turn is cut (default: {FULL.longest:g})")
    parser.add_argument("--json", metavar="FILE", help="write everything measured there; - for standard output")
    parser.add_argument("--page", metavar="FILE", help="put the tables into this Markdown page, between its markers")
    chosen = parser.parse_args(given)
    if unknown := [w for w in chosen.workloads if w not in {*TRAINED, NEURON}]:
        parser.error(f"no workload is called {', '.join(unknown)}; there are {names}")
    if chosen.threads < 1:
        parser.error(f"--threads must be at least 1; got {chosen.threads}")
    if chosen.profile and NEURON in chosen.workloads:
        parser.error(f"--profile: {NEURON} is a whole process, most of it no step; there are {', '.join(TRAINED)}")
    first_line = (profiles.MARKERS if chosen.profile else table.MARKERS)[0]
    if chosen.page and not (Path(chosen.page).exists() and first_line in Path(chosen.page).read_text()):
        parser.error(f"--page: {chosen.page} has no line {first_line}")
    if chosen.limits and not Path(chosen.limits).is_dir():
        parser.error(f"--limits: there is no folder {chosen.limits}")
    return chosen


def main(given: list[str] | None = None) -> int:
    chosen = arguments(given)
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, allowed[: chosen.threads])  # every worker inherits it
    return profile(chosen) if chosen.profile else compare(chosen)


def profile(chosen: argparse.Namespace) -> int:
    """Talweg alone, with counters."""
    taken: dict[str, list[profiles.Profile]] = {}
    report: list[str] = []
    with tempfile.TemporaryDirectory(prefix="talweg-benchmarks-") as name:
        described, peak = machine.describe(chosen.threads), machine.measure_peak(chosen.threads, Path(name))
        for workload in (TRAINED[w] for w in chosen.workloads or TRAINED):
            try:
                taken[workload.name] = profiles.take(workload, chosen.threads, Path(name), say)
                report += show(profiles.profile_table(workload, taken[workload.name], peak), chosen)
            except Failure as reason:
                report += show(profiles.not_taken(workload, reason), chosen)
    report += show(table.machine_lines(described, peak), chosen)
    write({"machine": described, "peak": peak, "profiles": taken}, report, chosen, profiles.MARKERS)
    return 0


def compare(chosen: argparse.Namespace) -> int:
    """Talweg and the peers in turns."""
    wanted = list(chosen.workloads) or [*TRAINED, NEURON]
    default = QUICK if chosen.quick else FULL
    effort = Effort(chosen.rounds or default.rounds, chosen.longest or default.longest)
    parts = None if chosen.peers is None else [part for part in chosen.peers.lower().split(",") if part]
    peers = [peer for peer in (ON_JAX, *PEERS) if parts is None or any(part in peer.name.lower() for part in parts)]
    report: list[str] = []
    with tempfile.TemporaryDirectory(prefix="talweg-benchmarks-") as name:
        folder = Path(name)
        described, peak = machine.describe(chosen.threads), machine.measure_peak(chosen.threads, folder)
        outcomes = []
        for workload in (TRAINED[w] for w in wanted if w in TRAINED):
            runners = [TALWEG, *peers, *([hand_written(chosen.limits)] if chosen.limits else [])]
            outcomes.append(rounds.run(workload, runners, chosen.threads, effort, folder, say))
            report += show(table.workload_table(outcomes[-1], peak), chosen)
        programs = []
        if NEURON in wanted:
            names, turns = [peer.name.split(",")[0] for peer in peers], chosen.rounds or NEURON_ROUNDS[chosen.quick]
            programs = whole_process.neuron(names, chosen.threads, turns, folder, say)
            report += show(table.neuron_table(programs), chosen)
        trained = [TRAINED[w] for w in wanted if w in TRAINED]
        starts = whole_process.starting(trained, chosen.threads, folder, say)
        report += show(table.starting_table(starts) if trained else [], chosen)
    report += show([*table.machine_lines(described, peak), *table.versions(outcomes)], chosen)
    everything = {
        "machine": described,
        "peak": peak,
        "effort": vars(effort),
        "workloads": [vars(o) | {"entries": [vars(e) for e in o.entries], "bars": table.bars(o)} for o in outcomes],
        "neuron": {"programs": [vars(p) for p in programs], "bars": table.neuron_bars(programs)},
        "starting": starts,
    }
    write(everything, report, chosen, table.MARKERS)
    return 0


def write(measured: dict[str, Any], report: list[str], chosen: argparse.Namespace, markers: tuple[str, str]) -> None:
    """What --json and --page ask for."""
    if chosen.json:
        text = json.dumps(measured | {"report": "\n".join(report)}, indent=1)
        print(text) if chosen.json == "-" else Path(chosen.json).write_text(text + "\n")
    if chosen.page:
        page = Path(chosen.page)
        page.write_text(table.into_page(page.read_text(), report, markers))


def show(lines: list[str], chosen: argparse.Namespace) -> list[str]:
    """Prints the lines, unless standard output is for JSON; and answers them."""
    if chosen.json != "-":
        print("\n".join(lines), flush=True)
    return lines


def say(text: str) -> None:
    """What is going on, for those who wait: on a terminal in one line, else nothing."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
