// What the bindings of all kernels share: the kernels in use, the inputs of a call, the run of a
// kernel, and Python's objects of either precision.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#include "arrays.h"
#include "batch_order.h"
#include "kernels.h"
#include "memory.h"
#include "team.h"
#include "token_rows.h"

namespace lb {

/// The instruction set in use.
const InstructionSet& instruction_set();

template <class T>
const Kernels<T>& kernels() {
    if constexpr (sizeof(T) == 4)
        return *instruction_set().single;
    else
        return *instruction_set().twice;
}

/// The inputs of a call and the order of their rows, kept for backward.
struct Inputs {
    nb::object x;  ///< (B, T, I)
    std::shared_ptr<const BatchOrder> order;
    int I;

    Inputs(nb::handle x, nb::handle lengths)
        : x(nb::borrow(x)), order(std::make_shared<const BatchOrder>(batch_order(x, lengths))),
          I(int(size_of(x, 2))) {}
    Batch batch() const { return order->batch(); }
    size_t num_stored() const { return size_t(order->num_stored()); }
};

/// Numbers of a stored row of H units.
template <class T>
ptrdiff_t padded(int H, const Kernels<T>& kernels) {
    return ptrdiff_t(H + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
}

/// Numbers of stored rows, `stride` apart, as (B, T, width), zeros past a row's end.
template <class T>
nb::object in_rows(const BatchOrder& order, const T* stored, ptrdiff_t stride, int width) {
    const Batch batch = order.batch();
    nb::object result = new_array<T>({batch.B, batch.T, width});
    T* to = data_of<T>(result);
    std::fill(to, to + size_t(batch.B) * size_t(batch.T) * size_t(width), T(0));
    for (int t = 0; t < batch.T; ++t)
        for (int row = 0; row < batch.live[t]; ++row) {
            const T* from = stored + (batch.begin[t] + row) * stride;
            std::copy(from, from + width, to + (ptrdiff_t(batch.order[row]) * batch.T + t) * width);
        }
    return result;
}

/// Tokens (B, T) of int32, checked to be rows of a table of V.
inline const int32_t* checked_tokens(nb::handle tokens, const Batch& batch, npy_intp V) {
    auto* a = reinterpret_cast<PyArrayObject*>(tokens.ptr());
    if (type_of(tokens) != NPY_INT32 || PyArray_NDIM(a) != 2 || !PyArray_ISCARRAY_RO(a) ||
        PyArray_DIM(a, 0) != batch.B || PyArray_DIM(a, 1) != batch.T)
        throw nb::type_error("tokens is no contiguous int32 array with one entry a step");
    const int32_t* data = data_of<int32_t>(tokens);
    for (npy_intp k = 0; k < npy_intp(batch.B) * batch.T; ++k)
        if (data[k] < 0 || data[k] >= V) throw nb::value_error("a token is not within the table");
    return data;
}

/// Rows of a table (V, width) in place of x; none where tokens is None.
template <class T>
TokenRows<T> token_rows(nb::handle tokens, nb::handle table, const Batch& batch, npy_intp width) {
    if (tokens.is_none()) return {};
    if (table.is_none()) throw nb::type_error("table is None, and there are tokens");
    const T* rows = numbers<T>(table, {-1, width}, "table");
    return {checked_tokens(tokens, batch, size_of(table, 0)), rows, width};
}

/// Threads for a call with this many multiply-adds in a step of a row. They take rows or groups of
/// rows, of which there are `most`.
inline int team_size(const BatchOrder& order, double multiply_adds, int most) {
    const int useful = useful_threads(multiply_adds * double(order.num_stored()));
    return std::max(1, std::min(useful, most));
}

/// Run a kernel on a team, with the working memory that it asks for. Meanwhile Python may go on.
template <class Arguments>
void run_kernel(void (*kernel)(const Arguments&, const Team&), Arguments& arguments, int team_size,
                size_t work_size, bool meet = false) {
    using T = std::remove_pointer_t<decltype(arguments.work)>;
    nb::gil_scoped_release released;
    const Buffer work(work_size * sizeof(T));
    arguments.work = work.as<T>();
    run_team(
        team_size, [&](const Team& team) { kernel(arguments, team); }, meet);
}

/// A Python object in the precision of its arrays: Of<float> or Of<double>.
template <template <class> class Of>
class Either {
public:
    Either(std::unique_ptr<Of<float>> object) : single_(std::move(object)) {}
    Either(std::unique_ptr<Of<double>> object) : twice_(std::move(object)) {}

    template <class F>
    auto visit(F f) const {
        return single_ ? f(std::as_const(*single_)) : f(std::as_const(*twice_));
    }

private:
    std::unique_ptr<Of<float>> single_;
    std::unique_ptr<Of<double>> twice_;
};

/// A method of Either, from the methods of both precisions.
template <template <class> class Of, class Result, class... Arguments>
auto method(Result (Of<float>::*single)(Arguments...) const,
            Result (Of<double>::*twice)(Arguments...) const) {
    return [single, twice](const Either<Of>& self, Arguments... arguments) {
        return self.visit([&](const auto& object) {
            if constexpr (std::is_same_v<decltype(object), const Of<float>&>)
                return (object.*single)(arguments...);
            else
                return (object.*twice)(arguments...);
        });
    };
}

/// Hand an object over to Python.
template <template <class> class Of, class T>
nb::object to_python(std::unique_ptr<Of<T>> object) {
    return nb::cast(Either<Of>(std::move(object)));
}

}  // namespace lb
