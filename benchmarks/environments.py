"""A virtual environment for each peer, so that none chooses another's libraries.

``python -m benchmarks.environments`` makes those that are not there yet, and ``... pytorch jax`` only these.

They stand in ``talweg-benchmarks`` under the user's cache folder, or in $TALWEG_BENCHMARKS. PyTorch's version is that
of the conformance tests; the other peers are taken as the package index has them, and their versions are printed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = {
    "pytorch": ("torch==2.13.0", "numpy"),
    "jax": ("jax", "keras"),
    "tensorflow": ("tensorflow-cpu", "keras"),
    "scikit-learn": ("scikit-learn",),
}


def cache_folder() -> Path:
    if chosen := os.environ.get("TALWEG_BENCHMARKS"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "talweg-benchmarks"


def python_of(environment: str) -> Path | None:
    """The environment's Python, or None where it was not made."""
    python = cache_folder() / environment / "bin" / "python"
    return python if (cache_folder() / environment / "made").exists() else None


def make(environment: str) -> None:
    """Makes the environment unless it is there; one that was begun and not finished is made again."""
    folder = cache_folder() / environment
    if (folder / "made").exists():
        print(f"{environment}: already in {folder}")
        return
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{environment}: {' '.join(PACKAGES[environment])} into {folder}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *PACKAGES[environment]], check=True)
    (folder / "made").touch()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.environments", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(PACKAGES)}; by default all")
    chosen = parser.parse_args().names or list(PACKAGES)
    if unknown := [name for name in chosen if name not in PACKAGES]:
        parser.error(f"no environment is called {', '.join(unknown)}; there are {', '.join(PACKAGES)}")
    failed = 0
    for name in chosen:
        try:
            make(name)
        except subprocess.CalledProcessError as error:  # one peer that cannot be had should not cost the others
            print(f"{name}: not made: {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
