// The LSTM as Python sees it: one call a sequence, forward or backward.

#include "bind_lstm.h"

#include "bind_input_gradient.h"

namespace lb {

int lstm_team_size(const BatchOrder& order, int I, int H, double passes) {
    constexpr double WORTH_A_MEETING = 5e4;  // multiply-adds of a thread between two meetings
    const Batch batch = order.batch();
    const double a_row = 4.0 * H * (I + H);
    const int useful = useful_threads(passes * a_row * double(order.num_stored()));
    if (batch.B >= useful) return useful;
    return a_row * batch.B >= WORTH_A_MEETING * useful ? useful : std::max(1, batch.B);
}

namespace {

/// What backward needs of a forward pass.
template <class T>
class LSTMCache {
public:
    LSTMCache(Inputs inputs, int H)
        : inputs_(std::move(inputs)), kernels_(kernels<T>()), H_(H), width_(padded(H, kernels_)) {
        const size_t stored = inputs_.num_stored(), row = size_t(width_) * sizeof(T);
        const size_t states = (stored + size_t(inputs_.batch().B)) * row;
        h = Buffer(states);
        c = Buffer(states);
        gates = Buffer(stored * 5 * row);
    }

    nb::tuple backward(nb::handle U, nb::handle d_y, nb::handle d_h, nb::handle d_c) const {
        const Batch batch = inputs_.batch();
        const npy_intp B = batch.B, T_ = batch.T, I = inputs_.I, H = H_;
        nb::object d_W = new_array<T>({4 * H, I}), d_U = new_array<T>({4 * H, H}),
                   d_b = new_array<T>({4 * H}), d_h_first = new_array<T>({B, H}),
                   d_c_first = new_array<T>({B, H});
        auto input_gradient = std::make_unique<LSTMInputGradient<T>>(inputs_, kernels_, H_, 4);
        LSTMBackward<T> run{};
        run.batch = batch;
        run.I = inputs_.I;
        run.H = H_;
        run.x = data_of<T>(inputs_.x);
        run.h = h.as<T>();
        run.c = c.as<T>();
        run.gates = gates.as<T>();
        run.U = numbers<T>(U, {4 * H, H}, "U");
        run.d_y = numbers<T>(d_y, {B, T_, H}, "d_y");
        run.d_h_last = numbers<T>(d_h, {B, H}, "d_h");
        run.d_c_last = numbers<T>(d_c, {B, H}, "d_c");
        run.d_W = data_of<T>(d_W);
        run.d_U = data_of<T>(d_U);
        run.d_b = data_of<T>(d_b);
        run.d_h_first = data_of<T>(d_h_first);
        run.d_c_first = data_of<T>(d_c_first);
        run.d_z = input_gradient->d_z.template as<T>();
        const int size = lstm_team_size(*inputs_.order, inputs_.I, H_, 2);
        run_kernel(kernels_.lstm->backward, run, size, kernels_.lstm->backward_work(run, size),
                   size > B);
        return nb::make_tuple(d_W, d_U, d_b, d_h_first, d_c_first,
                              to_python(std::move(input_gradient)));
    }

    /// f, i, c̃, o, tanh c (0 to 4) at every step as (B, T, H), zeros past a row's end.
    nb::object stored(int which) const {
        return in_rows(*inputs_.order, gates.as<T>() + which * width_, 5 * width_, H_);
    }

    Buffer h, c, gates;

private:
    const Inputs inputs_;
    const Kernels<T>& kernels_;
    const int H_;
    const ptrdiff_t width_;
};

template <class T>
nb::tuple forward(nb::handle x, nb::handle h, nb::handle c, nb::handle W, nb::handle U,
                  nb::handle b, nb::handle tokens, nb::handle table, nb::handle lengths,
                  bool keep) {
    const Kernels<T>& kernels = lb::kernels<T>();
    const npy_intp H = size_of(U, 1), I = size_of(W, 1);
    LSTMForward<T> run{};
    run.x = numbers<T>(x, {-1, -1, I}, "x");
    const Inputs inputs(x, lengths);
    const Batch batch = inputs.batch();
    const npy_intp B = batch.B;
    nb::object y = new_array<T>({B, batch.T, H}), h_last = new_array<T>({B, H}),
               c_last = new_array<T>({B, H});
    const T* weights[] = {numbers<T>(W, {4 * H, I}, "W"), numbers<T>(U, {4 * H, H}, "U"),
                          numbers<T>(b, {4 * H}, "b")};
    run.batch = batch;
    run.tokens = token_rows<T>(tokens, table, batch, 4 * H);
    run.I = int(I);
    run.H = int(H);
    run.h_first = numbers<T>(h, {B, H}, "h");
    run.c_first = numbers<T>(c, {B, H}, "c");
    run.y = data_of<T>(y);
    run.h_last = data_of<T>(h_last);
    run.c_last = data_of<T>(c_last);
    std::unique_ptr<LSTMCache<T>> cache;
    Buffer states;
    if (keep) {
        cache = std::make_unique<LSTMCache<T>>(inputs, int(H));
        run.h = cache->h.template as<T>();
        run.c = cache->c.template as<T>();
        run.gates = cache->gates.template as<T>();
    } else {
        const ptrdiff_t width = padded(int(H), kernels);
        states = Buffer(3 * size_t(B) * size_t(width) * sizeof(T));
        run.h = states.as<T>();
        run.c = run.h + 2 * B * width;
    }
    {
        nb::gil_scoped_release released;
        const Buffer packed(kernels.lstm->packed_size(run.I, run.H) * sizeof(T));
        kernels.lstm->pack(run.I, run.H, weights[0], weights[1], weights[2], packed.as<T>());
        run.packed = packed.as<T>();
        const int size = lstm_team_size(*inputs.order, run.I, run.H, 1);
        run_team(
            size, [&](const Team& team) { kernels.lstm->forward(run, team); }, size > B);
    }
    return nb::make_tuple(y, h_last, c_last, keep ? to_python(std::move(cache)) : nb::none());
}

}  // namespace

void bind_lstm(nb::module_& module) {
    nb::class_<Either<LSTMCache>>(module, "LSTMCache")
        .def("backward",
             method<LSTMCache>(&LSTMCache<float>::backward, &LSTMCache<double>::backward),
             nb::arg("U"), nb::arg("d_y").none(), nb::arg("d_h").none(), nb::arg("d_c").none())
        .def("stored", method<LSTMCache>(&LSTMCache<float>::stored, &LSTMCache<double>::stored),
             nb::arg("which"));
    module.def(
        "lstm_forward",
        [](nb::handle x, nb::handle h, nb::handle c, nb::handle W, nb::handle U, nb::handle b,
           nb::handle tokens, nb::handle table, nb::handle lengths, bool keep) {
            return in_precision_of(x, [&](auto number) {
                return forward<decltype(number)>(x, h, c, W, U, b, tokens, table, lengths, keep);
            });
        },
        nb::arg("x"), nb::arg("h").none(), nb::arg("c").none(), nb::arg("W"), nb::arg("U"),
        nb::arg("b"), nb::arg("tokens").none(), nb::arg("table").none(), nb::arg("lengths").none(),
        nb::arg("keep"));
}

}  // namespace lb
