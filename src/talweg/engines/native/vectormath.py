"""Elementary functions in C that a compiler can put into vectors: no branches, no calls, stated bounds.

float32: each is a polynomial after an argument reduction (the scheme is that of Cephes, Moshier 1989; the polynomials
are minimax fits of our own, `scripts/minimax.py`, rounded to float32). The worst errors, in units of the last place,
stand beside the functions as `scripts/check_vectormath.py` measures them: over all 2^32 numbers with fused
multiply-adds, over every seventh without. Where the argument is NaN the result is; infinities, zeros with their signs,
overflow and denormal numbers give what NumPy gives. The engine's threads run with denormal numbers taken for 0,
arguments and results alike; that is the mode's doing, not the functions'.

float64: the C library's functions, with its errors (glibc: below 1 ulp for exp, log, sin, cos and power, below 2 for
expm1, log1p and erf, below 3 for tanh), one number at a time.
"""

from __future__ import annotations

INLINED = r"""
/* Put into the loop that calls it, whatever the compiler thinks of its length: a call keeps a loop from vectors. */
#define inlined static inline __attribute__((always_inline))
"""

FLOAT32 = r"""
typedef union { float f; int32_t i; } bits32;
typedef union { double f; int64_t i; } bits64;
inlined float from_bits(int32_t i) { bits32 u; u.i = i; return u.f; }
inlined int32_t to_bits(float f) { bits32 u; u.f = f; return u.i; }
inlined float clamp(float x, float low, float high) /* NaN becomes `low`: an int can be made of the result */
{
    float y = x > low ? x : low;
    return y < high ? y : high;
}
inlined float with_sign_of(float y, float x) { return from_bits(to_bits(y) | (to_bits(x) & INT32_MIN)); }
inlined float two_to(int32_t k) { return from_bits((k + 127) << 23); } /* -127 < k < 128 */

/* x = k ln 2 + r, |r| <= ln 2 / 2; returns e^r - 1 = r + r^2 p(r). */
inlined float t_reduced_exp(float x, int32_t *k)
{
    float n = (x * 1.44269504088896341f + 12582912.0f) - 12582912.0f; /* the nearest integer: 12582912 = 1.5 2^23 */
    float r = x - n * 0.693359375f; /* ln 2 in two parts, the first so short that the product is exact */
    r = r - n * -2.12194440e-4f;
    float p = 1.38389028e-03f;
    p = p * r + 8.36919248e-03f;
    p = p * r + 4.16681021e-02f;
    p = p * r + 1.66665167e-01f;
    p = p * r + 4.99999940e-01f;
    *k = (int32_t)n;
    return p * (r * r) + r;
}

/* e^x = 2^k (q + 1), 2^k in two halves so that the largest and the denormal results come out right. 1.02 ulp. */
inlined float t_exp(float x)
{
    int32_t k;
    float q = t_reduced_exp(clamp(x, -104.0f, 89.0f), &k);
    int32_t half = k >> 1;
    float y = (q + 1.0f) * two_to(half) * two_to(k - half);
    return x != x ? x : y;
}

/* e^x - 1 = 2^k (q + 1 - 2^-k), as 2^b (2^a q + (2^a - 2^-b)): at k = 128, 2^k is not a number but the result is.
   1.59 ulp. */
inlined float t_expm1(float x)
{
    int32_t k;
    float q = t_reduced_exp(clamp(x, -18.0f, 89.0f), &k);
    int32_t a = k >> 1, b = k - a;
    float y = (q * two_to(a) + (two_to(a) - two_to(-b))) * two_to(b);
    return (x != x) | (x == 0.0f) ? x : y;
}

/* x = 2^n m with m from the number of bits `least` to twice that: n above bit 23, below it what m's bits have more. */
inlined int32_t t_parted(float x, uint32_t least) { return (int32_t)((uint32_t)to_bits(x) - least); }

/* ln(2^n (1 + f)), |f| <= 1/3: f - f^2 / 2 + f^3 p(f) + n ln 2. */
inlined float t_log_of_parts(float f, float n)
{
    float p = 1.17265269e-01f;
    p = p * f - 1.28821731e-01f;
    p = p * f + 1.08220942e-01f;
    p = p * f - 1.21878639e-01f;
    p = p * f + 1.42989531e-01f;
    p = p * f - 1.66800857e-01f;
    p = p * f + 1.99997649e-01f;
    p = p * f - 2.49998108e-01f;
    p = p * f + 3.33333343e-01f;
    float z = f * f, y = f * z * p;
    y = y + n * -2.12194440e-4f;
    y = y - 0.5f * z;
    return (f + y) + n * 0.693359375f;
}

/* ln x: x = 2^n m with m in [2/3, 4/3). 0.79 ulp. */
inlined float t_log(float x)
{
    int is_small = x < 1.17549435e-38f;
    int32_t i = t_parted(is_small ? x * 8388608.0f : x, 0x3f2aaaabu);
    float f = from_bits((i & 0x007fffff) + 0x3f2aaaab) - 1.0f;
    float y = t_log_of_parts(f, (float)((i >> 23) - (is_small ? 23 : 0)));
    y = x == __builtin_inff() ? x : y;
    y = x == 0.0f ? -__builtin_inff() : y;
    y = x < 0.0f ? __builtin_nanf("") : y;
    return x != x ? x : y;
}

/* ln(1 + x): the rounded sum u = 2^n m; what the rounding lost is added to m - 1. 1.53 ulp. */
inlined float t_log1p(float x)
{
    float u = 1.0f + x, lost = x - (u - 1.0f);
    int32_t i = t_parted(u, 0x3f2aaaabu);
    float f = from_bits((i & 0x007fffff) + 0x3f2aaaab) - 1.0f;
    f = x < 33554432.0f ? f + lost * from_bits((int32_t)(0x3f800000u - ((uint32_t)i & 0xff800000u))) : f;
    float y = t_log_of_parts(f, (float)(i >> 23));
    y = u == 0.0f ? -__builtin_inff() : y;
    y = x < -1.0f ? __builtin_nanf("") : y;
    return (x != x) | (x == __builtin_inff()) | (x == 0.0f) ? x : y;
}

/* tanh |x| = 1 - 2 / (e^(2 |x|) + 1) from 0.625 on, which is 1 from 9.2 on; below, a + a^3 p(a^2).
   1.20 ulp. */
inlined float t_tanh(float x)
{
    float a = clamp(__builtin_fabsf(x), 0.0f, 9.2f), z = a * a;
    int32_t k;
    float q = t_reduced_exp(2.0f * a, &k), s = two_to(k);
    float far = 1.0f - 2.0f / (q * s + (s + 1.0f));
    float p = -5.69229666e-03f;
    p = p * z + 2.06281673e-02f;
    p = p * z - 5.37365153e-02f;
    p = p * z + 1.33314058e-01f;
    p = p * z - 3.33332807e-01f;
    float near = p * z * a + a;
    return x != x ? x : with_sign_of(a < 0.625f ? near : far, x);
}

/* 1 / (1 + e^-x), with e^-|x| = z, which cannot overflow: z / (1 + z) for x < 0. What rounding
   1 + z loses is put back. 1.98 ulp. */
inlined float t_sigmoid(float x)
{
    float z = t_exp(-__builtin_fabsf(x)), w = 1.0f + z, lost = z - (w - 1.0f);
    float y = (x >= 0.0f ? 1.0f : z) / w;
    return y - y * lost;
}

/* erf |x| = a + a p(a^2) below 0.921875, 1 - e^-p(a) above, 1 from 3.92 on. 1.21 ulp. */
inlined float t_erf(float x)
{
    float a = clamp(__builtin_fabsf(x), 0.0f, 3.92f), z = a * a;
    float p = -5.99450548e-04f;
    p = p * z + 4.99403803e-03f;
    p = p * z - 2.67673489e-02f;
    p = p * z + 1.12818435e-01f;
    p = p * z - 3.76124978e-01f;
    p = p * z + 1.28379151e-01f;
    float near = p * a + a;
    p = -1.95719229e-04f;
    p = p * a + 3.04109626e-03f;
    p = p * a - 2.22184677e-02f;
    p = p * a + 1.03914045e-01f;
    p = p * a + 6.37202263e-01f;
    p = p * a + 1.12766373e+00f;
    p = p * a + 1.98556823e-04f;
    int32_t k;
    float q = t_reduced_exp(-p, &k), s = two_to(k);
    float far = (1.0f - s) - q * s;
    return x != x ? x : with_sign_of(a < 0.921875f ? near : far, x);
}

/* |x| = M 2^e from 2^26 on: M 2 / pi modulo 4 in whole numbers, from the 64 bits of 2 / pi that matter for this e
   (Payne and Hanek, 1983). Returns r, good to 3e-9 and no closer, and k modulo 4, of |x| = k pi / 2 + r. */
inlined float t_far_reduced(int32_t bits, int32_t *k)
{
    uint32_t m = ((uint32_t)bits & 0x007fffffu) | 0x00800000u, skipped = (((uint32_t)bits >> 23) & 0xffu) - 152u;
    uint32_t by = skipped & 31u, by32 = skipped & 32u, by64 = skipped & 64u;
    uint32_t w0 = by64 ? 0xfc2757d1u : 0xa2f9836eu, w1 = by64 ? 0xf534ddc0u : 0x4e441529u;
    uint32_t w2 = by64 ? 0xdb629599u : 0xfc2757d1u, w3 = by64 ? 0x3c439041u : 0xf534ddc0u;
    w0 = by32 ? w1 : w0;
    w1 = by32 ? w2 : w1;
    w2 = by32 ? w3 : w2;
    w0 = w0 << by | w1 >> 1 >> (31u - by);
    w1 = w1 << by | w2 >> 1 >> (31u - by);
    uint32_t turns = m * w0 + (uint32_t)((uint64_t)m * w1 >> 32); /* in 2^-30 quarters */
    uint32_t nearest = (turns + 0x20000000u) >> 30;
    *k = (int32_t)nearest;
    return (float)(int32_t)(turns - (nearest << 30)) * 1.46291807926716e-09f; /* pi / 2 2^-30 */
}

/* sin(x + ahead pi / 2). x = k pi / 2 + r in double precision: 3 parts of pi / 2, so that products are exact.
   1.58 ulp below 2^26; from there on, where neighbours are farther apart than a turn, 1.3e-7 absolute. */
inlined float t_sine(float x, int32_t ahead)
{
    int is_near = __builtin_fabsf(x) < 67108864.0f;
    double d = is_near ? x : 0.0f, n = (d * 0x1.45f306dc9c883p-1 + 0x1.8p52) - 0x1.8p52;
    d = d - n * 0x1.921fb50000000p+0;
    d = d - n * 0x1.110b460000000p-26;
    d = d - n * 0x1.1a62633145c06p-54;
    int32_t k, far_k, negative = to_bits(x) >> 31;
    float r = (float)d, far = t_far_reduced(to_bits(x), &far_k);
    k = is_near ? (int32_t)n : (far_k ^ negative) - negative;
    r = is_near ? r : from_bits(to_bits(far) ^ (negative & INT32_MIN));
    k = k + ahead;
    float z = r * r;
    float p = -1.95182904e-04f;
    p = p * z + 8.33218917e-03f;
    p = p * z - 1.66666552e-01f;
    float s = r + r * (z * p);
    s = r == 0.0f ? r : s;
    p = 2.44323273e-05f;
    p = p * z - 1.38873095e-03f;
    p = p * z + 4.16666456e-02f;
    float c = (1.0f - 0.5f * z) + z * z * p;
    float y = k & 1 ? c : s;
    y = from_bits(to_bits(y) ^ (int32_t)((uint32_t)(k & 2) << 30));
    return x - x == 0.0f ? y : x - x;
}
inlined float t_sin(float x) { return t_sine(x, 0); }
inlined float t_cos(float x) { return t_sine(x, 1); }

inlined float t_abs(float x) { return __builtin_fabsf(x); }
inlined float t_sqrt(float x) { return __builtin_sqrtf(x); }
inlined float t_floor(float x) { return __builtin_floorf(x); }

/* |a|^b = 2^(b log2 |a|) in double precision; then the sign, and the cases that C and NumPy list.
   0.51 ulp: what float32 can hold exactly comes out exactly. */
inlined float t_general_power(float a, float b)
{
    float m = __builtin_fabsf(a), inf = __builtin_inff();
    int is_small = m < 1.17549435e-38f;
    int32_t i = t_parted(is_small ? m * 8388608.0f : m, 0x3f3504f3u);
    double f = from_bits((i & 0x007fffff) + 0x3f3504f3), s = (f - 1.0) / (f + 1.0), z = s * s;
    double l = 3.4073008488167383e-01;
    l = l * z + 4.1167272013286782e-01;
    l = l * z + 5.7708358494804979e-01;
    l = l * z + 9.6179667334188612e-01;
    l = l * z + 2.8853900817900859e+00;
    l = l * s + (double)((i >> 23) - (is_small ? 23 : 0));
    l = m == 0.0f ? -__builtin_inf() : l;
    l = m == inf ? __builtin_inf() : l;
    double t = b * l;
    double within = __builtin_fabs(t) < 200.0 ? t : 0.0;
    bits64 u, v;
    u.f = within + 0x1.8p52;
    double g = within - (u.f - 0x1.8p52);
    v.i = (int64_t)((uint64_t)(u.i + 1023) << 52);
    double p = 1.5594070790846157e-05;
    p = p * g + 1.5474782300624307e-04;
    p = p * g + 1.3333119922691132e-03;
    p = p * g + 9.6180151123291934e-03;
    p = p * g + 5.5504095492246698e-02;
    p = p * g + 2.4022651202631526e-01;
    p = p * g + 6.9314718206279535e-01;
    p = p * g + 9.9999999996168232e-01;
    p = p * v.f;
    p = t >= 200.0 ? __builtin_inf() : p;
    p = t <= -200.0 ? 0.0 : p;
    float y = (float)p;
    double small = __builtin_fabsf(b) < 16777216.0f ? b : 0.0f; /* beyond, every number is even */
    u.f = small + 0x1.8p52;
    int32_t k = (int32_t)u.i, is_whole = -(u.f - 0x1.8p52 == small);
    int32_t sign = to_bits(a) & is_whole & (int32_t)((uint32_t)k << 31); /* that of a where b is odd */
    int32_t wrong = -((a < 0.0f) & (m != inf)) & ~is_whole & 0x7fc00000; /* NaN for a root of a negative number */
    y = from_bits(to_bits(y) | sign | wrong); /* bits, not branches: gcc 12 would join branches that it cannot undo */
    y = (a != a) | (b != b) ? a + b : y;
    return (a == 1.0f) | (b == 0.0f) ? 1.0f : y;
}
inlined float t_power(float a, float b)
{
    if (__builtin_constant_p(b)) { /* written in the model, as in x^2: nothing of this is left in the loop */
        if (b == 2.0f) return a * a;
        if (b == 1.0f) return a;
        if (b == -1.0f) return 1.0f / a;
        if (b == 0.5f) return a == -__builtin_inff() ? -a : __builtin_sqrtf(a) + 0.0f; /* -0 gives +0 */
    }
    return t_general_power(a, b);
}
"""

