"""The coefficients in talweg/engines/native/vectormath.py: minimax polynomials by Remez's exchange.

Each polynomial P minimises the largest |weight(x) (f(x) - P(x))| on an interval. Its coefficients are then rounded to
the precision they are used in, lowest power first, and after each rounding the remaining ones are fitted again, so
that they make up for what was lost. Prints C constants and the error that is left. Needs mpmath:

    python scripts/minimax.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp
import numpy as np

mp.mp.dps = 40
GRID = 1200
Function = Callable[[mp.mpf], mp.mpf]


@dataclass(frozen=True)
class Fit:
    """A polynomial wanted: f on [low, high] with the error weighed, `terms` coefficients kept as `kind`."""

    name: str
    f: Function
    weight: Function
    low: float | mp.mpf
    high: float | mp.mpf
    terms: int
    kind: type = np.float32


def grid(low: mp.mpf, high: mp.mpf) -> list[mp.mpf]:
    """Points that crowd at both ends, as the extrema of the error do."""
    half, middle = (high - low) / 2, (high + low) / 2
    return [middle + half * mp.cos(mp.pi * (2 * k + 1) / (2 * GRID)) for k in reversed(range(GRID))]


def remez(x: list[mp.mpf], f: list[mp.mpf], w: list[mp.mpf], powers: range) -> list[mp.mpf]:
    """Coefficients of x^powers with the least largest |w (f - P)| over the points."""
    count = len(powers) + 1
    at = [round(k * (len(x) - 1) / (count - 1)) for k in range(count)]
    for _ in range(30):
        rows = [[w[i] * x[i] ** p for p in powers] + [mp.mpf(-1) ** k] for k, i in enumerate(at)]
        solved = list(mp.lu_solve(mp.matrix(rows), mp.matrix([w[i] * f[i] for i in at])))
        c, level = solved[:-1], abs(solved[-1])
        values = [sum(cj * xi**p for cj, p in zip(c, powers, strict=True)) for xi in x]
        error = [wi * (fi - v) for wi, fi, v in zip(w, f, values, strict=True)]
        peaks: list[int] = []  # the largest of each run of one sign
        for i, e in enumerate(error):
            if peaks and (e > 0) == (error[peaks[-1]] > 0):
                peaks[-1] = i if abs(e) > abs(error[peaks[-1]]) else peaks[-1]
            else:
                peaks.append(i)
        while len(peaks) > count:
            peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
        if len(peaks) < count or max(abs(error[i]) for i in peaks) <= level * mp.mpf("1.0001"):
            break
        at = peaks
    return c


def fitted(fit: Fit) -> tuple[list[float], float]:
    """Coefficients, lowest power first, rounded one after the other; and the largest weighted error."""
    x = grid(mp.mpf(fit.low), mp.mpf(fit.high))
    w, rest = [fit.weight(v) for v in x], [fit.f(v) for v in x]
    f, kept = list(rest), []
    for k in range(fit.terms):
        c = float(fit.kind(float(remez(x, rest, w, range(k, fit.terms))[0])))
        kept.append(c)
        rest = [r - c * v**k for r, v in zip(rest, x, strict=True)]
    values = [sum(c * v**k for k, c in enumerate(kept)) for v in x]
    return kept, float(max(abs(wi * (fi - v)) for wi, fi, v in zip(w, f, values, strict=True)))


HALF_LN2 = mp.log(2) / 2 * mp.mpf("1.00001")
QUARTER = mp.pi / 4 * mp.mpf("1.00001")
THIRD = mp.mpf(1) / 3
ERF_CUT, ERF_END = mp.mpf("0.921875"), mp.mpf("3.92")
S2 = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mp.mpf("1.0001")


def off_zero(f: Function) -> Function:
    """f, of which the formula has no value at 0: the limit is taken from beside it."""
    return lambda x: f(x if abs(x) > mp.mpf("1e-9") else mp.mpf("1e-9"))


FITS = [
    Fit("exp", off_zero(lambda r: (mp.expm1(r) - r) / r**2), lambda r: r**2 / mp.exp(r), -HALF_LN2, HALF_LN2, 5),
    Fit(
        "log",
        off_zero(lambda f: (mp.log1p(f) - f + f**2 / 2) / f**3),
        lambda f: abs(f**3 / mp.log1p(f)),
        -THIRD,
        THIRD,
        9,
    ),
    Fit(
        "tanh",
        off_zero(lambda z: (mp.tanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z),
        lambda z: z * mp.sqrt(z) / mp.tanh(mp.sqrt(z)),
        0,
        mp.mpf("0.625") ** 2,
        5,
    ),
    Fit(
        "sin",
        off_zero(lambda z: (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z),
        lambda z: z * mp.sqrt(z) / mp.sin(mp.sqrt(z)),
        0,
        QUARTER**2,
        3,
    ),
    Fit(
        "cos",
        off_zero(lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2),
        lambda z: z**2 / mp.cos(mp.sqrt(z)),
        0,
        QUARTER**2,
        3,
    ),
    Fit(
        "erf near",
        off_zero(lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1),
        lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)),
        0,
        ERF_CUT**2,
        6,
    ),
    Fit(
        "erf far: -ln(erfc x)",
        lambda x: -mp.log(mp.erfc(x)),
        lambda x: mp.erfc(x) / mp.erf(x),
        ERF_CUT,
        ERF_END,
        7,
    ),
    Fit(
        "log2, in s^2",
        off_zero(lambda z: 2 / mp.log(2) * mp.atanh(mp.sqrt(z)) / mp.sqrt(z)),
        lambda z: mp.sqrt(z) / mp.atanh(mp.sqrt(z)) * mp.log(2) / 2,
        0,
        S2,
        5,
        np.float64,
    ),
    Fit("exp2", lambda x: mp.mpf(2) ** x, lambda x: mp.mpf(2) ** -x, mp.mpf("-0.5"), mp.mpf("0.5"), 8, np.float64),
]

if __name__ == "__main__":
    for fit in FITS:
        coefficients, error = fitted(fit)
        print(f"{fit.name}: error {error:.2e} = 2^{float(mp.log(error, 2)):.1f}")
        digits = 9 if fit.kind is np.float32 else 17
        for c in coefficients:
            print(f"    {c:.{digits - 1}e}{'f' if fit.kind is np.float32 else ''}")
