#!/usr/bin/env python3
"""Runs tests with the emitted C compiled under a sanitizer: memory errors, undefined behaviour, or data races.

    python scripts/sanitize.py address                          # AddressSanitizer and UndefinedBehaviorSanitizer
    python scripts/sanitize.py thread                           # ThreadSanitizer
    python scripts/sanitize.py address tests/engines/test_native.py -k every_operation

What follows the kind goes to pytest: options, or other tests. Needs gcc or clang with its sanitizers. Exit code 3:
this machine has none.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAGS = {
    "address": "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g1",
    "thread": "-fsanitize=thread -g1",
}
RUNTIMES = {
    "address": ("libasan.so", "libclang_rt.asan-x86_64.so"),
    "thread": ("libtsan.so", "libclang_rt.tsan-x86_64.so"),
}
TESTS = {
    "address": [
        *("tests/engines/test_native.py", "tests/engines/test_contractions.py", "tests/engines/test_scanning.py"),
        *("tests/conformance/test_engines.py", "tests/conformance/test_networks.py"),
        *("-k", "not reference-float32 and not jax and not bounds"),  # these compile nothing
    ],
    "thread": ["tests/engines/test_threads.py", "-k", "not fork"],  # ThreadSanitizer has no threads after a fork
}
NOT_HERE = 3
WORKS = "from talweg.engines.native import build; import sys; sys.exit(None if build.compiler() else build.complaint())"


def runtime(kind: str, compiler: str) -> str | None:
    """The sanitizer's library, which must be loaded before all others: Python itself is built without it."""
    for name in RUNTIMES[kind]:
        asked = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=False)
        if (path := Path(asked.stdout.strip())).is_absolute() and path.exists():
            return str(path.resolve())
    return None


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in FLAGS:
        print(__doc__)
        return 2
    kind, arguments = sys.argv[1], sys.argv[2:]
    tests = arguments if any("tests/" in a for a in arguments) else [*TESTS[kind], *arguments]
    compiler = os.environ.get("CC", "cc")
    try:
        library = runtime(kind, compiler)
    except OSError as error:
        library = None
        print(error)
    if library is None:
        print(f"{compiler} has no {kind} sanitizer: install gcc with its libraries")
        return NOT_HERE
    with tempfile.TemporaryDirectory() as cache:
        environment = {
            **os.environ,
            "TALWEG_CC": f"{compiler} {FLAGS[kind]}",
            "LD_PRELOAD": library,
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",  # Python keeps what it allocates
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "TSAN_OPTIONS": "halt_on_error=1:report_signal_unsafe=0:ignore_noninstrumented_modules=1",
            "XDG_CACHE_HOME": cache,
            "PYTHONPATH": str(ROOT / "src"),
            "OPENBLAS_NUM_THREADS": "1",
        }
        asked = subprocess.run([sys.executable, "-c", WORKS], cwd=ROOT, env=environment, check=False)
        if asked.returncode:  # else every test would be skipped, and nothing be found
            return asked.returncode
        line = [sys.executable, "-m", "pytest", "-q", "-s", "-n", "0", "-p", "no:cacheprovider", *tests]
        return subprocess.run(line, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
