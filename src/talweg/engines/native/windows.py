"""Kernels over windows of an image: the gradient of max pooling, and convolutions that no tile fits (groups)."""

from __future__ import annotations

from talweg.engines.native.body import Body, Place
from talweg.engines.native.layout import Layout
from talweg.engines.native.loops import Written, bound
from talweg.graph import Tensor

WINDOWED = ("conv2d", "conv2d_input_gradient", "conv2d_kernel_gradient", "max_pool2d_gradient")


def window_kernel(node: Tensor, place: Place, kept: set[Tensor], stored: str) -> Written:
    """Plain loops over the window. Threads share the rows of the batch, but for the gradient of a kernel."""
    body = Body(place, {node}, kept)
    at = {t: place(t) for t in dict.fromkeys((*node.inputs, node))}
    for pointer, _ in (at[t] for t in node.inputs):
        body.used[pointer] = next(t for t in node.inputs if at[t][0] == pointer)
    if node.op.name == "max_pool2d_gradient":
        return Written(body, _pool_gradient(node, at, stored))
    return Written(body, _convolution(node, at, stored))


Places = dict[Tensor, tuple[str, Layout]]


def _element(t: Tensor, at: Places, *index: str) -> str:
    pointer, layout = at[t]
    return f"{pointer}[{layout.offset(tuple('0' if d == 1 else i for d, i in zip(t.shape, index, strict=True)))}]"


def _pool_gradient(node: Tensor, at: Places, stored: str) -> list[str]:
    """Each window's gradient goes to the first of its largest elements; a window of NaN, to its first NaN."""
    g, x, y = node.inputs
    (kh, kw), (sh, sw) = node.attributes["size"], node.attributes["strides"]
    layout = at[node][1]
    row = layout.strides[0]
    lines = [
        f"memset({stored} + lo*{row}, 0, (hi - lo)*{row}*sizeof *{stored});",
        "for (long b = lo; b < hi; b++)",
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


def _convolution(node: Tensor, at: Places, stored: str) -> list[str]:
    first, second = node.inputs
    groups = node.attributes["groups"]
    (sh, sw), (dh, dw) = node.attributes["strides"], node.attributes["dilation"]
    out_at = {**at, node: (stored, at[node][1])}
    if node.op.name == "conv2d":
        image, kernel, response = first, second, node
    elif node.op.name == "conv2d_kernel_gradient":
        image, kernel, response = first, node, second
    else:
        image, kernel, response = node, second, first
    kh, kw, channels, filters = kernel.shape
    per_group = filters // groups
    in_image = ("b", f"(i*{sh} + u*{dh})", f"(j*{sw} + v*{dw})", f"(o / {per_group} * {channels} + c)")
    x = _element(image, out_at, *in_image)
    k = _element(kernel, out_at, "u", "v", "c", "o")
    y = _element(response, out_at, "b", "i", "j", "o")
    sizes = {"i": response.shape[1], "j": response.shape[2], "o": filters, "u": kh, "v": kw, "c": channels}
    loop = {name: f"for (long {name} = 0; {name} < {n}; {name}++)" for name, n in sizes.items()}
    over_rows = "for (long b = lo; b < hi; b++)"
    if node.op.name == "conv2d":
        outer, inner, total = [over_rows, *(loop[a] for a in "ijo")], [loop[a] for a in "uvc"], f"{x} * {k}"
    elif node.op.name == "conv2d_kernel_gradient":
        all_rows = "for (long b = 0; b < n; b++)"
        outer, inner, total = [loop[a] for a in "uvco"], [all_rows, loop["i"], loop["j"]], f"{x} * {y}"
    else:
        row = at[node][1].strides[0]
        clear = f"memset({stored} + lo*{row}, 0, (hi - lo)*{row}*sizeof *{stored});"
        return [clear, over_rows, *(loop[a] for a in "ijouvc"), f"{x} += {y} * {k};"]
    result = y if node.op.name == "conv2d" else k
    return [*outer, "{ real total = 0;", *inner, f"total += {total};", f"{result} = total; }}"]
