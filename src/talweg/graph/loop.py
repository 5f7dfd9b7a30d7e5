"""The body of a loop: formulas over leaves of its own, that a `scan` applies again and again (decision 013)."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace

from talweg.escapes import on_one_line
from talweg.graph.program import Program
from talweg.graph.tensor import TABLE, DType, Shape, Tensor, topological_order


@dataclass(frozen=True, eq=False)
class Loop:
    """What happens at each step.

    steps      of each sequence the element that it is about
    carried    what was remembered at the step before; at the first, what the scan begins with
    constants  what is the same at each step
    following  what `carried` becomes

    A tensor of the body that somebody wants to know is no part of this: each `scan` names the one that it stacks.
    """

    name: str
    steps: tuple[Tensor, ...]
    carried: tuple[Tensor, ...]
    constants: tuple[Tensor, ...]
    following: tuple[Tensor, ...]

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        """In the order of a scan's inputs."""
        return (*self.steps, *self.carried, *self.constants)

    def program(self, outputs: Sequence[Tensor]) -> Program:
        """One step as a program: what is carried are its states."""
        named = {f"{i} {t.name}".strip(): t for i, t in enumerate(outputs)}
        updates = dict(zip(self.carried, self.following, strict=True))
        return Program(self.name, (*self.steps, *self.constants), self.carried, named, updates)

    def __str__(self) -> str:
        return on_one_line(self.name)


# ── writing a body ────────────────────────────────────────────────────────────────────────────────────────


def leaf(kind: str, name: str, shape: Shape, dtype: DType) -> Tensor:
    """An `input` or a `state` of a body."""
    return TABLE[kind](shape=shape, dtype=dtype, name=name.strip())


def closed(results: Sequence[Tensor], leaves: Container[Tensor]) -> tuple[list[Tensor], dict[Tensor, Tensor]]:
    """`results`, which may use tensors of the graph around the loop, as formulas over leaves only.

    Answers these, and for each tensor from outside the leaf that stands for it. What does not depend on `leaves` is
    computed outside, once; constants and what only repeats something (so that it takes more room) stay inside.
    """
    order = topological_order(results)
    inside: set[Tensor] = set()
    for node in order:
        if node in leaves or any(x in inside for x in node.inputs):
            inside.add(node)
    wanted = set(results)
    for node in reversed(order):
        if node in wanted and node not in leaves and (node in inside or node.op.name == "broadcast"):
            wanted.update(node.inputs)
    outside: dict[Tensor, Tensor] = {}
    new: dict[Tensor, Tensor] = {}
    for node in order:
        if node not in wanted:
            continue
        if node in leaves or node.op.name in ("constant", "batch_size"):
            new[node] = node
        elif node in inside or node.op.name == "broadcast":
            new[node] = with_inputs(node, new)
        else:
            outside[node] = new[node] = leaf("input", f"constant {len(outside)} {node.name}", node.shape, node.dtype)
    return [new[t] for t in results], outside


def with_inputs(node: Tensor, new: Mapping[Tensor, Tensor]) -> Tensor:
    """The same node on what `new` has in place of its inputs; itself where that is nothing new."""
    return node.of(tuple([new.get(x, x) for x in node.inputs]))


# ── passes over programs with loops ───────────────────────────────────────────────────────────────────────


def bodies(program: Program) -> dict[Loop, Program]:
    """One step of each loop of a program, with all that is stacked of it as outputs."""
    stacked: dict[Loop, dict[Tensor, None]] = {}
    for node in program.order:
        if node.op.name == "scan":
            stacked.setdefault(node.attributes["loop"], {})[node.attributes["output"]] = None
    return {loop: loop.program(list(outputs)) for loop, outputs in stacked.items()}


def with_bodies(program: Program, change: Callable[[Program], Program]) -> Program:
    """The same program with `change` applied to the body of each loop. It must keep the leaves as they are."""
    loops: dict[Loop, Loop] = {}
    outputs: dict[tuple[Loop, Tensor], Tensor] = {}
    for loop, before in bodies(program).items():
        after = change(before)
        loops[loop] = replace(loop, following=tuple(after.updates.values()))
        outputs |= {(loop, t): after.outputs[name] for name, t in before.outputs.items()}
    if not loops:
        return program
    new: dict[Tensor, Tensor] = {}
    for node in program.order:
        new[node] = with_inputs(node, new)
        if node.op.name == "scan":
            loop, output = node.attributes["loop"], node.attributes["output"]
            new[node] = replace(
                new[node], attributes={**node.attributes, "loop": loops[loop], "output": outputs[loop, output]}
            )
    return program.with_results(new[t] for t in program.results)
