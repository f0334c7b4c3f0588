// NumPy arrays in and out.
//
// This uses NumPy's C API and not nb::ndarray, because calls are then cheaper: nb::ndarray takes
// about 0.2 µs for an argument and 0.6 µs for a new array, the C API 0.02 µs and 0.16 µs. A frozen
// LSTM's step, which has three of each, takes 2.5 µs.
#pragma once

#include <nanobind/nanobind.h>

#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL lstm_baseline_numpy
#ifndef LB_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include <initializer_list>
#include <string>

namespace nb = nanobind;

namespace lb {

template <class T>
constexpr int NUMPY_TYPE = sizeof(T) == 4 ? NPY_FLOAT32 : NPY_FLOAT64;

inline int type_of(nb::handle array) {
    return PyArray_Check(array.ptr()) ? PyArray_TYPE(reinterpret_cast<PyArrayObject*>(array.ptr()))
                                      : NPY_NOTYPE;
}

/// Whether this is an array of T with these sizes that the kernels can read: contiguous and in
/// native byte order. A negative size stands for any.
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

/// f(T()) for the dtype of an array: T is double for float64 and float for all others. If that is
/// wrong, the checks of the arguments refuse the array.
template <class F>
auto in_precision_of(nb::handle array, F f) {
    return type_of(array) == NPY_FLOAT64 ? f(double()) : f(float());
}

}  // namespace lb
