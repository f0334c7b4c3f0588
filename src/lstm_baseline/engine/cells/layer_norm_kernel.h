// The layer norm of blocks.py, in two layouts: over columns, with a lane for each batch row, and
// over one row whose units fill vectors.
#pragma once

#include "../native/columns.h"
#include "../native/rows.h"

namespace lb::LB_TARGET {
namespace {

constexpr double LAYER_NORM_EPSILON = 1e-5;

/// What the derivative of a layer norm needs.
template <class T>
struct LayerNormCache {
    Columns<T> x_hat;  ///< [F][columns] mean 0 and variance 1 in every column
    T* inverse_std;    ///< [columns][lane]
};

/// Mean and 1 / √(variance + 1e-5) of every column, [columns][lane].
template <class T>
__attribute__((noinline)) void layer_norm_statistics(Columns<T> x, int F, T* mean, T* inverse_std) {
    constexpr int L = LANES<T>;
    for_column_tiles(x.number, [&](auto width, int column) {
        constexpr int C = decltype(width)::value;
        Vec<T> means[C] = {}, squares[C] = {};
        for (int f = 0; f < F; ++f)
            for (int c = 0; c < C; ++c) means[c] += x(f, column + c);
        for (int c = 0; c < C; ++c) means[c] = means[c] / T(F);
        for (int f = 0; f < F; ++f)
            for (int c = 0; c < C; ++c) {
                const Vec<T> centred = x(f, column + c) - means[c];
                squares[c] = fma(centred, centred, squares[c]);
            }
        for (int c = 0; c < C; ++c) {
            const Vec<T> variance = squares[c] / T(F);
            store(mean + (column + c) * L, means[c]);
            store(inverse_std + (column + c) * L,
                  T(1) / square_root<T>(variance + T(LAYER_NORM_EPSILON)));
        }
    });
}

/// Turn F features of x into x̂, and give y = gain ⊙ x̂ + bias to f(feature, column, y).
template <class T, class Function>
inline void layer_norm_apply(Columns<T> x, int F, const T* mean, const T* inverse_std,
                             const T* gain, const T* bias, Function f) {
    constexpr int L = LANES<T>;
    for (int column = 0; column < x.number; ++column) {
        const Vec<T> m = load(mean + column * L), factor = load(inverse_std + column * L);
        for (int feature = 0; feature < F; ++feature) {
            const Vec<T> x_hat = (x(feature, column) - m) * factor;
            x.set(feature, column, x_hat);
            f(feature, column, fma(splat(gain[feature]), x_hat, splat(bias[feature])));
        }
    }
}

/// Layer norm of the x in cache.x_hat; y goes to f(feature, column, y).
template <class T, class Function>
inline void layer_norm(const LayerNormCache<T>& cache, int F, const T* gain, const T* bias, T* mean,
                       Function f) {
    layer_norm_statistics(cache.x_hat, F, mean, cache.inverse_std);
    layer_norm_apply(cache.x_hat, F, mean, cache.inverse_std, gain, bias, f);
}

/// What the derivative of a layer norm sums over features, [columns][lane] each.
template <class T>
struct LayerNormSums {
    T *d_x_hat, *products;  ///< Σ d_x̂ and Σ d_x̂ ⊙ x̂

