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
    module.def("sum_of_squares", [](nb::handle g) {
        return type_of(g) == NPY_FLOAT64 ? sum_of_squares<double>(g) : sum_of_squares<float>(g);
    });
    module.def("adam_update", [](nb::handle g, nb::handle m, nb::handle v, nb::handle p,
                                 double beta_1, double beta_2, double epsilon, double rate,
                                 double root) {
        const AdamRates rates{beta_1, beta_2, epsilon, rate, root};
        type_of(p) == NPY_FLOAT64 ? adam_update<double>(rates, g, m, v, p)
                                  : adam_update<float>(rates, g, m, v, p);
    });
}

}  // namespace lb
