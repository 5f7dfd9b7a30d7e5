#!/usr/bin/env python3
"""The killing machine: programs that write are killed, starved and shut out, and must lose nothing.

    python scripts/kills.py --kills 1000              # so many SIGKILLs, and other disturbances between them
    python scripts/kills.py --kills 30 --seed 7       # the same again, but for where signals from outside meet it
    python scripts/kills.py --seed 7 --only 12        # one case, to look at

A training run from the command line, a `fit` with every callback that writes, models saved over older ones in each
format, and programs compiled into an empty cache: each is begun in a child of this process and disturbed once or
several times, at every operation on files or at any moment: SIGKILL, SIGTERM, SIGHUP, SIGINT, a full, read-only, broken
or unwritable disk, a limit of file sizes, a folder that is moved away, clocks that jump, two or three writers at once.
Then it runs to its end. What must hold: every file whole or not there, errors that fit on one screen, no process and no
temporary file left, and weights, metrics and results equal in every bit to those of an undisturbed run.

Prints a table by kind; exits 1 where something was found, saying how to repeat it. Needs Linux.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--kills", type=int, default=100, help="SIGKILLs that hit")
    asked.add_argument("--seed", type=int, default=None, help="of the cases; printed, and random unless given")
    asked.add_argument("--only", type=int, default=None, help="the number of one case")
    asked.add_argument(
        "--folder", type=Path, default=None, help="where to work; by default in memory, if there is some"
    )
    chosen = asked.parse_args()
    seed = random.SystemRandom().randrange(10**9) if chosen.seed is None else chosen.seed
    memory = Path("/dev/shm")
    base = chosen.folder or (memory if os.access(memory, os.W_OK) else None)
    with tempfile.TemporaryDirectory(prefix="talweg-kills-", dir=base) as name:
        os.environ["XDG_CACHE_HOME"] = f"{name}/cache"  # set before anything of Talweg is imported
        return disturb(Path(name), seed, chosen.kills, chosen.only)


def disturb(place: Path, seed: int, kills: int, only: int | None) -> int:
    from killing.cases import run, undisturbed
    from killing.work import WORKS

    print(f"seed {seed}", flush=True)
    known = {}
    for work in WORKS.values():
        work.warm()
        known[work.name] = alone = undisturbed(work, place / f"undisturbed-{work.name}")
        print(f"{work.name}: {alone.operations} operations on files, {alone.seconds:.2f} s", flush=True)
    began, hits, found, number = time.monotonic(), Counter[str](), Counter[str](), only or 0
    while sum(n for kind, n in hits.items() if kind.startswith("SIGKILL")) < kills:
        verdict = run(number, seed, known, place)
        hits.update(verdict.hits)
        for finding in verdict.findings:
            found[verdict.hits[-1] if verdict.hits else "none"] += 1
            print(f"FOUND in case {number} ({'; '.join(verdict.story)}):\n  {finding}")
            print(f"  repeat: python scripts/kills.py --seed {seed} --only {number}", flush=True)
        if only is not None:
            print("; ".join(verdict.story))
            break
        number += 1
    print(f"\n{'disturbance':<22}{'hits':>7}{'findings':>10}")
    for kind in sorted(hits.keys() | found.keys()):
        print(f"{kind:<22}{hits[kind]:>7}{found[kind]:>10}")
    print(f"{'all':<22}{hits.total():>7}{found.total():>10}   {number} cases, {time.monotonic() - began:.0f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
