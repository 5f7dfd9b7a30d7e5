"""Sums of products: `dot` over any axes, convolutions and pooling, each with the gradients that are wanted of it."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

from differential import sizes
from talweg import graph as g
from talweg.gradient import gradient
from talweg.graph import Program, Tensor

Drawn = dict[str, Any]
Values = dict[str, Any]


def _kinds(random: Random) -> dict[str, str]:
    """Where operands come from: rows or a setting, a state (as most weights), or computed just before."""
    return {
        "a": random.choice(["given", "given", "state", "made"]),
        "b": random.choice(["given", "state", "state", "state", "made"]),
        "r": random.choice(["given", "made", "answer", "answer"]),
    }


def _operand(name: str, shape: Any, kind: str) -> tuple[Tensor, Tensor]:
    """The leaf, whose first axis is the batch's where it has one, and what of it is multiplied."""
    is_state = kind == "state" and "n" not in shape
    order = sorted(range(len(shape)), key=lambda a: (shape[a] != "n", a))
    own = sizes.shape_of([shape[a] for a in order])
    leaf = (g.state_tensor if is_state else g.input_tensor)(name, own)
    used = g.transpose(leaf, [order.index(a) for a in range(len(shape))])
    return leaf, used * used - 0.5 if kind == "made" else used


def _program(member: Drawn, y: Tensor, leaves: dict[str, Tensor], used: dict[str, Tensor]) -> Program:
    """y, and the slopes that `member` wants of it."""
    shape = ["n" if not isinstance(d, int) else d for d in y.shape]
    wanted, outputs = member["want"], dict[str, Tensor]()
    if "y" in wanted:
        outputs["y"] = y
    slopes = [name for name in wanted if name != "y"]
    if slopes:
        r = y * 0.5  # what comes back is made of the answer, as in training: or it is given
        if member["from"]["r"] != "answer":
            leaves["r"], r = _operand("r", shape, member["from"]["r"])
        found = gradient(g.sum(y * r), [used[name] for name in slopes])
        outputs |= {f"d{name}": d for name, d in zip(slopes, found, strict=True)}
    inputs = tuple(t for t in leaves.values() if t.op.name == "input")
    states = tuple(t for t in leaves.values() if t.op.name == "state")
    updates = {}
    if member.get("update"):
        updates = {
            leaves[n]: leaves[n] - 0.25 * outputs[f"d{n}"]
            for n in slopes
            if leaves[n].op.name == "state" and used[n] is leaves[n]
        }
    return Program("contraction", inputs, states, outputs, updates)


def _values(program: Program, rows: int, random: np.random.Generator, scale: float = 1.0) -> Values:
    leaves = (*program.inputs, *program.states)
    return {t.name: scale * random.normal(size=[d if isinstance(d, int) else rows for d in t.shape]) for t in leaves}


def _wanted(random: Random) -> list[str]:
    return random.choice([["y"], ["a"], ["b"], ["b"], ["a", "b"], ["y", "a", "b"]])


# ── dot ───────────────────────────────────────────────────────────────────────────────────────────────────


def draw_dot(random: Random) -> Drawn:
    """Letters are axes: those in both operands are summed. "n" is the batch's."""
    form = random.random()
    if form < 0.45:  # a dense layer
        a, b, summed = "nk", "ku", "k"
    elif form < 0.55:  # the same, along further axes
        a, b, summed = random.choice([("nak", "ku", "k"), ("nabk", "ku", "k"), ("nak", "nku", "k"), ("nka", "ku", "k")])
    elif form < 0.7:  # no batch, or one that is summed
        a, b, summed = random.choice([("ak", "ku", "k"), ("ka", "ku", "k"), ("ak", "uk", "k"), ("nk", "nu", "n")])
    else:
        summed = "".join(random.sample("kl", random.randint(0, 2)))
        free_a, free_b = random.choice(["", "n", "n", "na", "a", "ab"]), random.choice(["", "u", "u", "uv"])
        a, b = ("".join(random.sample(part, len(part))) for part in (summed + free_a, summed + free_b))
    if a.count("n") + b.count("n") > 1 and "n" not in summed:
        b = b.replace("n", "")
    letters = sorted(set(a + b) - {"n"})
    lengths = [sizes.many(random) if c == "k" else sizes.length(random) for c in letters]
    lengths = sizes.within(random, lengths, sizes.budget(random))
    return {
        **{"family": "dot", "axes": dict(zip(letters, lengths, strict=True)), "a": a, "b": b, "over": summed},
        **{"from": _kinds(random), "want": _wanted(random), "update": random.random() < 0.4, "same": False},
    }


