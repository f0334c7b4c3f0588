// The tiles of sum_chain.h. kernels.cmake compiles this file once for each instruction set.

#include "sum_chain.h"

#include "tiles.h"

namespace lb::LB_TARGET {
namespace {

/// sums[r][v] += Σ_k factor(r, k) · weight(v, k), all of a tile in one loop.
template <class T, int R, int V, class Factor, class Weight>
inline void add_products(Vec<T> (&sums)[R][V], int K, Factor factor, Weight weight) {
    for (ptrdiff_t k = 0; k < K; ++k) {
        Vec<T> weights[V];
#pragma GCC unroll 32
        for (int v = 0; v < V; ++v) {
            weights[v] = weight(v, k);
            // Loaded once for all rows; the compiler would load it again for each row.
            if constexpr (R > 1 && R * V + V < REGISTERS) {
                KEEP_IN_REGISTER(weights[v]);
            }
        }
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            Vec<T> a = splat(factor(r, k));
            KEEP_IN_REGISTER(a);  // one broadcast, not one for every vector
#pragma GCC unroll 32
            for (int v = 0; v < V; ++v) sums[r][v] = fma(a, weights[v], sums[r][v]);
        }
    }
}

/// f(r, v) for all vectors of a tile.
template <int R, int V, class F>
inline void for_tile(F f) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 32
        for (int v = 0; v < V; ++v) f(r, v);
}

template <class T, int R, int N, int W>
void sum_chain(Vec<T>* z, const T* start, const Segment<T>* segments, int num_segments) {
    constexpr int L = LANES<T>, V = N * W;
    Vec<T> sums[R][V];
    for_tile<R, V>([&](int r, int v) { sums[r][v] = Vec<T>{}; });
    if (start) for_tile<R, V>([&](int r, int v) { sums[r][v] = load(start + v * L); });
    for (int s = 0; s < num_segments; ++s) {
        const T* rows[R];
        const T* panels[N];
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) rows[r] = segments[s].rows[r];
#pragma GCC unroll 16
        for (int n = 0; n < N; ++n) panels[n] = segments[s].panel + n * segments[s].panel_stride;
        add_products<T>(
            sums, segments[s].K, [&](int r, ptrdiff_t k) { return rows[r][k]; },
            [&](int v, ptrdiff_t k) { return load(panels[v / W] + k * (W * L) + v % W * L); });
    }
    if (!start) for_tile<R, V>([&](int r, int v) { sums[r][v] += z[r * V + v]; });
    for_tile<R, V>([&](int r, int v) { z[r * V + v] = sums[r][v]; });
}

template <class T, int R, int V>
void sum_outer(Vec<T>* z, bool add, const T* left, const T* right, int K) {
    constexpr int L = LANES<T>;
    Vec<T> sums[R][V];
    for_tile<R, V>([&](int r, int v) { sums[r][v] = Vec<T>{}; });
    add_products<T>(
        sums, K, [&](int r, ptrdiff_t k) { return left[k * TILE_ROWS + r]; },
        [&](int v, ptrdiff_t k) { return load(right + (k * V + v) * L); });
    if (add) for_tile<R, V>([&](int r, int v) { sums[r][v] += z[r * V + v]; });
    for_tile<R, V>([&](int r, int v) { z[r * V + v] = sums[r][v]; });
}

/// Whether there are tiles of R rows and N blocks of W vectors.
constexpr bool is_tile(int R, int N, int W) {
    return R * N * W <= ACCUMULATORS &&
           (takes_blocks(tile_blocks(R, W), N) || takes_blocks(tile_blocks(TILE_ROWS, W), N));
}

template <class T, int W, int R = 1, int N = 1>
constexpr void fill(typename SumChains<T, W>::Table& table) {
    if constexpr (is_tile(R, N, W)) table.of[R - 1][N - 1] = sum_chain<T, R, N, W>;
    if constexpr (N < TILE_VECTORS)
        fill<T, W, R, N + 1>(table);
    else if constexpr (R < TILE_ROWS)
        fill<T, W, R + 1>(table);
}

template <class T, int R = 1, int V = 1>
constexpr void fill(typename SumOuters<T>::Table& table) {
    table.of[R - 1][V - 1] = sum_outer<T, R, V>;
    if constexpr (V < OUTER_VECTORS)
        fill<T, R, V + 1>(table);
    else if constexpr (R < TILE_ROWS)
        fill<T, R + 1>(table);
}

template <class Tiles, class Fill>
constexpr typename Tiles::Table filled(Fill fill) {
    typename Tiles::Table table{};
    fill(table);
    return table;
}

}  // namespace

template <class T, int W>
const typename SumChains<T, W>::Table SumChains<T, W>::table = filled<SumChains>([](auto& table) {
    fill<T, W>(table);
});

template <class T>
const typename SumOuters<T>::Table SumOuters<T>::table = filled<SumOuters>([](auto& table) {
    fill<T>(table);
});

template struct SumChains<float, 1>;
template struct SumChains<float, 4>;
template struct SumChains<double, 1>;
template struct SumChains<double, 4>;
template struct SumOuters<float>;
template struct SumOuters<double>;

}  // namespace lb::LB_TARGET
