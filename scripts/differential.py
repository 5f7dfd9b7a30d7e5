#!/usr/bin/env python3
"""Random programs, an engine against the reference, until they disagree.

    python scripts/differential.py --programs 2000                  # a fresh seed, which is printed
    python scripts/differential.py --seed 7 --minutes 60 --kind networks
    python scripts/differential.py --repeat tests/conformance/found/dot-wrong-0123abcd.json

What is found is made smaller, printed as a program that repeats it, and kept in tests/conformance/found/, where pytest
runs it again. Exit status: 0 where all agree, 1 with findings, 3 where a strategy of the writer was not exercised.
How it works: tests/differential/__init__.py.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from pathlib import Path

for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(pool, "1")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from differential import keeping, machine, recipes, sizes  # noqa: E402
from differential.children import outcomes  # noqa: E402

ENOUGH = 2000
"""Programs of all kinds, from which on each strategy must have been met."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, help="how many programs; by default 2000, unless --minutes is given")
    parser.add_argument("--minutes", type=float, help="how long, whatever is reached first")
    parser.add_argument("--seed", type=int, help="what draws them; a fresh one by default")
    parser.add_argument("--kind", choices=sorted(recipes.KINDS), default="all", help="what is drawn")
    parser.add_argument("--engine", choices=["native", "jax"], default="native")
    parser.add_argument("--lanes", default=",".join(map(str, sizes.LANES)), help="numbers in a vector, as 4,8,16")
    parser.add_argument("--most-found", type=int, default=20, help="findings after which it stops")
    parser.add_argument("--jobs", type=int, default=1, help="batches at a time")
    parser.add_argument("--no-keep", action="store_true", help="writes no case of what is found")
    parser.add_argument("--table", action="store_true", help="prints every strategy's count")
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="runs one case that was found")
    return parser.parse_args()


def repeat(path: Path) -> int:
    (outcome,) = outcomes([json.loads(path.read_text())["recipe"]])
    print(outcome.kind or "nothing is wrong", *(outcome.wrong or []), sep="\n  ")
    return int(bool(outcome.kind))


def main() -> int:
    asked = arguments()
    if asked.repeat:
        return repeat(asked.repeat)
    seed = asked.seed if asked.seed is not None else secrets.randbelow(2**31)
    programs = asked.programs if asked.programs or asked.minutes else 2000
    lanes = tuple(int(n) for n in asked.lanes.split(","))
    run = machine.Run(seed, asked.kind, asked.engine, lanes, programs, asked.minutes, asked.most_found, asked.jobs)
    line = f"python scripts/differential.py --seed {seed} --kind {run.kind} --lanes {asked.lanes} --engine {run.engine}"
    print(f"to repeat: {line} --programs {programs or 10**9}", flush=True)
    tally = machine.go(run, lambda text: print(text, flush=True))
    if run.engine == "native" and run.kind == "all" and tally.programs >= ENOUGH:
        machine.seek(run, tally)
    for outcome in tally.found:
        print(f"\n=== {outcome.kind}", *(outcome.wrong or []), sep="\n  ")
        print(keeping.program(outcome.recipe, run.engine))
        if not asked.no_keep:
            print(f"kept as {keeping.keep(outcome, line).relative_to(ROOT)}")
    return report(tally, run, asked.table)


def report(tally: machine.Tally, run: machine.Run, in_full: bool) -> int:
    minutes = tally.seconds / 60
    print(f"\n{tally.programs} programs, {tally.runs} runs, in {minutes:.1f} minutes: {len(tally.found)} findings")
    print(f"of {tally.of} numbers {tally.decided / max(1, tally.of):.1%} were held against a bound")
    print(", ".join(f"{name} {n}" for name, n in tally.families.most_common()))
    if in_full:
        for counts in (tally.met.strategies, tally.met.operations, tally.drawn):
            print(*(f"{n:9} {name}" for name, n in counts.most_common()), sep="\n")
    if tally.found:
        print(f"the first after {tally.first_found} programs")
        return 1
    missing = tally.met.lacking if run.engine == "native" and run.kind == "all" else []
    if missing:
        print(f"not exercised: {', '.join(missing)}")
    return 3 if missing and tally.programs >= ENOUGH else 0


if __name__ == "__main__":
    sys.exit(main())
