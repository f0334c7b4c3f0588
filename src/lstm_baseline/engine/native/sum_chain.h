// The inner loop of every matrix product: a tile of sums that stays in registers.
//
// A tile is R rows by some vectors of accumulators. Every element sums its products in the order
// of k, in the same chains of fused multiply-adds whatever the tile's shape. Each shape is a
// function of its own; sum_chain.cpp compiles them once for all kernels, which find them in tables.
#pragma once

#include "vec.h"

namespace lb::LB_TARGET {

/// Rows of a tile of four vectors: accumulators, four weights and a broadcast fit the registers.
constexpr int TILE_ROWS = REGISTERS == 32 ? 6 : 3;
constexpr int ACCUMULATORS = 4 * TILE_ROWS;

/// Most vectors of a row in a tile.
constexpr int TILE_VECTORS = 16;

/// Blocks of W vectors that a tile of R rows takes at once: few rows need more blocks to keep
/// enough additions in flight.
constexpr int tile_blocks(int R, int W) {
    const int most = ACCUMULATORS / (R * W), few = W == 1 && R > 2 ? 4 : TILE_VECTORS / W;
    return most < 1 ? 1 : most > few ? few : most;
}

/// Part of a sum: rows of K numbers, times a panel of K × W vectors of weights for each block.
template <class T>
struct Segment {
    const T* rows[TILE_ROWS];
    const T* panel;          ///< first block's
    ptrdiff_t panel_stride;  ///< from one block's panel to the next one's
    int K;
};

/// z[r][n · W + w] = start[n · W + w] + Σ over segments and k of rows[r][k] · panel[n][k][w], for R
/// rows and N blocks of W vectors; without a start, Σ is added to z.
template <class T>
using SumChain = void(Vec<T>* z, const T* start, const Segment<T>* segments, int num_segments);

/// The functions for blocks of W vectors, one or four.
template <class T, int W>
struct SumChains {
    struct Table {
        SumChain<T>* of[TILE_ROWS][TILE_VECTORS];  ///< by R − 1 and N − 1; null: no tile is so
    };
    static const Table table;
};

/// Vectors of a row in a tile of outer products.
constexpr int OUTER_VECTORS = 4;

/// z[r][v] += Σ_k left[k][r] · right[k][v] for R ≤ TILE_ROWS rows and V vectors, or without `add`
/// z[r][v] = Σ_k. A row of `left` has TILE_ROWS numbers.
template <class T>
using SumOuter = void(Vec<T>* z, bool add, const T* left, const T* right, int K);

template <class T>
struct SumOuters {
    struct Table {
        SumOuter<T>* of[TILE_ROWS][OUTER_VECTORS];  ///< by R − 1 and V − 1
    };
    static const Table table;
};

extern template struct SumChains<float, 1>;
extern template struct SumChains<float, 4>;
extern template struct SumChains<double, 1>;
extern template struct SumChains<double, 4>;
extern template struct SumOuters<float>;
extern template struct SumOuters<double>;

}  // namespace lb::LB_TARGET
