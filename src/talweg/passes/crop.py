"""Crop: compute of each tensor no more than is read of it, and nothing that is known to be 0.

Pooling 11 x 11 places by 2 x 2 reads 10 x 10 of them: the last row and column of the convolution before it need not be
computed, nor, on the way back, the gradient that is 0 there, nor what would only be multiplied by it. The pass finds
out what is read (from the results backwards), where a tensor is 0 (from the inputs forwards), and writes each node for
the smaller of the two. So slices move towards the inputs, and pads with 0 towards the outputs:

    max_pool2d(x)                       →  max_pool2d(slice(x))
    slice(f(a, b))                      →  f(slice(a), slice(b))                    elementwise; broadcasts get shorter
    slice(conv2d(x, k))                 →  conv2d(slice(x), k)
    max_pool2d_gradient(g, x, y)        →  pad(max_pool2d_gradient(g, slice(x), y))
    f(pad(g), c)                        →  pad(f(g, slice(c)))                      where f makes 0 of 0
    conv2d_kernel_gradient(x, pad(g))   →  conv2d_kernel_gradient(slice(x), g)
    conv2d_input_gradient(pad(g), k)    →  pad(conv2d_input_gradient(g, k)), smaller
    sum(pad(g))                         →  sum(g)

No tensor is computed twice. A slice or pad that has to stay is a copy, and stays only where it spares a convolution
more than it costs; else the node is computed whole. Parts are beginnings: all places before some row and column.

Values are the same to the rounding of sums, which lose terms of 0, for numbers. NaN and infinity differ: what is
dropped is not computed, so a NaN there, which 0 · NaN would have carried into the gradient, is not met.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from talweg.graph import BATCH, Program, Shape, Tensor, broadcast_to, pad
from talweg.graph import slice as part_of
from talweg.passes.simplify import number

COPIED = 16  # multiplications of a convolution that take as long as one element copied

OF_ONE = ("neg", "abs", "sign", "floor", "sqrt", "expm1", "log1p", "tanh", "erf", "sin", "stop_gradient", "cast")
ZERO_OF_ZERO = (*OF_ONE, "add", "sub", "maximum", "minimum")
"""Elementwise operations that are 0 where all operands are."""
CONVOLUTIONS = ("conv2d", "conv2d_input_gradient", "conv2d_kernel_gradient")
SENT_BACK = ("max_pool2d_gradient", "conv2d_input_gradient")
"""Each window of g adds to the places that it covers."""
WINDOWED = ("max_pool2d", "max_pool2d_gradient", *CONVOLUTIONS)


def crop(program: Program) -> Program:
    """The same program with smaller tensors; `program` itself where no convolution becomes smaller.

    >>> from talweg.graph import conv2d, input_tensor, max_pool2d
    >>> x, k = input_tensor("x", (BATCH, 28, 28, 1)), input_tensor("k", (4, 4, 1, 32))
    >>> p = Program("p", (x, k), (), {"y": max_pool2d(conv2d(x, k))}, {})
    >>> p.order[2], crop(p).order[3]
    (<conv2d [batch, 25, 25, 32] float>, <conv2d [batch, 24, 24, 32] float>)
    """
    while (smaller := _cropped(program)) is not program:  # of what was made smaller, more may be known to be 0
        program = smaller
    return program


def _cropped(program: Program) -> Program:
    pictures = {node for node in program.order if _is_picture(node)}
    nodes = [node for node in program.order if node in pictures or any(x in pictures for x in node.inputs)]
    support: dict[Tensor, Shape] = {}
    for node in nodes:
        supports = [support.get(x, x.shape) for x in node.inputs]
        support[node] = _support(node, supports) if node in pictures else node.shape
    whole: set[Tensor] = set()
    while (plan := _Plan(program, nodes, support, whole)).spares:
        if not (refused := plan.refused()):
            return plan.written()
        whole |= refused
    return program


class _Plan:
    """How far each tensor is computed and read, but for the nodes `whole`, which are computed as they are.

    nodes: those that are pictures or read some. Pictures alone are computed in part.
    """

    def __init__(
        self, program: Program, nodes: Sequence[Tensor], support: Mapping[Tensor, Shape], whole: set[Tensor]
    ) -> None:
        self.program, self.nodes, self.support, self.whole = program, nodes, support, whole
        self.extent: dict[Tensor, Shape] = {}
        self.reads: dict[Tensor, list[Shape]] = {}
        read = {t: t.shape for t in program.results}
        for node in reversed(nodes):
            is_part = node not in whole and _is_picture(node)
            extent = _extent(node, read[node], support) if is_part else node.shape
            self.extent[node] = extent
            self.reads[node] = self._reads(node, extent)
            for x, part in zip(node.inputs, self.reads[node], strict=True):
                read[x] = part if x not in read or part == read[x] else _each(max, read[x], part)

    def _reads(self, node: Tensor, extent: Shape) -> list[Shape]:
        """What is read of each input to compute `extent` of `node`."""
        if 0 in extent:
            return [x.shape for x in node.inputs]
        if node.op.family == "elementwise":
            return [extent] * len(node.inputs)
        if node.op.name in READS:
            supports = [x.shape if node in self.whole else self.support.get(x, x.shape) for x in node.inputs]
            return READS[node.op.name](node, extent, supports)
        return [x.shape for x in node.inputs]

    def refused(self) -> set[Tensor]:
        """The nodes to compute whole, for a copy between a node and its reader would cost more than is spared."""
        refused: set[Tensor] = set()
        for node in self.nodes:
            for x, part in zip(node.inputs, self.reads[node], strict=True):
                if part == self.have(x):
                    continue
                cost = COPIED * _count(part)
                if _is_beyond(part, self.have(x)):
                    refused |= {x} if cost > self._spared(x) else set()
                elif node.op.name in WINDOWED and not self._fits(node, x, part) and cost > self._spared(node):
                    refused.add(node)
        for t in self.program.results:
            if t.shape != self.have(t) and COPIED * _count(t.shape) > self._spared(t):
                refused.add(t)
        return refused - self.whole

    def have(self, x: Tensor) -> Shape:
        return self.extent.get(x, x.shape)

    @property
    def spares(self) -> bool:
        """Whether a convolution becomes smaller."""
        return any(self._spared(node) for node in self.nodes)

    def _spared(self, node: Tensor) -> int:
        """Multiplications of one row of the batch that a smaller convolution does not do."""
        if node.op.name not in CONVOLUTIONS:
            return 0
        whole = _multiplications(node, node.shape, [x.shape for x in node.inputs])
        return whole - _multiplications(node, self.extent[node], self.reads[node])

    def _fits(self, node: Tensor, x: Tensor, part: Shape) -> bool:
        """Whether `node` may be given all that there is of `x`, of which it reads `part`."""
        have = self.have(x)
        if have == part:
            return True
        if node.op.name == "sum":  # there are zeros beyond
            axes = node.attributes["axes"]
            return all(h == p for a, (h, p) in enumerate(zip(have, part, strict=True)) if a not in axes) and (
                not _is_beyond(part, have)
            )
        if node.op.name in ("conv2d", "max_pool2d", "conv2d_kernel_gradient") and x is node.inputs[0]:
            return _places(node, have) == _places(node, part) and have[3] == part[3]
        return False

    def written(self) -> Program:
        """The program, every node for its extent."""
        new: dict[Tensor, Tensor] = {}
        cut: dict[tuple[Tensor, Shape], Tensor] = {}

        def fitted(x: Tensor, part: Shape) -> Tensor:
            if x.shape == part:
                return x
            if (x, part) not in cut:
                cut[x, part] = _fitted(x, part)
            return cut[x, part]

        for node in self.program.order:
            inputs = tuple([new[x] for x in node.inputs])
            if node in self.reads:
                parts = zip(node.inputs, inputs, self.reads[node], strict=True)
                inputs = tuple([n if self._fits(node, x, part) else fitted(n, part) for x, n, part in parts])
            is_like = all(a.shape == b.shape for a, b in zip(inputs, node.inputs, strict=True))
            is_whole = is_like and node.shape == self.have(node)
            new[node] = node.of(inputs) if is_whole else _written(node, inputs, self.have(node))
        return self.program.with_results(fitted(new[t], t.shape) for t in self.program.results)


# ── shapes, axis by axis ──────────────────────────────────────────────────────────────────────────────────


def _each(rule: Callable[..., int], *shapes: Shape) -> Shape:
    """The rule on the lengths of each axis; the batch axis stays."""
    return tuple(BATCH if BATCH in d else rule(*d) for d in zip(*shapes, strict=True))


def _count(shape: Shape) -> int:
    """Elements in one row of the batch."""
    return math.prod(d for d in shape if d is not BATCH)


def _is_beyond(part: Shape, extent: Shape) -> bool:
    """Whether `part` goes further than `extent` along some axis."""
    return _each(max, part, extent) != extent


def _fitted(x: Tensor, part: Shape) -> Tensor:
    """The beginning of `x`, or `x` and zeros after it, in the shape `part`."""
    if x.op.name == "broadcast" and not _is_beyond(part, x.shape):
        source = x.inputs[0]
        own = tuple(d if d == 1 else n for d, n in zip(source.shape, part[len(part) - source.rank :], strict=True))
        return broadcast_to(source if own == source.shape else _fitted(source, own), part)
    x = part_of(x, [None if d is BATCH else (0, d) for d in _each(min, x.shape, part)])
    missing = _each(lambda n, d: n - d, part, x.shape)
    return x if x.shape == part else pad(x, [(0, 0 if n is BATCH else n) for n in missing])


def _written(node: Tensor, inputs: Sequence[Tensor], extent: Shape) -> Tensor:
    """The operation of `node` on smaller inputs, for a result of the shape `extent`."""
    how = dict(node.attributes)
    if node.op.name == "broadcast":
        how["shape"] = extent
    elif node.op.name == "conv2d_input_gradient":
        how["shape"] = extent[1:3]
    elif node.op.name == "slice":
        starts, steps = _places_of_elements(node)
        ends = _each(lambda n, start, step: start + (_reach(n, step) if n else 0), extent, starts, steps)
        how["ranges"] = tuple(zip(starts, ends, steps, strict=True))
    elif node.op.name == "pad":
        made = node.op(*inputs, **how).shape
        spare = _each(lambda n, d: d - n, extent, made)
        how["padding"] = tuple(
            (low, high if n is BATCH else high - n, between)
            for n, (low, high, between) in zip(spare, how["padding"], strict=True)
        )
    return node.op(*inputs, name=node.name, **how)


# ── windows ───────────────────────────────────────────────────────────────────────────────────────────────


def _reach(count: int, step: int, size: int = 1) -> int:
    """The length that `count` windows cover, `step` apart."""
    return (count - 1) * step + size


def _window(node: Tensor) -> list[tuple[int, int]]:
    """The length and the stride of a window, along the height and along the width."""
    how = node.attributes
    size = how.get("size") or (node if node.op.name == "conv2d_kernel_gradient" else node.inputs[1]).shape[:2]
    spans = [_reach(n, d, 1) for n, d in zip(size, how.get("dilation", (1, 1)), strict=True)]
    return list(zip(spans, how["strides"], strict=True))


def _along(rule: Callable[..., int], node: Tensor, *shapes: Shape) -> Shape:
    """The rule on each length of the pictures `shapes`, with the window's length and stride; the first's other axes."""
    sides = [rule(*d, *w) for *d, w in zip(*(s[1:3] for s in shapes), _window(node), strict=True)]
    return (shapes[0][0], *sides, shapes[0][3])


def _places(node: Tensor, picture: Shape) -> Shape:
    """How many windows lie in a picture."""
    return _along(lambda n, span, step: (n - span) // step + 1, node, picture)


def _covered(node: Tensor, places: Shape) -> Shape:
    """What so many windows cover of a picture; no window covers nothing."""
    return _along(lambda n, span, step: _reach(n, step, span) if n else 0, node, places)


def _multiplications(node: Tensor, extent: Shape, reads: Sequence[Shape]) -> int:
    """Of a convolution or one of its gradients, for one row of the batch: the kernel's for each of its places."""
    places = {"conv2d": extent, "conv2d_input_gradient": reads[0], "conv2d_kernel_gradient": reads[1]}[node.op.name]
    kernel = extent if node.op.name == "conv2d_kernel_gradient" else reads[1]
    return math.prod(places[1:3]) * math.prod(kernel)  # type: ignore[arg-type]


