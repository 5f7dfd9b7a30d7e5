"""Writes docs/reference/coverage.md: what there is, beside Keras's and PyTorch's names for it, and what is missing.

    PYTHONPATH=src python scripts/coverage_page.py

What Talweg has comes from its tables of names; what the others call it from coverage_names.py, so neither of them needs
to be installed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from coverage_names import EVERYWHERE, SECTIONS, Section

from talweg.nn import activations, constraints, initializers, losses, metrics, regularizers
from talweg.nn.layers import LAYERS
from talweg.optim import OPTIMIZERS
from talweg.optim.schedules import SCHEDULES
from talweg.registry import Registry

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "coverage.md"
TABLES: dict[str, Registry] = {
    "layers": LAYERS,
    "activations": activations.ACTIVATIONS,
    "losses": losses.Loss.registry,
    "optimizers": OPTIMIZERS,
    "optimizers.schedules": SCHEDULES,
    "metrics": metrics.METRICS,
    "initializers": initializers.INITIALIZERS,
    "regularizers": regularizers.REGULARIZERS,
    "constraints": constraints.CONSTRAINTS,
}
MARK = "◆"
HEAD = f"""# What there is

Every name of Talweg's vocabulary, with what Keras and PyTorch call it; below each table, what they have that Talweg has
not. {MARK} marks what stands in a list of the course that Talweg follows. `talweg.keras.layers`, `talweg.keras.losses`,
... have these names, with Keras's arguments; how things differ in detail, each docstring says, and
[Coming from Keras](../guide/keras.md).

This page is written by `scripts/coverage_page.py` from the tables of names, and a test holds it against them, and
against Keras and PyTorch. Not in its tables: {" and ".join(f"`{name}`" for name in EVERYWHERE.split())}, which Keras
has in every module, and which here are each thing's `to_config` and `from_config`.
"""


def here(section: Section) -> list[str]:
    """The names of Talweg's table, in alphabetic order; those that tests or users registered are not Talweg's."""
    table = TABLES[section.place]
    found = {name: table.get(name) for name in table}
    ours = {n for n, thing in found.items() if getattr(thing, "__module__", "").startswith("talweg.")}
    return sorted([*ours, *section.more], key=lambda name: (name.lower(), name))


def calls(section: Section, name: str) -> tuple[list[str], list[str]]:
    """Keras's and PyTorch's names for one of Talweg's."""
    torch = section.torch.get(name, section.more.get(name, ""))
    return [] if name in section.own.split() else [name], torch.split()


def code(names: list[str], marked: str = "") -> str:
    return ", ".join(f"`{name}`{f' {MARK}' if name in marked.split() else ''}" for name in names) or "–"


def table(section: Section) -> Iterator[str]:
    """Talweg's names beside the others'."""
    columns = ["Talweg", "Keras", *([f"PyTorch (`{section.torch_in}`)"] if section.torch_in else [])]
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for name in here(section):
        keras, torch = calls(section, name)
        if name == "Reduction":  # of tf.keras 2, which the list is of
            keras = [name]
        cells = [code([name]), code(keras, section.lists[0]), code(torch, section.lists[1])]
        yield f"| {' | '.join(cells[: len(columns)])} |"


def missing(section: Section) -> Iterator[str]:
    """What the others have besides, and why it is not here."""
    rows = [("Keras", *entry) for entry in section.absent_keras.items()]
    rows += [("PyTorch", *entry) for entry in section.absent_torch.items()]
    if rows:
        yield from ("", "Not here:", "", "| of | name | why |", "|---|---|---|")
    for whose, reason, names in rows:
        yield f"| {whose} | {code(names.split())} | {reason} |"


def counted(section: Section) -> str:
    """How many there are, and how many of the lists."""
    names = here(section)
    text = f"{len(names)} names."
    for whose, listed, known in (
        ("TensorFlow", section.lists[0], {*names}),
        ("PyTorch", section.lists[1], {t for name in names for t in calls(section, name)[1]}),
    ):
        if wanted := listed.split():
            found = [name for name in wanted if name in known]
            share = f"All {len(wanted)}" if found == wanted else f"{len(found)} of the {len(wanted)}"
            text += f" {share} that the course lists for {whose}."
    return text


def page() -> str:
    """The page as it should be."""
    parts = [HEAD]
    for section in SECTIONS:
        parts += [f"\n## {section.title}\n\n{counted(section)}\n\n", *(f"{line}\n" for line in table(section))]
        parts += [f"{line}\n" for line in missing(section)]
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts)


def main() -> None:
    fresh = PAGE.with_name(f"{PAGE.name}.new")
    fresh.write_text(page(), encoding="utf-8")
    os.replace(fresh, PAGE)
    print(f"{PAGE}: {sum(len(here(s)) for s in SECTIONS)} names", file=sys.stderr)


if __name__ == "__main__":
    main()
