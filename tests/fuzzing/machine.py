"""The whole machine: inputs of all formats in their shares, children side by side, findings that are kept as cases."""

from __future__ import annotations

import argparse
import hashlib
import os
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from fuzzing import arrays, folders, models, pictures, tables
from fuzzing.children import Child, ready, scratch
from fuzzing.forms import Finding, Format
from fuzzing.shrinking import shrunk

ROOMS = (arrays, tables, pictures, models, folders)
FORMATS = {f.name: f for room in ROOMS for f in room.FORMATS}
CASES = Path(__file__).parent / "cases"
CHUNK = 400  # inputs of one child


def rounds(formats: Sequence[Format], inputs: int) -> Iterator[tuple[Format, range]]:
    """The inputs of all formats, in chunks that take turns."""
    total = sum(f.share for f in formats)
    counts = {f.name: max(1, round(inputs * f.share / total)) for f in formats}
    begun: Counter[str] = Counter()
    while left := [f for f in formats if begun[f.name] < counts[f.name]]:
        for format in left:
            start = begun[format.name]
            begun[format.name] = min(counts[format.name], start + CHUNK)
            yield format, range(start, begun[format.name])


def search(formats: Sequence[Format], inputs: int, seed: int, workers: int = 1) -> tuple[list[Finding], Counter[str]]:
    """Findings, one of each cause and made small, and how many inputs of each format were judged."""
    found: dict[tuple[str, str, str], tuple[Finding, Format]] = {}
    done: Counter[str] = Counter()
    for format in formats:
        format.seeds  # noqa: B018  (made once, here, and not in each child)
    ready()
    with scratch() as folder:
        waiting = list(rounds(formats, inputs))[::-1]
        running: dict[Path, tuple[Child, range]] = {}
        while waiting or running:
            for place in (folder / str(n) for n in range(workers)):
                if place not in running and waiting:
                    format, numbers = waiting.pop()
                    made = ((n, lambda f=format, n=n: f.input(seed, n)) for n in numbers)
                    running[place] = Child(format, made, place), numbers
            time.sleep(0.002)
            for place, (child, numbers) in list(running.items()):
                if (findings := child.ended()) is None:
                    continue
                del running[place]
                for finding in findings:
                    found.setdefault(finding.cause, (replace(finding, seed=seed), child.format))
                judged = min(len(numbers), child.judged + 1)  # if it died, then of the input after those it had judged
                done[child.format.name] += judged
                if rest := numbers[judged:]:
                    waiting.append((child.format, rest))
        return [shrunk(finding, format, folder / "0") for finding, format in found.values()], done


def kept(finding: Finding, folder: Path = CASES) -> Path:
    """The finding's input as a case, which `test_fuzzing.py` runs from now on."""
    folder.mkdir(exist_ok=True)
    name = hashlib.sha256(finding.data).hexdigest()[:12]
    path = folder / f"{finding.format}-{name}{FORMATS[finding.format].suffix}"
    path.write_bytes(finding.data)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Looks for files that readers misread, or that bring them down.")
    parser.add_argument("--inputs", type=int, default=20_000, help="how many, over all formats (default: 20000)")
    parser.add_argument("--seed", type=int, help="the same inputs again (default: a fresh one, which is printed)")
    parser.add_argument("--format", help=f"only these, with commas between: {', '.join(FORMATS)}")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="children side by side")
    parser.add_argument("--no-cases", action="store_true", help=f"do not keep findings in {CASES.name}/")
    told = parser.parse_args(arguments)
    names = told.format.split(",") if told.format else list(FORMATS)
    if unknown := [name for name in names if name not in FORMATS]:
        parser.error(f"no such format: {', '.join(unknown)}; there are {', '.join(FORMATS)}")
    seed = secrets.randbelow(2**31) if told.seed is None else told.seed
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    findings, done = search([FORMATS[name] for name in names], told.inputs, seed, told.workers)
    seconds = time.monotonic() - began
    print(f"{done.total():,} inputs in {seconds:.0f} s: " + ", ".join(f"{name} {n:,}" for name, n in done.items()))
    for finding in findings:
        again = f"python scripts/fuzz.py --seed {seed} --format {finding.format} --inputs {(finding.number or 0) + 1}"
        print(f"\n{finding.kind.upper()} in {finding.format}: {finding.said}")
        print(f"    at {finding.place}, {len(finding.data)} bytes; again: {again}")
        if not told.no_cases:
            print(f"    kept as {kept(finding)}")
    print(f"{len(findings)} findings")
    return 1 if findings else 0
