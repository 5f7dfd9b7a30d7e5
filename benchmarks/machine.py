"""What a run ran on: the processor, the tools, and what the processor can do at most, measured."""

from __future__ import annotations

import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("peak.c")
VECTORS = {"AVX-512": "avx512f", "AVX2": "avx2", "NEON": "asimd"}  # by name, and how /proc/cpuinfo calls them


def compiler() -> str | None:
    """$TALWEG_CC, else the first of cc, gcc and clang on the path."""
    chosen = os.environ.get("TALWEG_CC", "").split()
    return chosen[0] if chosen else next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def describe(threads: int) -> dict[str, Any]:
    """The machine in words and numbers."""
    command = compiler()
    asked = [command, "--version"] if command else ["true"]
    version = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.splitlines()
    return {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "caches": _caches(),
        "memory_gigabytes": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "compiler": version[0] if version else "none",
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def measure_peak(threads: int, folder: Path) -> dict[str, float] | None:
    """float32 multiply-adds and reading, with 1 and with all threads; None where there is no compiler.

    gflops, gflops_one_thread: 10⁹ operations a second, a multiply-add being two.  cache_gigabytes, memory_gigabytes:
    10⁹ bytes read a second by all threads, from 512 KB each and from 64 MB each.
    """
    command, made = compiler(), folder / "peak"
    if command is None:
        return None
    target = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
    flags = ["-O3", target, "-ffp-contract=fast", "-pthread"]
    subprocess.run([command, *flags, str(SOURCE), "-o", str(made)], check=True)
    done = subprocess.run([str(made), str(threads)], capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def processor() -> str:
    """Its name, and the widest vectors that it has."""
    try:
        lines = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, value in reversed(lines)}
    flags = facts.get("flags", facts.get("Features", "")).split()
    widest = next((name for name, flag in VECTORS.items() if flag in flags), "")
    return f"{facts.get('model name', platform.machine())}{' with ' + widest if widest else ''}"


def _caches() -> str:
    """Of the first core: "L1 32K, L2 1024K, L3 32768K", data and unified ones."""
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level, size = ((folder / name).read_text().strip() for name in ("type", "level", "size"))
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found)


if __name__ == "__main__":
    print(describe(2), measure_peak(2, Path(sys.argv[1])))
