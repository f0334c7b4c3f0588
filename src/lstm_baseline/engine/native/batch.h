// The rows and steps of a call, as its kernel takes them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "team.h"

namespace lb {

/// The rows that take part in each step. Rows are in order of length, the longest first, so the
/// first ones are always those still running. There is no mask, and no work past a row's end.
struct Batch {
    int B, T;
    const int32_t* order;  ///< (B) the caller's row at each place
    const int32_t* live;   ///< (T + 1) rows longer than t steps; live[T] = 0
    const int64_t* begin;  ///< (T + 1) first stored row of step t; begin[T] = number of stored rows

    /// Steps of the row at a place.
    LB_INLINE int length(int place) const {
        int low = 0, high = T;
        while (low < high) {
            const int middle = (low + high + 1) / 2;
            if (live[middle - 1] > place)
                low = middle;
            else
                high = middle - 1;
        }
        return low;
    }
};

}  // namespace lb
