// Rows of hidden units, padded to whole vectors, and how threads share them.
#pragma once

#include "batch.h"
#include "vec.h"

namespace lb::LB_TARGET {
namespace {

template <class T>
inline int num_blocks(int H) {
    return (H + LANES<T> - 1) / LANES<T>;
}

template <class T>
inline ptrdiff_t padded(int H) {
    return ptrdiff_t(num_blocks<T>(H)) * LANES<T>;
}

/// Copy a row and fill it up with zeros; null stands for zeros.
template <class T>
inline void copy_padded(const T* from, int H, T* to) {
    __builtin_memset(to, 0, sizeof(T) * padded<T>(H));
    if (from) __builtin_memcpy(to, from, sizeof(T) * H);
}

/// f(vector, units that it holds) for all vectors of H units.
template <class T, class F>
inline void for_vectors(int H, F f) {
    for (int unit = 0; unit < H; unit += LANES<T>) f(unit, H - unit);
}

/// Places of a gate's vectors in W, U and b, which have no padding between gates.
template <class T>
struct GatePlaces {
    int H, blocks = num_blocks<T>(H);

    /// Lanes of a vector that hold a unit.
    int units(int v) const {
        const int rest = H - v % blocks * LANES<T>;
        return rest < LANES<T> ? rest : LANES<T>;
    }
    ptrdiff_t row(int v) const { return ptrdiff_t(v / blocks) * H + v % blocks * LANES<T>; }
};

/// Least rows that are worth handing over: half a tile and more.
constexpr int GRAIN_ROWS = 4;

/// Between two steps: give rows to a thread that has none.
inline void give_rows(const Batch& batch, Range& rows, const Team& team) {
    if (rows.step < batch.T) team.give(rows, GRAIN_ROWS);
}

/// f(range) for all rows, in ranges of about the same number of steps, one for each thread.
template <class F>
inline void for_row_ranges(const Batch& batch, const Team& team, F f) {
    const int64_t total = batch.begin[batch.T];
    const bool equal = total == int64_t(batch.B) * batch.T;
    // The row before which k / size of all steps lie.
    const auto begin = [&](int k) {
        if (equal || k == team.size) return int(int64_t(batch.B) * k / team.size);
        int64_t before = 0;
        int row = 0;
        for (; row < batch.B && before * team.size < total * k; ++row) before += batch.length(row);
        return row;
    };
    team.share(team.size, begin, f);
}

}  // namespace
}  // namespace lb::LB_TARGET
