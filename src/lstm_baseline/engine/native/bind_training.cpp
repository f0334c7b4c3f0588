// Clipping and Adam, for arrays that the optimizer has checked.

#include <vector>

#include "../../training/losses_kernel.h"
#include "../../training/optimizers_kernel.h"
#include "bind.h"

namespace lb {
namespace {

/// Whether this is an array of the kernels' kind, of any shape.
template <class T>
bool is_plain(nb::handle array) {
    return type_of(array) == NUMPY_TYPE<T> &&
           PyArray_ISCARRAY_RO(reinterpret_cast<PyArrayObject*>(array.ptr()));
}

npy_intp count(nb::handle array) {
    return PyArray_SIZE(reinterpret_cast<PyArrayObject*>(array.ptr()));
}

bool same_shape(nb::handle a, nb::handle b) {
    return PyArray_SAMESHAPE(reinterpret_cast<PyArrayObject*>(a.ptr()),
                             reinterpret_cast<PyArrayObject*>(b.ptr()));
}

/// Sum of the losses of all rows, and their mean's gradient; None where the arguments do not fit.
template <class T>
nb::object cross_entropy(nb::handle logits, nb::handle targets) {
    if (!fits<T>(logits, {-1, -1})) return nb::none();
    const npy_intp num_rows = size_of(logits, 0), K = size_of(logits, 1);
    auto* a = reinterpret_cast<PyArrayObject*>(targets.ptr());
    if (type_of(targets) != NPY_INT64 || PyArray_NDIM(a) != 1 || !PyArray_ISCARRAY_RO(a) ||
        PyArray_DIM(a, 0) != num_rows)
        return nb::none();
    const int64_t* classes = data_of<int64_t>(targets);
    for (npy_intp row = 0; row < num_rows; ++row)
        if (classes[row] < 0 || classes[row] >= K) return nb::none();
    nb::object gradient = new_array<T>({num_rows, K});
    const double total = kernels<T>().losses->cross_entropy(num_rows, int(K), data_of<T>(logits),
                                                            classes, data_of<T>(gradient));
    return nb::make_tuple(total, gradient);
}

/// Sum of the squares of all arrays; None if one is not of the kernels' kind.
template <class T>
nb::object sum_of_squares(nb::list arrays) {
    double total = 0;
    for (nb::handle g : arrays) {
        if (!is_plain<T>(g)) return nb::none();
        total += kernels<T>().optimizers->sum_of_squares(count(g), data_of<T>(g));
    }
    return nb::float_(total);
}

/// Update all parameters; if an array is not as it must be, return false and change nothing.
template <class T>
bool adam_update(const AdamRates& rates, nb::list g, nb::list m, nb::list v, nb::list p) {
    constexpr double MULTIPLY_ADDS = 50;  // an update takes as long as this many
    struct Arrays {
        npy_intp size;
        const T* g;
        T *m, *v, *p;
    };
    std::vector<Arrays> all;
    npy_intp total = 0;
    for (size_t k = 0; k < p.size(); ++k) {
        const nb::handle arrays[] = {g[k], m[k], v[k], p[k]};
        if (!is_plain<T>(p[k])) return false;
        for (nb::handle array : arrays) {
            if (!is_plain<T>(array) || !same_shape(array, p[k])) return false;
            if (!array.is(arrays[0]) &&
                !PyArray_ISWRITEABLE(reinterpret_cast<PyArrayObject*>(array.ptr())))
                return false;
        }
        all.push_back({count(p[k]), data_of<T>(arrays[0]), data_of<T>(arrays[1]),
                       data_of<T>(arrays[2]), data_of<T>(arrays[3])});
        total += all.back().size;
    }
    nb::gil_scoped_release released;
    run_team(useful_threads(MULTIPLY_ADDS * double(total)), [&](const Team& team) {
        const int parts = 4 * team.size;
        team.share(parts, [&](const Range& ours) {
            for (const Arrays& a : all) {
                const npy_intp first = a.size * ours.first / parts;
                const npy_intp last = a.size * ours.last / parts;
                kernels<T>().optimizers->adam_update(last - first, rates, a.g + first, a.m + first,
                                                     a.v + first, a.p + first);
            }
        });
    });
    return true;
}

/// The first array of a list, or None.
nb::object first_of(const nb::list& arrays) {
    return arrays.size() ? nb::object(arrays[0]) : nb::none();
}

}  // namespace

void bind_training(nb::module_& module) {
    module.def("cross_entropy", [](nb::handle logits, nb::handle targets) {
        return in_precision_of(
            logits, [&](auto number) { return cross_entropy<decltype(number)>(logits, targets); });
    });
    module.def("sum_of_squares", [](nb::list arrays) {
        return in_precision_of(first_of(arrays), [&](auto number) {
            return sum_of_squares<decltype(number)>(arrays);
        });
    });
    module.def("adam_update", [](nb::list g, nb::list m, nb::list v, nb::list p, double beta_1,
                                 double beta_2, double rate, double epsilon) {
        const AdamRates rates{beta_1, beta_2, rate, epsilon};
        return in_precision_of(first_of(p), [&](auto number) {
            return adam_update<decltype(number)>(rates, g, m, v, p);
        });
    });
}

}  // namespace lb