FLOAT64 = r"""
inlined double t_exp(double x) { return __builtin_exp(x); }
inlined double t_expm1(double x) { return __builtin_expm1(x); }
inlined double t_log(double x) { return __builtin_log(x); }
inlined double t_log1p(double x) { return __builtin_log1p(x); }
inlined double t_tanh(double x) { return __builtin_tanh(x); }
inlined double t_sigmoid(double x)
{
    double z = __builtin_exp(-__builtin_fabs(x)), w = 1.0 + z, lost = z - (w - 1.0);
    double y = (x >= 0.0 ? 1.0 : z) / w;
    return y - y * lost;
}
inlined double t_abs(double x) { return __builtin_fabs(x); }
inlined double t_sqrt(double x) { return __builtin_sqrt(x); }
inlined double t_floor(double x) { return __builtin_floor(x); }
inlined double t_sin(double x) { return __builtin_sin(x); }
inlined double t_cos(double x) { return __builtin_cos(x); }
inlined double t_erf(double x) { return __builtin_erf(x); }
inlined double t_power(double a, double b)
{
    if (__builtin_constant_p(b)) {
        if (b == 2.0) return a * a;
        if (b == 1.0) return a;
        if (b == -1.0) return 1.0 / a;
        if (b == 0.5) return a == -__builtin_inf() ? -a : __builtin_sqrt(a) + 0.0; /* -0 gives +0 */
    }
    return __builtin_pow(a, b);
}
"""

