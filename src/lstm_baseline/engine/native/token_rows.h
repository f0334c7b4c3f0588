// Inputs that are tokens: W x of a one-hot row is a column of W, so nothing is multiplied.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lb {

/// A table with a row for each token, W x + b of that token, and the token of each step.
template <class T>
struct TokenRows {
    const int32_t* tokens;  ///< (B, T), or null where x holds numbers
    const T* table;         ///< (V, width)
    ptrdiff_t width;

    explicit operator bool() const { return tokens; }
    /// The row of the token at a step, counted as x counts them: row · T + t.
    const T* operator()(ptrdiff_t step) const { return table + tokens[step] * width; }
};

}  // namespace lb
