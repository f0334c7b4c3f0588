// An LSTM whose weights are packed once, for streams and for inference.

#include "../cells/affine_kernel.h"
#include "bind.h"
#include "bind_lstm.h"

namespace lb {
namespace {

/// Memory for one call: on the stack where it is small.
template <class T>
class Scratch {
public:
    explicit Scratch(size_t numbers)
        : heap_(numbers > SMALL ? Buffer(numbers * sizeof(T)) : Buffer()),
          data_(numbers > SMALL ? heap_.as<T>() : stack_) {}
    T* data() const { return data_; }

private:
    static constexpr size_t SMALL = 2048;
    alignas(64) T stack_[SMALL];
    Buffer heap_;
    T* data_;
};

template <class T>
class FrozenLSTM {
public:
    FrozenLSTM(nb::handle W, nb::handle U, nb::handle b, nb::handle W_out, nb::handle b_out,
               nb::handle state_type, nb::handle convert)
        : kernels_(lb::kernels<T>()), I_(int(size_of(W, 1))), H_(int(size_of(U, 1))),
          O_(W_out.is_none() ? 0 : int(size_of(W_out, 0))), width_(padded(H_, kernels_)),
          state_type_(nb::borrow(state_type)), convert_(nb::borrow(convert)) {
        const npy_intp I = I_, H = H_, O = O_;
        packed_ = Buffer(kernels_.lstm->packed_size(I_, H_) * sizeof(T));
        kernels_.lstm->pack(I_, H_, numbers<T>(W, {4 * H, I}, "W"), numbers<T>(U, {4 * H, H}, "U"),
                            numbers<T>(b, {4 * H}, "b"), packed_.as<T>());
        if (O_ > 0) {
            readout_ = Buffer(kernels_.affine->packed_size(O_, H_) * sizeof(T));
            kernels_.affine->pack(O_, H_, numbers<T>(W_out, {O, H}, "W_out"),
                                  numbers<T>(b_out, {O}, "b_out"), readout_.as<T>());
        }
    }

    nb::object step(nb::handle x_t, nb::handle state) const {
        if (!step_fits(x_t, state)) {
            nb::object converted = convert_(x_t, state);
            if (!step_fits(converted[0], converted[1]))
                throw nb::type_error("no state of this LSTM");
            return step_checked(nb::object(converted[0]), nb::object(converted[1]));
        }
        return step_checked(x_t, state);
    }

    nb::object forward(nb::handle x, bool return_sequences, bool return_state, nb::handle state,
                       nb::handle lengths) const {
        if (!fits<T>(x, {-1, -1, I_})) throw nb::type_error("x does not fit");
        const BatchOrder order = batch_order(x, lengths);
        const Batch batch = order.batch();
        const npy_intp B = batch.B, T_ = batch.T;
        if (!state_fits(state, B)) throw nb::type_error("the state does not fit");
        nb::object y = new_array<T>({B, T_, H_}), h = new_array<T>({B, H_}),
                   c = new_array<T>({B, H_});
        nb::object outputs = y;
        if (O_ > 0) outputs = return_sequences ? new_array<T>({B, T_, O_}) : new_array<T>({B, O_});
        {
            const T* from[] = {part(state, 0), part(state, 1)};
            T *y_data = data_of<T>(y), *h_data = data_of<T>(h), *out = data_of<T>(outputs);
            const T* x_data = data_of<T>(x);
            T* c_data = data_of<T>(c);
            nb::gil_scoped_release released;
            const int size = lstm_team_size(order, I_, H_, 1);
            run(batch, x_data, from, y_data, h_data, c_data, size);
            if (O_ > 0 && !return_sequences)
                kernels_.affine->run(batch.B, h_data, H_, O_, H_, readout_.as<T>(), out, O_);
            else if (O_ > 0)
                read_out(batch, y_data, out, size);
        }
        if (O_ == 0 && !return_sequences)
            outputs =
                nb::steal(PyArray_NewCopy(reinterpret_cast<PyArrayObject*>(h.ptr()), NPY_CORDER));
        if (return_state) return nb::make_tuple(outputs, h, c);
        return outputs;
    }

private:
    bool state_fits(nb::handle state, npy_intp B) const {
        if (state.is_none()) return true;
        return PyTuple_Check(state.ptr()) && PyTuple_GET_SIZE(state.ptr()) == 2 &&
               fits<T>(PyTuple_GET_ITEM(state.ptr(), 0), {B, H_}) &&
               fits<T>(PyTuple_GET_ITEM(state.ptr(), 1), {B, H_});
    }

    bool step_fits(nb::handle x_t, nb::handle state) const {
        return fits<T>(x_t, {-1, I_}) && state_fits(state, size_of(x_t, 0));
    }

    static const T* part(nb::handle state, int which) {
        return state.is_none() ? nullptr : data_of<T>(PyTuple_GET_ITEM(state.ptr(), which));
    }

