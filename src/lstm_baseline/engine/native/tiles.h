// Matrix products on tiles that stay in registers, and the packed panels that they read.
//
// Every element sums its products in the same order whatever the tile's shape: see sum_chain.h. So
// a row's numbers do not depend on the rows beside it, or on how threads share rows and columns.
#pragma once

#include <type_traits>

#include "sum_chain.h"

namespace lb::LB_TARGET {
namespace {

/// f(R, row) for all rows from first to last, in as few tiles as registers allow. All tiles are
/// about as tall: a last tile of a row or two would keep too few additions in flight.
template <class F>
inline void for_row_tiles(int first, int last, F f) {
    for (int tiles = (last - first + TILE_ROWS - 1) / TILE_ROWS; tiles > 0; --tiles) {
        const int rows = tiles == 1 ? last - first : (last - first + tiles - 1) / tiles;
        f(rows, first);
        first += rows;
    }
}

/// Half of the blocks, or a block less: how many are taken at once where `most` are too many.
constexpr int fewer_blocks(int most) { return most > 4 ? most / 2 : most - 1; }

/// Whether for_block_groups ever takes N blocks at once if it takes at most `most`.
constexpr bool takes_blocks(int most, int N) {
    return N == most || (most > 1 && takes_blocks(fewer_blocks(most), N));
}

/// f(N, block) for all blocks from first to last, N ≤ most at once.
template <class F>
void for_block_groups(int most, int first, int last, const F& f) {
    const auto take = [&] {
        f(most, first);
        first += most;
    };
    while (last - first >= 2 * most || last - first == most) take();
    if (most > 4) {
        if (last - first > most) take();
    } else if (last - first > most) {
        // Two halves: a small group after a full one would keep too few additions in flight.
        const int half = first + (last - first + 1) / 2;
        for_block_groups(fewer_blocks(most), first, half, f);
        first = half;
    }
    if (last > first) for_block_groups(fewer_blocks(most), first, last, f);
}

/// The sums of a tile of R rows and N blocks of W vectors: see sum_chain.h.
template <class T, int W>
inline void sum_chain(int R, int N, Vec<T>* z, const T* start, const Segment<T>* segments,
                      int num_segments) {
    SumChains<T, W>::table.of[R - 1][N - 1](z, start, segments, num_segments);
}

/// A segment whose R rows lie `stride` apart.
template <class T>
inline void set_rows(Segment<T>& segment, const T* first, ptrdiff_t stride, int R) {
    for (int r = 0; r < R; ++r) segment.rows[r] = first + r * stride;
}

/// Longest sum in one chain of additions. Longer sums have several chains, because the rounding
/// error of a chain grows with its length. Its panels of four vectors fit the first cache.
constexpr int CHAIN = 128;
/// Short segments share a chain up to this length.
constexpr int JOINED = 40;

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

/// The sums of a group's tiles, each [row][block][vector of a block].
template <class T>
using Sums = Vec<T>[GROUP][ACCUMULATORS];

/// Whether the sums of a product may start from numbers of each row's own, by starts_by_row() and
/// row_starts(R, N, row, block, z).
template <class Product, class = void>
constexpr bool HAS_ROW_STARTS = false;
template <class Product>
constexpr bool HAS_ROW_STARTS<Product, std::void_t<decltype(&Product::starts_by_row)>> = true;

/// The sums of a group of rows and N blocks.
template <class T, class Product>
void sum_group(const Product& product, int first, int last, int N, int block, Sums<T>& z) {
    constexpr int W = Product::WIDTH;
    T start[TILE_VECTORS * LANES<T>];
    const T* from = start;
    bool by_row = false;
    if constexpr (HAS_ROW_STARTS<Product>) by_row = product.starts_by_row();
    if (by_row) {
        from = nullptr;
        int tile = 0;
        if constexpr (HAS_ROW_STARTS<Product>)
            for_row_tiles(first, last,
                          [&](int R, int row) { product.row_starts(R, N, row, block, z[tile++]); });
    } else {
        product.start(block, N, start);
    }
    for_chains(product.terms, [&](int s, int end, int k, int K) {
        int tile = 0;
        for_row_tiles(first, last, [&](int R, int row) {
            Segment<T> parts[sizeof product.terms / sizeof(int)] = {};
            for (int p = s; p < end; ++p) {
                product.segment(p, row, R, block, parts[p - s]);
                parts[p - s].K = product.terms[p];
            }
            if (end == s + 1) {
                for (int r = 0; r < R; ++r) parts->rows[r] += k;
                parts->panel += ptrdiff_t(k) * (W * LANES<T>);
                parts->K = K;
            }
            sum_chain<T, W>(R, N, z[tile++], from, parts, end - s);
        });
        from = nullptr;
    });
}

/// finish(R, N, row, block, z) for all tiles of rows and blocks of a product, R rows by N blocks,
/// where z[(r · N + n) · WIDTH + w] is the sum for row + r and vector w of block + n.
///
/// A product has WIDTH, the vectors of a block; `terms`, the number of terms in each segment of its
/// sums; segment(s, row, R, block, segment), which sets all of segment s but K for R rows and the
/// panels from a block on; and start(block, N, numbers), which sets the numbers that the sums of N
/// blocks start from.
template <class T, class Product, class Finish>
inline void for_products(const Product& product, int first_row, int last_row, int first_block,
                         int last_block, const Finish& finish) {
    const int rows = last_row - first_row;
    if (rows <= 0) return;
    const int groups = (rows - 1) / (GROUP * TILE_ROWS) + 1;
    const auto group_end = [&](int g) {
        return g == groups - 1 ? last_row : first_row + int(int64_t(rows) * (g + 1) / groups);
    };
    const int most = tile_blocks(rows < TILE_ROWS ? rows : TILE_ROWS, Product::WIDTH);
    Sums<T> z;
    for_block_groups(most, first_block, last_block, [&](int N, int block) {
        for (int g = 0, first = first_row, last; g < groups; ++g, first = last) {
            last = group_end(g);
            sum_group<T>(product, first, last, N, block, z);
            int tile = 0;
            for_row_tiles(first, last,
                          [&](int R, int row) { finish(R, N, row, block, z[tile++]); });
        }
    });
}

/// Store a tile of R rows and N vectors to rows `stride` apart, of which `width` numbers are left.
template <class T>
inline void store_tile(int R, int N, const Vec<T>* z, T* to, ptrdiff_t stride, int width) {
    for (int r = 0; r < R; ++r, to += stride)
        for (int n = 0; n < N; ++n) store(to + n * LANES<T>, *z++, width - n * LANES<T>);
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
