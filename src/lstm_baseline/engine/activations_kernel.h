// Activation functions of activations.py, a vector at a time.
//
// The exponential, the sigmoid and tanh come from e^x − 1 = (2ⁿ − 1) + 2ⁿ p(r) with
// x = n ln 2 + r, |r| ≤ ln 2 / 2 and p(r) = r + r² q(r) ≈ e^r − 1. The polynomials q are minimax
// (Remez): they miss e^r by 3e-9 in single and 5e-20 in double precision. tanh keeps its relative
// precision near 0, since p does.
#pragma once

#include "native/vec.h"

namespace lb::LB_TARGET {
namespace {

template <class T>
struct Exponential;
template <>
struct Exponential<float> {
    static constexpr float log2_e = 1.44269504f, ln2 = 0.693147181f;
    static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    /// 1.5 · 2²³ and the exponent of 1. Adding it to a number leaves the number, rounded to an
    /// integer, in the lowest bits, in the form of a power of two's exponent.
    static constexpr float rounder = 12582912.0f + 127;
    static constexpr int mantissa_bits = 23;
    static constexpr float q[] = {0.5000000095f, 0.166665186f, 0.04166620505f, 0.008368917856f,
                                  0.001395054121f};
    /// Above this, e^x would leave the range of normal numbers.
    static constexpr float limit = 87.0f;
    /// Above this, tanh(x) rounds to 1.
    static constexpr float tanh_limit = 10.0f;
};
template <>
struct Exponential<double> {
    static constexpr double log2_e = 1.4426950408889634, ln2_high = 6.93147180369123816490e-01,
                            ln2_low = 1.90821492927058770002e-10;
    static constexpr double rounder = 6755399441055744.0 + 1023;  // with 1.5 · 2⁵²
    static constexpr int mantissa_bits = 52;
    static constexpr double q[] = {
        0.49999999999999999966,    0.16666666666666683914,    0.041666666666666724501,
        0.008333333333316684765,   0.0013888888888858453094,  0.00019841269897194452653,
        2.4801587373712628522e-05, 2.7557234099383509316e-06, 2.755723338616536106e-07,
        2.5112288401611922864e-08, 2.0926934933816066104e-09};
    static constexpr double limit = 708.0;
    static constexpr double tanh_limit = 22.0;
};

/// 2ⁿ and p(r) of x, or of −x if SIGN is −1; NaN goes into p.
template <class T, int SIGN = 1>
inline void split_exponential(Vec<T> x, Vec<T>& power, Vec<T>& p) {
    using E = Exponential<T>;
    const Vec<T> shifted = fma(x, splat(SIGN * E::log2_e), splat(E::rounder));
    const Vec<T> n = shifted - E::rounder;
    // If fma rounds once, one constant for ln 2 is enough in single precision: r is then off by
    // n/30 of a rounding error of 1, which affects an activation less the larger n is.
    Vec<T> r = SIGN > 0 ? x : -x;
    if constexpr (FUSED && sizeof(T) == 4)
        r = fma(n, splat(-E::ln2), r);
    else
        r = fma(n, splat(-E::ln2_low), fma(n, splat(-E::ln2_high), r));
    power = (Vec<T>)((IntVec<T>)shifted << E::mantissa_bits);
    constexpr int degree = sizeof(E::q) / sizeof(T) - 1;
    Vec<T> q = splat(E::q[degree]);
#pragma GCC unroll 16
    for (int k = degree - 1; k >= 0; --k) q = fma(q, r, splat(E::q[k]));
    p = fma(r * r, q, r);
}

/// x limited to [low, high]; NaN stays NaN.
template <class T>
inline Vec<T> clamp(Vec<T> x, T low, T high) {
    return min(splat(high), max(splat(low), x));
}

/// e^x for x ≤ 0, and 0 where it would be smaller than the normal numbers; NaN stays NaN.
template <class T>
inline Vec<T> exponential_of_negative(Vec<T> x) {
    Vec<T> power, p;
    split_exponential<T>(x, power, p);
    return x < -Exponential<T>::limit ? Vec<T>{} : fma(power, p, power);
}

/// σ(z) = 1 / (1 + exp(−z)), and 0 where it would be smaller than the normal numbers.
template <class T>
inline Vec<T> sigmoid(Vec<T> z) {
    constexpr T limit = Exponential<T>::limit;
    Vec<T> power, p;
    split_exponential<T, -1>(min(splat(limit), z), power, p);
    const Vec<T> s = reciprocal(fma(power, p, power) + T(1));
    return z < -limit ? Vec<T>{} : s;
}

/// σ′ = s (1 − s) from the value s.
template <class T>
inline Vec<T> d_sigmoid(Vec<T> s) {
    return s * (T(1) - s);
}

/// tanh(z) = m / (m + 2) with m = e^2z − 1
template <class T>
inline Vec<T> tanh(Vec<T> z) {
    constexpr T limit = Exponential<T>::tanh_limit;
    Vec<T> power, p;
    split_exponential<T>(clamp<T>(z, -limit, limit) * T(2), power, p);
    const Vec<T> m = fma(power, p, power - T(1));
    const Vec<T> d = m + T(2);
    const Vec<T> lost = m - (d - T(2));  // rounding error of d
    if (!FUSED) {
        const Vec<T> t = m / d;
        return t - t * lost / d;
    }
    const Vec<T> r = rough_reciprocal(d);
    const Vec<T> t = m * r;
    return fma(fma(-t, lost, fma(-t, d, m)), r, t);
}

/// tanh′ = 1 − t² from the value t.
template <class T>
inline Vec<T> d_tanh(Vec<T> t) {
    return T(1) - t * t;
}

/// Rectifier max(z, 0); NaN stays NaN.
template <class T>
inline Vec<T> relu(Vec<T> z) {
    return z < T(0) ? Vec<T>{} : z;
}

/// d times the rectifier's derivative from its value r: 1 where r > 0, else 0.
template <class T>
inline Vec<T> relu_backward(Vec<T> d, Vec<T> r) {
    return r > T(0) ? d : d * T(0);
}

}  // namespace
}  // namespace lb::LB_TARGET
