// Vectors of the width that this target has, by the compiler's vector extensions.
//
// Arithmetic, comparison and selection (a < b ? x : y) are the extensions' own; this file has the
// rest. A product and a sum are joined only where fma() says so (the build switches off
// contraction), so a number does not depend on where the compiler has put it.
#pragma once

#include "target.h"

namespace lb::LB_TARGET {
namespace {

template <class T>
struct Lanes;
template <>
struct Lanes<float> {
    using Int = int32_t;
    typedef float Vec __attribute__((vector_size(LB_VECTOR_BYTES)));
    typedef float Loose __attribute__((vector_size(LB_VECTOR_BYTES), aligned(4), may_alias));
    typedef int32_t IntVec __attribute__((vector_size(LB_VECTOR_BYTES)));
};
template <>
struct Lanes<double> {
    using Int = int64_t;
    typedef double Vec __attribute__((vector_size(LB_VECTOR_BYTES)));
    typedef double Loose __attribute__((vector_size(LB_VECTOR_BYTES), aligned(8), may_alias));
    typedef int64_t IntVec __attribute__((vector_size(LB_VECTOR_BYTES)));
};

template <class T>
using Vec = typename Lanes<T>::Vec;
template <class T>
using IntVec = typename Lanes<T>::IntVec;

template <class T>
constexpr int LANES = LB_VECTOR_BYTES / sizeof(T);

/// Vector registers: how many rows of four vectors a tile can keep.
#if defined(__AVX512F__)
constexpr int REGISTERS = 32;
#define KEEP_IN_REGISTER(a) asm("" : "+v"(a))
#elif defined(__aarch64__)
constexpr int REGISTERS = 32;
#define KEEP_IN_REGISTER(a) asm("" : "+w"(a))
#else
constexpr int REGISTERS = 16;
#define KEEP_IN_REGISTER(a)
#endif

template <class T>
inline Vec<T> load(const T* p) {
    return *reinterpret_cast<const typename Lanes<T>::Loose*>(p);
}

template <class T>
inline void store(T* p, Vec<T> v) {
    *reinterpret_cast<typename Lanes<T>::Loose*>(p) = v;
}

/// The first n lanes from memory, zeros behind.
template <class T>
inline Vec<T> load(const T* p, int n) {
    if (n >= LANES<T>) return load(p);
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return _mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), p);
    else
        return _mm512_maskz_loadu_pd(__mmask8((1u << n) - 1), p);
#else
    Vec<T> v = {};
    __builtin_memcpy(&v, p, size_t(n) * sizeof(T));
    return v;
#endif
}

/// The first n lanes to memory; nothing behind them is touched.
template <class T>
inline void store(T* p, Vec<T> v, int n) {
    if (n >= LANES<T>) return store(p, v);
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        _mm512_mask_storeu_ps(p, __mmask16((1u << n) - 1), v);
    else
        _mm512_mask_storeu_pd(p, __mmask8((1u << n) - 1), v);
#else
    __builtin_memcpy(p, &v, size_t(n) * sizeof(T));
#endif
}

template <class T>
inline Vec<T> splat(T a) {
    return a - Vec<T>{};
}

template <class T>
inline T sum(Vec<T> v) {
    // Add halves: in a chain, each addition would wait for the one before.
    T numbers[LANES<T>];
    store(numbers, v);
    for (int half = LANES<T> / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; ++lane) numbers[lane] += numbers[lane + half];
    return numbers[0];
}

#if defined(__AVX512F__)
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
    return _mm512_fmadd_pd(a, b, c);
}
#elif defined(__FMA__)
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
    return _mm256_fmadd_pd(a, b, c);
}
#elif defined(__aarch64__)
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return vfmaq_f32(c, a, b); }
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return vfmaq_f64(c, a, b); }
#else
template <class V>
inline V fma(V a, V b, V c) {
    return a * b + c;
}
#endif

