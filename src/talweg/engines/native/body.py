"""One element of a tensor as C: formulas written out, movements as indices, kept tensors as loads."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from talweg.engines.native.formulas import ELEMENTWISE, LEAVES
from talweg.engines.native.layout import C_TYPE, Index, Layout
from talweg.engines.native.strategies import by
from talweg.graph import BATCH, Tensor

Place = Callable[[Tensor], tuple[str, Layout]]  # the C pointer and layout of a kept tensor or leaf


class Body:
    """The statements of a loop's body: each value computed once, at one index.

    along: the variable of the innermost loop, which may go on into the padding of the axis that it runs along.
    """

    def __init__(self, place: Place, computed_here: set[Tensor], kept: set[Tensor], along: str = "") -> None:
        self.lines: list[str] = []
        self.used: dict[str, Tensor] = {}
        self.exact = False  # whether an index may leave the tensor in the padding, so that loops must not go there
        self._along = re.compile(rf"\b{along}\b") if along else None
        self._place, self._here, self._kept = place, computed_here, kept
        self._known: dict[tuple[Tensor, Index], str] = {}
        self._count = 0

    def _fresh(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def load(self, node: Tensor, index: Index) -> str:
        pointer, layout = self._place(node)
        self.used[pointer] = node
        self._run_on(index, layout.inner)
        return f"{pointer}[{layout.offset(index)}]"

    def _run_on(self, index: Index, inner: int | None) -> None:
        """Only the axis `inner` has padding, and only its own index stays there: elsewhere lies what is another's."""
        if self._along:
            running = {a: i for a, i in enumerate(index) if self._along.search(i)}
            self.exact |= any(a != inner or not self._along.fullmatch(i) for a, i in running.items())

    def value(self, node: Tensor, index: Index, defining: bool = False) -> str:
        """A C expression for an element of `node`: a variable, a load, or a literal."""
        if literal := _literal(node):
            return literal
        key = (node, index)
        if key not in self._known:
            is_loaded = not defining and self._is_stored(node)
            text = self.load(node, index) if is_loaded else self._formula(node, index)
            name = self._fresh()
            self.lines.append(f"const {C_TYPE[node.dtype]} {name} = {text};")
            self._known[key] = name
        return self._known[key]

    def _is_stored(self, node: Tensor) -> bool:
        """Whether `node` lies in memory when this kernel runs."""
        return node.op.name in LEAVES or (node in self._kept and node not in self._here)

    def _formula(self, node: Tensor, index: Index) -> str:
        if node.op.name in ELEMENTWISE:
            return ELEMENTWISE[node.op.name](node, *(self.value(x, index) for x in node.inputs))
        return getattr(self, f"_{node.op.name}")(node, index)  # type: ignore[no-any-return]

    # ── movements: the same element at another index ──────────────────────────────────────────────────────

    def _broadcast(self, node: Tensor, index: Index) -> str:
        x = node.inputs[0]
        own = index[len(index) - x.rank :]
        return self.value(x, tuple("0" if d == 1 else i for d, i in zip(x.shape, own, strict=True)))

    def _reshape(self, node: Tensor, index: Index) -> str:
        x = node.inputs[0]
        long_y = [i for i, d in zip(index, node.shape, strict=True) if d != 1]
        if [d for d in x.shape if d != 1] == [d for d in node.shape if d != 1]:
            left = iter(long_y)
            return self.value(x, tuple("0" if d == 1 else next(left) for d in x.shape))
        if self._is_stored(x):
            pointer, layout = self._place(x)
            alike = 1 if x.rank > 1 and node.rank > 1 and x.shape[0] == node.shape[0] else 0
            if _follow_on(layout, alike):  # the very same numbers, one after another
                self.used[pointer] = x
                self.lines.append(by("regrouping in place"))
                self._run_on(index, next((a for a in reversed(range(node.rank)) if node.shape[a] != 1), None))
                row = f"({index[0]})*{layout.strides[0]} + " if alike and x.shape[0] != 1 else ""
                return f"{pointer}[{row}{flat_index(index[alike:], node.shape[alike:])}]"
        self.exact = True
        self.lines.append(by("regrouping by division"))
        flat = flat_index(index, node.shape)
        steps = [math.prod(d for d in x.shape[a + 1 :] if d is not BATCH) for a in range(x.rank)]
        parts = []
        for a, (d, step) in enumerate(zip(x.shape, steps, strict=True)):
            quotient = f"({flat}) / {step}" if step != 1 else f"({flat})"
            parts.append("0" if d == 1 else quotient if a == 0 or d is BATCH else f"({quotient}) % {d}")
        return self.value(x, tuple(parts))

    def _transpose(self, node: Tensor, index: Index) -> str:
        out = ["0"] * len(index)
        for i, a in zip(index, node.attributes["permutation"], strict=True):
            out[a] = i
        return self.value(node.inputs[0], tuple(out))

    def _slice(self, node: Tensor, index: Index) -> str:
        self.exact = True
        ranges = node.attributes["ranges"]
        return self.value(
            node.inputs[0],
            tuple(
                i if (start, step) == (0, 1) else f"{start} + ({i})*{step}"
                for i, (start, _, step) in zip(index, ranges, strict=True)
            ),
        )

    def _pad(self, node: Tensor, index: Index) -> str:
        self.exact = True
        self.lines.append(by("tested margins"))
        x, tests, own = node.inputs[0], [], []
        for i, d, (low, high, interior) in zip(index, x.shape, node.attributes["padding"], strict=True):
            if (low, high, interior) == (0, 0, 0):
                own.append(i)
                continue
            moved = f"({i} - {low})"
            tests.append(f"{moved} >= 0 && {moved} < {(d - 1) * (interior + 1) + 1}")  # type: ignore[operator]
            if interior:
                tests.append(f"{moved} % {interior + 1} == 0")
            own.append(f"{moved} / {interior + 1}" if interior else moved)
        return self._chosen(
            " && ".join(tests) or "1", x, tuple(own), literal(node.attributes["value"], node.dtype), node
        )

    def _chosen(self, test: str, x: Tensor, index: Index, otherwise: str, node: Tensor) -> str:
        """x at `index` where `test` holds: loaded only there, for elsewhere the index points outside."""
        name = self._fresh()
        self.lines.append(f"{C_TYPE[node.dtype]} {name} = {otherwise}; if ({test}) {{")
        before = dict(self._known)
        value = self.value(x, index)
        self.lines.append(f"{name} = {value}; }}")
        self._known = before  # what was computed in the braces is not known outside
        return name

    def _concat(self, node: Tensor, index: Index) -> str:
        self.exact = True
        self.lines.append(by("tested concatenation"))
        axis, start = node.attributes["axis"], 0
        name = ""
        for x in node.inputs:
            length = x.shape[axis]
            own = (*index[:axis], f"({index[axis]} - {start})" if start else index[axis], *index[axis + 1 :])
            test = f"{index[axis]} >= {start} && {index[axis]} < {start + length}"
            name = self._chosen(test, x, own, name or "0", node)
            start += length
        return name

    def _max_pool2d(self, node: Tensor, index: Index) -> str:
        (kh, kw), (sh, sw) = node.attributes["size"], node.attributes["strides"]
        self.lines.append(by("pooling"))
        b, i, j, c = index
        x, value = node.inputs[0], ""
        for u in range(kh):
            for v in range(kw):
                at = (b, f"({i})*{sh} + {u}", f"({j})*{sw} + {v}", c)
                own = tuple("0" if d == 1 else k for d, k in zip(x.shape, at, strict=True))
                value = f"t_max({value}, {self.value(x, own)})" if value else self.value(x, own)
        return value

    def _take(self, node: Tensor, index: Index) -> str:
        self.exact = True
        self.lines.append(by("lookup"))
        (x, indices), paired = node.inputs, node.attributes["paired"]
        row = self.value(indices, index[: indices.rank])
        last = x.shape[paired] - 1
        clipped = f"({row} < 0 ? 0 : ({row} > {last} ? {last} : {row}))"
        return self.value(x, (*index[:paired], clipped, *index[indices.rank :]))

    def _random_uniform(self, node: Tensor, index: Index) -> str:
        self.lines.append(by("random numbers"))
        return f"t_uniform(k0, k1, (uint32_t)({flat_index(index, node.shape)}))"


