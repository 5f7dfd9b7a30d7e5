"""What happens within a loop: the body of a `scan` as kernels, and whether each row of the batch can go its own way."""

from __future__ import annotations

from dataclasses import replace

from talweg.engines.base import has_rows
from talweg.engines.native import contraction
from talweg.engines.native.division import followed
from talweg.engines.native.schedule import Kernel, Schedule, schedule
from talweg.errors import GraphError
from talweg.graph import BATCH, Shape, Tensor
from talweg.graph.loop import Loop, with_inputs


class Body:
    """The kernels that `nodes`, the stacks of one loop, need at each step.

    given     leaves of the body -> the tensors of the program that stand for them
    stacks    what is stacked, and where: (tensor of the body, node)
    plans     of contractions; an operand that is copied for one is the same at each step
    is_rowwise  whether a row of the batch depends on no other: then threads share rows, and need not meet
    """

    def __init__(self, nodes: list[Tensor], capacity: int, columns: frozenset[Shape]) -> None:
        first = nodes[0]
        self.loop: Loop = first.attributes["loop"]
        self.axis: int = first.attributes["axis"]
        self.is_backward: bool = first.attributes["reverse"]
        self.length: int = first.inputs[0].shape[self.axis]
        self.given = dict(zip(self.loop.leaves, first.inputs, strict=True))
        program = self.loop.program([node.attributes["output"] for node in nodes])
        new = {own: x for own, x in self.given.items() if x.op.name == "batch_size"}  # a literal, in no memory
        for node in program.order:
            new.setdefault(node, with_inputs(node, new))
        found = schedule(program.with_results(new[t] for t in program.results))
        self.schedule: Schedule = replace(found, columns=columns)
        if any(k.op == "scan" for k in found.kernels):
            raise GraphError(f"the native engine has no loop within a loop, as {self.loop} is")
        self.stacks = list(zip(found.program.outputs.values(), nodes, strict=True))
        self.updates = found.program.updates
        self.plans: dict[Tensor, contraction.Plan] = {}
        for node in (k.nodes[0] for k in found.kernels if k.is_contraction):
            plan = contraction.plan(node, capacity, columns)
            if plan and (plan.copy is None or plan.v in self.loop.constants):
                self.plans[node] = plan
        self.is_rowwise = all(self._is_rowwise(kernel) for kernel in found.kernels)

    def _is_rowwise(self, kernel: Kernel) -> bool:
        node = kernel.nodes[0]
        reads = followed(kernel, 0 if has_rows(node) else None, self.schedule.kept)
        if kernel.is_random or BATCH in node.shape[1:]:
            return False
        return all(axis == 0 if has_rows(node) else False for x, axis in reads.items() if BATCH in x.shape)
