"""The whole machine: inputs of all formats in their shares, children side by side, and findings that are kept as cases."""

from __future__ import annotations

import argparse
import hashlib
import os
import secrets
import tempfile
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
MOST_OF_A_CAUSE = 1  # findings of one cause that are made small and kept


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
    """Findings, one of each cause, and how many inputs of each format were judged."""
    found: dict[tuple[str, str, str], Finding] = {}
    done: Counter[str] = Counter()
    work, running, slots = list(rounds(formats, inputs))[::-1], list[tuple[Child, range, int]](), list(range(workers))
    for format in formats:
        format.seeds  # noqa: B018  (made once, here, and not in each child)
    ready()
    with scratch() as folder:
        tempfile.tempdir = folder
        while work or running:
            while work and slots:
                format, numbers = work.pop()
                made = ((n, lambda f=format, n=n: f.input(seed, n)) for n in numbers)
                running.append((Child(format, made, Path(folder, str(slots[-1]))), numbers, slots.pop()))
            time.sleep(0.002)
            for entry in list(running):
                child, numbers, slot = entry
                if (findings := child.ended()) is None:
                    continue
                running.remove(entry)
                slots.append(slot)
                for finding in findings:
                    found.setdefault(finding.cause, replace(finding, seed=seed))
                if child.judged < len(numbers):  # it died, of the input after those that it judged
                    done[child.format.name] += child.judged + 1
                    if rest := numbers[child.judged + 1 :]:
                        work.append((child.format, rest))
                else:
                    done[child.format.name] += len(numbers)
        return [_smaller(finding, Path(folder, "0")) for finding in found.values()], done


def _smaller(finding: Finding, folder: Path) -> Finding:
    return shrunk(finding, FORMATS[finding.format], folder) if finding.format in FORMATS else finding


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
        print(f"\n{finding.kind.upper()} in {finding.format}: {finding.said}\n    at {finding.place}, {len(finding.data)} bytes")
        print(f"    again: python scripts/fuzz.py --seed {seed} --format {finding.format} --inputs {(finding.number or 0) + 1}")
        if not told.no_cases:
            print(f"    kept as {kept(finding)}")
    print(f"{len(findings)} findings")
    return 1 if findings else 0
