"""Climbs the ladder: trains each preset by its command, with several seeds, and makes the table of its accuracies.

    TALWEG_DATA=~/data python scripts/ladder.py                              # an hour on two cores; prints the table
    TALWEG_DATA=~/data python scripts/ladder.py --page docs/guide/presets.md
    python scripts/ladder.py --only relu --seeds 0                           # some of it

Every run has a folder of its own below --runs. One that is finished is read and not trained again, one that was
interrupted goes on, so the script may be stopped at any time. Ends with 1 if a test accuracy is below its bar.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from talweg.insight.report import environment
from talweg.train.presets import PRESETS

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.machine import processor

BARS = {  # the least test accuracy, in percent; None: it is meant to stay low, or nothing was asked
    ("mnist", "softmax"): 91.0,
    ("mnist", "sigmoid-deep"): None,
    ("mnist", "relu"): 97.0,
    ("mnist", "relu-decay"): 98.0,
    ("mnist", "relu-dropout"): None,
    ("mnist", "cnn"): 98.8,
    ("mnist", "cnn-dropout"): None,
    ("mnist", "cnn-batchnorm"): 99.3,
    ("fashion_mnist", "relu-small"): 85.0,
    ("fashion_mnist", "cnn-flip"): 92.0,
}
MARKERS = "<!-- measured by scripts/ladder.py -->", "<!-- end of measured -->"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/ladder"), metavar="DIR")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    parser.add_argument("--only", nargs="+", choices=PRESETS, default=list(PRESETS), metavar="MODEL")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put the table between the markers of this page")
    chosen = parser.parse_args()
    rungs = [(data, model) for data, model in BARS if model in chosen.only]
    found = {(d, m): [trained(d, m, seed, chosen.runs) for seed in chosen.seeds] for d, m in rungs}
    table = [*rows(found, chosen.seeds), "", *conditions(found)]
    print("\n".join(table))
    if chosen.page is not None:
        before, _, rest = chosen.page.read_text(encoding="utf-8").partition(MARKERS[0])
        after = rest.partition(MARKERS[1])[2]
        chosen.page.write_text("\n".join([before + MARKERS[0], "", *table, "", MARKERS[1] + after]), encoding="utf-8")
    low = [rung for rung, runs in found.items() if any(percent(run) < (BARS[rung] or 0) for run in runs)]
    print("\n".join(f"below its bar: talweg train {data} --model {model}" for data, model in low))
    return 1 if low else 0


def trained(data: str, model: str, seed: int, folder: Path) -> dict[str, Any]:
    """What a run came to: its result, after the command has made or finished it where there is none yet."""
    run = folder / f"{data}-{model}-{seed}"
    if not (run / "result.json").exists():
        ask = (
            ["--resume", str(run)] if run.exists() else [data, "--model", model, "--seed", str(seed), "--out", str(run)]
        )
        subprocess.run([sys.executable, "-m", "talweg", "train", *ask, "--quiet"], check=True)
    result: dict[str, Any] = json.loads((run / "result.json").read_text(encoding="utf-8"))
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    return {**result, "engine": config["engine"]}


def percent(run: dict[str, Any]) -> float:
    return 100 * float(run["test"]["accuracy"])


def rows(found: dict[tuple[str, str], list[dict[str, Any]]], seeds: list[int]) -> list[str]:
    """The table: a rung a line; accuracies in percent of the test examples, seconds of the fastest training."""
    heads = ["command", "epochs", *(f"seed {seed}" for seed in seeds), "asked", "seconds"]
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    for (data, model), runs in found.items():
        bar = "" if BARS[data, model] is None else f"{BARS[data, model]:.1f}"
        scores = [f"{percent(run):.2f}" for run in runs]
        seconds = min(float(run["seconds"]) for run in runs)
        lines.append([f"`talweg train {data} --model {model}`", str(runs[0]["epochs"]), *scores, bar, f"{seconds:.0f}"])
    return [f"| {' | '.join(line)} |" for line in lines]


def conditions(found: dict[tuple[str, str], list[dict[str, Any]]]) -> list[str]:
    engines = sorted({run["engine"] for runs in found.values() for run in runs})
    told = environment()
    return [
        f"Accuracy in percent of the 10,000 test pictures. Talweg {told['talweg']}, engine {' and '.join(engines)}, on "
        f"{told['CPUs']} cores of {processor()}."
    ]


if __name__ == "__main__":
    sys.exit(main())