    void clear(int columns) const {
        __builtin_memset(d_x_hat, 0, sizeof(T) * LANES<T> * columns);
        __builtin_memset(products, 0, sizeof(T) * LANES<T> * columns);
    }
};

/// Add what F features give to the sums; add Σ d_y ⊙ x̂ to d_gain and Σ d_y to d_bias, [F][lane].
template <class T>
__attribute__((noinline)) void layer_norm_backward_sums(Columns<T> d_y, Columns<T> x_hat, int F,
                                                        const T* gain, const LayerNormSums<T>& sums,
                                                        T* d_gain, T* d_bias) {
    constexpr int L = LANES<T>;
    for_column_tiles(d_y.number, [&](auto width, int column) {
        constexpr int C = decltype(width)::value;
        Vec<T> d_x_hat[C], products[C];
        for (int c = 0; c < C; ++c) {
            d_x_hat[c] = load(sums.d_x_hat + (column + c) * L);
            products[c] = load(sums.products + (column + c) * L);
        }
        for (int f = 0; f < F; ++f) {
            const Vec<T> g = splat(gain[f]);
            Vec<T> sum = load(d_bias + f * L), sum_of_products = load(d_gain + f * L);
            for (int c = 0; c < C; ++c) {
                const Vec<T> d = d_y(f, column + c), product = d * x_hat(f, column + c);
                sum += d;
                sum_of_products += product;
                d_x_hat[c] = fma(g, d, d_x_hat[c]);
                products[c] = fma(g, product, products[c]);
            }
            store(d_bias + f * L, sum);
            store(d_gain + f * L, sum_of_products);
        }
        for (int c = 0; c < C; ++c) {
            store(sums.d_x_hat + (column + c) * L, d_x_hat[c]);
            store(sums.products + (column + c) * L, products[c]);
        }
    });
}

/// d_x = (d_x̂ − mean(d_x̂) − x̂ mean(d_x̂ ⊙ x̂)) / std with d_x̂ = gain ⊙ d_y; d_x may be d_y.
///
/// Adds Σ d_x to d_before [F][lane], the gradient of a bias that was added to x; it may be null.
template <class T>
__attribute__((noinline)) void layer_norm_backward_apply(Columns<T> d_y,
                                                         const LayerNormCache<T>& cache, int F,
                                                         const T* gain,
                                                         const LayerNormSums<T>& sums, T* d_before,
                                                         Columns<T> d_x) {
    constexpr int L = LANES<T>;
    for_column_tiles(d_y.number, [&](auto width, int column) {
        constexpr int C = decltype(width)::value;
        Vec<T> factors[C], means[C], products[C];
        for (int c = 0; c < C; ++c) {
            factors[c] = load(cache.inverse_std + (column + c) * L);
            means[c] = load(sums.d_x_hat + (column + c) * L) / T(F) * factors[c];
            products[c] = load(sums.products + (column + c) * L) / T(F) * factors[c];
        }
        for (int f = 0; f < F; ++f) {
            const Vec<T> g = splat(gain[f]);
            Vec<T> sum = {};
            for (int c = 0; c < C; ++c) {
                const Vec<T> shift = fma(cache.x_hat(f, column + c), products[c], means[c]);
                const Vec<T> d = fma(g, d_y(f, column + c) * factors[c], -shift);
                d_x.set(f, column + c, d);
                sum += d;
            }
            if (d_before) store(d_before + f * L, load(d_before + f * L) + sum);
        }
    });
}

/// Sums and d_x, for all features at once.
template <class T>
inline void layer_norm_backward(Columns<T> d_y, const LayerNormCache<T>& cache, int F,
                                const T* gain, const LayerNormSums<T>& sums, T* d_gain, T* d_bias,
                                T* d_before, Columns<T> d_x) {
    sums.clear(d_y.number);
    layer_norm_backward_sums(d_y, cache.x_hat, F, gain, sums, d_gain, d_bias);
    layer_norm_backward_apply(d_y, cache, F, gain, sums, d_before, d_x);
}

/// Mean and 1 / √(variance + 1e-5) of gates · H numbers, padded gate by gate with zeros.
template <class T>
struct RowStatistics {
    T mean, inverse;

    RowStatistics(const T* x, int gates, int H) {
        const ptrdiff_t width = padded<T>(H);
        Vec<T> total = {}, squares = {};
        for (const T* v = x; v < x + gates * width; v += LANES<T>) total += load(v);
        mean = sum<T>(total) / T(gates * H);
        for (int g = 0; g < gates; ++g)
            for_vectors<T>(H, [&](int unit, int units) {
                const Vec<T> centred = first_lanes<T>(load(x + g * width + unit) - mean, units);
                squares = fma(centred, centred, squares);
            });
        inverse = T(1) / square_root_of<T>(sum<T>(squares) / T(gates * H) + T(LAYER_NORM_EPSILON));
    }
    /// x̂
    Vec<T> normalise(Vec<T> x, int units) const {
        return first_lanes<T>((x - mean) * inverse, units);
    }
};

/// What the derivative of a layer norm sums over a row, with d_x̂ = gain ⊙ d_y:
/// d_x = (d_x̂ − mean(d_x̂) − x̂ mean(d_x̂ ⊙ x̂)) / std.
template <class T>
struct NormBackward {
    Vec<T> total = {}, products = {};
    T mean = 0, slope = 0;

    /// Lanes without a unit are left out: where a sum is NaN they are NaN too.
    void add(Vec<T> d_x_hat, Vec<T> x_hat, int units) {
        total += first_lanes<T>(d_x_hat, units);
        products += first_lanes<T>(d_x_hat * x_hat, units);
    }
    void finish(int F) {
        mean = sum<T>(total) / T(F);
        slope = sum<T>(products) / T(F);
    }
    Vec<T> d_x(Vec<T> d_x_hat, Vec<T> x_hat, T inverse, int units) const {
        return first_lanes<T>(fma(x_hat, splat(-slope), d_x_hat - mean) * inverse, units);
    }
};

}  // namespace
}  // namespace lb::LB_TARGET
