"""The machine finds what is wrong: faults are put into the writer, and each must be found within some programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from differential import machine
from talweg.engines.native import build, layout, loops, memory, products, tiles, unit

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")


def edited(before: str, after: str, times: int = -1) -> Callable[[Any], Any]:
    """What makes of a function that writes C one that writes other C."""

    def change(writes: Any) -> Any:
        def written(*arguments: Any, **options: Any) -> list[str]:
            return [line.replace(before, after, times) for line in writes(*arguments, **options)]

        return written

    return change


FAULTS: dict[str, tuple[Any, str, Callable[[Any], Any], str]] = {
    # what stands where, what is made of it, and the kind of programs that meet it
    "a tile begins one row early": (tiles, "micro_kernel", edited("long m = first;", "long m = first + 1;"), "dot"),
    "a loop over what is summed ends early": (tiles, "micro_kernel", edited("k0 < e0", "k0 < e0 - (e0 > 8)"), "dot"),
    "a stride of the other operand": (tiles, "micro_kernel", edited("r0*", "(r0 + (r0 > 6))*"), "window"),
    "the last lanes of a product are kept": (products, "product_kernel", edited("& left", "| left * 0"), "dot"),
    "no barrier": (unit._Writer, "step", edited("barrier(threads);", ""), "formula"),
    "a row that is not cleared": (loops, "scatter_kernel", edited("] = 0;", "] += 0;"), "formula"),
    "a tensor is a line too short": (
        memory.Memory,
        "room",
        lambda room: lambda *a, **k: max(64, room(*a, **k) - 16 * 64),
        "dot",
    ),
    "the padding is one number less": (layout, "padded", lambda padded: lambda n: padded(n) if n < 9 else n, "dot"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, change, kind = FAULTS[fault]
    monkeypatch.setattr(owner, name, change(getattr(owner, name)))
    kinds = {"dot": "contractions", "window": "contractions", "formula": "formulas"}
    run = machine.Run(1, kinds[kind], programs=400, lanes=(8,), most_found=1, minimising=0)
    assert machine.go(run).found