/// The larger and the smaller of a, which is no NaN, and b; NaN where b is NaN.
#if defined(__AVX512F__)
// With a mask, because GCC 12 warns of the undefined vector that the plain ones begin with.
inline Vec<float> max(Vec<float> a, Vec<float> b) {
    return _mm512_maskz_max_ps(__mmask16(-1), a, b);
}
inline Vec<float> min(Vec<float> a, Vec<float> b) {
    return _mm512_maskz_min_ps(__mmask16(-1), a, b);
}
inline Vec<double> max(Vec<double> a, Vec<double> b) {
    return _mm512_maskz_max_pd(__mmask8(-1), a, b);
}
inline Vec<double> min(Vec<double> a, Vec<double> b) {
    return _mm512_maskz_min_pd(__mmask8(-1), a, b);
}
#elif defined(__AVX__)
inline Vec<float> max(Vec<float> a, Vec<float> b) { return _mm256_max_ps(a, b); }
inline Vec<float> min(Vec<float> a, Vec<float> b) { return _mm256_min_ps(a, b); }
inline Vec<double> max(Vec<double> a, Vec<double> b) { return _mm256_max_pd(a, b); }
inline Vec<double> min(Vec<double> a, Vec<double> b) { return _mm256_min_pd(a, b); }
#else
template <class V>
inline V max(V a, V b) {
    return a > b ? a : b;
}
template <class V>
inline V min(V a, V b) {
    return a < b ? a : b;
}
#endif

/// Whether fma() rounds once. Only then can it correct a quotient.
#if defined(__FMA__) || defined(__aarch64__)
constexpr bool FUSED = true;
#else
constexpr bool FUSED = false;
#endif

/// 1 / d to within 2⁻¹⁴ of itself or better, for 1e-37 < d < 1e37; NaN stays NaN.
inline Vec<float> rough_reciprocal(Vec<float> d) {
#if defined(__AVX512F__)
    // A division of 16 lanes holds the divider for ten cycles or more; this takes two.
    return _mm512_maskz_rcp14_ps(__mmask16(-1), d);
#else
    return 1.0f / d;
#endif
}
inline Vec<double> rough_reciprocal(Vec<double> d) { return 1.0 / d; }

/// The same to within a unit in the last place.
inline Vec<float> reciprocal(Vec<float> d) {
    const Vec<float> r = rough_reciprocal(d);
#if defined(__AVX512F__)
    return fma(r, fma(-d, r, splat(1.0f)), r);
#else
    return r;
#endif
}
inline Vec<double> reciprocal(Vec<double> d) { return 1.0 / d; }

namespace detail {
template <int... I>
struct Indices {};
template <int N, int... I>
struct MakeIndices : MakeIndices<N - 1, N - 1, I...> {};
template <int... I>
struct MakeIndices<0, I...> {
    using type = Indices<I...>;
};

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, decltype(a < b){__VA_ARGS__})
#endif

template <class V, int D, int... I>
inline void exchange(V& a, V& b, Indices<I...>) {
    constexpr int L = sizeof...(I);
    const V low = SHUFFLE(a, b, ((I & D) ? L + I - D : I)...);
    b = SHUFFLE(a, b, ((I & D) ? L + I : I + D)...);
    a = low;
}

template <class T, int D>
inline void exchange_at_distance(Vec<T>* v) {
    constexpr int L = LANES<T>;
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i)
        if (!(i & D)) exchange<Vec<T>, D>(v[i], v[i + D], typename MakeIndices<L>::type{});
    if constexpr (D > 1) exchange_at_distance<T, D / 2>(v);
}
}  // namespace detail

/// Transpose a square of vectors in place.
template <class T>
inline void transpose(Vec<T>* v) {
    detail::exchange_at_distance<T, LANES<T> / 2>(v);
}

/// The first n lanes of a vector, zeros behind.
template <class T>
inline Vec<T> first_lanes(Vec<T> v, int n) {
    if (n >= LANES<T>) return v;
    T numbers[LANES<T>];
    store(numbers, v);
    return load(numbers, n);
}

template <class T>
inline T square_root_of(T a) {
    return sizeof(T) == 4 ? T(__builtin_sqrtf(float(a))) : T(__builtin_sqrt(a));
}

template <class T>
inline Vec<T> square_root(Vec<T> a) {
    T numbers[LANES<T>];
    store(numbers, a);
    for (T& n : numbers) n = sizeof(T) == 4 ? T(__builtin_sqrtf(float(n))) : T(__builtin_sqrt(n));
    return load(numbers);
}

/// A number as a type.
template <int N>
struct Int {
    static constexpr int value = N;
};

}  // namespace
}  // namespace lb::LB_TARGET
