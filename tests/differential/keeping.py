"""What was found is kept: as a case in the repository that plain pytest runs again, and as a program to paste."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from differential.children import Outcome
from differential.recipes import Recipe

FOUND = Path(__file__).resolve().parents[1] / "conformance" / "found"


def text_of(recipe: Recipe) -> str:
    return json.dumps(recipe, indent=1)


def keep(outcome: Outcome, came_from: str, folder: Path = FOUND) -> Path:
    """Writes a case: what was wrong, the command that drew it, and the recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    family = outcome.recipe["members"][0]["family"]
    mark = hashlib.sha256(text_of(outcome.recipe).encode()).hexdigest()[:8]
    path = folder / f"{family}-{outcome.kind}-{mark}.json"
    case = {"kind": outcome.kind, "wrong": outcome.wrong, "drawn by": came_from, "recipe": outcome.recipe}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(case, indent=1) + "\n")
    os.replace(part, path)
    return path


def kept(folder: Path = FOUND) -> dict[str, dict[str, Any]]:
    """Every case, by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


PROGRAM = '''\
# in the repository: PYTHONPATH=src:tests python this_file.py
import json
from differential.children import outcomes

recipe = json.loads("""{recipe}""")
(outcome,) = outcomes([recipe], "{engine}")
print(outcome.kind or "nothing is wrong", *(outcome.wrong or []), sep="\\n")
'''


def program(recipe: Recipe, engine: str = "native") -> str:
    """A program that repeats a case."""
    return PROGRAM.format(recipe=json.dumps(recipe), engine=engine)
