// Clipping and Adam, for arrays that the optimizer has checked.

#include "arrays.h"

namespace lb {
namespace {

template <class T>
npy_intp count(nb::handle array) {
    auto* a = reinterpret_cast<PyArrayObject*>(array.ptr());
    if (type_of(array) != NUMPY_TYPE<T> || !PyArray_ISCARRAY_RO(a))
        throw nb::type_error("an array is not contiguous or not of the parameters' dtype");
    return PyArray_SIZE(a);
}

/// Sum of the losses of all rows, and their mean's gradient; None where a target is no class.
template <class T>
nb::object cross_entropy(nb::handle logits, nb::handle targets) {
    if (!fits<T>(logits, {-1, -1})) throw nb::type_error("logits do not fit");
    const npy_intp num_rows = size_of(logits, 0), K = size_of(logits, 1);
    auto* a = reinterpret_cast<PyArrayObject*>(targets.ptr());
    if (type_of(targets) != NPY_INT64 || PyArray_NDIM(a) != 1 || !PyArray_ISCARRAY_RO(a) ||
        PyArray_DIM(a, 0) != num_rows)
        throw nb::type_error("targets do not fit");
    const int64_t* classes = data_of<int64_t>(targets);
    for (npy_intp row = 0; row < num_rows; ++row)
        if (classes[row] < 0 || classes[row] >= K) return nb::none();
    nb::object gradient = new_array<T>({num_rows, K});
    const double total = kernels<T>().cross_entropy(num_rows, int(K), data_of<T>(logits), classes,
                                                    data_of<T>(gradient));
    return nb::make_tuple(total, gradient);
}

template <class T>
double sum_of_squares(nb::handle g) {
    const npy_intp n = count<T>(g);
    nb::gil_scoped_release released;
    return kernels<T>().sum_of_squares(n, data_of<T>(g));
}

template <class T>
void adam_update(const AdamRates& rates, nb::handle g, nb::handle m, nb::handle v, nb::handle p) {
    const npy_intp n = count<T>(p);
    for (nb::handle array : {g, m, v})
        if (count<T>(array) != n) throw nb::value_error("the arrays differ in size");
    for (nb::handle array : {m, v, p})
        if (!PyArray_ISWRITEABLE(reinterpret_cast<PyArrayObject*>(array.ptr())))
            throw nb::value_error("an array that Adam updates is read-only");
    nb::gil_scoped_release released;
    kernels<T>().adam_update(n, rates, data_of<T>(g), data_of<T>(m), data_of<T>(v), data_of<T>(p));
}

}  // namespace

void bind_training(nb::module_& module) {
    module.def("cross_entropy", [](nb::handle logits, nb::handle targets) {
        return type_of(logits) == NPY_FLOAT64 ? cross_entropy<double>(logits, targets)
                                              : cross_entropy<float>(logits, targets);
    });
    module.def("sum_of_squares", [](nb::handle g) {
        return type_of(g) == NPY_FLOAT64 ? sum_of_squares<double>(g) : sum_of_squares<float>(g);
    });
    module.def("adam_update", [](nb::handle g, nb::handle m, nb::handle v, nb::handle p,
                                 double beta_1, double beta_2, double rate, double epsilon) {
        const AdamRates rates{beta_1, beta_2, rate, epsilon};
        type_of(p) == NPY_FLOAT64 ? adam_update<double>(rates, g, m, v, p)
                                  : adam_update<float>(rates, g, m, v, p);
    });
}

}  // namespace lb
