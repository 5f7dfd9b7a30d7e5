"""The error of the engine's elementary functions against libm in a wider precision, over every float32 if wanted.

    python scripts/check_vectormath.py                         # all 2^32 numbers, each function: some ten minutes
    python scripts/check_vectormath.py --stride 97 exp tanh    # every 97th, and all around the edges
    python scripts/check_vectormath.py --precision float64     # numbers spread over all of float64
    python scripts/check_vectormath.py --flags="-O3 -march=x86-64 -ffp-contract=off" --speed

Written in C so that it takes minutes. The unit of error is the distance between neighbouring numbers at the exact
result (ulp); a wrong NaN, infinity or sign of zero counts as an infinite error. From 2^26 on, where neighbours are
farther apart than a whole turn, sin and cos in float32 are held to an absolute error instead, in ulp of 1. "square" and
"root" are powers with an exponent that the compiler knows.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from talweg.engines.native import build, vectormath

# Largest error allowed, in ulp. float64's are the C library's: these are glibc's.
BOUNDS = {
    "float32": {
        "exp": 2.0, "expm1": 2.0, "log": 2.0, "log1p": 2.0, "tanh": 2.0, "sigmoid": 2.0, "erf": 2.0, "sin": 2.0,
        "cos": 2.0, "sqrt": 0.5, "power": 1.0, "square": 0.5, "root": 0.5,
    },
    "float64": {
        "exp": 1.0, "expm1": 2.0, "log": 1.0, "log1p": 2.0, "tanh": 3.0, "sigmoid": 2.0, "erf": 2.0, "sin": 1.0,
        "cos": 1.0, "sqrt": 0.5, "power": 1.0, "square": 0.5, "root": 1.0,
    },
}  # fmt: skip

PROGRAM = r"""
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Denormals for 0, as the engine's threads set it, and back. */
static void flush_denormals(int on)
{
#if defined(__x86_64__)
    const unsigned mode = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(on ? mode | 0x8040 : mode & ~0x8040u);
#elif defined(__aarch64__)
    unsigned long mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    __asm__ volatile("msr fpcr, %0" : : "r"(on ? mode | 1ul << 24 : mode & ~(1ul << 24)));
#else
    (void)on;
#endif
}

enum { BLOCK = 4096, AROUND = 300 };
typedef struct { double limit, worst; real at, second, got; wide expected; long count; } result;

static wide wide_sigmoid(wide x) { return x >= 0 ? 1 / (1 + W(exp)(-x)) : W(exp)(x) / (1 + W(exp)(x)); }

