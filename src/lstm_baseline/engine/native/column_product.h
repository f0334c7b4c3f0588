// A weight matrix's transpose times the gradients of all gates: the gradient of a state or input.
#pragma once

#include "rows.h"
#include "tiles.h"

namespace lb::LB_TARGET {
namespace {

constexpr int MOST_GATES = 4;

/// Lay the columns of a matrix (gates · H, C) out as panels, one for each block of columns.
template <class T>
void pack_gate_columns(const T* matrix, int C, int H, int gates, int first_block, int last_block,
                       T* packed) {
    constexpr int L = LANES<T>;
    for (int n = first_block; n < last_block; ++n)
        pack_columns(matrix + n * L, C, C - n * L, gates * H,
                     packed + ptrdiff_t(n) * gates * H * L);
}

/// Σ over gates of a matrix's transpose times d_z, from the matrix's packed columns.
template <class T>
struct ColumnProduct {
    static constexpr int WIDTH = 1;
    const T *d_z, *packed;
    const int gates;  ///< three or four
    int terms[MOST_GATES];
    const ptrdiff_t width = padded<T>(terms[0]);

    ColumnProduct(const T* d_z, const T* packed, int H, int gates)
        : d_z(d_z), packed(packed), gates(gates), terms{H, H, H, gates == MOST_GATES ? H : 0} {}

    void segment(int gate, int row, int R, int block, Segment<T>& segment) const {
        constexpr int L = LANES<T>;
        const ptrdiff_t H = terms[0];
        set_rows(segment, d_z + (row * gates + gate) * width, gates * width, R);
        segment.panel = packed + (ptrdiff_t(block) * gates + gate) * H * L;
        segment.panel_stride = gates * H * L;
    }
    void start(int, int N, T* numbers) const {
        for (int n = 0; n < N; ++n) store(numbers + n * LANES<T>, Vec<T>{});
    }
};

}  // namespace
}  // namespace lb::LB_TARGET
