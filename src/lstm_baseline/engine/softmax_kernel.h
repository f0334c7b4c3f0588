// The softmax of activations.py over columns, with a lane for each batch row.
#pragma once

#include "activations_kernel.h"
#include "native/columns.h"

namespace lb::LB_TARGET {
namespace {

/// Softmax of the columns of a feature, in place, shifted by the largest so that nothing overflows.
template <class T>
inline void softmax(Columns<T> z, int feature) {
    Vec<T> largest = z(feature, 0), sum = {};
    for (int m = 1; m < z.number; ++m) largest = z(feature, m) > largest ? z(feature, m) : largest;
    for (int m = 0; m < z.number; ++m) {
        const Vec<T> e = exponential_of_negative<T>(z(feature, m) - largest);
        z.set(feature, m, e);
        sum += e;
    }
    const Vec<T> factor = reciprocal(sum);
    for (int m = 0; m < z.number; ++m) z.set(feature, m, z(feature, m) * factor);
}

/// d_z = p ⊙ (d_p − Σ d_p ⊙ p) for p = softmax(z), times a scale, in place.
template <class T>
inline void softmax_backward(Columns<T> d, Columns<T> p, int feature, T scale) {
    Vec<T> sum = {};
    for (int m = 0; m < d.number; ++m) sum = fma(d(feature, m), p(feature, m), sum);
    for (int m = 0; m < d.number; ++m)
        d.set(feature, m, p(feature, m) * (d(feature, m) - sum) * scale);
}

}  // namespace
}  // namespace lb::LB_TARGET
