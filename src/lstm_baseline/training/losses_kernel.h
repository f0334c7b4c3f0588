// Cross-entropy from logits and class indices, in one pass: see losses.py.
#pragma once

#if __INCLUDE_LEVEL__ == 0  // in an editor
#include "../engine/native/target.h"
#endif

#include <cstdint>

namespace lb {

template <class T>
struct LossKernels {
    double (*cross_entropy)(int64_t num_rows, int K, const T* z, const int64_t* targets, T* d_z);
};

}  // namespace lb

#ifdef LB_TARGET

#include "../engine/activations_kernel.h"

namespace lb::LB_TARGET {
namespace {

/// Σ −ln softmax(z)_target over rows, and d_z = (softmax(z) − one-hot) / rows.
template <class T>
double cross_entropy(int64_t num_rows, int K, const T* z, const int64_t* targets, T* d_z) {
    constexpr int L = LANES<T>;
    const T share = T(1) / T(num_rows);
    double total = 0;
    for (int64_t row = 0; row < num_rows; ++row, z += K, d_z += K) {
        T largest = z[0];
        for (int k = 1; k < K; ++k) largest = z[k] > largest || z[k] != z[k] ? z[k] : largest;
        double sum = 0;
        for (int k = 0; k < K; k += L) {
            // Also −∞, which marks an impossible class: its probability is 0.
            store(d_z + k, exponential_of_negative<T>(load(z + k, K - k) - largest), K - k);
        }
        for (int k = 0; k < K; ++k) sum += double(d_z[k]);
        const int64_t target = targets[row];
        total += __builtin_log(sum) - (double(z[target]) - double(largest));
        const T scale = T(share / sum);
        for (int k = 0; k < K; ++k) d_z[k] *= scale;
        d_z[target] -= share;
    }
    return total;
}

/// This set's functions.
template <class T>
constexpr LossKernels<T> losses_kernels() {
    LossKernels<T> table{};
    table.cross_entropy = cross_entropy<T>;
    return table;
}

}  // namespace
}  // namespace lb::LB_TARGET

#endif  // LB_TARGET
