// The gradient of x of an LSTM, its variants and a GRU, as Python sees it.
#pragma once

#include "../cells/input_gradient_kernel.h"
#include "bind.h"

namespace lb {

/// Gradients of the pre-activations; the gradient of x is computed from them on demand.
template <class T>
class LSTMInputGradient {
public:
    /// Makes room for the gradients of a cell with this number of gates.
    LSTMInputGradient(const Inputs& inputs, const Kernels<T>& kernels, int H, int gates)
        : d_z(inputs.num_stored() * size_t(gates) * size_t(padded(H, kernels)) * sizeof(T)),
          order_(inputs.order), kernels_(kernels), I_(inputs.I), H_(H), gates_(gates) {}

    nb::object d_x(nb::handle W) const {
        const npy_intp I = I_, G = npy_intp(gates_) * H_;
        InputGradient<T> run{};
        run.batch = order_->batch();
        run.I = I_;
        run.H = H_;
        run.gates = gates_;
        run.W = numbers<T>(W, {G, I}, "W");
        run.d_z = d_z.as<T>();
        nb::object d_x = new_array<T>({run.batch.B, run.batch.T, I});
        run.d_x = data_of<T>(d_x);
        const int size = useful_threads(double(G) * double(I) * double(order_->num_stored()));
        run_kernel(kernels_.input_gradient->run, run, size,
                   kernels_.input_gradient->work(I_, H_, gates_));
        return d_x;
    }

    /// Sums of the gradients of W x + b over the places of each token, (V, gates · H).
    nb::object by_token(nb::handle tokens, int V) const {
        const npy_intp G = npy_intp(gates_) * H_;
        TokenGradient<T> run{};
        run.batch = order_->batch();
        run.H = H_;
        run.gates = gates_;
        run.V = V;
        run.tokens = checked_tokens(tokens, run.batch, V);
        run.d_z = d_z.as<T>();
        nb::object sums = new_array<T>({V, G});
        run.sums = data_of<T>(sums);
        const int size = useful_threads(double(G) * double(order_->num_stored() + V));
        nb::gil_scoped_release released;
        run_team(size, [&](const Team& team) { kernels_.input_gradient->by_token(run, team); });
        return sums;
    }

    Buffer d_z;  ///< (N, gates, H')

private:
    const std::shared_ptr<const BatchOrder> order_;
    const Kernels<T>& kernels_;
    const int I_, H_, gates_;
};

}  // namespace lb
