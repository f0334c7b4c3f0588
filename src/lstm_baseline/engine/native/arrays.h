// NumPy arrays in and out, and the batch that a call is about.
#pragma once

#include <nanobind/nanobind.h>

#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL lstm_baseline_numpy
#ifndef LB_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <numeric>
#include <vector>

#include "kernels.h"
#include "memory.h"

namespace nb = nanobind;

namespace lb {

template <class T>
constexpr int NUMPY_TYPE = sizeof(T) == 4 ? NPY_FLOAT32 : NPY_FLOAT64;

/// The instruction set in use.
const InstructionSet& instruction_set();

template <class T>
const Kernels<T>& kernels();
template <>
inline const Kernels<float>& kernels() {
    return *instruction_set().single;
}
template <>
inline const Kernels<double>& kernels() {
    return *instruction_set().twice;
}

inline int type_of(nb::handle array) {
    return PyArray_Check(array.ptr())
               ? PyArray_TYPE(reinterpret_cast<PyArrayObject*>(array.ptr()))
               : NPY_NOTYPE;
}

/// Whether this is an array of that type with these sizes, as the kernels read it: no strides, no
/// foreign byte order. A negative size stands for any.
template <class T>
bool fits(nb::handle array, std::initializer_list<npy_intp> sizes) {
    if (type_of(array) != NUMPY_TYPE<T>) return false;
    auto* a = reinterpret_cast<PyArrayObject*>(array.ptr());
    if (PyArray_NDIM(a) != int(sizes.size()) || !PyArray_ISCARRAY_RO(a)) return false;
    const npy_intp* size = PyArray_DIMS(a);
    for (npy_intp wanted : sizes)
        if (const npy_intp given = *size++; wanted >= 0 && given != wanted) return false;
    return true;
}

template <class T>
T* data_of(nb::handle array) {
    return static_cast<T*>(PyArray_DATA(reinterpret_cast<PyArrayObject*>(array.ptr())));
}

inline npy_intp size_of(nb::handle array, int axis) {
    return PyArray_DIM(reinterpret_cast<PyArrayObject*>(array.ptr()), axis);
}

/// The numbers of an argument that the Python side has already checked; null for None.
template <class T>
const T* numbers(nb::handle array, std::initializer_list<npy_intp> sizes, const char* name) {
    if (array.is_none()) return nullptr;
    if (!fits<T>(array, sizes))
        throw nb::type_error((std::string(name) + " is no contiguous array of the dtype and shape "
                                                  "that the compiled engine takes")
                                 .c_str());
    return data_of<T>(array);
}

/// A new array, its numbers not set.
template <class T>
nb::object new_array(std::initializer_list<npy_intp> sizes) {
    PyObject* array =
        PyArray_SimpleNew(int(sizes.size()), const_cast<npy_intp*>(sizes.begin()), NUMPY_TYPE<T>);
    if (!array) throw nb::python_error();
    return nb::steal(array);
}

/// The order in which a batch's rows are worked on.
class BatchOrder {
public:
    /// All rows with T steps.
    BatchOrder(int B, int T) : B_(B), T_(T), order_(size_t(B)), live_(size_t(T) + 1, B),
                               begin_(size_t(T) + 1) {
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

/// Threads for an LSTM's call. Fewer rows than threads share hidden units, if a step is worth a
/// meeting.
int lstm_team_size(const BatchOrder& order, int I, int H, double passes);

void bind_lstm(nb::module_& module);
void bind_lstm_variants(nb::module_& module);
void bind_frozen(nb::module_& module);
void bind_gru(nb::module_& module);
void bind_relational(nb::module_& module);
void bind_training(nb::module_& module);

}  // namespace lb
