// The activations of gate_activations.py, a vector at a time.
#pragma once

#if __INCLUDE_LEVEL__ == 0  // in an editor
#include "../native/target.h"
#endif

namespace lb {

/// The activations; ACTIVATION_NAMES has their names in this order.
enum GateActivationKind {
    AFFINE,
    ELU,
    HARD_SIGMOID,
    LEAKY_RELU,
    RELU,
    SCALED_TANH,
    SIGMOID,
    SOFTPLUS,
    SOFTSIGN,
    TANH,
    THRESHOLDED_RELU,
    NUM_ACTIVATIONS
};

/// Names as in gate_activations.py; Python numbers the activations by this table.
constexpr const char* ACTIVATION_NAMES[] = {
    "affine",   "elu",      "hard_sigmoid", "leaky_relu",      "relu", "scaled_tanh", "sigmoid",
    "softplus", "softsign", "tanh",         "thresholded_relu"};
static_assert(sizeof ACTIVATION_NAMES / sizeof *ACTIVATION_NAMES == NUM_ACTIVATIONS);

/// An activation of gate_activations.py: its kind, and its constants.
struct GateActivation {
    int kind;
    double alpha, beta;
};

}  // namespace lb

#ifdef LB_TARGET

#include "../activations_kernel.h"

namespace lb::LB_TARGET {
namespace {

/// e^z − 1 for z ≤ 0.
template <class T>
inline Vec<T> exponential_minus_one(Vec<T> z) {
    Vec<T> power, p;
    split_exponential<T>(max(splat(-Exponential<T>::limit), z), power, p);
    return fma(power, p, power - T(1));
}

/// The largest finite number.
template <class T>
constexpr T LARGEST = sizeof(T) == 4 ? T(__FLT_MAX__) : T(__DBL_MAX__);

/// ln(1 + a)
template <class T>
inline Vec<T> log_of_one_plus(Vec<T> a) {
    T numbers[LANES<T>];
    store(numbers, a);
    for (T& n : numbers) n = sizeof(T) == 4 ? T(__builtin_log1pf(float(n))) : T(__builtin_log1p(n));
    return load(numbers);
}

template <class T>
inline Vec<T> absolute(Vec<T> z) {
    return z < T(0) ? -z : z;
}

/// Activations that an LSTM rarely has. Not inlined: its loops would hold many copies of them.
template <class T>
__attribute__((noinline)) Vec<T> rarely_activated(const GateActivation& by, Vec<T> z) {
    const T alpha = T(by.alpha), beta = T(by.beta);
    switch (by.kind) {
        case AFFINE: return z * alpha + beta;
        case ELU: return z >= T(0) ? z : exponential_minus_one<T>(z < T(0) ? z : z * T(0)) * alpha;
        case HARD_SIGMOID: return clamp<T>(z * alpha + beta, T(0), T(1));
        case LEAKY_RELU: return z >= T(0) ? z : z * alpha;
        case RELU: return relu<T>(z);
        case SCALED_TANH: return tanh<T>(z * beta) * alpha;
        case SOFTPLUS:
            return relu<T>(z) + log_of_one_plus<T>(exponential_of_negative<T>(-absolute<T>(z)));
        case SOFTSIGN: {
            const Vec<T> finite = clamp<T>(z, -LARGEST<T>, LARGEST<T>);  // ±1 at ±∞
            return finite / (T(1) + absolute<T>(finite));
        }
        default: return z <= alpha ? Vec<T>{} : z;  // THRESHOLDED_RELU
    }
}

/// φ(z)
template <class T>
inline Vec<T> activate(const GateActivation& by, Vec<T> z) {
    if (by.kind == SIGMOID) return sigmoid<T>(z);
    if (by.kind == TANH) return tanh<T>(z);
    return rarely_activated<T>(by, z);
}

template <class T>
__attribute__((noinline)) Vec<T> d_rarely_activated(const GateActivation& by, Vec<T> z, Vec<T> y) {
    const Vec<T> zero = {}, one = zero + T(1), alpha = splat(T(by.alpha));
    const T beta = T(by.beta);
    switch (by.kind) {
        case AFFINE: return alpha;
        case ELU: return z >= T(0) ? one : y + alpha;
        case HARD_SIGMOID: return y > T(0) ? (y < T(1) ? alpha : zero) : zero;
        case LEAKY_RELU: return z >= T(0) ? one : alpha;
        case RELU: return y > T(0) ? one : zero;
        case SCALED_TANH: return d_tanh<T>(tanh<T>(z * beta)) * alpha * beta;
        case SOFTPLUS: return sigmoid<T>(z);
        case SOFTSIGN: {
            const Vec<T> reciprocal_of = T(1) / (T(1) + absolute<T>(z));
            return reciprocal_of * reciprocal_of;
        }
        default: return z > alpha ? one : zero;  // THRESHOLDED_RELU
    }
}

/// φ′(z) from z and y = φ(z); for sigmoid and tanh from y alone.
template <class T>
inline Vec<T> d_activate(const GateActivation& by, Vec<T> z, Vec<T> y) {
    if (by.kind == SIGMOID) return d_sigmoid<T>(y);
    if (by.kind == TANH) return d_tanh<T>(y);
    return d_rarely_activated<T>(by, z, y);
}

}  // namespace
}  // namespace lb::LB_TARGET

#endif  // LB_TARGET