COMMON = r"""
/* Orderings that let NaN through, as NumPy's do. */
inlined real t_max(real a, real b) { real m = a > b ? a : b; return a != a ? a : m; }
inlined real t_min(real a, real b) { real m = a < b ? a : b; return a != a ? a : m; }
inlined real t_sign(real a) { return a != a ? a : (real)((a > 0) - (a < 0)); }

/* Threefry-2x32, 20 rounds (Salmon et al., 2011). */
#define ROUND(turn) x0 += x1; x1 = (x1 << turn | x1 >> (32 - turn)) ^ x0;
inlined void t_threefry(uint32_t k0, uint32_t k1, uint32_t x0, uint32_t x1, uint32_t *y0, uint32_t *y1)
{
    uint32_t k2 = k0 ^ k1 ^ 0x1bd11bdau;
    x0 += k0; x1 += k1;
    ROUND(13) ROUND(15) ROUND(26) ROUND(6)  x0 += k1; x1 += k2 + 1;
    ROUND(17) ROUND(29) ROUND(16) ROUND(24) x0 += k2; x1 += k0 + 2;
    ROUND(13) ROUND(15) ROUND(26) ROUND(6)  x0 += k0; x1 += k1 + 3;
    ROUND(17) ROUND(29) ROUND(16) ROUND(24) x0 += k1; x1 += k2 + 4;
    ROUND(13) ROUND(15) ROUND(26) ROUND(6)  x0 += k2; x1 += k0 + 5;
    *y0 = x0; *y1 = x1;
}
#undef ROUND
/* 32 random bits as a number in [0, 1): the 24 high ones. */
inlined real t_unit(uint32_t bits) { return (real)(int32_t)(bits >> 8) * (real)5.9604644775390625e-8; }
/* Element p of a stream, in [0, 1): word p mod 2 of block p / 2. */
inlined real t_uniform(uint32_t k0, uint32_t k1, uint32_t p)
{
    uint32_t a, b;
    t_threefry(k0, k1, p >> 1, 0, &a, &b);
    return t_unit(p & 1 ? b : a);
}
"""


def source(precision: str) -> str:
    """The functions for one precision; `real` must be defined before."""
    return INLINED + (FLOAT32 if precision == "float32" else FLOAT64) + COMMON
