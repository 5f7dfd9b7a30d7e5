"""Many small programs made into one, so that an engine that compiles is started once for a whole table of cases.

A `Family` is run by any engine (`run`), and `expected` says what must come out and how far rounding may take it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from conformance.rounding import SMALLER, U, follow_errors
from talweg.engines import Engine, Reference
from talweg.engines.base import batched_inputs
from talweg.graph import Array, Program, Tensor

Member = tuple[Program, Mapping[str, Any]]
"""A program, and the values of its inputs and states by name."""


@dataclass(frozen=True)
class Family:
    """One program of many, and what it is run on: `rows` rows, `batch_size` a step.

    is_changing: the values of inputs without a batch axis are given for each step.
    """

    program: Program
    values: Mapping[str, Array]
    rows: int
    batch_size: int
    is_changing: bool = False

    def batches(self) -> Iterator[tuple[int, slice]]:
        for step, start in enumerate(range(0, self.rows, self.batch_size)):
            yield step, slice(start, min(start + self.batch_size, self.rows))


def family(members: Mapping[str, Member], rows: int = 1, batch_size: int = 0, is_changing: bool = False) -> Family:
    """All of `members` in one program. What was called y in the member "relu" is now "relu: y".

    Leaves of one value that nothing changes are one leaf, so that members can share what they compute.
    """
    leaves: dict[Any, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    updates: dict[Tensor, Tensor] = {}
    values: dict[str, Array] = {}
    for label, (program, given) in members.items():
        new: dict[Tensor, Tensor] = {}
        for t in (*program.inputs, *program.states):
            value, name = as_float32(given[t.name]), f"{label}: {t.name}"
            key = name if t in program.updates else (t.op, t.shape, t.dtype, value.tobytes())
            new[t] = leaves.setdefault(key, replace(t, name=name))
            values[new[t].name] = value
        for t in program.order:
            if t not in new:
                new[t] = replace(t, inputs=tuple(new[x] for x in t.inputs))
        outputs |= {f"{label}: {name}": new[t] for name, t in program.outputs.items()}
        updates |= {new[s]: new[t] for s, t in program.updates.items()}
    inputs, states = (tuple(t for t in leaves.values() if t.op.name == kind) for kind in ("input", "state"))
    whole = Program("family", inputs, states, outputs, updates)
    return Family(whole, values, rows, batch_size or rows, is_changing)


def as_float32(value: Any) -> Array:
    """Floats as every engine can hold them."""
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def run(engine: Engine, of: Family) -> dict[str, Array]:
    """Outputs, and the states after the last step."""
    session = engine.compile(of.program, {s.name: of.values[s.name] for s in of.program.states})
    batched = batched_inputs(of.program)
    others = {x.name: of.values[x.name] for x in of.program.inputs if x.name not in batched}
    settings, per_step = ({}, others) if of.is_changing else (others, {})
    data = {name: of.values[name] for name in batched}
    return session.run(data, np.arange(of.rows), of.batch_size, settings, per_step) | session.states()


@dataclass(frozen=True)
class Expected:
    """For everything that `run` answers: its value in float64, and how far from it float32 may be.

    undefined: what an engine may answer with any number, or none (`not_defined`).
    """

    values: Mapping[str, Array]
    errors: Mapping[str, Array]
    undefined: frozenset[str] = frozenset()


def expected(of: Family) -> Expected:
    """By the reference rules, step by step."""
    program, batched = of.program, batched_inputs(of.program)
    named = {x.name: x for x in (*program.inputs, *program.states)}
    states = {s: (np.asarray(of.values[s.name], _wide(of.values[s.name])), np.zeros(s.shape)) for s in program.states}
    parts: dict[str, list[tuple[Array, Array]]] = {name: [] for name in program.outputs}
    undefined: set[str] = set()
    for step, rows in of.batches():
        at = {n: rows if n in batched else step if of.is_changing else ... for n in named}
        feeds = {x: of.values[x.name][at[x.name]] for x in program.inputs}
        feeds = {x: np.asarray(v, _wide(v)) for x, v in feeds.items()} | {s: v for s, (v, _) in states.items()}
        values, errors = follow_errors(
            program.order, feeds, {s: e for s, (_, e) in states.items()}, len(range(*rows.indices(of.rows)))
        )
        unknown = not_defined(program, values, {s for s in program.states if s.name in undefined})
        undefined |= {name for name, t in program.outputs.items() if t in unknown}
        undefined |= {s.name for s, t in program.updates.items() if t in unknown}
        for name, t in program.outputs.items():
            has_rows = bool(t.shape) and not isinstance(t.shape[0], int)
            error = np.broadcast_to(errors[t], values[t].shape)
            parts[name] = [*(parts[name] if has_rows else []), (values[t], error)]
        states |= {s: (values[t], errors[t]) for s, t in program.updates.items()}
    both = {
        name: tuple(np.concatenate(p) if len(p) > 1 else p[0] for p in zip(*pairs, strict=True))
        for name, pairs in parts.items()
    }
    both |= {s.name: pair for s, pair in states.items()}
    errors = {n: np.broadcast_to(e, v.shape) for n, (v, e) in both.items()}
    return Expected({n: v for n, (v, _) in both.items()}, errors, frozenset(undefined))


def not_defined(program: Program, values: Mapping[Tensor, Array], given: Collection[Tensor] = ()) -> set[Tensor]:
    """What is computed from a convolution with a border of zeros and operands that are not finite, or from `given`.

    Engines may leave out what is multiplied by the zeros of a border (see `conv2d`), and with it the NaN of 0 * inf.
    """
    found = set(given)
    for node in program.order:
        x = node.inputs[0] if node.inputs else node
        is_at_border = node.op.name in ("conv2d", "conv2d_kernel_gradient") and x.op.name == "pad"
        if is_at_border and not all(np.isfinite(values[operand]).all() for operand in node.inputs):
            found.add(node)
        if any(x in found for x in node.inputs):
            found.add(node)
    return found


def _wide(value: Array) -> Any:
    return np.float64 if np.asarray(value).dtype.kind == "f" else None


# XLA is less exact: tanh, expm1 and erf are off by up to 3 units in the last place in float32, log1p by 120 in float64;
# and it divides by a constant by multiplying, so that no quotient is as good as exact.
XLA = {"float32": 2, "float64": 64}


def disagreements(engine: Engine, of: Family, what: Expected) -> list[str]:
    """What `engine` gets wrong, one line each. NaN and infinity must be where the reference has them, if defined."""
    actual, plain = run(engine, of), run(Reference(engine.precision), of)
    wrong = []
    for name, value in what.values.items():
        found = actual[name]
        if found.shape != value.shape:
            wrong.append(f"{name} has shape {found.shape}, not {value.shape}")
        if found.shape != value.shape or name in what.undefined:
            continue
        error = what.errors[name]
        if engine.name == "jax":
            error = XLA[engine.precision] * (error + U * np.abs(value, dtype=float))
        bound = error * (SMALLER[engine.precision] + SMALLER["float64"])
        with np.errstate(all="ignore"):
            good = np.abs(found - value.astype(float)) <= bound
        good |= ~np.isfinite(plain[name]) & ((found == plain[name]) | (np.isnan(found) & np.isnan(plain[name])))
        for at in np.argwhere(~good)[:1]:
            i = tuple(at)
            wrong.append(
                f"{name}{list(i)} is {found[i]!r}, not {value[i]!r} within {bound[i]:.3g} "
                f"(the reference has {plain[name][i]!r}; {(~good).sum()} of {good.size} elements)"
            )
    return wrong