# ── how far each operation has to be computed, reads, and is not 0 ────────────────────────────────────────


def _is_picture(t: Tensor) -> bool:
    return t.rank == 4 and t.shape[0] is BATCH


def _extent(node: Tensor, read: Shape, support: Mapping[Tensor, Shape]) -> Shape:
    """How far to compute a picture of which `read` is read: not into the zeros, as far as the operation can stop."""
    name, how = node.op.name, node.attributes
    if name not in READS and node.op.family != "elementwise":
        return node.shape
    extent = _each(lambda n, s: min(n, s) if s else n, read, support[node])
    if name in ("conv2d", "max_pool2d"):
        return (*extent[:3], node.shape[3])
    if name in SENT_BACK:
        # as many windows as touch what is read
        g = node.inputs[0]
        sent = _each(lambda n, s: min(n, s or n), g.shape, support.get(g, g.shape))
        places = _along(lambda n, most, span, step: min(-(-n // step), most), node, extent, sent)
        return (*_each(max, extent, _covered(node, places))[:3], node.shape[3])
    if name == "pad":
        return _each(lambda n, low: max(n, low + 1), extent, _places_of_elements(node)[0])
    if name == "concat":
        return tuple(node.shape[a] if a == how["axis"] else n for a, n in enumerate(extent))
    return extent


Reads = Callable[[Tensor, Shape, Sequence[Shape]], list[Shape]]


def _of_broadcast(node: Tensor, extent: Shape, supports: Sequence[Shape]) -> list[Shape]:
    x = node.inputs[0]
    return [tuple(d if d == 1 else n for d, n in zip(x.shape, extent[node.rank - x.rank :], strict=True))]


def _of_transpose(node: Tensor, extent: Shape, supports: Sequence[Shape]) -> list[Shape]:
    from_axis = dict(zip(node.attributes["permutation"], extent, strict=True))
    return [tuple(from_axis[a] for a in range(node.rank))]


def _of_slice(node: Tensor, extent: Shape, supports: Sequence[Shape]) -> list[Shape]:
    return [_each(lambda n, start, step: start + _reach(n, step), extent, *_places_of_elements(node))]


def _of_pad(node: Tensor, extent: Shape, supports: Sequence[Shape]) -> list[Shape]:
    starts, steps = _places_of_elements(node)
    x = node.inputs[0].shape
    return [_each(lambda d, n, start, step: min(d, -(-(n - start) // step)), x, extent, starts, steps)]


def _places_of_elements(node: Tensor) -> tuple[Shape, Shape]:
    """Along each axis of a slice or pad: where in the larger tensor its first element lies, how far on the next."""
    if node.op.name == "slice":
        places = [(start, step) for start, _, step in node.attributes["ranges"]]
    else:
        places = [(low, between + 1) for low, _, between in node.attributes["padding"]]
    return tuple(start for start, _ in places), tuple(step for _, step in places)


def _of_concat(node: Tensor, extent: Shape, supports: Sequence[Shape]) -> list[Shape]:
    axis = node.attributes["axis"]
    return [(*extent[:axis], x.shape[axis], *extent[axis + 1 :]) for x in node.inputs]


def _of_reduction(node: Tensor, extent: Shape, supports: Sequence[Shape]) -> list[Shape]:
    """All along the axes that are reduced; of a sum, what is not 0."""
    x, how = node.inputs[0], node.attributes
    axes, left = how.get("axes", (how.get("axis"),)), iter(extent)
    full = _each(lambda n, s: s or n, x.shape, supports[0]) if node.op.name == "sum" else x.shape
    return [tuple(full[a] if a in axes else next(left) for a in range(x.rank))]


def _of_windows(node: Tensor, extent: Shape, supports: Sequence[Shape]) -> list[Shape]:
    picture = _covered(node, extent)
    return [(*picture[:3], node.inputs[0].shape[3]), *(x.shape for x in node.inputs[1:])]


def _of_sent_back(node: Tensor, extent: Shape, supports: Sequence[Shape]) -> list[Shape]:
    places = (*_places(node, extent)[:3], node.inputs[0].shape[3])
    return [places, extent, places] if node.op.name == "max_pool2d_gradient" else [places, node.inputs[1].shape]


def _of_kernel_gradient(node: Tensor, extent: Shape, supports: Sequence[Shape]) -> list[Shape]:
    x, g = node.inputs
    sent = (*_each(lambda n, s: s or n, g.shape, supports[1])[:3], g.shape[3])
    return [(*_covered(node, sent)[:3], x.shape[3]), sent]


READS: dict[str, Reads] = {
    "broadcast": _of_broadcast,
    "transpose": _of_transpose,
    "slice": _of_slice,
    "pad": _of_pad,
    "concat": _of_concat,
    **dict.fromkeys(("sum", "max", "argmax"), _of_reduction),
    **dict.fromkeys(("conv2d", "max_pool2d"), _of_windows),
    **dict.fromkeys(SENT_BACK, _of_sent_back),
    "conv2d_kernel_gradient": _of_kernel_gradient,
}
"""What is read of each input to compute an extent, given how far the inputs are not 0. All others (random numbers,
for instance, depend on their place) are computed and read whole; elementwise ones read what they compute."""


def _support(node: Tensor, supports: Sequence[Shape]) -> Shape:
    """Along each axis, from where on `node` is 0 whatever the inputs are: its length where that is not known."""
    name, how = node.op.name, node.attributes
    if number(node) == 0:
        return _each(lambda n: 0, node.shape)
    if name in ZERO_OF_ZERO:
        return _each(lambda *s: max(s), *supports)
    if name == "where":
        return _each(max, *supports[1:])
    if name == "mul":
        return _each(min, *supports)
    if name == "div":
        return supports[0]
    if name == "transpose":
        return tuple(supports[0][a] for a in how["permutation"])
    if name == "broadcast":
        x = node.inputs[0]
        own = supports[0], node.shape[node.rank - x.rank :]
        return (*node.shape[: node.rank - x.rank], *(n if s == 1 else s for s, n in zip(*own, strict=True)))
    if name == "sum":
        return tuple(s for a, s in enumerate(supports[0]) if a not in how["axes"])
    if name == "pad" and how["value"] == 0:
        return _each(lambda s, low, step: low + _reach(s, step) if s else 0, supports[0], *_places_of_elements(node))
    if name == "slice":
        place = _places_of_elements(node)
        return _each(lambda n, s, start, step: min(n, max(0, -(-(s - start) // step))), node.shape, supports[0], *place)
    if name in SENT_BACK:
        return (*_each(min, node.shape, _covered(node, supports[0]))[:3], node.shape[3])
    return node.shape
