"""The summary of a model as a table: what each layer answers, what it learns, what that weighs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from talweg.train import programs

if TYPE_CHECKING:
    from talweg.train.model import Model

HEADINGS = ("Layer (type)", "Output Shape", "Param #")


def summary_table(model: Model, line_length: int | None = None) -> str:
    """The table that `Model.summary` prints."""
    rows = [HEADINGS]
    for i, layer in enumerate(model.layers):
        shape = (
            "?"
            if model.input_shape is None
            else _shape(programs.output_shape(model.layers[: i + 1], model.input_shape))
        )
        count = f"{layer.count_params():,}" if model.input_shape is not None else "?"
        rows.append((f"{layer.name} ({type(layer).__name__})", shape, count))
    widths = [max(len(row[i]) for row in rows) + 2 for i in range(3)]
    if line_length is not None:
        widths[0] += max(0, line_length - sum(widths) - 4)

    def ruler(left: str, middle: str, right: str, line: str) -> str:
        return left + middle.join(line * w for w in widths) + right

    def line(row: tuple[str, str, str], bar: str) -> str:
        cells = (f" {row[0]:<{widths[0] - 1}}", f" {row[1]:<{widths[1] - 1}}", f"{row[2]:>{widths[2] - 1}} ")
        return bar + bar.join(cells) + bar

    body = f"\n{ruler('├', '┼', '┤', '─')}\n".join(line(row, "│") for row in rows[1:])
    table = [ruler("┏", "┳", "┓", "━"), line(rows[0], "┃"), ruler("┡", "╇", "┩", "━"), body, ruler("└", "┴", "┘", "─")]
    total = model.count_params()
    trained = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    size = np.dtype(model.precision).itemsize
    counts = [("Total params", total), ("Trainable params", trained), ("Non-trainable params", total - trained)]
    return "\n".join(
        [
            f'Model: "{model.name}"',
            *[t for t in table if t],
            *(f" {name}: {n:,} ({_bytes(size * n)})" for name, n in counts),
        ]
    )


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['None', *map(str, shape)])}{',' if not shape else ''})"


def _bytes(n: int) -> str:
    """
    >>> _bytes(33024), _bytes(24)
    ('32.25 KB', '24.00 B')
    """
    value, units = float(n), ["B", "KB", "MB", "GB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.2f} {units[0]}"
