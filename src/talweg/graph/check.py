"""The checker: says whether a program keeps the rules of the table. Tests run it after every pass."""

from __future__ import annotations

from collections import Counter

from talweg.errors import GraphError, ShapeError
from talweg.graph.loop import bodies
from talweg.graph.program import Program
from talweg.graph.tensor import TABLE


def check(program: Program) -> None:
    """Raises `GraphError` naming the first node that breaks a rule.

    Every node is of the closed table and has the shape and dtype that its rules give; leaves that are read are
    declared; names are unique; a state's new value has its shape and dtype. So it is in the bodies of loops.
    """
    declared = {*program.inputs, *program.states}
    names = Counter(t.name for t in declared)
    if doubled := [n for n, count in names.items() if count > 1 or not n]:
        raise GraphError(f"program {program.name!r}: inputs and states need names of their own; see {doubled}")
    for node in program.order:
        where = f"program {program.name!r}, node {node!r}"
        if TABLE.get(node.op.name) is not node.op:
            raise GraphError(f"{where}: operation {node.op.name!r} is not in the table")
        if node.is_leaf and node not in declared:
            raise GraphError(f"{where}: this {node.op.name} is read but not declared")
        try:
            shape, dtype = (rule(*node.inputs, **node.attributes) for rule in (node.op.shape, node.op.dtype))
        except (ShapeError, GraphError) as error:
            raise GraphError(f"{where}: {error}") from None
        if (shape, dtype) != (node.shape, node.dtype):
            raise GraphError(f"{where}: its rules give {list(shape)} {dtype}")
    for state, value in program.updates.items():
        if state not in program.states:
            raise GraphError(f"program {program.name!r}: {state!r} is updated but is no state")
        if (state.shape, state.dtype) != (value.shape, value.dtype):
            raise GraphError(f"program {program.name!r}: {state!r} would become {list(value.shape)} {value.dtype}")
    for body in bodies(program).values():
        check(body)
