"""Elementary functions in C that a compiler can put into vectors: no branches, no calls, stated bounds.

Each is a polynomial after an argument reduction; the coefficients are Cephes's (Moshier) for float32. Where the
argument is NaN the result is; infinities give what NumPy gives.
"""

from __future__ import annotations

FLOAT32 = r"""
typedef union { float f; int32_t i; } bits32;
static inline float from_bits(int32_t i) { bits32 u; u.i = i; return u.f; }
static inline int32_t to_bits(float f) { bits32 u; u.f = f; return u.i; }

/* e^x: x = n ln 2 + r, |r| <= ln 2 / 2; a polynomial in r, times 2^n in two halves so that denormals come out right. */
static inline float t_exp(float x)
{
    float z = x < -104.0f ? -104.0f : x;
    z = z > 89.0f ? 89.0f : z;
    float n = (z * 1.44269504088896341f + 12582912.0f) - 12582912.0f;
    float r = z - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    int32_t k = (int32_t)n, a = k >> 1, b = k - a;
    float y = p * from_bits((a + 127) << 23) * from_bits((b + 127) << 23);
    return x != x ? x : y;
}

/* e^x - 1: the same polynomial without its 1, put together as 2^n (q + 1) - 1 = 2^n q + (2^n - 1). */
static inline float t_expm1(float x)
{
    float z = x < -104.0f ? -104.0f : x;
    z = z > 89.0f ? 89.0f : z;
    float n = (z * 1.44269504088896341f + 12582912.0f) - 12582912.0f;
    float r = z - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    float q = p * (r * r) + r;
    int32_t k = (int32_t)n, a = k >> 1, b = k - a;
    float sa = from_bits((a + 127) << 23), sb = from_bits((b + 127) << 23);
    float y = q * sa * sb + (sa * sb - 1.0f);
    return x != x ? x : y;
}

/* ln x: x = 2^e m with m in [sqrt(1/2), sqrt(2)); a polynomial in m - 1. */
static inline float t_log(float x)
{
    float scaled = x < 1.17549435e-38f ? x * 8388608.0f : x; /* denormals */
    float extra = x < 1.17549435e-38f ? -23.0f : 0.0f;
    int32_t i = to_bits(scaled) - 0x3f3504f3;
    int32_t e = i >> 23;
    float f = from_bits((i & 0x007fffff) + 0x3f3504f3) - 1.0f;
    float n = (float)e + extra;
    float p = 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    float z = f * f, y = f * z * p;
    y = y + n * -2.12194440e-4f;
    y = y - 0.5f * z;
    y = (f + y) + n * 0.693359375f;
    y = x == 0.0f ? -__builtin_inff() : y;
    y = x < 0.0f ? __builtin_nanf("") : y;
    y = x == __builtin_inff() ? x : y;
    return x != x ? x : y;
}

/* ln(1 + x): ln of the rounded sum, corrected by what the rounding lost (Goldberg, 1991). */
static inline float t_log1p(float x)
{
    float u = 1.0f + x, d = u - 1.0f;
    float y = t_log(u) * (x / (d == 0.0f ? 1.0f : d));
    y = d == 0.0f ? x : y;
    return u == __builtin_inff() || u <= 0.0f ? t_log(u) : y;
}

/* tanh x: a polynomial near 0, 1 - 2 / (e^2x + 1) elsewhere. */
static inline float t_tanh(float x)
{
    float a = __builtin_fabsf(x), z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    float near = p * z * x + x;
    float far = 1.0f - 2.0f / (t_exp(2.0f * a) + 1.0f);
    far = x < 0.0f ? -far : far;
    return x != x ? x : (a < 0.625f ? near : far);
}

static inline float t_sigmoid(float x)
{
    float z = t_exp(-__builtin_fabsf(x));
    return (x >= 0.0f ? 1.0f : (x != x ? x : z)) / (1.0f + z);
}
static inline float t_abs(float x) { return __builtin_fabsf(x); }
static inline float t_sqrt(float x) { return __builtin_sqrtf(x); }
static inline float t_floor(float x) { return __builtin_floorf(x); }
static inline float t_sin(float x) { return __builtin_sinf(x); }
static inline float t_cos(float x) { return __builtin_cosf(x); }
static inline float t_erf(float x) { return __builtin_erff(x); }
static inline float t_power(float a, float b) { return __builtin_powf(a, b); }
"""

FLOAT64 = r"""
static inline double t_exp(double x) { return __builtin_exp(x); }
static inline double t_expm1(double x) { return __builtin_expm1(x); }
static inline double t_log(double x) { return __builtin_log(x); }
static inline double t_log1p(double x) { return __builtin_log1p(x); }
static inline double t_tanh(double x) { return __builtin_tanh(x); }
static inline double t_sigmoid(double x)
{
    double z = __builtin_exp(-__builtin_fabs(x));
    return (x >= 0.0 ? 1.0 : (x != x ? x : z)) / (1.0 + z);
}
static inline double t_abs(double x) { return __builtin_fabs(x); }
static inline double t_sqrt(double x) { return __builtin_sqrt(x); }
static inline double t_floor(double x) { return __builtin_floor(x); }
static inline double t_sin(double x) { return __builtin_sin(x); }
static inline double t_cos(double x) { return __builtin_cos(x); }
static inline double t_erf(double x) { return __builtin_erf(x); }
static inline double t_power(double a, double b) { return __builtin_pow(a, b); }
"""

COMMON = r"""
/* Orderings that let NaN through, as NumPy's do. */
static inline real t_max(real a, real b) { return a > b || a != a ? a : b; }
static inline real t_min(real a, real b) { return a < b || a != a ? a : b; }
static inline real t_sign(real a) { return a != a ? a : (real)((a > 0) - (a < 0)); }

/* Threefry-2x32, 20 rounds (Salmon et al., 2011). */
#define ROUND(turn) x0 += x1; x1 = (x1 << turn | x1 >> (32 - turn)) ^ x0;
static inline void t_threefry(uint32_t k0, uint32_t k1, uint32_t x0, uint32_t x1, uint32_t *y0, uint32_t *y1)
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
/* Element p of a stream, in [0, 1): the 24 high bits of word p mod 2 of block p / 2. */
static inline real t_uniform(uint32_t k0, uint32_t k1, uint32_t p)
{
    uint32_t a, b;
    t_threefry(k0, k1, p >> 1, 0, &a, &b);
    return (real)(int32_t)((p & 1 ? b : a) >> 8) * (real)5.9604644775390625e-8;
}
"""


def source(precision: str) -> str:
    """The functions for one precision; `real` must be defined before."""
    return (FLOAT32 if precision == "float32" else FLOAT64) + COMMON
