// Cross-entropy, clipping and optimizers; what does not fit the kernels is left to Python.

#include <nanobind/stl/vector.h>

#include <array>
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

/// An optimizer's arrays of one parameter, all of one shape: g is read, the others are written.
template <class T, int WRITTEN>
struct Arrays {
    npy_intp size;
    const T* g;
    T* written[WRITTEN];
};

/// Find the arrays of all parameters, the last of `written` being the parameters themselves; return
/// false if one is not as it must be.
template <class T, int WRITTEN>
bool find(const nb::list& g, const std::array<nb::list, WRITTEN>& written,
          std::vector<Arrays<T, WRITTEN>>& all) {
    for (size_t k = 0; k < g.size(); ++k) {
        const nb::handle gradient = g[k];
        if (!is_plain<T>(gradient)) return false;
        Arrays<T, WRITTEN> arrays{count(gradient), data_of<T>(gradient), {}};
        for (int place = 0; place < WRITTEN; ++place) {
            const nb::handle array = written[place][k];
            if (!is_plain<T>(array) || !same_shape(array, gradient) ||
                !PyArray_ISWRITEABLE(reinterpret_cast<PyArrayObject*>(array.ptr())))
                return false;
            arrays.written[place] = data_of<T>(array);
        }
        all.push_back(arrays);
    }
    return true;
}

/// Call update(k, arrays, first, last) for ranges of every parameter k, shared among threads.
template <class T, int WRITTEN, class Update>
void update_all(const std::vector<Arrays<T, WRITTEN>>& all, const Update& update) {
    constexpr double MULTIPLY_ADDS = 50;  // an update takes as long as this many
    npy_intp total = 0;
    for (const Arrays<T, WRITTEN>& arrays : all) total += arrays.size;
    nb::gil_scoped_release released;
    run_team(useful_threads(MULTIPLY_ADDS * double(total)), [&](const Team& team) {
        const int parts = 4 * team.size;
        team.share(parts, [&](const Range& ours) {
            for (size_t k = 0; k < all.size(); ++k)
                update(k, all[k], all[k].size * ours.first / parts,
                       all[k].size * ours.last / parts);
        });
    });
}

/// Update all parameters; if an array is not as it must be, return false and change nothing.
template <class T>
bool adam_update(const AdamRates& rates, const std::vector<double>& kept, const nb::list& g,
                 const nb::list& m, const nb::list& v, const nb::list& p) {
    std::vector<Arrays<T, 3>> all;
    if (kept.size() != g.size() || !find<T, 3>(g, {m, v, p}, all)) return false;
    update_all(all, [&](size_t k, const Arrays<T, 3>& a, npy_intp first, npy_intp last) {
        kernels<T>().optimizers->adam_update(last - first, rates, kept[k], a.g + first,
                                             a.written[0] + first, a.written[1] + first,
                                             a.written[2] + first);
    });
    return true;
}

/// The same for RMSProp.
template <class T>
bool rmsprop_update(const RMSPropRates& rates, const nb::list& g, const nb::list& v,
                    const nb::list& p) {
    std::vector<Arrays<T, 2>> all;
    if (!find<T, 2>(g, {v, p}, all)) return false;
    update_all(all, [&](size_t, const Arrays<T, 2>& a, npy_intp first, npy_intp last) {
        kernels<T>().optimizers->rmsprop_update(last - first, rates, a.g + first,
                                                a.written[0] + first, a.written[1] + first);
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
    module.def("adam_update",
               [](nb::list g, nb::list m, nb::list v, nb::list p, std::vector<double> kept,
                  double beta_1, double beta_2, double rate, double epsilon) {
                   const AdamRates rates{beta_1, beta_2, rate, epsilon};
                   return in_precision_of(first_of(p), [&](auto number) {
                       return adam_update<decltype(number)>(rates, kept, g, m, v, p);
                   });
               });
    module.def("rmsprop_update",
               [](nb::list g, nb::list v, nb::list p, double alpha, double rate, double epsilon) {
                   const RMSPropRates rates{alpha, rate, epsilon};
                   return in_precision_of(first_of(p), [&](auto number) {
                       return rmsprop_update<decltype(number)>(rates, g, v, p);
                   });
               });
}

}  // namespace lb
