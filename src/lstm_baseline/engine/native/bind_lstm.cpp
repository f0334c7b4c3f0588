// The LSTM as Python sees it: one call a sequence, forward or backward.

#include "bind_lstm.h"

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
class LSTMCacheBase {
public:
    virtual ~LSTMCacheBase() = default;
    virtual nb::tuple backward(nb::handle U, nb::handle d_y, nb::handle d_h, nb::handle d_c) = 0;
    virtual nb::object stored(int which) const = 0;
};

template <class T>
class LSTMCacheOf final : public LSTMCacheBase {
public:
    LSTMCacheOf(nb::handle x, std::shared_ptr<const BatchOrder> order, int H)
        : x_(nb::borrow(x)), order_(std::move(order)), kernels_(lb::kernels<T>()),
          I_(int(size_of(x, 2))), H_(H) {
        width = (H + kernels_.lanes - 1) / kernels_.lanes * kernels_.lanes;
        const size_t stored = size_t(order_->num_stored());
        const size_t states = (stored + size_t(order_->batch().B)) * size_t(width) * sizeof(T);
        h = Buffer(states);
        c = Buffer(states);
        gates = Buffer(stored * 5 * size_t(width) * sizeof(T));
    }

    nb::tuple backward(nb::handle U, nb::handle d_y, nb::handle d_h, nb::handle d_c) override {
        const Batch batch = order_->batch();
        const npy_intp B = batch.B, T_ = batch.T, I = I_, H = H_;
        nb::object d_W = new_array<T>({4 * H, I}), d_U = new_array<T>({4 * H, H}),
                   d_b = new_array<T>({4 * H}), d_h_first = new_array<T>({B, H}),
                   d_c_first = new_array<T>({B, H});
        Buffer d_z(size_t(order_->num_stored()) * 4 * size_t(width) * sizeof(T));
        LSTMBackward<T> run{batch,
                            I_,
                            H_,
                            data_of<T>(x_),
                            h.as<T>(),
                            c.as<T>(),
                            gates.as<T>(),
                            numbers<T>(U, {4 * H, H}, "U"),
                            numbers<T>(d_y, {B, T_, H}, "d_y"),
                            numbers<T>(d_h, {B, H}, "d_h"),
                            numbers<T>(d_c, {B, H}, "d_c"),
                            data_of<T>(d_W),
                            data_of<T>(d_U),
                            data_of<T>(d_b),
                            data_of<T>(d_h_first),
                            data_of<T>(d_c_first),
                            d_z.as<T>(),
                            nullptr};
        {
            nb::gil_scoped_release released;
            const int size = lstm_team_size(*order_, I_, H_, 2);
            Buffer work(kernels_.lstm_backward_work(run, size) * sizeof(T));
            run.work = work.as<T>();
            run_team(size, [&](const Team& team) { kernels_.lstm_backward(run, team); });
        }
        std::unique_ptr<LSTMInputGradientBase> rest = std::make_unique<LSTMInputGradientOf<T>>(
            order_, kernels_, I_, H_, 4, std::move(d_z));
        return nb::make_tuple(d_W, d_U, d_b, d_h_first, d_c_first, nb::cast(rest.release(), nb::rv_policy::take_ownership));
    }

    /// f, i, c̃, o, tanh c (0 to 4) at every step as (B, T, H), zeros past a row's end.
    nb::object stored(int which) const override {
        return in_rows(*order_, gates.as<T>() + which * width, 5 * width, H_);
    }

    ptrdiff_t width;
    Buffer h, c, gates;

private:
    nb::object x_;
    std::shared_ptr<const BatchOrder> order_;
    const Kernels<T>& kernels_;
    int I_, H_;
};

template <class T>
nb::tuple forward(nb::handle x, nb::handle h, nb::handle c, nb::handle W, nb::handle U,
                  nb::handle b, nb::handle lengths, bool keep) {
    const Kernels<T>& kernels = lb::kernels<T>();
    const int H = int(size_of(U, 1)), I = int(size_of(W, 1));
    numbers<T>(x, {-1, -1, I}, "x");
    auto order = std::make_shared<const BatchOrder>(batch_order(x, lengths));
    const Batch batch = order->batch();
    const npy_intp B = batch.B;
    nb::object y = new_array<T>({B, batch.T, H}), h_last = new_array<T>({B, H}),
               c_last = new_array<T>({B, H});
    const ptrdiff_t width = (H + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
    const T* weights[] = {numbers<T>(W, {4 * H, I}, "W"), numbers<T>(U, {4 * H, H}, "U"),
                          numbers<T>(b, {4 * H}, "b")};
    LSTMForward<T> run{batch,
                       I,
                       H,
                       data_of<T>(x),
                       numbers<T>(h, {B, H}, "h"),
                       numbers<T>(c, {B, H}, "c"),
                       nullptr,
                       data_of<T>(y),
                       data_of<T>(h_last),
                       data_of<T>(c_last),
                       nullptr,
                       nullptr,
                       nullptr};
    std::unique_ptr<LSTMCacheOf<T>> cache;
    Buffer states;
    if (keep) {
        cache = std::make_unique<LSTMCacheOf<T>>(x, order, H);
        run.h = cache->h.template as<T>();
        run.c = cache->c.template as<T>();
        run.gates = cache->gates.template as<T>();
    } else {
        states = Buffer(3 * size_t(B) * size_t(width) * sizeof(T));
        run.h = states.as<T>();
        run.c = run.h + 2 * B * width;
    }
    {
        nb::gil_scoped_release released;
        Buffer packed(kernels.lstm_packed_size(I, H) * sizeof(T));
        kernels.lstm_pack(I, H, weights[0], weights[1], weights[2], packed.as<T>());
        run.packed = packed.as<T>();
        run_team(lstm_team_size(*order, I, H, 1),
                 [&](const Team& team) { kernels.lstm_forward(run, team); });
    }
    if (!keep) return nb::make_tuple(y, h_last, c_last, nb::none());
    std::unique_ptr<LSTMCacheBase> kept = std::move(cache);
    return nb::make_tuple(y, h_last, c_last, nb::cast(kept.release(), nb::rv_policy::take_ownership));
}

}  // namespace

void bind_lstm(nb::module_& module) {
    nb::class_<LSTMCacheBase>(module, "LSTMCache")
        .def("backward", &LSTMCacheBase::backward, nb::arg("U"), nb::arg("d_y").none(),
             nb::arg("d_h").none(), nb::arg("d_c").none())
        .def("stored", &LSTMCacheBase::stored, nb::arg("which"));
    nb::class_<LSTMInputGradientBase>(module, "LSTMInputGradient")
        .def("d_x", &LSTMInputGradientBase::d_x, nb::arg("W"));
    module.def(
        "lstm_forward",
        [](nb::handle x, nb::handle h, nb::handle c, nb::handle W, nb::handle U, nb::handle b,
           nb::handle lengths, bool keep) {
            return type_of(x) == NPY_FLOAT64 ? forward<double>(x, h, c, W, U, b, lengths, keep)
                                             : forward<float>(x, h, c, W, U, b, lengths, keep);
        },
        nb::arg("x"), nb::arg("h").none(), nb::arg("c").none(), nb::arg("W"), nb::arg("U"), nb::arg("b"),
        nb::arg("lengths").none(), nb::arg("keep"));
}

}  // namespace lb
