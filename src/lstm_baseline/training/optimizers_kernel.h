// What a training step does to every parameter, in one pass over memory: see optimizers.py.
#pragma once

#if __INCLUDE_LEVEL__ == 0  // in an editor
#include "../engine/native/target.h"
#endif

#include <cstdint>

namespace lb {

/// One step of Adam, as optimizers.py names its terms.
struct AdamRates {
    double beta_1, beta_2, rate, epsilon;
};

template <class T>
struct OptimizerKernels {
    double (*sum_of_squares)(int64_t n, const T* g);
    void (*adam_update)(int64_t n, const AdamRates& rates, const T* g, T* m, T* v, T* p);
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

/// The operations of Adam.update, in the same order and so with the same bits.
template <class T>
void adam_update(int64_t n, const AdamRates& rates, const T* g, T* m, T* v, T* p) {
    const T beta_1 = T(rates.beta_1), rest_1 = T(1 - rates.beta_1);
    const T beta_2 = T(rates.beta_2), rest_2 = T(1 - rates.beta_2);
    const T rate = T(rates.rate), epsilon = T(rates.epsilon);
    for (int64_t k = 0; k < n; ++k) {
        m[k] = m[k] * beta_1 + rest_1 * g[k];
        v[k] = v[k] * beta_2 + rest_2 * (g[k] * g[k]);
        const T deviation =
            sizeof(T) == 4 ? T(__builtin_sqrtf(float(v[k]))) : T(__builtin_sqrt(v[k]));
        p[k] -= rate * m[k] / (deviation + epsilon);
    }
}

/// This set's functions.
template <class T>
constexpr OptimizerKernels<T> optimizers_kernels() {
    OptimizerKernels<T> table{};
    table.sum_of_squares = sum_of_squares<T>;
    table.adam_update = adam_update<T>;
    return table;
}

}  // namespace
}  // namespace lb::LB_TARGET

#endif  // LB_TARGET
