"""Where the time of a model's step goes on the native engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from talweg.engines.choose import native_profile
from talweg.train import usual
from talweg.train.intake import rows_of
from talweg.train.loop import Plan, schedule_of, settings_for
from talweg.train.programs import first_values
from talweg.train.sources import InMemory

if TYPE_CHECKING:
    from talweg.engines.choose import Profile
    from talweg.train.model import Model

PROFILED_BATCHES = 16  # of random rows


def profile(model: Model, x: Any, y: Any, size: int, seconds: float, threads: int | None) -> Profile:
    """`Model.native_profile`."""
    rows = usual.random_rows(model, PROFILED_BATCHES * size) if x is None else rows_of(model, x, y)
    rule, program = model.optimizer, model.program("train", rows.form)
    plan = Plan(InMemory(rows, size), 1, 0, 1, model.seed, schedule_of(rule))
    states = first_values(program, model.named_variables, rule)
    settings = settings_for(rule, plan, 0, steps=-(-len(rows) // size))
    return native_profile(program, states, rows.feeds, size, *settings, model.precision, threads, seconds)
