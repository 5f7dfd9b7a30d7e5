"""The summary of a model as a table: what each layer answers, what it learns, what feeds it, what that weighs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from talweg.escapes import columns, on_one_line
from talweg.nn.layers.symbolic import Call, flat, mapped
from talweg.train.network import Network, feeders

if TYPE_CHECKING:
    from talweg.train.layered import Layered

HEADINGS = ("Layer (type)", "Output Shape", "Param #", "Connected to")
Row = tuple[str, ...]


def summary_table(model: Layered, line_length: int | None = None, expand_nested: bool = False) -> str:
    """The table that `Model.summary` prints; without the last column where one layer feeds the next, as in Keras."""
    branches = model.built and _branches(model.network)
    rows = [HEADINGS, *_rows(model, branches, expand_nested)]
    if not branches:
        rows = [row[:3] for row in rows]
    cells = [[cell.split("\n") for cell in row] for row in rows]
    widths = [max(columns(line) for row in cells for line in row[i]) + 2 for i in range(len(rows[0]))]
    if line_length is not None:
        widths[0] += max(0, line_length - sum(widths) - len(widths) - 1)

    def ruler(left: str, middle: str, right: str, line: str) -> str:
        return left + middle.join(line * w for w in widths) + right

    def lines(row: list[list[str]], bar: str) -> str:
        tall = max(len(cell) for cell in row)
        return "\n".join(
            bar
            + bar.join(
                f"{' ' * (w - 1 - columns(text))}{text} " if column == 2 else f" {text}{' ' * (w - 1 - columns(text))}"
                for column, (text, w) in enumerate(zip(texts, widths, strict=True))
            )
            + bar
            for texts in zip(*([*cell, *[""] * (tall - len(cell))] for cell in row), strict=True)
        )

    body = f"\n{ruler('├', '┼', '┤', '─')}\n".join(lines(row, "│") for row in cells[1:])
    head = [ruler("┏", "┳", "┓", "━"), lines(cells[0], "┃"), ruler("┡", "╇", "┩", "━")]
    total = model.count_params()
    trained = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    size = np.dtype(model.precision).itemsize
    counts = [("Total params", total), ("Trainable params", trained), ("Non-trainable params", total - trained)]
    return "\n".join(
        [
            f'Model: "{on_one_line(model.name)}"',
            *head,
            *([body] if body else []),
            ruler("└", "┴", "┘", "─"),
            *(f" {name}: {n:,} ({_bytes(size * n)})" for name, n in counts),
        ]
    )


def _rows(model: Layered, connected: bool, expand_nested: bool, indent: str = "") -> Iterator[Row]:
    """The cells of each layer."""
    calls = _calls(model.network) if model.built else {}
    for block in model.layers:
        own = calls.get(block, block.calls[:1])
        shape = str(mapped(lambda y: y.shape, own[0].outputs)) if own and model.built else "?"
        count = f"{block.count_params():,}" if model.built else "?"
        fed = [_place(x, calls) for call in own for x in flat(call.inputs)] if connected and not indent else []
        yield f"{indent}{on_one_line(block.title)} ({type(block).__name__})", shape, count, ",\n".join(fed) or "-"
        if expand_nested and hasattr(block, "network"):
            yield from _rows(block, connected, expand_nested, f"   {indent}" if indent else "   └ ")


def _calls(network: Network) -> dict[Any, list[Call]]:
    """The calls of each layer in this network."""
    calls: dict[Any, list[Call]] = {}
    for call in [*(x.call for x in flat(network.inputs)), *network.calls]:
        calls.setdefault(call.block, []).append(call)
    return calls


def _place(x: Any, calls: dict[Any, list[Call]]) -> str:
    """What feeds a layer, as Keras writes it: the layer, its which use, which of its outputs."""
    return f"{on_one_line(x.name)}[{calls[x.call.block].index(x.call)}][{x.index}]"


def _branches(network: Network) -> bool:
    """Whether there is more to say of what feeds a layer than that it is the one above."""
    fed = [feeder for call in network.calls for feeder in feeders(call)]
    ends = len(flat(network.inputs)) + len(flat(network.outputs))
    return ends > 2 or len(set(fed)) < len(fed) or any(len(calls) > 1 for calls in _calls(network).values())


def _bytes(n: int) -> str:
    """
    >>> _bytes(33024), _bytes(24)
    ('32.25 KB', '24.00 B')
    """
    value, units = float(n), ["B", "KB", "MB", "GB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.2f} {units[0]}"
