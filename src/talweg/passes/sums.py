"""Known sums: a sum over elements that follows from one that is taken anyhow needs no pass over the data of its own.

Batch normalization hands back  e = s·g + c·(x - mean(x)),  with an s and a c for each channel, and needs Σ e over all
else. Σ g is β's gradient, and what is left of a mean sums to 0: so Σ e = s · Σ g. In general, with s that is the same
along the axes that are summed over, and n the number of elements there:

    Σ (x - Σx / n)  →  0
    Σ (s · a)       →  s · Σ a                   likewise a / s and -a
    Σ (a ± b)       →  Σ a, or ± Σ b             if the other one is 0
    Σ s             →  n · s

A sum is rewritten if this leads to a sum of the program, and not to another one. In real arithmetic the value is the
same. In float it is rounded otherwise, and no worse: as no two sums are added, none can cancel. NaN and infinity differ
for an x that is read in x - mean(x) alone: that sum is taken for 0 even if x is no number.
"""

from __future__ import annotations

import math

from talweg.graph import BATCH, Program, Shape, Tensor, batch_size, broadcast_to, reshape, zeros_like
from talweg.passes.simplify import number

MANY = 16  # elements that one sum is of, from which it pays; a batch counts as many
DEEPEST = 8  # operations between a sum and one that it follows from; without a bound, all paths of a graph

Axes = tuple[int, ...]


def known_sums(program: Program) -> Program:
    """The same program with fewer sums, after `simplify` has merged those that are equal.

    >>> from talweg.graph import input_tensor, mean, sum, to_text
    >>> from talweg.passes import simplify
    >>> x, g, s = input_tensor("x", (BATCH, 3)), input_tensor("g", (BATCH, 3)), input_tensor("s", (3,))
    >>> p = Program("p", (x, g, s), (), {"a": sum(g, 0), "b": sum(s * g - (x - mean(x, 0)), 0)}, {})
    >>> print(to_text(known_sums(simplify(p))))
    program p
      input x                    [batch, 3] float
      input g                    [batch, 3] float
      input s                    [3] float
      %3      = sum(g, axes=[0]) [3] float
      %4      = mul(%3, s)       [3] float
      output a = %3
      output b = %4
    """
    sums = {(n.inputs[0], n.attributes["axes"]): n for n in program.order if n.op.name == "sum" and n.dtype == "float"}
    rows = next((n for n in program.order if n.op.name == "batch_size"), batch_size())
    new: dict[Tensor, Tensor] = {rows: rows}

    def total(x: Tensor, axes: Axes, depth: int) -> list[Tensor] | None:
        """Σ `x` where it is known: one tensor, or none where it is 0."""
        if (node := sums.get((x, axes))) is None:
            return by_operands(x, axes, depth + 1) if depth < DEEPEST else None
        if node not in new:
            new[node] = again(node)
        return [new[node]]

    def by_operands(x: Tensor, axes: Axes, depth: int = 0) -> list[Tensor] | None:
        name = x.op.name
        if name == "neg":
            inner = total(x.inputs[0], axes, depth)
            return None if inner is None else [-t for t in inner]
        if name == "sub" and _is_left_of_a_mean(x, axes):
            return []
        if name in ("add", "sub"):
            a, b = (total(y, axes, depth) for y in x.inputs)
            if a is None or b is None or (a and b):
                return None
            return a or (b if name == "add" else [-t for t in b])
        if name in ("mul", "div"):
            for y, s in (x.inputs, x.inputs[::-1])[: 2 if name == "mul" else 1]:
                if _is_steady(s, axes) and (inner := total(y, axes, depth)) is not None:
                    return [x.op(t, one_of(s, axes)) for t in inner]
        if name == "broadcast" and _is_steady(x, axes):
            return [times_count(one_of(x, axes), x, axes)]
        return None

    def one_of(s: Tensor, axes: Axes) -> Tensor:
        """What `s` is everywhere along `axes`, without these."""
        shape, source = _without(axes, s.shape), s.inputs[0]
        return broadcast_to(reshape(new[source], _without(axes, _widened(source.shape, s.rank))), shape)

    def times_count(t: Tensor, x: Tensor, axes: Axes) -> Tensor:
        known, has_batch = _count(x, axes)
        t = t if known == 1 else t * known
        return t if not has_batch else rows if number(t) == 1 and t.shape == () else t * rows

    def again(node: Tensor) -> Tensor:
        return node.of(tuple([new[x] for x in node.inputs]))

    def written(node: Tensor) -> Tensor:
        if node.op.name == "sum" and node.dtype == "float":
            x, axes = node.inputs[0], node.attributes["axes"]
            known, has_batch = _count(x, axes)
            if (has_batch or known >= MANY) and (found := by_operands(x, axes)) is not None:
                return found[0] if found else zeros_like(node)
        return again(node)

    for node in program.order:
        if node not in new:
            new[node] = written(node)
    results = [new[t] for t in program.results]
    return program if results == program.results else program.with_results(results)


def _without(axes: Axes, shape: Shape) -> Shape:
    return tuple(d for a, d in enumerate(shape) if a not in axes)


def _widened(shape: Shape, rank: int) -> Shape:
    """The shape with axes of length 1 before it, as broadcasting has it."""
    return (*(1,) * (rank - len(shape)), *shape)


def _is_steady(s: Tensor, axes: Axes) -> bool:
    """Whether `s` repeats one element along each of `axes`."""
    if s.op.name != "broadcast":
        return False
    lengths = _widened(s.inputs[0].shape, s.rank)
    return all(lengths[a] == 1 for a in axes)


def _count(x: Tensor, axes: Axes) -> tuple[int, bool]:
    """How many elements there are along `axes`: so many, and whether so many for each row of the batch."""
    lengths = [x.shape[a] for a in axes]
    return math.prod(d for d in lengths if d is not BATCH), BATCH in lengths


def _is_left_of_a_mean(node: Tensor, axes: Axes) -> bool:
    """Whether `node` is x minus its mean over axes among `axes`."""
    x, b = node.inputs
    m = _seen_through(b)
    if b.op.name != "broadcast" or m.op.name not in ("div", "mul"):
        return False
    s, n = (_seen_through(t) for t in m.inputs)
    if s.op.name != "sum" or s.inputs[0] is not x:
        return False
    summed = s.attributes["axes"]
    known, has_batch = _count(x, summed)
    is_mean = _is_count(n, x, summed) if m.op.name == "div" else not has_batch and number(n) == 1 / known
    return is_mean and set(summed) <= set(axes) and _is_steady(b, summed)


def _seen_through(t: Tensor) -> Tensor:
    """What `t` only repeats, or puts axes of length 1 into. The order of its elements is the same."""
    while t.op.name == "broadcast" or (t.op.name == "reshape" and _long(t.shape) == _long(t.inputs[0].shape)):
        t = t.inputs[0]
    return t


def _long(shape: Shape) -> Shape:
    return tuple(d for d in shape if d != 1)


def _is_count(n: Tensor, x: Tensor, axes: Axes) -> bool:
    """Whether `n` is the number of elements of `x` along `axes`."""
    known, has_batch = _count(x, axes)
    if not has_batch:
        return number(n) == known
    factors = [_seen_through(f) for f in (n.inputs if n.op.name == "mul" else [n])]
    others = [f for f in factors if f.op.name != "batch_size"]
    return len(factors) == len(others) + 1 and [number(f) for f in others] == [known] * (known != 1)
