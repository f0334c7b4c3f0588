#include "bind_input_gradient.h"

namespace lb {
namespace {

/// Sums of the rows (N, O) of each token, (V, O), in the order of the rows.
template <class T>
nb::object sum_by_token(nb::handle rows, nb::handle tokens, int V) {
    const T* from = numbers<T>(rows, {-1, -1}, "rows");
    const npy_intp N = size_of(rows, 0), O = size_of(rows, 1);
    auto* a = reinterpret_cast<PyArrayObject*>(tokens.ptr());
    if (type_of(tokens) != NPY_INT32 || PyArray_SIZE(a) != N || !PyArray_ISCARRAY_RO(a))
        throw nb::type_error("tokens is no contiguous int32 array with one entry a row");
    const int32_t* of_row = data_of<int32_t>(tokens);
    for (npy_intp k = 0; k < N; ++k)
        if (of_row[k] < 0 || of_row[k] >= V)
            throw nb::value_error("a token is not within the table");
    nb::object sums = new_array<T>({V, O});
    T* to = data_of<T>(sums);
    nb::gil_scoped_release released;
    run_team(useful_threads(double(N + V) * double(O)), [&](const Team& team) {
        team.share(int(O), [&](const Range& ours) {
            for (npy_intp k = 0; k < V; ++k)
                std::fill(to + k * O + ours.first, to + k * O + ours.last, T(0));
            for (npy_intp k = 0; k < N; ++k) {
                T* sum = to + of_row[k] * O;
                for (int o = ours.first; o < ours.last; ++o) sum[o] += from[k * O + o];
            }
        });
    });
    return sums;
}

}  // namespace

void bind_input_gradient(nb::module_& module) {
    nb::class_<Either<LSTMInputGradient>>(module, "LSTMInputGradient")
        .def("d_x",
             method<LSTMInputGradient>(&LSTMInputGradient<float>::d_x,
                                       &LSTMInputGradient<double>::d_x),
             nb::arg("W"))
        .def("by_token",
             method<LSTMInputGradient>(&LSTMInputGradient<float>::by_token,
                                       &LSTMInputGradient<double>::by_token),
             nb::arg("tokens"), nb::arg("num_tokens"));
    module.def(
        "sum_by_token",
        [](nb::handle rows, nb::handle tokens, int num_tokens) {
            return in_precision_of(rows, [&](auto number) {
                return sum_by_token<decltype(number)>(rows, tokens, num_tokens);
            });
        },
        nb::arg("rows"), nb::arg("tokens"), nb::arg("num_tokens"));
}

}  // namespace lb