def write_dot(member: Drawn, rows: int, random: np.random.Generator) -> tuple[Program, Values]:
    letters = {name: ["n" if c == "n" else member["axes"][c] for c in member[name]] for name in "ab"}
    pairs = {name: _operand(name, letters[name], member["from"][name]) for name in "ab"}
    over = tuple(tuple(member[name].index(c) for c in member["over"]) for name in "ab")
    used = {name: used for name, (_, used) in pairs.items()}
    y = g.dot(used["a"], used["b"], over)  # type: ignore[arg-type]
    program = _program(member, y, {name: leaf for name, (leaf, _) in pairs.items()}, used)
    return program, _values(program, rows, random)


# ── windows ───────────────────────────────────────────────────────────────────────────────────────────────


def _edge(random: Random, size: int) -> list[int]:
    return [random.randint(0, size), random.randint(0, size)]


def draw_window(random: Random) -> Drawn:
    is_pool = random.random() < 0.2
    window = [random.choice([1, 1, 2, 3, 3, 4, 5]) for _ in range(2)]
    dilation = [1, 1] if is_pool or random.random() < 0.7 else [random.randint(1, 3) for _ in range(2)]
    strides = [1, 1] if random.random() < 0.5 else [random.randint(1, 4) for _ in range(2)]
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    picture = [r + (0 if random.random() < 0.15 else random.randint(0, sizes.length(random, 24))) for r in reach]
    if random.random() < 0.15:
        picture[0] = window[0] = strides[0] = dilation[0] = 1
    groups = random.choice([1, 1, 1, 1, 2, 3]) if not is_pool else 1
    channels, filters = sizes.length(random, 80), sizes.length(random, 80)
    if groups == 1 and not is_pool and random.random() < 0.08:  # depthwise
        groups, channels, filters = channels, 1, random.choice([1, 1, 2])
    work = 1 if is_pool else window[0] * window[1]
    most = max(1, sizes.budget(random) // work)
    *picture, channels, filters = [
        max(d, low)
        for d, low in zip(
            sizes.within(random, [*picture, channels, 1 if is_pool else filters], most), [*reach, 1, 1], strict=True
        )
    ]
    padding: Any = random.choice(["valid", "valid", "same", "same", [_edge(random, k) for k in window]])
    return {
        **{"family": "pool" if is_pool else "conv", "picture": picture, "channels": channels, "filters": filters},
        **{"window": window, "strides": strides, "dilation": dilation, "groups": groups, "padding": padding},
        **{"from": _kinds(random), "want": random.choice([["y"], ["a"], ["y", "a"]]) if is_pool else _wanted(random)},
        "update": random.random() < 0.3,
    }


def write_window(member: Drawn, rows: int, random: np.random.Generator) -> tuple[Program, Values]:
    padding, groups = member["padding"], member["groups"]
    if not isinstance(padding, str):
        padding = tuple(tuple(edge) for edge in padding)
    x, a = _operand("a", ["n", *member["picture"], member["channels"] * groups], member["from"]["a"])
    if member["family"] == "pool":
        y = g.max_pool2d(a, tuple(member["window"]), tuple(member["strides"]), padding)
        program = _program(member, y, {"a": x}, {"a": a})
        return program, _values(program, rows, random)
    w, b = _operand("b", [*member["window"], member["channels"], member["filters"] * groups], member["from"]["b"])
    how = {name: tuple(member[name]) for name in ("strides", "dilation")}
    y = g.conv2d(a, b, padding=padding, groups=groups, **how)
    program = _program(member, y, {"a": x, "b": w}, {"a": a, "b": b})
    return program, _values(program, rows, random)
