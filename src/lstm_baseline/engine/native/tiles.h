// Matrix products on tiles that stay in registers, and the packed panels that they read.
//
// A tile is R rows by some vectors of accumulators. Every element sums its products in the order
// of k, in the same chains of fused multiply-adds whatever the tile's shape. So a row's numbers do
// not depend on the rows beside it, or on how threads share rows and columns.
#pragma once

#include <type_traits>

#include "vec.h"

namespace lb::LB_TARGET {
namespace {

/// Rows of a tile of four vectors: accumulators, four weights and a broadcast fit the registers.
constexpr int TILE_ROWS = REGISTERS == 32 ? 6 : 3;
constexpr int ACCUMULATORS = 4 * TILE_ROWS;

/// Blocks of W vectors that a tile of R rows takes at once: few rows need more blocks to keep
/// enough additions in flight.
constexpr int tile_blocks(int R, int W) {
    const int most = ACCUMULATORS / (R * W), few = W == 1 && R > 2 ? 4 : 16 / W;
    return most < 1 ? 1 : most > few ? few : most;
}

/// f(Int<rows>), for 1 to TILE_ROWS rows.
template <class F>
inline void with_rows(int rows, F f) {
    switch (rows) {
        case 1: f(Int<1>{}); break;
        case 2: f(Int<2>{}); break;
        case 3: f(Int<3>{}); break;
        case 4:
            if constexpr (TILE_ROWS > 3) f(Int<4>{});
            break;
        case 5:
            if constexpr (TILE_ROWS > 3) f(Int<5>{});
            break;
        case 6:
            if constexpr (TILE_ROWS > 3) f(Int<6>{});
            break;
    }
}

/// f(Int<R>, row) for all rows from first to last, in as few tiles as registers allow. All tiles
/// are about as tall: a last tile of a row or two would keep too few additions in flight.
template <class F>
inline void for_row_tiles(int first, int last, F f) {
    for (int tiles = (last - first + TILE_ROWS - 1) / TILE_ROWS; tiles > 0; --tiles) {
        const int rows = (last - first + tiles - 1) / tiles;
        with_rows(rows, [&](auto R) { f(R, first); });
        first += rows;
    }
}

/// f(Int<N>, block) for all blocks from first to last, at most MOST at once.
template <int MOST, class F>
inline void for_block_groups(int first, int last, F f) {
    constexpr int LESS = MOST > 4 ? MOST / 2 : MOST - 1;
    while (last - first >= 2 * MOST || last - first == MOST) {
        f(Int<MOST>{}, first);
        first += MOST;
    }
    if constexpr (MOST > 4) {
        if (last - first > MOST) {
            f(Int<MOST>{}, first);
            first += MOST;
        }
    } else if constexpr (MOST > 1) {
        // Two halves: a small group after a full one would keep too few additions in flight.
        const int half = last - first > MOST ? (last - first + 1) / 2 : 0;
        if (half > 0) for_block_groups<LESS>(first, first + half, f);
        first += half;
    }
    if constexpr (MOST > 1)
        if (last > first) for_block_groups<LESS>(first, last, f);
}

/// Part of a sum: rows of K numbers, times a panel of K × W vectors of weights for each block.
template <class T>
struct Segment {
    const T* rows[TILE_ROWS];
    ptrdiff_t row_step;      ///< from one k to the next in a row
    const T* panel;          ///< first block's
    ptrdiff_t panel_step;    ///< from one k to the next in a panel
    ptrdiff_t panel_stride;  ///< from one block's panel to the next one's
    int K;
};

/// A segment whose R rows lie `stride` apart.
template <class T>
inline void set_rows(Segment<T>& segment, const T* first, ptrdiff_t stride, int R) {
    for (int r = 0; r < R; ++r) segment.rows[r] = first + r * stride;
    segment.row_step = 1;
}

/// Longest sum in one chain of additions. Longer sums have several chains, because the rounding
/// error of a chain grows with its length. Its panels of four vectors fit the first cache.
constexpr int CHAIN = 128;
/// Short segments share a chain up to this length.
constexpr int JOINED = 40;

/// z[r][n·W + w] = start[n·W + w] + Σ over segments and k of rows[r][k] · panel[n][k][w]; without a
/// start, Σ is added to z. Not inlined, because the compiler would run out of registers.
template <class T, int R, int N, int W>
__attribute__((noinline)) void sum_chain(Vec<T>* z, const T* start, const Segment<T>* segments,
                                         int num_segments) {
    constexpr int L = LANES<T>, V = N * W;
    Vec<T> sums[R][V];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 32
        for (int v = 0; v < V; ++v) sums[r][v] = Vec<T>{};
    if (start)
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 32
            for (int v = 0; v < V; ++v) sums[r][v] = load(start + v * L);
    for (int s = 0; s < num_segments; ++s) {
        const Segment<T>& segment = segments[s];
        const T* rows[R];
        const T* panels[N];
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) rows[r] = segment.rows[r];
#pragma GCC unroll 16
        for (int n = 0; n < N; ++n) panels[n] = segment.panel + n * segment.panel_stride;
        const ptrdiff_t row_step = segment.row_step, panel_step = segment.panel_step;
        ptrdiff_t i = 0, j = 0;
        for (int k = segment.K; k > 0; --k, i += row_step, j += panel_step) {
            Vec<T> weights[V];
#pragma GCC unroll 32
            for (int v = 0; v < V; ++v) {
                weights[v] = load(panels[v / W] + j + (v % W) * L);
                // Loaded once for all rows; the compiler would load it again for each row.
                if constexpr (R > 1 && R * V + V < REGISTERS) {
                    KEEP_IN_REGISTER(weights[v]);
                }
            }
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) {
                Vec<T> a = splat(rows[r][i]);
                KEEP_IN_REGISTER(a);  // one broadcast, not one for every vector
#pragma GCC unroll 32
                for (int v = 0; v < V; ++v) sums[r][v] = fma(a, weights[v], sums[r][v]);
            }
        }
    }
    if (!start)
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 32
            for (int v = 0; v < V; ++v) sums[r][v] += z[r * V + v];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 32
        for (int v = 0; v < V; ++v) z[r * V + v] = sums[r][v];
}

