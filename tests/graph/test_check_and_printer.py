"""The checker finds planted errors; the printers write what can be read, by people and by other programs."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from talweg import graph as g
from talweg.errors import GraphError
from talweg.gradient import gradient
from talweg.graph import (
    BATCH,
    TABLE,
    Operation,
    Program,
    Tensor,
    check,
    input_tensor,
    state_tensor,
    to_graphviz,
    to_mermaid,
    to_text,
)


def program() -> Program:
    """A step of linear regression, by hand."""
    x, y = input_tensor("x", (BATCH, 3)), input_tensor("y", (BATCH, 1))
    w, b = state_tensor("dense/kernel", (3, 1)), state_tensor("dense/bias", (1,))
    rate = input_tensor("rate", ())
    prediction = (x @ w + b).named("prediction")
    loss = g.mean(g.square(prediction - y)).named("loss")
    dw, db = gradient(loss, [w, b])
    return Program("step", (x, y, rate), (w, b), {"loss": loss}, {w: w - rate * dw, b: b - rate * db})


P = program()
X, Y, RATE = P.inputs
W, B = P.states
ADD = TABLE["add"]
ROGUE = Operation("rogue", "elementwise", "?", np.add)


def planted(node: Tensor) -> Program:
    return dataclasses.replace(P, outputs={"loss": node})


def made(op: Operation, *inputs: Tensor, shape: Any, dtype: Any = "float", **attributes: Any) -> Tensor:
    """A node that nobody checked."""
    return Tensor(op, inputs, attributes, shape, dtype, "planted")


def test_a_sound_program_passes() -> None:
    check(P)
    check(Program("nothing", (), (), {}, {}))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (planted(made(ROGUE, X, X, shape=X.shape)), "'rogue' is not in the table"),
        (planted(made(dataclasses.replace(ADD), X, X, shape=X.shape)), "'add' is not in the table"),
        (planted(made(ADD, X, X, shape=(BATCH, 4))), r"planted.*its rules give \[batch, 3\] float"),
        (planted(made(ADD, X, X, shape=X.shape, dtype="int")), "its rules give"),
        (planted(made(ADD, X, Y, shape=X.shape)), "planted.*operands have different shapes"),
        (planted(made(TABLE["sqrt"], X > 0, shape=X.shape)), "planted.*operands must be float"),
        (planted(g.sum(input_tensor("stranger", (3,)))), "this input is read but not declared"),
        (planted(g.sum(state_tensor("stranger", (3,)))), "this state is read but not declared"),
        (dataclasses.replace(P, inputs=(*P.inputs, input_tensor("x", ()))), r"names of their own; see \['x'\]"),
        (dataclasses.replace(P, states=(*P.states, state_tensor("", ()))), "names of their own"),
        (dataclasses.replace(P, updates={X: X}), "is updated but is no state"),
        (dataclasses.replace(P, updates={W: g.sum(W)}), r"would become \[\] float"),
        (dataclasses.replace(P, updates={W: g.cast(W, "int")}), r"would become \[3, 1\] int"),
    ],
)
def test_planted_errors_are_found(wrong: Program, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        check(wrong)


# ── text ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_text_says_everything_once() -> None:
    text = to_text(P)
    lines = text.splitlines()
    assert lines[0] == "program step"
    for leaf in (*P.inputs, *P.states):
        assert any(re.match(rf"  {leaf.op.name} {re.escape(leaf.name)} +\[.*\] float$", line) for line in lines)
    labels = re.findall(r"^  (\S+) += ", text, re.M)
    assert len(labels) == len(set(labels)) and {"prediction", "loss"} <= set(labels)
    known = {t.name for t in (*P.inputs, *P.states)}
    for line in lines:  # each label is defined before it is used
        if found := re.match(r"  (\S+) += \w+\((.*)\) +\[", line):
            used = [a for a in re.findall(r"[^\s,()\[\]]+", found[2]) if a.startswith("%")]
            assert set(used) <= known
            known.add(found[1])
    assert "  output loss = loss" in lines
    assert sum(line.startswith("  update dense/") for line in lines) == 2


def test_text_of_two_nodes_with_one_name() -> None:
    x = input_tensor("x", (2,))
    twice = Program("p", (x,), (), {"a": g.exp(x).named("y"), "b": g.sin(x).named("y"), "c": g.cos(x).named("x")}, {})
    labels = re.findall(r"^  (\S+) += ", to_text(twice), re.M)
    assert len(set(labels)) == 3 and "x" not in labels


# ── diagrams ──────────────────────────────────────────────────────────────────────────────────────────────


def test_mermaid_can_be_parsed() -> None:
    lines = to_mermaid(P).splitlines()
    assert lines[0] == "flowchart LR"
    nodes, edges = {}, []
    for line in lines[1:]:
        if node := re.fullmatch(r'    (n\d+)(\(\["|\[")([^"]+)("\]\)|"\])', line):
            assert (node[2], node[4]) in (('(["', '"])'), ('["', '"]')) and node[1] not in nodes
            nodes[node[1]] = node[3]
        else:
            edge = re.fullmatch(r"    (n\d+) (-->|-\.->\|update\|) (n\d+)", line)
            assert edge, line
            edges.append(edge)
    assert all(e[1] in nodes and e[3] in nodes for e in edges) and len(edges) > len(nodes) / 2
    assert sum("update" in e[2] for e in edges) == 2
    assert any(caption.startswith("dense/kernel<br/>[3, 1]") for caption in nodes.values())


def test_graphviz_can_be_parsed() -> None:
    text = to_graphviz(P)
    assert text.startswith('digraph "step" {') and text.endswith("}")
    assert text.count("{") == text.count("}") and text.count('"') % 2 == 0
    nodes = dict(re.findall(r'^  (n\d+) \[label="((?:[^"\\]|\\.)*)"(?:, style=rounded)?\];$', text, re.M))
    edges = re.findall(r"^  (n\d+) -> (n\d+)(?: \[style=dashed, label=update\])?;$", text, re.M)
    assert len(text.splitlines()) == len(nodes) + len(edges) + 3, "a line was not understood"
    assert all(a in nodes and b in nodes for a, b in edges)


@pytest.mark.parametrize("write", [to_mermaid, to_graphviz])
def test_every_line_of_an_update_has_its_node(write: Any) -> None:
    """Also where a state becomes a constant, or another state's value, and where names hold quotes."""
    a, b = state_tensor('a"quoted"', ()), state_tensor("b", ())
    text = write(Program('p"q', (), (a, b), {}, {a: g.constant(1.0), b: a}))
    tags = set(re.findall(r"\bn\d+\b", text))
    defined = set(re.findall(r"^ +(n\d+) ?[\[(]", text, re.M))
    assert tags == defined, text
    for line in text.splitlines():
        assert len(re.findall(r'(?<!\\)"', line)) in (0, 2), line
