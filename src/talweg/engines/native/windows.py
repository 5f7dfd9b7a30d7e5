"""Kernels over windows of an image: the gradient of max pooling, and convolutions that no tile fits (groups)."""

from __future__ import annotations

from talweg.engines.native.body import Body, Place
from talweg.engines.native.layout import Layout
from talweg.engines.native.loops import INDEPENDENT, Parts, Written, bound
from talweg.engines.native.strategies import by
from talweg.graph import Tensor

WINDOWED = ("conv2d", "conv2d_input_gradient", "conv2d_kernel_gradient", "max_pool2d_gradient")


def window_kernel(node: Tensor, place: Place, kept: set[Tensor], stored: str, parts: Parts) -> Written:
    """Plain loops over the window. Threads share the rows of the batch, or an axis of a kernel's gradient."""
    body = Body(place, {node}, kept)
    at = {t: place(t) for t in dict.fromkeys((*node.inputs, node))}
    for pointer, _ in (at[t] for t in node.inputs):
        body.used[pointer] = next(t for t in node.inputs if at[t][0] == pointer)
    write = _pool_gradient if node.op.name == "max_pool2d_gradient" else _convolution
    return Written(body, write(node, at, stored, parts))


Places = dict[Tensor, tuple[str, Layout]]


def _element(t: Tensor, at: Places, *index: str) -> str:
    pointer, layout = at[t]
    return f"{pointer}[{layout.offset(tuple('0' if d == 1 else i for d, i in zip(t.shape, index, strict=True)))}]"


def _pool_gradient(node: Tensor, at: Places, stored: str, parts: Parts) -> list[str]:
    """Each window's gradient goes to the first of its largest elements; a window of NaN, to its first NaN."""
    g, x, y = node.inputs
    (kh, kw), (sh, sw) = node.attributes["size"], node.attributes["strides"]
    layout = at[node][1]
    lines = [
        by("pooling gradient"),
        *_over_rows(parts, stored, layout.strides[0]),
        f"for (long i = 0; i < {y.shape[1]}; i++)",
        f"for (long j = 0; j < {y.shape[2]}; j++)",
        f"for (long c = 0; c < {bound(layout, 3, False) if node.shape[3] != 1 else 1}; c++) {{",
        f"const real top = {_element(y, at, 'b', 'i', 'j', 'c')}, share = {_element(g, at, 'b', 'i', 'j', 'c')};",
        "int found = 0;",
    ]
    for u in range(kh):
        for v in range(kw):
            here = ("b", f"(i*{sh} + {u})", f"(j*{sw} + {v})", "c")
            value = f"{_element(x, at, *here)}"
            to = _element(node, {**at, node: (stored, layout)}, *here)
            lines.append(
                f"{{ const real e = {value}; const int hit = !found & ((e == top) | ((e != e) & (top != top)));"
                f" {to} += hit ? share : 0; found |= hit; }}"
            )
    return [*lines, "}"]


def _over_rows(parts: Parts, cleared: str, row: int) -> list[str]:
    """The head of the loop over the rows, and before it what makes them 0."""
    start, end = parts.get(0, ("0", "n"))
    clear = f"memset({cleared} + {start}*{row}, 0, ({end} - {start})*{row}*sizeof *{cleared});"
    return [clear, f"for (long b = {start}; b < {end}; b++)"]


def _convolution(node: Tensor, at: Places, stored: str, parts: Parts) -> list[str]:
    """One of y[b,i,j,o] = Σ x[b, i·s + u·d, j·s + v·d, q·C + c] k[u,v,c,o], its x and its k; o = q·O + p is in group q.

    The longest of c, q and p runs innermost, side by side in memory: p within large groups, q where each channel is a
    group of its own.
    """
    first, second = node.inputs
    groups = node.attributes["groups"]
    (sh, sw), (dh, dw) = node.attributes["strides"], node.attributes["dilation"]
    image, kernel, response = {
        "conv2d": (first, second, node),
        "conv2d_kernel_gradient": (first, node, second),
        "conv2d_input_gradient": (node, second, first),
    }[node.op.name]
    kh, kw, channels, filters = kernel.shape
    out_at = {**at, node: (stored, at[node][1])}
    x = _element(image, out_at, "b", f"(i*{sh} + u*{dh})", f"(j*{sw} + v*{dw})", f"(q*{channels} + c)")
    k = _element(kernel, out_at, "u", "v", "c", f"(q*{filters // groups} + p)")
    y = _element(response, out_at, "b", "i", "j", f"(q*{filters // groups} + p)")
    sizes = {"i": response.shape[1], "j": response.shape[2], "u": kh, "v": kw}
    sizes |= {"c": channels, "q": groups, "p": filters // groups}
    ends = {name: ("0", str(n)) for name, n in sizes.items()}
    layout = at[node][1]
    if node is kernel:
        ends |= {"uvc"[a]: own for a, own in parts.items()}
        sum_of, over_rows = f"{k} += {x} * {y};", "for (long b = 0; b < n; b++)"
        kept = {a: ends["uvc"[a]] for a in parts}
        clear = [_loop(f"e{a}", *kept.get(a, ("0", str(n)))) for a, n in enumerate(kernel.shape)]
        clear.append(f"{_element(kernel, out_at, 'e0', 'e1', 'e2', 'e3')} = 0;")
    else:
        cleared, over_rows = _over_rows(parts, stored, layout.strides[0])
        clear, sum_of = [cleared], f"{y} += {x} * {k};" if node is response else f"{x} += {y} * {k};"
    inner = max("cqp", key=lambda name: (sizes[name], name))
    loops = [_loop(name, *ends[name]) for name in ("i", "j", *sorted(set("cqp") - {inner}, reverse=True), "u", "v")]
    is_one_sum = (
        inner == ("c" if node is response else "p") and node is not kernel
    )  # of all that the innermost loop has
    way = {"p": "windows of groups", "q": "windows of channels", "c": "windows of inputs"}[inner]
    return [
        by(way),
        *clear,
        over_rows,
        *loops,
        *([] if is_one_sum else [INDEPENDENT]),
        _loop(inner, *ends[inner]),
        sum_of,
    ]


def _loop(name: str, start: str, end: str) -> str:
    return f"for (long {name} = {start}; {name} < {end}; {name}++)"
