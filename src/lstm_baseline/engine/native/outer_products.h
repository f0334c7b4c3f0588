// Sums of outer products over all stored rows: the gradients of weights.
#pragma once

#include "team.h"
#include "tiles.h"

namespace lb::LB_TARGET {
namespace {

/// Left factors of outer products: the rows of a virtual matrix (K, M), put together from parts.
template <class T>
struct Part {
    const T* const* rows;  ///< K rows of `width` numbers; null for a column of ones
    int width;
};

/// Number of outer products that are summed before the sum goes back to memory.
constexpr int OUTER_CHUNK = CHAIN;

/// Number of them in one chain of additions. These are the longest sums there are: half of CHAIN
/// brings their largest errors down by a third.
constexpr int OUTER_CHAIN = CHAIN / 2;

inline int padded_to_tiles(int M) { return (M + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS; }

/// Numbers in a thread's working memory for sum_outer_products.
template <class T>
inline size_t outer_products_work(int M) {
    return size_t(padded_to_tiles(M)) * (OUTER_CHUNK + 1) + (OUTER_CHUNK * 4 + 1) * LANES<T>;
}

/// Lay a_k of k0 … k0 + chunk − 1 out for tiles: [m / TILE_ROWS][k][m % TILE_ROWS].
template <class T>
inline void pack_left_factors(const Part<T>* parts, int num_parts, int M, int64_t k0, int chunk,
                              T* tiles, T* row) {
    const int padded = padded_to_tiles(M);
    for (int m = M; m < padded; ++m) row[m] = 0;
    for (int k = 0; k < chunk; ++k) {
        T* place = row;
        for (const Part<T>* part = parts; part < parts + num_parts; place += part++->width) {
            if (part->rows)
                __builtin_memcpy(place, part->rows[k0 + k], part->width * sizeof(T));
            else
                *place = 1;
        }
        T* to = tiles + ptrdiff_t(k) * TILE_ROWS;
        for (int tile = 0; tile < padded; tile += TILE_ROWS, to += ptrdiff_t(chunk) * TILE_ROWS)
            for (int r = 0; r < TILE_ROWS; ++r) to[r] = row[tile + r];
    }
}

/// Columns of the sum of K outer products, C (M, ·) = Σ_k a_kᵀ d_k.
///
/// @param parts a_k side by side, M numbers in all
/// @param d     K rows `stride` apart
/// @param c     C in blocks of 4 vectors: [vector / 4][m][vector % 4][lane]
/// @param ours  columns, in vectors; part of them may go to another thread between two chunks
/// @param work  outer_products_work(M) numbers, the thread's own
template <class T>
void sum_outer_products(const Part<T>* parts, int num_parts, int M, int64_t K, const T* d,
                        ptrdiff_t stride, T* c, Range& ours, const Team& team, T* work) {
    constexpr int L = LANES<T>;
    T* panel = work;                         // columns of d: [k][vector][lane]
    T* tiles = panel + OUTER_CHUNK * 4 * L;  // as pack_left_factors has it
    T* row = tiles + ptrdiff_t(padded_to_tiles(M)) * OUTER_CHUNK;  // one a_k
    const auto place = [&](int m, int vector) {
        return c + ((ptrdiff_t(vector / 4) * M + m) * 4 + vector % 4) * L;
    };
    if (K == 0)
        for (int v = ours.first; v < ours.last; ++v)
            for (int m = 0; m < M; ++m) store(place(m, v), Vec<T>{});
    for (int64_t k0; (k0 = int64_t(ours.step) * OUTER_CHUNK) < K; team.give(ours, 4)) {
        const int chunk = int(K - k0 < OUTER_CHUNK ? K - k0 : OUTER_CHUNK);
        pack_left_factors(parts, num_parts, M, k0, chunk, tiles, row);
        const auto sum_columns = [&](int N, int vector) {
            // Rows of d may lie a power of two apart and then push each other out of the cache.
            // Side by side they stay in it for all tiles.
            const T* from = d + k0 * stride + vector * L;
            T* to = panel;
            for (int k = 0, num = chunk; k < num; ++k, from += stride)
                for (int n = 0; n < N; ++n, to += L) store(to, load(from + n * L));
            for (int m = 0; m < M; m += TILE_ROWS) {
                const int R = M - m < TILE_ROWS ? M - m : TILE_ROWS;
                Vec<T> z[ACCUMULATORS];
                if (k0)
                    for (int r = 0; r < R; ++r)
                        for (int n = 0; n < N; ++n) z[r * N + n] = load(place(m + r, vector + n));
                for (int k = 0; k < chunk; k += OUTER_CHAIN)
                    SumOuters<T>::table.of[R - 1][N - 1](
                        z, k0 + k != 0, tiles + ptrdiff_t(m) * chunk + k * TILE_ROWS,
                        panel + k * N * L, chunk - k < OUTER_CHAIN ? chunk - k : OUTER_CHAIN);
                for (int r = 0; r < R; ++r)
                    for (int n = 0; n < N; ++n) store(place(m + r, vector + n), z[r * N + n]);
            }
        };
        // Block by block of four vectors, as far as they are this thread's.
        for (int v = ours.first, end; v < ours.last; v = end) {
            end = (v / 4 + 1) * 4 < ours.last ? (v / 4 + 1) * 4 : ours.last;
            for_block_groups(OUTER_VECTORS, v, end, sum_columns);
        }
        ++ours.step;
    }
}

/// give(vector, Σ) for all vectors of d's columns. Σ is the sum of parts ⊗ d over all stored rows;
/// its M numbers for a lane lie 4 L apart. `work` has `outer` and `tiles`.
template <class T, size_t PARTS, class Work, class Give>
void sum_over_rows(const Part<T> (&parts)[PARTS], const T* d, ptrdiff_t stride, int64_t num_rows,
                   const Work& work, const Team& team, Give give) {
    constexpr int L = LANES<T>;
    int M = 0;
    for (const Part<T>& part : parts) M += part.width;
    const int vectors = int(stride / L);
    // The room of a thread is that of the longest sum.
    T* tiles = work.tiles + team.rank * outer_products_work<T>(M);
    const auto begin = [&](int k) { return int(int64_t(vectors) * k / team.size); };
    team.share(team.size, begin, [&](Range& ours) {
        sum_outer_products(parts, int(PARTS), M, num_rows, d, stride, work.outer, ours, team,
                           tiles);
        for (int v = ours.first; v < ours.last; ++v)
            give(v, work.outer + ptrdiff_t(v / 4) * M * 4 * L + v % 4 * L);
    });
}

}  // namespace
}  // namespace lb::LB_TARGET