/// f(first, end, k, K) for the chains of a sum of segments with these numbers of terms. A chain is
/// segments first … end − 1 as a whole, or K terms of one segment from k on.
template <int SEGMENTS, class F>
inline void for_chains(const int (&terms)[SEGMENTS], F f) {
    for (int s = 0, end; s < SEGMENTS; s = end) {
        int length = terms[s];
        for (end = s + 1; end < SEGMENTS && length + terms[end] <= JOINED; ++end)
            length += terms[end];
        if (end > s + 1)
            f(s, end, 0, length);
        else
            for (int k = 0; k < length; k += CHAIN)
                f(s, end, k, length - k < CHAIN ? length - k : CHAIN);
    }
}

/// Tiles that are computed together, chain by chain, so that all of them but one read a chain's
/// panels from the first cache.
constexpr int GROUP = 12;

/// Whether the sums of a product may start from numbers of each row's own, by starts_by_row() and
/// row_starts<R, N>(row, block, z).
template <class Product, class = void>
constexpr bool HAS_ROW_STARTS = false;
template <class Product>
constexpr bool HAS_ROW_STARTS<Product, std::void_t<decltype(&Product::starts_by_row)>> = true;

/// for_products, for N blocks and the rows of a group.
template <class T, int N, class Product, class Finish>
inline void sum_group(const Product& product, int first, int last, int block, Finish finish) {
    constexpr int W = Product::WIDTH;
    T start[N * W * LANES<T>];
    const T* from = start;
    Vec<T> z[GROUP][ACCUMULATORS];
    const auto for_own_tiles = [&](auto f) {
        int tile = 0;
        for_row_tiles(first, last, [&](auto rows, int row) {
            if constexpr (decltype(rows)::value * N * W <= ACCUMULATORS) f(rows, row, z[tile++]);
        });
    };
    bool by_row = false;
    if constexpr (HAS_ROW_STARTS<Product>) by_row = product.starts_by_row();
    if (by_row) {
        from = nullptr;
        if constexpr (HAS_ROW_STARTS<Product>)
            for_own_tiles([&](auto rows, int row, Vec<T>* sums) {
                product.template row_starts<decltype(rows)::value, N>(row, block, sums);
            });
    } else {
        product.start(block, N, start);
    }
    for_chains(product.terms, [&](int s, int end, int k, int K) {
        for_own_tiles([&](auto rows, int row, Vec<T>* sums) {
            constexpr int R = decltype(rows)::value;
            Segment<T> parts[sizeof product.terms / sizeof(int)];
            for (int p = s; p < end; ++p) {
                parts[p - s] = product.segment(p, row, R, block);
                parts[p - s].K = product.terms[p];
            }
            if (end == s + 1) {
                for (int r = 0; r < R; ++r) parts->rows[r] += k * parts->row_step;
                parts->panel += k * parts->panel_step;
                parts->K = K;
            }
            sum_chain<T, R, N, W>(sums, from, parts, end - s);
        });
        from = nullptr;
    });
    for_own_tiles(
        [&](auto rows, int row, Vec<T>* sums) { finish(rows, Int<N>{}, row, block, sums); });
}

