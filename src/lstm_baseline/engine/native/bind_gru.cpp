// The GRU as Python sees it: one call a sequence, forward or backward.

#include "bind_lstm.h"

namespace lb {
namespace {

/// Threads take rows, so there are no more of them.
int team_size(const BatchOrder& order, int I, int H, double passes) {
    const double a_row = 3.0 * H * (I + H);
    const int useful = useful_threads(passes * a_row * double(order.num_stored()));
    return std::max(1, std::min(useful, order.batch().B));
}

/// What backward needs of a forward pass.
class GRUCacheBase {
public:
    virtual ~GRUCacheBase() = default;
    virtual nb::tuple backward(nb::handle U, nb::handle d_y, nb::handle d_h) = 0;
    virtual nb::object stored(int which) const = 0;
};

template <class T>
class GRUCacheOf final : public GRUCacheBase {
public:
    GRUCacheOf(nb::handle x, std::shared_ptr<const BatchOrder> order, int H)
        : x_(nb::borrow(x)), order_(std::move(order)), kernels_(lb::kernels<T>()),
          I_(int(size_of(x, 2))), H_(H),
          width_((H + kernels_.lanes - 1) / kernels_.lanes * kernels_.lanes) {
        const size_t stored = size_t(order_->num_stored()), row = size_t(width_) * sizeof(T);
        h = Buffer((stored + size_t(order_->batch().B)) * row);
        gates = Buffer(stored * 4 * row);
    }

    nb::tuple backward(nb::handle U, nb::handle d_y, nb::handle d_h) override {
        const Batch batch = order_->batch();
        const npy_intp B = batch.B, T_ = batch.T, I = I_, H = H_;
        nb::object d_W = new_array<T>({3 * H, I}), d_U = new_array<T>({3 * H, H}),
                   d_b = new_array<T>({3 * H}), d_b_u = new_array<T>({H}),
                   d_h_first = new_array<T>({B, H});
        Buffer d_u(size_t(order_->num_stored()) * 3 * size_t(width_) * sizeof(T));
        GRUBackward<T> run{batch,
                           I_,
                           H_,
                           data_of<T>(x_),
                           h.as<T>(),
                           gates.as<T>(),
                           numbers<T>(U, {3 * H, H}, "U"),
                           numbers<T>(d_y, {B, T_, H}, "d_y"),
                           numbers<T>(d_h, {B, H}, "d_h"),
                           data_of<T>(d_W),
                           data_of<T>(d_U),
                           data_of<T>(d_b),
                           data_of<T>(d_b_u),
                           data_of<T>(d_h_first),
                           d_u.as<T>(),
                           nullptr};
        {
            nb::gil_scoped_release released;
            const int size = team_size(*order_, I_, H_, 2);
            Buffer work(kernels_.gru_backward_work(run, size) * sizeof(T));
            run.work = work.as<T>();
            run_team(size, [&](const Team& team) { kernels_.gru_backward(run, team); });
        }
        std::unique_ptr<LSTMInputGradientBase> rest = std::make_unique<LSTMInputGradientOf<T>>(
            order_, kernels_, I_, H_, 3, std::move(d_u));
        return nb::make_tuple(d_W, d_U, d_b, d_b_u, d_h_first,
                              nb::cast(rest.release(), nb::rv_policy::take_ownership));
    }

    /// r, z, n, q (0 to 3) at every step as (B, T, H), zeros past a row's end.
    nb::object stored(int which) const override {
        return in_rows(*order_, gates.as<T>() + which * width_, 4 * width_, H_);
    }

    Buffer h, gates;

private:
    nb::object x_;
    std::shared_ptr<const BatchOrder> order_;
    const Kernels<T>& kernels_;
    int I_, H_;
    ptrdiff_t width_;
};

template <class T>
nb::tuple forward(nb::handle x, nb::handle h, nb::handle W, nb::handle U, nb::handle b,
                  nb::handle b_u, nb::handle lengths, bool keep) {
    const Kernels<T>& kernels = lb::kernels<T>();
    numbers<T>(x, {-1, -1, -1}, "x");
    numbers<T>(b_u, {-1}, "b_u");
    const int H = int(size_of(b_u, 0)), I = int(size_of(x, 2));
    auto order = std::make_shared<const BatchOrder>(batch_order(x, lengths));
    const Batch batch = order->batch();
    const npy_intp B = batch.B;
    nb::object y = new_array<T>({B, batch.T, H}), h_last = new_array<T>({B, H});
    GRUForward<T> run{batch,
                      I,
                      H,
                      data_of<T>(x),
                      numbers<T>(h, {B, H}, "h"),
                      numbers<T>(W, {3 * H, I}, "W"),
                      numbers<T>(U, {3 * H, H}, "U"),
                      numbers<T>(b, {3 * H}, "b"),
                      data_of<T>(b_u),
                      data_of<T>(y),
                      data_of<T>(h_last),
                      keep,
                      nullptr,
                      nullptr,
                      nullptr};
    std::unique_ptr<GRUCacheOf<T>> cache;
    Buffer passing;
    if (keep) {
        cache = std::make_unique<GRUCacheOf<T>>(x, order, H);
        run.h = cache->h.template as<T>();
        run.gates = cache->gates.template as<T>();
    } else {
        const ptrdiff_t width = (H + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
        passing = Buffer(5 * size_t(B) * size_t(width) * sizeof(T));
        run.h = passing.as<T>();
        run.gates = run.h + B * width;
    }
    {
        nb::gil_scoped_release released;
        Buffer work(kernels.gru_forward_work(batch, I, H) * sizeof(T));
        run.work = work.as<T>();
        run_team(team_size(*order, I, H, 1),
                 [&](const Team& team) { kernels.gru_forward(run, team); });
    }
    if (!keep) return nb::make_tuple(y, h_last, nb::none());
    std::unique_ptr<GRUCacheBase> kept = std::move(cache);
    return nb::make_tuple(y, h_last, nb::cast(kept.release(), nb::rv_policy::take_ownership));
}

}  // namespace

void bind_gru(nb::module_& module) {
    nb::class_<GRUCacheBase>(module, "GRUCache")
        .def("backward", &GRUCacheBase::backward, nb::arg("U"), nb::arg("d_y").none(),
             nb::arg("d_h").none())
        .def("stored", &GRUCacheBase::stored, nb::arg("which"));
    module.def(
        "gru_forward",
        [](nb::handle x, nb::handle h, nb::handle W, nb::handle U, nb::handle b, nb::handle b_u,
           nb::handle lengths, bool keep) {
            return type_of(x) == NPY_FLOAT64 ? forward<double>(x, h, W, U, b, b_u, lengths, keep)
                                             : forward<float>(x, h, W, U, b, b_u, lengths, keep);
        },
        nb::arg("x"), nb::arg("h").none(), nb::arg("W"), nb::arg("U"), nb::arg("b"),
        nb::arg("b_u"), nb::arg("lengths").none(), nb::arg("keep"));
}

}  // namespace lb
