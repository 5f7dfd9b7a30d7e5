"""Joining: a sum of padded parts that do not overlap is the parts side by side.

    pad(a, after) + pad(b, before)  →  concat(a, b)

So it is with the gradient of something that was cut into parts. (Where an element is -0, -0 + 0 was 0: they are equal.)
"""

from __future__ import annotations

from talweg.graph import Tensor, concat

MOST = 16  # parts

Place = tuple[int, int, Tensor]  # an axis, where along it a part begins, and the part


def joined(node: Tensor) -> Tensor:
    """`node`, an addition, or the concatenation that it is."""
    places = _places(node)
    if not places or len({axis for axis, _, _ in places}) > 1:
        return node
    axis = places[0][0]
    in_order = sorted(places, key=lambda place: place[1])
    ends = [0, *(low + x.shape[axis] for _, low, x in in_order)]  # type: ignore[operator]
    if ends != [*(low for _, low, _ in in_order), node.shape[axis]]:
        return node
    return concat([x for _, _, x in in_order], axis)


def _places(node: Tensor) -> list[Place]:
    """The parts that `node` adds up, if it adds up padded parts and nothing else."""
    found: list[Place] = []
    waiting = [node]
    while waiting:
        x = waiting.pop()
        if x.op.name == "add" and len(waiting) + len(found) < MOST:
            waiting += x.inputs
            continue
        padding = x.attributes["padding"] if x.op.name == "pad" and x.attributes["value"] == 0 else ()
        padded = [(a, low) for a, (low, high, between) in enumerate(padding) if low or high or between]
        if len(padded) != 1 or any(between for _, _, between in padding):
            return []
        found.append((*padded[0], x.inputs[0]))
    return found
