// W x + b for rows, from packed weights: `affine` of blocks.py, compiled.
#pragma once

#if __INCLUDE_LEVEL__ == 0  // in an editor
#include "../native/target.h"
#endif

#include <cstddef>

namespace lb {

template <class T>
struct AffineKernels {
    size_t (*packed_size)(int O, int K);
    void (*pack)(int O, int K, const T* W, const T* b, T* packed);
    void (*run)(int num_rows, const T* x, ptrdiff_t x_stride, int O, int K, const T* packed, T* y,
                ptrdiff_t y_stride);
};

}  // namespace lb

#ifdef LB_TARGET

#include "../native/tiles.h"

namespace lb::LB_TARGET {
namespace {

/// Numbers in a packed W (O, K) and b (O), where a null b stands for zeros: for each block of
/// outputs its bias, then K vectors.
template <class T>
inline size_t packed_affine_size(int O, int K) {
    return size_t((O + LANES<T> - 1) / LANES<T>) * (1 + K) * LANES<T>;
}

template <class T>
void pack_affine(int O, int K, const T* W, const T* b, T* packed) {
    constexpr int L = LANES<T>;
    for (int first = 0; first < O; first += L, packed += (1 + K) * L) {
        const int rows = O - first < L ? O - first : L;
        store(packed, b ? load(b + first, rows) : Vec<T>{});
        pack_transposed(W + ptrdiff_t(first) * K, K, rows, K, packed + L, L);
    }
}

/// W x + b from the numbers that pack_affine packed.
template <class T>
struct AffineProduct {
    static constexpr int WIDTH = 1;
    const T* x;
    ptrdiff_t x_stride;
    const T* packed;
    int terms[1];
    const ptrdiff_t panel_size = ptrdiff_t(1 + terms[0]) * LANES<T>;

    void segment(int, int row, int R, int block, Segment<T>& segment) const {
        set_rows(segment, x + row * x_stride, x_stride, R);
        segment.panel = packed + block * panel_size + LANES<T>;
        segment.panel_stride = panel_size;
    }
    void start(int block, int N, T* numbers) const {
        for (int n = 0; n < N; ++n)
            store(numbers + n * LANES<T>, load(packed + (block + n) * panel_size));
    }
};

/// y = W x + b for rows of x and y that are x_stride and y_stride apart; y has O numbers a row.
template <class T>
void affine(int num_rows, const T* x, ptrdiff_t x_stride, int O, int K, const T* packed, T* y,
            ptrdiff_t y_stride) {
    constexpr int L = LANES<T>;
    for_products<T>(AffineProduct<T>{x, x_stride, packed, {K}}, 0, num_rows, 0, (O + L - 1) / L,
                    [&](int R, int N, int row, int block, const Vec<T>* z) {
                        store_tile(R, N, z, y + row * y_stride + block * L, y_stride,
                                   O - block * L);
                    });
}

/// This set's functions.
template <class T>
constexpr AffineKernels<T> affine_kernels() {
    AffineKernels<T> table{};
    table.packed_size = packed_affine_size<T>;
    table.pack = pack_affine<T>;
    table.run = affine<T>;
    return table;
}

}  // namespace
}  // namespace lb::LB_TARGET

#endif  // LB_TARGET