def _follow_on(layout: Layout, first: int) -> bool:
    """Whether elements follow one another without padding, given the indices along the axes before `first`."""
    shape = layout.shape
    steps = {a: math.prod(layout.lengths[a + 1 :]) for a in range(first, len(shape)) if shape[a] != 1}
    return not layout.by_columns and all(layout.strides[a] == step for a, step in steps.items())


def flat_index(index: Index, shape: tuple[object, ...]) -> str:
    """The place of an index in row-major order, without padding."""
    terms = []
    for a, i in enumerate(index):
        step = math.prod(d for d in shape[a + 1 :] if isinstance(d, int))
        rows = "*n" if BATCH in shape[a + 1 :] else ""
        if i != "0":
            terms.append(f"({i}){f'*{step}' if step != 1 else ''}{rows}")
    return " + ".join(terms) or "0"


def _literal(node: Tensor) -> str | None:
    """A number that is written into the source."""
    if node.op.name == "batch_size":
        return "((real)n)"
    value = node.attributes.get("value")
    if node.op.name != "constant" or value is None or value.size != 1:
        return None
    return literal(value.item(), node.dtype)


def literal(value: float | int | bool, dtype: str) -> str:
    if dtype != "float":
        return str(int(value)) + ("u" if dtype == "uint" else "")
    if math.isnan(value):
        return '((real)__builtin_nan(""))'
    if math.isinf(value):
        return f"((real){'-' if value < 0 else ''}__builtin_inf())"
    return f"((real){float(value)!r})"
