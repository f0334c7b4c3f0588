// Rows of hidden units, padded to whole vectors, and which of them are a thread's own.
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

/// This thread's rows and blocks.
template <class T>
struct Share {
    int first_row, last_row, first_block, last_block;
    bool meet;  ///< threads share rows, so they meet after every step

    Share(const Batch& batch, int H, const Team& team, bool may_meet = true)
        : first_row(0), last_row(batch.B), first_block(0), last_block(num_blocks<T>(H)),
          meet(false) {
        if (team.size == 1) return;
        if (batch.B < team.size && may_meet) {
            meet = true;
            first_block = team.first(num_blocks<T>(H));
            last_block = team.last(num_blocks<T>(H));
            return;
        }
        first_row = row_at(batch, team.rank, team.size);
        last_row = row_at(batch, team.rank + 1, team.size);
    }

private:
    /// The row before which rank / size of all steps lie.
    static int row_at(const Batch& batch, int rank, int size) {
        if (rank == size) return batch.B;
        const int64_t total = batch.begin[batch.T];
        if (total == int64_t(batch.B) * batch.T) return int(int64_t(batch.B) * rank / size);
        int64_t before = 0;
        int row = 0;
        for (; row < batch.B && before * size < total * rank; ++row) before += batch.length(row);
        return row;
    }
};

}  // namespace
}  // namespace lb::LB_TARGET
