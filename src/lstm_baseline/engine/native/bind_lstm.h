// What the LSTM, its variants and the GRU hand to Python alike.
#pragma once

#include "arrays.h"

namespace lb {

/// Numbers of stored rows, so far apart, as (B, T, width), zeros past a row's end.
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

/// Gradients of the pre-activations, from which that of x comes when it is asked for.
class LSTMInputGradientBase {
public:
    virtual ~LSTMInputGradientBase() = default;
    virtual nb::object d_x(nb::handle W) const = 0;
};

template <class T>
class LSTMInputGradientOf final : public LSTMInputGradientBase {
public:
    LSTMInputGradientOf(std::shared_ptr<const BatchOrder> order, const Kernels<T>& kernels, int I,
                        int H, int gates, Buffer d_z)
        : order_(std::move(order)), kernels_(kernels), I_(I), H_(H), gates_(gates),
          d_z_(std::move(d_z)) {}

    nb::object d_x(nb::handle W) const override {
        const Batch batch = order_->batch();
        const T* weights = numbers<T>(W, {gates_ * H_, I_}, "W");
        nb::object result = new_array<T>({batch.B, batch.T, I_});
        Buffer packed(kernels_.lstm_input_gradient_work(I_, H_, gates_) * sizeof(T));
        const LSTMInputGradient<T> run{batch,   I_,
                                       H_,      gates_,
                                       weights, d_z_.template as<T>(),
                                       data_of<T>(result), packed.as<T>()};
        nb::gil_scoped_release released;
        run_team(useful_threads(double(gates_) * H_ * I_ * double(order_->num_stored())),
                 [&](const Team& team) { kernels_.lstm_input_gradient(run, team); });
        return result;
    }

private:
    std::shared_ptr<const BatchOrder> order_;
    const Kernels<T>& kernels_;
    int I_, H_, gates_;
    Buffer d_z_;
};

}  // namespace lb
