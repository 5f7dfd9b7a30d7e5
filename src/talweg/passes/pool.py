"""Pool first: max pooling goes before an activation and a bias that it commutes with, so that these see fewer elements.

relu and + b, with one b for all places of a window, keep the order of numbers; the largest element is the same before:

    max_pool2d(relu(z))                                →  relu(max_pool2d(z))
    max_pool2d(z + b)                                  →  max_pool2d(z) + b
    where(z ≤ 0, 0, max_pool2d_gradient(g, relu(z)))   →  max_pool2d_gradient(where(max_pool2d(z) ≤ 0, 0, g), z)
    max_pool2d_gradient(g, z + b)                      →  max_pool2d_gradient(g, z)
    sum(max_pool2d_gradient(g, z))                     →  sum(g)         over all places: each window sends its g to one

Values stay the same, bit for bit, and so do gradients through relu: where a window's largest is not above 0, nothing is
sent. With b, two elements that z + b rounds to one number are told apart, and the larger gets the gradient, where the
program as it was written sent it to the first. The sums add the same numbers in another order.
"""

from __future__ import annotations

from collections.abc import Callable

from talweg.graph import Program, Tensor, broadcast_to, where
from talweg.graph import sum as sum_over
from talweg.passes.simplify import number

Rule = Callable[[Tensor, dict[Tensor, Tensor]], Tensor | None]
"""What to write for a node of the old program, given the new nodes of those before it; None: the same again."""


def pool_first(program: Program) -> Program:
    """The same program with `relu` and biases after the pooling.

    >>> from talweg.graph import BATCH, input_tensor, max_pool2d
    >>> x = input_tensor("x", (BATCH, 8, 8, 3))
    >>> p = Program("p", (x,), (), {"y": max_pool2d(where(x <= 0, 0.0, x))}, {})
    >>> pool_first(p).order[1]
    <max_pool2d [batch, 4, 4, 3] float>
    """
    before = None if any(n.op.name == "max_pool2d" for n in program.order) else program
    while program is not before:
        before = program
        for rule in (_activation_after, _bias_after, _sums_of_windows):
            program = _written(program, rule(program))
    return program


def _written(program: Program, rule: Rule) -> Program:
    """The program by a rule; itself where that finds nothing to do."""
    new: dict[Tensor, Tensor] = {}
    for node in program.order:
        found = rule(node, new)
        new[node] = node.of(tuple([new[x] for x in node.inputs])) if found is None else found
    results = [new[t] for t in program.results]
    return program if results == program.results else program.with_results(results)


# ── who reads what ────────────────────────────────────────────────────────────────────────────────────────


def _readers(program: Program) -> dict[Tensor, list[Tensor]]:
    readers: dict[Tensor, list[Tensor]] = {node: [] for node in program.order}
    for node in program.order:
        for x in node.inputs:
            readers[x].append(node)
    return readers


def _is_only_pooled(y: Tensor, readers: dict[Tensor, list[Tensor]], results: set[Tensor]) -> bool:
    """Whether `y` is read by max poolings and by their gradients, and by nothing else."""
    pools = [n for n in readers[y] if n.op.name == "max_pool2d"]
    back = [n for n in readers[y] if n.op.name == "max_pool2d_gradient" and n.inputs[1] is y and n.inputs[2] in pools]
    alike = all(n.attributes == n.inputs[2].attributes for n in back)
    return bool(pools) and alike and len(pools) + len(back) == len(readers[y]) and y not in results


# ── the rules ─────────────────────────────────────────────────────────────────────────────────────────────


def _activation_after(program: Program) -> Rule:
    readers, results = _readers(program), set(program.results)
    largest: dict[
        Tensor, tuple[Tensor, Tensor]
    ] = {}  # pooling -> the same of what relu was applied to, where it is ≤ 0

    def is_relu(y: Tensor) -> bool:
        if y.op.name != "where" or number(y.inputs[1]) != 0 or not _is_only_pooled(y, readers, results):
            return False
        closed, _, z = y.inputs
        back = [n for n in readers[y] if n.op.name == "max_pool2d_gradient"]
        return (
            closed.op.name == "less_equal"
            and closed.inputs[0] is z
            and number(closed.inputs[1]) == 0
            and all(_is_masked(reader, closed) for n in back for reader in readers[n])
            and not results & set(back)
        )

    def rule(node: Tensor, new: dict[Tensor, Tensor]) -> Tensor | None:
        if node.op.name == "max_pool2d" and is_relu(node.inputs[0]):
            z = node.op(new[node.inputs[0].inputs[2]], **node.attributes)
            largest[node] = z, z <= 0
            return where(largest[node][1], 0.0, z).named(node.name)
        if node.op.name == "where" and _is_masked(node, node.inputs[0]):
            back = node.inputs[2]
            g, y, pooled = back.inputs
            if pooled in largest and y.inputs[0] is node.inputs[0]:
                z, is_closed = largest[pooled]
                return back.op(where(is_closed, 0.0, new[g]), z.inputs[0], z, name=node.name, **back.attributes)
        return None

    return rule


def _is_masked(node: Tensor, closed: Tensor) -> bool:
    """Whether `node` is a gradient of max pooling that is 0 where `closed` holds."""
    is_where = node.op.name == "where" and node.inputs[0] is closed and number(node.inputs[1]) == 0
    return is_where and node.inputs[2].op.name == "max_pool2d_gradient"


def _bias_after(program: Program) -> Rule:
    readers, results = _readers(program), set(program.results)
    largest: dict[Tensor, Tensor] = {}

    def parts(y: Tensor) -> tuple[Tensor, Tensor] | None:
        """z and b, where `y` is z + b."""
        if y.op.name == "add" and _is_only_pooled(y, readers, results):
            for z, b in (y.inputs, y.inputs[::-1]):
                if b.op.name == "broadcast" and all(d == 1 for d in b.inputs[0].shape[-3:-1]):
                    return z, b.inputs[0]
        return None

    def rule(node: Tensor, new: dict[Tensor, Tensor]) -> Tensor | None:
        if node.op.name == "max_pool2d" and (found := parts(node.inputs[0])):
            z = largest[node] = node.op(new[found[0]], **node.attributes)
            return (z + broadcast_to(new[found[1]], z.shape)).named(node.name)
        if node.op.name == "max_pool2d_gradient" and node.inputs[2] in largest:
            z = largest[node.inputs[2]]
            return node.op(new[node.inputs[0]], z.inputs[0], z, name=node.name, **node.attributes)
        return None

    return rule


def _sums_of_windows(program: Program) -> Rule:
    def rule(node: Tensor, new: dict[Tensor, Tensor]) -> Tensor | None:
        if node.op.name == "sum" and node.inputs[0].op.name == "max_pool2d_gradient":
            axes = node.attributes["axes"]
            if {1, 2} <= set(axes):
                return sum_over(new[node.inputs[0].inputs[0]], axes).named(node.name)
        return None

    return rule