    nb::object step_checked(nb::handle x_t, nb::handle state) const {
        const int B = int(size_of(x_t, 0));
        nb::object h = new_array<T>({B, H_}), c = new_array<T>({B, H_}),
                   y = new_array<T>({B, O_ > 0 ? O_ : H_});
        const T* from[] = {part(state, 0), part(state, 1)};
        const T* x = data_of<T>(x_t);
        T *h_data = data_of<T>(h), *c_data = data_of<T>(c), *y_data = data_of<T>(y);
        const auto compute = [&] {
            int32_t order[SMALL_BATCH];
            const int32_t live[] = {B, 0};
            const int64_t begin[] = {0, B};
            const double a_row = 4.0 * H_ * (I_ + H_);
            if (B > SMALL_BATCH || a_row * B > ONE_THREAD) {
                const BatchOrder large(B, 1);
                Scratch<T> outputs(O_ > 0 ? size_t(B) * size_t(H_) : 0);
                run(large.batch(), x, from, O_ > 0 ? outputs.data() : y_data, h_data, c_data,
                    lstm_team_size(large, I_, H_, 1));
            } else {
                for (int row = 0; row < B; ++row) order[row] = row;
                run(Batch{B, 1, order, live, begin}, x, from, O_ > 0 ? nullptr : y_data, h_data,
                    c_data, 1);
            }
            if (O_ > 0) kernels_.affine->run(B, h_data, H_, O_, H_, readout_.as<T>(), y_data, O_);
        };
        if (4.0 * H_ * (I_ + H_) * B > ONE_THREAD) {
            nb::gil_scoped_release released;
            compute();
        } else {
            compute();  // shorter than releasing the interpreter
        }
        // A named tuple stores nothing beyond a tuple, so this is what its __new__ does.
        auto* type = reinterpret_cast<PyTypeObject*>(state_type_.ptr());
        PyObject* next = type->tp_alloc(type, 2);
        PyObject* result = PyTuple_New(2);
        if (!next || !result) throw nb::python_error();
        PyTuple_SET_ITEM(next, 0, h.release().ptr());
        PyTuple_SET_ITEM(next, 1, c.release().ptr());
        PyTuple_SET_ITEM(result, 0, y.release().ptr());
        PyTuple_SET_ITEM(result, 1, next);
        return nb::steal(result);
    }

    void run(const Batch& batch, const T* x, const T* const* from, T* y, T* h_last, T* c_last,
             int size) const {
        const ptrdiff_t stored = ptrdiff_t(batch.B) * width_;
        const Scratch<T> scratch(3 * size_t(stored));
        LSTMForward<T> forward{};
        forward.batch = batch;
        forward.I = I_;
        forward.H = H_;
        forward.x = x;
        forward.h_first = from[0];
        forward.c_first = from[1];
        forward.packed = packed_.as<T>();
        forward.y = y;
        forward.h_last = h_last;
        forward.c_last = c_last;
        forward.h = scratch.data();
        forward.c = scratch.data() + 2 * stored;
        if (size == 1)
            kernels_.lstm->forward(forward, Team{0, 1, nullptr, nullptr});
        else
            run_team(
                size, [&](const Team& team) { kernels_.lstm->forward(forward, team); },
                size > forward.batch.B);
    }

    /// The readout of every step; zeros past a row's end.
    void read_out(const Batch& batch, const T* hidden, T* outputs, int size) const {
        run_team(size, [&](const Team& team) {
            team.share(batch.B, [&](const Range& rows) {
                for (int place = rows.first; place < rows.last; ++place) {
                    const ptrdiff_t row = ptrdiff_t(batch.order[place]) * batch.T;
                    const int length = batch.length(place);
                    T* out = outputs + row * O_;
                    kernels_.affine->run(length, hidden + row * H_, H_, O_, H_, readout_.as<T>(),
                                         out, O_);
                    std::fill(out + ptrdiff_t(length) * O_, out + ptrdiff_t(batch.T) * O_, T(0));
                }
            });
        });
    }

    static constexpr int SMALL_BATCH = 64;
    static constexpr double ONE_THREAD = 1e5;  // multiply-adds: about 2 µs

    const Kernels<T>& kernels_;
    const int I_, H_, O_;
    const ptrdiff_t width_;
    Buffer packed_, readout_;
    nb::object state_type_, convert_;
};

}  // namespace

void bind_frozen(nb::module_& module) {
    nb::class_<Either<FrozenLSTM>>(module, "FrozenLSTM")
        .def("step", method<FrozenLSTM>(&FrozenLSTM<float>::step, &FrozenLSTM<double>::step),
             nb::arg("x_t").none(), nb::arg("state") = nb::none())
        .def("forward",
             method<FrozenLSTM>(&FrozenLSTM<float>::forward, &FrozenLSTM<double>::forward),
             nb::arg("x"), nb::arg("return_sequences"), nb::arg("return_state"),
             nb::arg("state").none(), nb::arg("lengths").none());
    module.def(
        "freeze_lstm",
        [](nb::handle W, nb::handle U, nb::handle b, nb::handle W_out, nb::handle b_out,
           nb::handle state_type, nb::handle convert) {
            return in_precision_of(W, [&](auto number) {
                return to_python(std::make_unique<FrozenLSTM<decltype(number)>>(
                    W, U, b, W_out, b_out, state_type, convert));
            });
        },
        nb::arg("W"), nb::arg("U"), nb::arg("b"), nb::arg("W_out").none(), nb::arg("b_out").none(),
        nb::arg("state_type"), nb::arg("convert"));
}

}  // namespace lb
