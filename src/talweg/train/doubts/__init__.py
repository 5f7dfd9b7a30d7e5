"""What a fit takes and was probably not meant: told once, by a warning that names the remedy, before training begins.

Nothing here changes a number. Each function gives warnings that are not told yet; none, where a fit is as it should be.
docs/guide/warnings.md has a paragraph for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from talweg.errors import TalwegWarning, warn
from talweg.train.doubts.data import of_order, of_scale, of_validation
from talweg.train.doubts.model import of_measures, of_outputs, of_training

if TYPE_CHECKING:
    from talweg.train.loop import Plan
    from talweg.train.model import Model


def tell_doubts(model: Model, plan: Plan, is_split: bool, sets_rates: bool) -> None:
    """Warns of all that is doubtful about a fit.

    is_split: whether validation has the last rows of the same arrays. sets_rates: whether a callback may yet set the
    learning rate.
    """
    for doubt in _doubts(model, plan, is_split, sets_rates):
        warn(str(doubt), type(doubt))


def _doubts(model: Model, plan: Plan, is_split: bool, sets_rates: bool) -> Iterator[TalwegWarning]:
    rows, are_all = plan.source.sample
    told: set[str] = set()
    for output, doubt in of_outputs(model):
        told.add(output)
        yield doubt
    yield from of_measures(model, rows, told)
    yield from of_training(model, sets_rates)
    yield from of_scale(model, rows)
    if are_all:
        validated, are_all_validated = (None, False) if plan.validation is None else plan.validation.sample
        yield from of_order(model, plan.source, rows, validated if is_split else None)
        if validated is not None and are_all_validated and not is_split:
            yield from of_validation(rows, validated)
