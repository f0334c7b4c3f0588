// The GRU as Python sees it: one call a sequence, forward or backward.

#include "../cells/gru_kernel.h"

#include "bind.h"
#include "bind_input_gradient.h"

namespace lb {
namespace {

int gru_team_size(const Inputs& inputs, int H, double passes) {
    return team_size(*inputs.order, passes * (3.0 * H * (inputs.I + H)), inputs.batch().B);
}

/// What backward needs of a forward pass.
template <class T>
class GRUCache {
public:
    GRUCache(Inputs inputs, int H)
        : inputs_(std::move(inputs)), kernels_(kernels<T>()), H_(H), width_(padded(H, kernels_)) {
        const size_t stored = inputs_.num_stored(), row = size_t(width_) * sizeof(T);
        h = Buffer((stored + size_t(inputs_.batch().B)) * row);
        gates = Buffer(stored * 4 * row);
    }

    nb::tuple backward(nb::handle U, nb::handle d_y, nb::handle d_h) const {
        const Batch batch = inputs_.batch();
        const npy_intp B = batch.B, T_ = batch.T, I = inputs_.I, H = H_;
        nb::object d_W = new_array<T>({3 * H, I}), d_U = new_array<T>({3 * H, H}),
                   d_b = new_array<T>({3 * H}), d_b_u = new_array<T>({H}),
                   d_h_first = new_array<T>({B, H});
        auto input_gradient = std::make_unique<LSTMInputGradient<T>>(inputs_, kernels_, H_, 3);
        GRUBackward<T> run{};
        run.batch = batch;
        run.I = inputs_.I;
        run.H = H_;
        run.x = data_of<T>(inputs_.x);
        run.h = h.as<T>();
        run.gates = gates.as<T>();
        run.U = numbers<T>(U, {3 * H, H}, "U");
        run.d_y = numbers<T>(d_y, {B, T_, H}, "d_y");
        run.d_h_last = numbers<T>(d_h, {B, H}, "d_h");
        run.d_W = data_of<T>(d_W);
        run.d_U = data_of<T>(d_U);
        run.d_b = data_of<T>(d_b);
        run.d_b_u = data_of<T>(d_b_u);
        run.d_h_first = data_of<T>(d_h_first);
        run.d_u = input_gradient->d_z.template as<T>();
        const int size = gru_team_size(inputs_, H_, 2);
        run_kernel(kernels_.gru->backward, run, size, kernels_.gru->backward_work(run, size));
        return nb::make_tuple(d_W, d_U, d_b, d_b_u, d_h_first,
                              to_python(std::move(input_gradient)));
    }

    /// r, z, n, q (0 to 3) at every step as (B, T, H), zeros past a row's end.
    nb::object stored(int which) const {
        return in_rows(*inputs_.order, gates.as<T>() + which * width_, 4 * width_, H_);
    }

    Buffer h, gates;

private:
    const Inputs inputs_;
    const Kernels<T>& kernels_;
    const int H_;
    const ptrdiff_t width_;
};

template <class T>
nb::tuple forward(nb::handle x, nb::handle h, nb::handle W, nb::handle U, nb::handle b,
                  nb::handle b_u, nb::handle tokens, nb::handle table, nb::handle lengths,
                  bool keep) {
    const Kernels<T>& kernels = lb::kernels<T>();
    GRUForward<T> run{};
    run.x = numbers<T>(x, {-1, -1, -1}, "x");
    run.b_u = numbers<T>(b_u, {-1}, "b_u");
    const Inputs inputs(x, lengths);
    const Batch batch = inputs.batch();
    const npy_intp B = batch.B, H = size_of(b_u, 0), I = inputs.I;
    nb::object y = new_array<T>({B, batch.T, H}), h_last = new_array<T>({B, H});
    run.batch = batch;
    run.tokens = token_rows<T>(tokens, table, batch, 3 * H);
    run.I = inputs.I;
    run.H = int(H);
    run.h_first = numbers<T>(h, {B, H}, "h");
    run.W = numbers<T>(W, {3 * H, I}, "W");
    run.U = numbers<T>(U, {3 * H, H}, "U");
    run.b = numbers<T>(b, {3 * H}, "b");
    run.y = data_of<T>(y);
    run.h_last = data_of<T>(h_last);
    run.keep = keep;
    std::unique_ptr<GRUCache<T>> cache;
    Buffer passing;
    if (keep) {
        cache = std::make_unique<GRUCache<T>>(inputs, run.H);
        run.h = cache->h.template as<T>();
        run.gates = cache->gates.template as<T>();
    } else {
        const ptrdiff_t width = padded(run.H, kernels);
        passing = Buffer(5 * size_t(B) * size_t(width) * sizeof(T));
        run.h = passing.as<T>();
        run.gates = run.h + B * width;
    }
    run_kernel(kernels.gru->forward, run, gru_team_size(inputs, run.H, 1),
               kernels.gru->forward_work(batch, run.I, run.H));
    return nb::make_tuple(y, h_last, keep ? to_python(std::move(cache)) : nb::none());
}

}  // namespace

void bind_gru(nb::module_& module) {
    nb::class_<Either<GRUCache>>(module, "GRUCache")
        .def("backward", method<GRUCache>(&GRUCache<float>::backward, &GRUCache<double>::backward),
             nb::arg("U"), nb::arg("d_y").none(), nb::arg("d_h").none())
        .def("stored", method<GRUCache>(&GRUCache<float>::stored, &GRUCache<double>::stored),
             nb::arg("which"));
    module.def(
        "gru_forward",
        [](nb::handle x, nb::handle h, nb::handle W, nb::handle U, nb::handle b, nb::handle b_u,
           nb::handle tokens, nb::handle table, nb::handle lengths, bool keep) {
            return in_precision_of(x, [&](auto number) {
                return forward<decltype(number)>(x, h, W, U, b, b_u, tokens, table, lengths, keep);
            });
        },
        nb::arg("x"), nb::arg("h").none(), nb::arg("W"), nb::arg("U"), nb::arg("b"), nb::arg("b_u"),
        nb::arg("tokens").none(), nb::arg("table").none(), nb::arg("lengths").none(),
        nb::arg("keep"));
}

}  // namespace lb
