"""Cases of the windows: convolutions and pooling, with oracles that go from element to element."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from conformance.drawing import Case, Operand, all_different, between, known, seeds, wide
from talweg.graph import BATCH, TABLE, Array, Shape


@dataclass(frozen=True)
class Sliding:
    """One way of sliding a window over pictures: all that a convolution can be asked for, small."""

    picture: tuple[int, int]
    size: tuple[int, int]
    strides: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    inputs: int
    outputs: int

    @property
    def places(self) -> tuple[int, int]:
        """How many windows there are, counted one by one."""
        reach = [(k - 1) * d + 1 for k, d in zip(self.size, self.dilation, strict=True)]
        down, across = (
            len([p for p in range(0, n, s) if p + r <= n])
            for n, s, r in zip(self.picture, self.strides, reach, strict=True)
        )
        return down, across

    def terms(self, rows: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
        """The places of the three factors of every term of Σ x · k · y."""
        per, out = self.inputs // self.groups, self.outputs // self.groups
        for n, i, j, u, v, group, c, o in np.ndindex(rows, *self.places, *self.size, self.groups, per, out):
            at = (n, i * self.strides[0] + u * self.dilation[0], j * self.strides[1] + v * self.dilation[1])
            yield (*at, group * per + c), (u, v, c, group * out + o), (n, i, j, group * out + o)

    @property
    def shapes(self) -> tuple[Shape, Shape, Shape]:
        """Of x, the kernel and y."""
        kernel = (*self.size, self.inputs // self.groups, self.outputs)
        return (BATCH, *self.picture, self.inputs), kernel, (BATCH, *self.places, self.outputs)


@st.composite
def slidings(draw: st.DrawFn) -> Sliding:
    two = lambda most: (draw(st.integers(1, most)), draw(st.integers(1, most)))  # noqa: E731
    size, dilation, groups = two(3), two(2), draw(st.sampled_from([1, 1, 2]))
    spare = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    picture = tuple((k - 1) * d + 1 + more for k, d, more in zip(size, dilation, spare, strict=True))
    inputs, outputs = two(2)
    return Sliding(picture, size, two(3), dilation, groups, inputs * groups, outputs * groups)  # type: ignore[arg-type]


@st.composite
def convolutions(draw: st.DrawFn, name: str) -> Case:
    """Each of the three sums one of x, k and y over the places of the other two."""
    way = draw(slidings())
    made = {"conv2d": 2, "conv2d_input_gradient": 0, "conv2d_kernel_gradient": 1}[name]
    given = {0: (2, 1), 1: (0, 2), 2: (0, 1)}[made]
    how: dict[str, Any] = {"strides": way.strides, "dilation": way.dilation, "groups": way.groups}
    if made != 2:
        how["shape"] = way.picture if made == 0 else way.size

    def oracle(rows: int, a: Array, b: Array) -> Array:
        out = np.zeros(known(way.shapes[made], rows))
        for place in way.terms(rows):
            out[place[made]] += a[place[given[0]]] * b[place[given[1]]]
        return out

    operands = tuple(Operand(way.shapes[i], between(-0.5, 0.5)) for i in given)  # sums stay near 1
    nan = "" if made == 0 else "all"  # what no window covers receives 0
    return Case(lambda a, b: TABLE[name](a, b, **how), operands, oracle, nan, draw(seeds))


def window_of(x: Array, way: Sliding, n: int, i: int, j: int, c: int) -> list[tuple[float, tuple[int, int, int, int]]]:
    """The numbers of one window in row-major order, each with its place in x."""
    rows, columns = (range(p * s, p * s + k) for p, s, k in zip((i, j), way.strides, way.size, strict=True))
    return [(float(x[n, p, q, c]), (n, p, q, c)) for p in rows for q in columns]


@st.composite
def poolings(draw: st.DrawFn, name: str) -> Case:
    drawn = draw(slidings())
    way = replace(drawn, dilation=(1, 1), groups=1)
    how = {"size": way.size, "strides": way.strides}
    pooled = (BATCH, *way.places, way.inputs)
    x = Operand((BATCH, *way.picture, way.inputs), all_different)

    def largest(rows: int, x: Array) -> Array:
        out = np.empty(known(pooled, rows))
        for place in np.ndindex(out.shape):
            out[place] = sorted(window_of(x, way, *place))[-1][0]
        return out

    def sent_back(rows: int, g: Array, x: Array) -> Array:
        out = np.zeros_like(x)
        for place in np.ndindex(g.shape):
            window = window_of(x, way, *place)
            best = max(value for value, _ in window)
            out[next(at for value, at in window if value == best)] += g[place]
        return out

    if name == "max_pool2d":
        return Case(lambda x: TABLE[name](x, **how), (x,), largest, "all", draw(seeds))
    # slopes along x are compared with differences: no two elements may be near; the pooled y moves with x
    write = lambda g, x: TABLE[name](g, x, TABLE["max_pool2d"](x, **how), **how)  # noqa: E731
    return Case(write, (Operand(pooled, wide), x), sent_back, "", draw(seeds))
