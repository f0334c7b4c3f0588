// What a training step does to every parameter, in one pass over memory: see optimizers.py.
#pragma once

#if __INCLUDE_LEVEL__ == 0  // in an editor
#include "../engine/native/target.h"
#endif

#include <cstdint>

namespace lb {

/// One step of Adam or AdamW, as optimizers.py names its terms.
struct AdamRates {
    double beta_1, beta_2, rate, epsilon;
};

/// One step of RMSProp.
struct RMSPropRates {
    double alpha, rate, epsilon;
};

template <class T>
struct OptimizerKernels {
    double (*sum_of_squares)(int64_t n, const T* g);
    void (*adam_update)(int64_t n, const AdamRates& rates, double kept, const T* g, T* m, T* v,
                        T* p);
    void (*rmsprop_update)(int64_t n, const RMSPropRates& rates, const T* g, T* v, T* p);
};

}  // namespace lb

#ifdef LB_TARGET

namespace lb::LB_TARGET {
namespace {

/// Σ g² in double precision, added up in eight interleaved parts.
template <class T>
double sum_of_squares(int64_t n, const T* g) {
    constexpr int PARTS = 8;
    double parts[PARTS] = {};
    int64_t k = 0;
    for (; k + PARTS <= n; k += PARTS)
        for (int j = 0; j < PARTS; ++j) parts[j] += double(g[k + j]) * double(g[k + j]);
    for (; k < n; ++k) parts[k % PARTS] += double(g[k]) * double(g[k]);
    double total = 0;
    for (double part : parts) total += part;
    return total;
}

template <class T>
T square_root(T x) {
    return sizeof(T) == 4 ? T(__builtin_sqrtf(float(x))) : T(__builtin_sqrt(x));
}

/// The operations of Adam and AdamW, in the same order as theirs and so with the same bits. Where
/// nothing decays, `kept` is 1, and a product with 1 is the number itself.
template <class T>
void adam_update(int64_t n, const AdamRates& rates, double kept, const T* g, T* m, T* v, T* p) {
    const T beta_1 = T(rates.beta_1), rest_1 = T(1 - rates.beta_1);
    const T beta_2 = T(rates.beta_2), rest_2 = T(1 - rates.beta_2);
    const T rate = T(rates.rate), epsilon = T(rates.epsilon), share = T(kept);
    for (int64_t k = 0; k < n; ++k) {
        m[k] = m[k] * beta_1 + rest_1 * g[k];
        v[k] = v[k] * beta_2 + rest_2 * (g[k] * g[k]);
        p[k] = p[k] * share - rate * m[k] / (square_root(v[k]) + epsilon);
    }
}

/// The operations of RMSProp.update, in the same order.
template <class T>
void rmsprop_update(int64_t n, const RMSPropRates& rates, const T* g, T* v, T* p) {
    const T alpha = T(rates.alpha), rest = T(1 - rates.alpha);
    const T rate = T(rates.rate), epsilon = T(rates.epsilon);
    for (int64_t k = 0; k < n; ++k) {
        v[k] = v[k] * alpha + rest * (g[k] * g[k]);
        p[k] -= rate * g[k] / (square_root(v[k]) + epsilon);
    }
}

/// This set's functions.
template <class T>
constexpr OptimizerKernels<T> optimizers_kernels() {
    OptimizerKernels<T> table{};
    table.sum_of_squares = sum_of_squares<T>;
    table.adam_update = adam_update<T>;
    table.rmsprop_update = rmsprop_update<T>;
    return table;
}

}  // namespace
}  // namespace lb::LB_TARGET

#endif  // LB_TARGET