#define FUNCTION(name) __attribute__((noinline)) static void all_##name(const real *restrict x, real *restrict y) \
    { for (int i = 0; i < BLOCK; i++) y[i] = t_##name(x[i]); }
FUNCTION(exp) FUNCTION(expm1) FUNCTION(log) FUNCTION(log1p) FUNCTION(tanh) FUNCTION(sigmoid) FUNCTION(erf)
FUNCTION(sin) FUNCTION(cos) FUNCTION(sqrt)
__attribute__((noinline)) static void all_power(const real *restrict a, const real *restrict b, real *restrict y)
{ for (int i = 0; i < BLOCK; i++) y[i] = t_power(a[i], b[i]); }
__attribute__((noinline)) static void all_square(const real *restrict x, real *restrict y)
{ for (int i = 0; i < BLOCK; i++) y[i] = t_power(x[i], (real)2); }
__attribute__((noinline)) static void all_root(const real *restrict x, real *restrict y)
{ for (int i = 0; i < BLOCK; i++) y[i] = t_power(x[i], (real)0.5); }
static wide wide_square(wide x) { return x * x; }
static wide wide_root(wide x) { return W(pow)(x, (wide)0.5); }

typedef void (*many)(const real *restrict, real *restrict);
static const struct { const char *name; many ours; wide (*exact)(wide); double limit; } FUNCTIONS[] = {
    /* from `limit` on, if there is one, the error is absolute: in ulp of 1 */
    {"exp", all_exp, W(exp)}, {"expm1", all_expm1, W(expm1)}, {"log", all_log, W(log)},
    {"log1p", all_log1p, W(log1p)}, {"tanh", all_tanh, W(tanh)}, {"sigmoid", all_sigmoid, wide_sigmoid},
    {"erf", all_erf, W(erf)}, {"sin", all_sin, W(sin), FAR}, {"cos", all_cos, W(cos), FAR}, {"sqrt", all_sqrt, W(sqrt)},
    {"square", all_square, wide_square}, {"root", all_root, wide_root},
};

static real number(uint_t i) { real x; memcpy(&x, &i, sizeof x); return x; }
static uint_t bits_of(real x) { uint_t i; memcpy(&i, &x, sizeof i); return i; }

static double error(real got, wide expected, int is_absolute)
{
    if (W(isnan_)(expected) || got != got) return W(isnan_)(expected) && got != got ? 0 : INFINITY;
    const wide top = W(ldexp)(1, TOP); /* where infinity begins: it counts as the next number after the last */
    if (expected > top) expected = top;
    if (expected < -top) expected = -top;
    wide g = got;
    if (g > top) g = top;
    if (g < -top) g = -top;
    if (expected == 0) return got == 0 && !signbit(got) == !signbit(expected) ? 0 : INFINITY;
    int e;
    W(frexp)(expected, &e);
    if (e > TOP) e = TOP;
    if (e < LEAST) e = LEAST;
    if (is_absolute) e = 1; /* the distance between numbers from 1 on */
    return (double)(W(fabs)(g - expected) / W(ldexp)(1, e - DIGITS));
}

static void judge(result *r, real x, real second, real got, wide expected, int flushed)
{
    const wide least = W(ldexp)(1, LEAST - 1);
    if (flushed && W(fabs)(expected) < 16 * least) return; /* the result, or what it is made of, is taken for 0 */
    const int is_absolute = fabs(x) >= r->limit && isfinite(x);
    double e = error(got, expected, is_absolute);
    r->count++;
    if (!(e <= r->worst)) { r->worst = e; r->at = x; r->second = second; r->got = got; r->expected = expected; }
}

static void around(real centre, uint_t *first, uint_t *last)
{
    *first = bits_of(centre) - AROUND;
    *last = bits_of(centre) + AROUND;
}

static const double EDGES[] = { EDGE_LIST };

int main(int count, char **arguments)
{
    if (count < 4) return 2;
    const char *name = arguments[1];
    const uint_t stride = (uint_t)strtoull(arguments[2], 0, 10);
    const int flushed = !strcmp(arguments[3], "flush");
    static real x[BLOCK], b[BLOCK], y[BLOCK];
    result r = {.limit = INFINITY};
    if (!strcmp(name, "power")) {
        const real special[] = {0, 1, 2, 3, 4, 5, 7, 10, 31, 0.5, 0.25, 1.5, 0.1, 0.9, 0.99, 0.999, 1e-3, 1e-30, 1e30,
            (real)1 / 3, 100, 1000, 16777215, 16777216, 16777218, 1e10, NAN, INFINITY, (real)1e-40};
        const int specials = sizeof special / sizeof *special;
        for (int i = 0; i < 2 * specials; i++) {
            const real exponent = i < specials ? special[i] : -special[i - specials];
            for (int j = 0; j < BLOCK; j++) b[j] = exponent;
            uint_t u = 0;
            for (long blocks = 0; blocks < 1 + (long)(((uint_t)-1) / stride / BLOCK / (2 * specials)); blocks++) {
                for (int j = 0; j < BLOCK; j++) {
                    x[j] = j < 2 * specials && !blocks ? (j < specials ? special[j] : -special[j - specials])
                         : j & 1 ? (real)(0.05 + 20 * (double)(u >> 8) / (double)(((uint_t)-1) >> 8)) : number(u);
                    if (x[j] != x[j]) x[j] = NAN; /* C libraries differ on a signalling NaN to the power 0 */
                    u += stride * 2 * specials;
                }
                flush_denormals(flushed);
                all_power(x, b, y);
                flush_denormals(0);
                for (int j = 0; j < BLOCK; j++)
                    if (!flushed || (fabs(x[j]) >= LEAST_NORMAL && (b[j] == 0 || fabs(b[j]) >= LEAST_NORMAL)))
                        judge(&r, x[j], b[j], y[j], W(pow)((wide)x[j], (wide)b[j]), flushed);
            }
        }
    } else {
        int f = 0;
        while (f < (int)(sizeof FUNCTIONS / sizeof *FUNCTIONS) && strcmp(name, FUNCTIONS[f].name)) f++;
        if (f == (int)(sizeof FUNCTIONS / sizeof *FUNCTIONS)) return 2;
        r.limit = FUNCTIONS[f].limit ? FUNCTIONS[f].limit : INFINITY;
        int edges = 2 * (int)(sizeof EDGES / sizeof *EDGES);
        for (int piece = -1; piece < edges; piece++) {
            uint_t u = 0, last = (uint_t)-1, by = stride;
            if (piece >= 0) { around((real)(piece & 1 ? -EDGES[piece / 2] : EDGES[piece / 2]), &u, &last); by = 1; }
            for (int done = 0; !done;) {
                int n = 0;
                for (; n < BLOCK && !done; n++) {
                    x[n] = number(u);
                    done = piece >= 0 ? u == last : u > last - by;
                    u += by;
                }
                flush_denormals(flushed);
                FUNCTIONS[f].ours(x, y);
                flush_denormals(0);
                for (int j = 0; j < n; j++)
                    if (!flushed || !(fabs(x[j]) < LEAST_NORMAL))
                        judge(&r, x[j], 0, y[j], FUNCTIONS[f].exact((wide)x[j]), flushed);
            }
        }
    }
    printf("%.17g %.17g %.17g %.17g %.21Lg %ld\n", r.worst, (double)r.at, (double)r.second, (double)r.got,
           (long double)r.expected, r.count);
    return 0;
}
"""

SPEED = r"""
#include <time.h>
#define main checked_main
"""

TIMING = r"""
#undef main
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + 1e-9 * t.tv_nsec; }
int main(void)
{
    static real x[BLOCK], b[BLOCK], y[BLOCK];
    for (int f = 0; f <= (int)(sizeof FUNCTIONS / sizeof *FUNCTIONS); f++) {
        for (int i = 0; i < BLOCK; i++) { x[i] = (real)(0.01 + 8.0 * i / BLOCK); b[i] = (real)1.7; }
        double best = 1;
        for (int round = 0; round < 50; round++) {
            double start = now();
            for (int k = 0; k < 20; k++)
                if (f < (int)(sizeof FUNCTIONS / sizeof *FUNCTIONS)) FUNCTIONS[f].ours(x, y); else all_power(x, b, y);
            double each = (now() - start) / 20 / BLOCK;
            best = each < best ? each : best;
        }
        const char *name = f < (int)(sizeof FUNCTIONS / sizeof *FUNCTIONS) ? FUNCTIONS[f].name : "power";
        printf("%-8s %6.3f ns\n", name, 1e9 * best);
    }
    return 0;
}
"""

# Where something changes: the functions' own cuts, the ends of their ranges, the first numbers that round to 1.
EDGES = (
    "0, 1, 0.25, 0.5, 2, 1.17549435e-38, 1.4e-45, 3.4028234e38, INFINITY, NAN, 88.722839, "
    "87.336548, 103.278929, 103.972084, 104, 89, 18, "
    "16.635532, 0.34657359, 1.0397208, 0.333333333, 0.666666667, 1.333333333, 0.41421356, 0.707106781, 1.41421356, "
    "33554432, 16777216, 9.2, 9.01, 0.625, 0.921875, 3.92, 3.8325, 0.785398163, 1.57079633, 3.14159265, 6.28318531, "
    "1e5, 67108864, 134217728, 1e10, 1e20, 2.2250738585072014e-308, 709.78271289338397, 745.13321910194122, "
    "36.7, 5.9, 22"
)

TYPES = {
    "float32": (
        "typedef float real; typedef double wide; typedef uint32_t uint_t;\n"
        "#define W(f) f\n#define isnan_(x) ((x) != (x))\n"
        "enum { TOP = 128, LEAST = -125, DIGITS = 24 };\n#define LEAST_NORMAL 1.17549435e-38\n#define FAR 0x1p26\n"
    ),
    "float64": (
        "typedef double real; typedef long double wide; typedef uint64_t uint_t;\n"
        "#define W(f) f##l\n#define isnan_l(x) ((x) != (x))\n"
        "enum { TOP = 1024, LEAST = -1021, DIGITS = 53 };\n#define LEAST_NORMAL 2.2250738585072014e-308\n"
        "#define FAR 0\n"
    ),
}


@dataclass(frozen=True)
class Worst:
    """The worst error of a function, in ulp, and where it is: x (and second), what came and what is exact."""

    ulp: float
    at: float
    second: float
    got: float
    expected: str
    count: int


def program(precision: str, timed: bool = False) -> str:
    """The C of the check."""
    text = PROGRAM.replace("EDGE_LIST", EDGES)
    parts = ["#include <stdint.h>\n#include <string.h>", TYPES[precision], vectormath.source(precision)]
    return "\n".join([*parts, *([SPEED, text, TIMING] if timed else [text])])


def compiled(folder: Path, precision: str, flags: Sequence[str] | None = None, timed: bool = False) -> Path:
    """The check as a program in `folder`; `flags` in place of the engine's own."""
    command = build.compiler()
    assert command is not None, "no C compiler on the path"
    chosen = [*(f for f in build.machine()[0] if f != "-shared"), *(flags or ())]
    source, made = folder / "check.c", folder / "check"
    source.write_text(program(precision, timed))
    subprocess.run([*command, *chosen, "-o", str(made), str(source), "-lm"], check=True)
    return made


