"""What a curve of losses says of its learning rate, from the curve alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

from talweg.errors import UsageError

Verdict = Literal["GOOD", "TOO SLOW", "DIVERGING", "NO PROGRESS"]

STILL_FALLING = 0.01  # of the whole fall, in the last tenth of the curve: a straight line makes 0.1, a finished curve 0
NOTABLE = 0.1  # a rise or a fall, as a share of the first loss: less may be noise
LOST_AGAIN = 0.5  # of what had been won


def verdict(losses: Sequence[float]) -> Verdict:
    """How a run went, of which `losses` are the losses, step by step or epoch by epoch. The first rule that fits:

    DIVERGING    a loss is NaN or infinite; or the end is more than 10 % above the start; or the loss had fallen by more
                 than 10 % and has risen again by more than half of that
    NO PROGRESS  the end is not below the start: so it is with a rate of 0, and on the edge of divergence
    TOO SLOW     more than 1 % of the whole fall happened in the last tenth of the curve: it has not arrived yet
    GOOD         it fell, and arrived

    "The end" is the median of the last tenth of the curve, so one bad batch decides nothing. A curve cannot tell *why*
    it is slow: a rate just below divergence jumps from one wall of the valley to the other, and falls as slowly as one
    that is too small. Raises `UsageError` for fewer than two losses.

    Four rates on (w - 5)², from w = 0 (seed 000, example 4):

    >>> def descend(rate, w=0.0):
    ...     losses = [(w - 5) ** 2]
    ...     for _ in range(50):
    ...         w -= rate * 2 * (w - 5)
    ...         losses.append((w - 5) ** 2)
    ...     return losses
    >>> [verdict(descend(rate)) for rate in (0.01, 0.1, 0.5, 1.1)]
    ['TOO SLOW', 'GOOD', 'GOOD', 'DIVERGING']
    >>> verdict(descend(1.0))
    'NO PROGRESS'
    """
    if len(losses) < 2:
        raise UsageError(f"a verdict needs at least two losses; got {len(losses)}")
    values = [float(v) for v in losses]
    if not all(map(math.isfinite, values)):
        return "DIVERGING"
    tenth = max(1, len(values) // 10)
    first, lowest, end = values[0], min(values), statistics.median(values[-tenth:])
    notable, won = NOTABLE * abs(first), first - lowest
    if end - first > notable or (won > notable and end - lowest > LOST_AGAIN * won):
        return "DIVERGING"
    if end >= first:
        return "NO PROGRESS"
    before = statistics.median(values[-2 * tenth : -tenth] or values[:1])
    return "TOO SLOW" if before - end > STILL_FALLING * (first - end) else "GOOD"
