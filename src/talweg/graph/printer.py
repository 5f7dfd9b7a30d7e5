"""A program as text that can be read, and as a diagram (Mermaid or Graphviz)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talweg.escapes import on_one_line
from talweg.graph.loop import Loop, bodies
from talweg.graph.program import Program
from talweg.graph.tensor import Tensor


def to_text(program: Program) -> str:
    """One line a node: its name, what it is, its shape and dtype; after them the bodies of loops.

    Scalars and broadcasts are written into the formulas that use them.
    """
    labels, lines, inside = _labels(program), [f"program {on_one_line(program.name)}"], bodies(program)
    inner = {loop: _labels(body) for loop, body in inside.items()}
    leaves = [*program.inputs, *program.states]
    rows = [(t.op.name + " " + labels[t], "", t) for t in leaves]
    rows += [(labels[n], f"= {_call(n, labels, inner)}", n) for n in program.order if _is_shown(n)]
    width = max((len(a) for a, _, _ in rows), default=0)
    middle = max((len(b) for _, b, _ in rows), default=0)
    lines += [f"  {a:<{width}} {b:<{middle}}  {_type(t)}" for a, b, t in rows]
    lines += [f"  output {on_one_line(name)} = {labels[t]}" for name, t in program.outputs.items()]
    lines += [f"  update {labels[state]} <- {labels[t]}" for state, t in program.updates.items()]
    for body in inside.values():
        head, *rest = to_text(body).splitlines()
        lines += [f"  loop{head.removeprefix('program')}"]
        lines += [f"  {line}" for line in rest if not line.startswith("  output ")]  # those of a body have no names
    return "\n".join(lines)


def to_mermaid(program: Program) -> str:
    """The program as a Mermaid flowchart: put it between ```` ```mermaid ```` fences."""
    names = {node: f"n{i}" for i, node in enumerate([*program.inputs, *program.states, *program.order])}
    lines = ["flowchart LR"]
    for node, tag in names.items():
        if node.is_leaf or _is_shown(node):
            left, right = ("([", "])") if node.is_leaf else ("[", "]")
            lines.append(f'    {tag}{left}"{_caption(node, "<br/>", _in_mermaid)}"{right}')
    lines += [f"    {names[a]} --> {names[b]}" for a, b in _edges(program)]
    lines += [f"    {names[t]} -.->|update| {names[s]}" for t, s in _update_edges(program)]
    return "\n".join(lines)


def to_graphviz(program: Program) -> str:
    """The program in Graphviz's dot language."""
    names = {node: f"n{i}" for i, node in enumerate([*program.inputs, *program.states, *program.order])}
    lines = [f'digraph "{_in_dot(program.name)}" {{', "  rankdir=LR; node [shape=box, fontname=Helvetica];"]
    for node, tag in names.items():
        if node.is_leaf or _is_shown(node):
            style = ", style=rounded" if node.is_leaf else ""
            lines.append(f'  {tag} [label="{_caption(node, chr(92) + "n", _in_dot)}"{style}];')
    lines += [f"  {names[a]} -> {names[b]};" for a, b in _edges(program)]
    lines += [f"  {names[t]} -> {names[s]} [style=dashed, label=update];" for t, s in _update_edges(program)]
    return "\n".join([*lines, "}"])


def _is_shown(node: Tensor) -> bool:
    return not node.is_leaf and node.op.name not in ("constant", "broadcast")


def _seen_through(node: Tensor) -> Tensor:
    """What a broadcast repeats: readers of a graph need not be told of the repetition."""
    while node.op.name == "broadcast":
        node = node.inputs[0]
    return node


def _labels(program: Program) -> dict[Tensor, str]:
    labels: dict[Tensor, str] = {t: on_one_line(t.name) for t in (*program.inputs, *program.states)}
    taken = set(labels.values())
    for node in program.order:
        if node in labels:
            continue
        if node.op.name == "constant":
            labels[node] = _value(node)
        elif node.op.name == "broadcast":
            labels[node] = labels[node.inputs[0]]
        else:
            name = on_one_line(node.name)
            labels[node] = name if name and name not in taken else f"%{len(labels)}"
            taken.add(labels[node])
    return labels


def _value(node: Tensor) -> str:
    value = node.attributes["value"]
    return f"{value.item():g}" if value.size == 1 else f"constant{list(value.shape)}"


def _call(node: Tensor, labels: dict[Tensor, str], inner: dict[Loop, dict[Tensor, str]]) -> str:
    """inner: how the tensors of a loop's body are labelled there."""
    arguments = [labels[x] for x in node.inputs]
    shown = {k: v for k, v in node.attributes.items() if k != "dtype"}
    if node.op.name == "scan":
        del shown["size"]
        shown["output"] = inner[shown["loop"]][shown["output"]]
    arguments += [f"{k}={_brief(v)}" for k, v in shown.items()]
    return f"{node.op.name}({', '.join(arguments)})"


def _brief(attribute: Any) -> str:
    return str(list(attribute)) if isinstance(attribute, tuple) else str(attribute)


def _type(t: Tensor) -> str:
    return f"[{', '.join(map(str, t.shape))}] {t.dtype}"


def _caption(node: Tensor, newline: str, escaped: Callable[[str], str]) -> str:
    name = escaped(node.name)
    title = name if node.is_leaf else f"{name}{newline}{node.op.name}" if name else node.op.name
    return f"{title}{newline}{_type(node)}"


def _edges(program: Program) -> list[tuple[Tensor, Tensor]]:
    edges = [(_seen_through(x), node) for node in program.order if _is_shown(node) for x in node.inputs]
    return [(a, b) for a, b in edges if a.op.name != "constant"]


def _update_edges(program: Program) -> list[tuple[Tensor, Tensor]]:
    edges = [(_seen_through(value), state) for state, value in program.updates.items()]
    return [(a, b) for a, b in edges if a.op.name != "constant"]


def _in_mermaid(name: str) -> str:
    """Within quotes Mermaid reads HTML, Markdown between backquotes, and ``#quot;`` as the character of that name."""
    return "".join(c if c.isalnum() or c in "_ /:.-" else f"#{ord(c)};" for c in on_one_line(name))


def _in_dot(name: str) -> str:
    return on_one_line(name).replace("\\", r"\\").replace('"', r"\"")