/// finish(Int<R>, Int<N>, row, block, z) for all tiles of rows and blocks of a product, where
/// z[r][n · WIDTH + w] is the sum for row + r and vector w of block + n.
///
/// A product has WIDTH, the vectors of a block; `terms`, the number of terms in each segment of its
/// sums; segment(s, row, R, block), segment s for R rows and the panels from a block on; and
/// start(block, N, numbers), which sets the numbers that the sums of N blocks start from.
template <class T, class Product, class Finish>
inline void for_products(const Product& product, int first_row, int last_row, int first_block,
                         int last_block, Finish finish) {
    constexpr int W = Product::WIDTH;
    const int rows = last_row - first_row;
    if (rows <= TILE_ROWS) {
        with_rows(rows, [&](auto R) {
            for_block_groups<tile_blocks(decltype(R)::value, W)>(
                first_block, last_block, [&](auto n, int block) {
                    sum_group<T, decltype(n)::value>(product, first_row, last_row, block, finish);
                });
        });
        return;
    }
    const int groups = (rows - 1) / (GROUP * TILE_ROWS) + 1;
    const auto group_begin = [&](int g) { return first_row + int(int64_t(rows) * g / groups); };
    for_block_groups<tile_blocks(TILE_ROWS, W)>(first_block, last_block, [&](auto n, int block) {
        for (int g = 0; g < groups; ++g)
            sum_group<T, decltype(n)::value>(product, group_begin(g), group_begin(g + 1), block,
                                             finish);
    });
}

/// Lay `num_rows` ≤ L rows of K numbers side by side: to[k · step + lane] = from[lane][k], 0 in
/// the lanes without a row.
template <class T>
inline void pack_transposed(const T* from, ptrdiff_t stride, int num_rows, int K, T* to,
                            ptrdiff_t step) {
    constexpr int L = LANES<T>;
    Vec<T> square[L];
    for (int k = 0; k < K; k += L) {
        const int width = K - k < L ? K - k : L;
        for (int r = 0; r < L; ++r)
            square[r] = r < num_rows ? load(from + r * stride + k, width) : Vec<T>{};
        transpose<T>(square);
        for (int r = 0; r < width; ++r) store(to + (k + r) * step, square[r]);
    }
}

/// The inverse: to[lane][k] = from[k · step + lane] for `num_rows` ≤ L rows.
template <class T>
inline void unpack_transposed(const T* from, ptrdiff_t step, int num_rows, int K, T* to,
                              ptrdiff_t stride) {
    constexpr int L = LANES<T>;
    Vec<T> square[L];
    for (int k = 0; k < K; k += L) {
        const int width = K - k < L ? K - k : L;
        for (int r = 0; r < L; ++r) square[r] = r < width ? load(from + (k + r) * step) : Vec<T>{};
        transpose<T>(square);
        for (int r = 0; r < num_rows; ++r) store(to + r * stride + k, square[r], width);
    }
}

/// Copy K rows of a matrix's columns n·L … n·L + L − 1 into a panel, zeros past its last column.
template <class T>
inline void pack_columns(const T* from, ptrdiff_t stride, int num_columns, int K, T* to) {
    for (int k = 0; k < K; ++k) store(to + k * LANES<T>, load(from + k * stride, num_columns));
}

}  // namespace
}  // namespace lb::LB_TARGET
