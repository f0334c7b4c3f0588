// The order of a call's rows, from x and lengths.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "arrays.h"
#include "batch.h"

namespace lb {

/// The order in which a batch's rows are worked on.
class BatchOrder {
public:
    /// All rows with T steps.
    BatchOrder(int B, int T)
        : B_(B), T_(T), order_(size_t(B)), live_(size_t(T) + 1, B), begin_(size_t(T) + 1) {
        std::iota(order_.begin(), order_.end(), 0);
        finish();
    }

    /// Rows of given lengths, 0 to T.
    BatchOrder(int B, int T, const int64_t* lengths) : BatchOrder(B, T) {
        std::stable_sort(order_.begin(), order_.end(),
                         [&](int32_t a, int32_t b) { return lengths[a] > lengths[b]; });
        std::fill(live_.begin(), live_.end(), 0);
        for (int row = 0; row < B; ++row)
            for (int64_t t = 0; t < lengths[row]; ++t) ++live_[size_t(t)];
        finish();
    }

    Batch batch() const { return {B_, T_, order_.data(), live_.data(), begin_.data()}; }
    int64_t num_stored() const { return begin_.back(); }

private:
    void finish() {
        live_[size_t(T_)] = 0;
        begin_[0] = 0;
        for (int t = 0; t < T_; ++t) begin_[size_t(t) + 1] = begin_[size_t(t)] + live_[size_t(t)];
    }

    int B_, T_;
    std::vector<int32_t> order_, live_;
    std::vector<int64_t> begin_;
};

/// The order for x (B, T, ·) and lengths (B) of int64, or None.
inline BatchOrder batch_order(nb::handle x, nb::handle lengths) {
    constexpr npy_intp MOST = npy_intp(1) << 30;
    if (size_of(x, 0) > MOST || size_of(x, 1) > MOST)
        throw nb::value_error("x has more than 2**30 rows or steps");
    const int B = int(size_of(x, 0)), T = int(size_of(x, 1));
    if (lengths.is_none()) return BatchOrder(B, T);
    auto* a = reinterpret_cast<PyArrayObject*>(lengths.ptr());
    if (type_of(lengths) != NPY_INT64 || PyArray_NDIM(a) != 1 || !PyArray_ISCARRAY_RO(a) ||
        PyArray_DIM(a, 0) != B)
        throw nb::type_error("lengths is no contiguous int64 array with one entry a row");
    const int64_t* data = data_of<int64_t>(lengths);
    for (int row = 0; row < B; ++row)
        if (data[row] < 0 || data[row] > T) throw nb::value_error("a length is not within 0 to T");
    return BatchOrder(B, T, data);
}

}  // namespace lb