def worst(path: Path, name: str, stride: int, flushed: bool = False) -> Worst:
    """Runs the check of one function."""
    mode = "flush" if flushed else "exact"
    asked = subprocess.run([str(path), name, str(stride), mode], capture_output=True, text=True, check=True)
    ulp, at, second, got, expected, count = asked.stdout.split()
    return Worst(float(ulp), float(at), float(second), float(got), expected, int(count))


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("functions", nargs="*", help="of all: " + ", ".join(BOUNDS["float32"]))
    parser.add_argument("--precision", choices=list(TYPES), default="float32")
    parser.add_argument("--stride", type=int, help="1 for every number (the default for float32)")
    parser.add_argument("--flags", default="", help="compiler flags, after the engine's own")
    parser.add_argument("--flush", action="store_true", help="denormals taken for 0, as while the engine runs")
    parser.add_argument("--speed", action="store_true", help="time per number instead of errors")
    chosen = parser.parse_args(arguments if arguments is None else list(arguments))
    bounds = BOUNDS[chosen.precision]
    stride = chosen.stride or (1 if chosen.precision == "float32" else 1_000_003 * 2**20)
    with tempfile.TemporaryDirectory() as folder:
        path = compiled(Path(folder), chosen.precision, shlex.split(chosen.flags), chosen.speed)
        if chosen.speed:
            return subprocess.run([str(path)], check=False).returncode
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            names = chosen.functions or list(bounds)
            results = pool.map(lambda name: worst(path, name, stride, chosen.flush), names)
            failed = False
            for name, w in zip(names, results, strict=True):
                bound = bounds[name]
                failed |= not w.ulp <= bound
                second = f", {w.second:.9g}" if name == "power" else ""
                print(
                    f"{name:<8} {'FAIL' if not w.ulp <= bound else 'ok  '} {w.ulp:.4f} ulp of {bound} at "
                    f"{w.at:.9g}{second}: {w.got:.9g} for {w.expected} ({w.count:,} numbers)",
                    flush=True,
                )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
