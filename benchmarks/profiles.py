"""``python -m benchmarks --profile``: where the time of a step of Talweg goes, kernel by kernel, and a table of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.conversation import TALWEG, Failure, Worker
from benchmarks.rounds import save_task
from benchmarks.rows import ROWS
from benchmarks.table import aligned, number
from benchmarks.workloads import Workload

MARKERS = "<!-- profile -->", "<!-- end of profile -->"
SECONDS = 1.0  # of training with counters
UNCOUNTED = 0.5e6  # microseconds of training without
LEAST = 0.005  # of a step, below which kernels are summed up

Profile = dict[str, Any]  # what the worker answers: see its `profile`


def take(workload: Workload, threads: int, folder: Path, say: Callable[[str], None]) -> list[Profile]:
    """A profile on one thread and, where the program makes use of more, one on all; raises `Failure`.

    "uncounted" is the time of a step of `fit` in the same process, without counters.
    """
    save_task(folder, workload)
    found = []
    for count in sorted({1, threads}):
        say(f"{workload.name}: profile on {count} thread{'s' * (count > 1)}")
        with Worker(TALWEG, count, str(folder)) as worker:
            worker.ask("prepare", workload=workload.as_json(), folder=str(folder), threads=count)
            profile = worker.ask("profile", seconds=SECONDS)
            if any(p["threads"] == profile["threads"] for p in found):
                continue
            rows = min(ROWS, math.ceil(UNCOUNTED / profile["microseconds"]) * workload.batch)
            rows -= rows % workload.batch
            worker.ask("fit", rows=rows, epochs=1)  # compiles
            epochs = math.ceil(UNCOUNTED / profile["microseconds"] * workload.batch / rows)
            fitted = worker.ask("fit", rows=rows, epochs=epochs)
            found.append(profile | {"uncounted": fitted["seconds"] / fitted["steps"] * 1e6})
    return found


def profile_table(workload: Workload, profiles: Sequence[Profile], peak: dict[str, float] | None) -> list[str]:
    """A line for each kernel, the longest first, with its figures for each number of threads; the sums below."""
    heads, title = ["kernel", "computes"], []
    for p in profiles:
        count = p["threads"]
        one = f"{count} thread{'s' * (count > 1)}"
        heads += [f"{one}: µs", *(["of it waiting"] if count > 1 else []), "of step", "GFLOP/s", "of peak"]
        waited = f", waiting {number(p['waited'])} of them" if count > 1 else ""
        without = f"{number(p['uncounted'])} in `fit`, without counting"
        title.append(f"- {one}: {number(p['microseconds'])} µs a step{waited}; {without}")
    kernels = _side_by_side(profiles)
    shares = [max(_share(lap, p) for lap, p in zip(laps, profiles, strict=True)) for laps in kernels]
    in_order = sorted(zip(shares, kernels, strict=True), key=lambda pair: -pair[0])
    main = [laps for share, laps in in_order if share >= LEAST]
    if small := [laps for share, laps in in_order if share < LEAST]:
        main.append([_sum(f"{len(small)} others", column) for column in zip(*small, strict=True)])
    rows = [heads, *(_row(laps, profiles, peak) for laps in main)]
    lines = [f"### {workload.name}: {workload.title}; batch {workload.batch}", "", *title, ""]
    return [*lines, *aligned(rows, left=2), ""]


def _side_by_side(profiles: Sequence[Profile]) -> list[list[dict[str, Any]]]:
    """Each kernel's figures in every profile; zeros where a program for that number of threads has none of the name."""
    found = [{lap["kernel"]: lap for lap in p["laps"]} for p in profiles]
    names = dict.fromkeys(name for laps in reversed(found) for name in laps)
    return [[laps.get(name) or _sum(name, []) for laps in found] for name in names]


def not_taken(workload: Workload, reason: Failure) -> list[str]:
    return [f"### {workload.name}: {workload.title}; batch {workload.batch}", "", f"No profile: {reason}", ""]


def _row(laps: Sequence[dict[str, Any]], profiles: Sequence[Profile], peak: dict[str, float] | None) -> list[str]:
    cells = [laps[-1]["kernel"], laps[-1]["what"]]
    for lap, p in zip(laps, profiles, strict=True):
        several, speed = p["threads"] > 1, lap["gflops"]
        most = peak and peak["gflops" if several else "gflops_one_thread"]
        cells += [number(lap["microseconds"]), *([number(lap["waited"])] if several else []), f"{_share(lap, p):.1%}"]
        cells += [number(speed) if speed else "", f"{speed / most:.0%}" if speed and most else ""]
    return cells


def _share(lap: dict[str, Any], profile: Profile) -> float:
    return float(lap["microseconds"] / profile["microseconds"]) if profile["microseconds"] else 0.0


def _sum(name: str, laps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    total = {key: sum(lap[key] for lap in laps) for key in ("microseconds", "waited")}
    return {"kernel": name, "what": "", "gflops": 0.0} | total
