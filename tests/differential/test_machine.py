"""The machine finds what is wrong: faults are put into the writer, and each must be found within some programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from differential import machine
from talweg.engines.native import build, layout, loops, memory, products, tiles, unit

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")


def edited(before: str, after: str) -> Callable[[Any], Any]:
    """What makes of a function that writes C one that writes other C."""

    def change(writes: Any) -> Any:
        def written(*arguments: Any, **options: Any) -> Any:
            made = writes(*arguments, **options)
            lines = made.lines if isinstance(made, loops.Written) else made
            other = [line.replace(before, after) for line in lines]
            return replace(made, lines=other) if isinstance(made, loops.Written) else other

        return written

    return change


FAULTS: dict[str, tuple[Any, str, Callable[[Any], Any], str]] = {
    # where it stands, what is made of it, and the kind of programs that meet it
    "tiles begin a row late": (tiles, "micro_kernel", edited("long m = first;", "long m = first + 1;"), "contractions"),
    "a sum ends early": (tiles, "micro_kernel", edited("k0 < e0", "k0 < e0 - (e0 > 8)"), "contractions"),
    "a wrong stride": (tiles, "micro_kernel", edited("r0*", "(r0 + (r0 > 6))*"), "contractions"),
    "a product's rest twice": (products, "product_kernel", edited("& left", "| left * 0"), "contractions"),
    "no barriers": (unit._Writer, "step", edited("barrier(threads);", ""), "contractions"),
    "rows that are not cleared": (loops, "scatter_kernel", edited("] = 0;", "] += 0;"), "formulas"),
    "too little room": (memory.Memory, "room", lambda room: lambda *a: max(64, room(*a) - 1024), "contractions"),
    "no padding": (layout, "padded", lambda padded: lambda n: padded(n) if n < 9 else n, "contractions"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, change, kind = FAULTS[fault]
    monkeypatch.setattr(owner, name, change(getattr(owner, name)))
    tally = machine.go(machine.Run(4, kind, programs=400, lanes=(8,), most_found=1, minimising=0))
    assert [outcome.kind for outcome in tally.found if outcome.kind != "refused"], f"not in {tally.programs} programs"


def test_a_seed_draws_the_same_again() -> None:
    run = machine.Run(3, "formulas")
    assert machine.batch(run, 2) == machine.batch(run, 2) != machine.batch(run, 3)
