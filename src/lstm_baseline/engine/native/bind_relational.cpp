// The relational memory as Python sees it: one call a sequence, forward or backward.

#include "../cells/relational_kernel.h"

#include <vector>

#include "bind.h"

namespace lb {
namespace {

/// Threads for a call that makes this many passes through the cell. They take groups of rows.
int relational_team_size(const BatchOrder& order, const RelationalSizes& sizes, int lanes,
                         double passes) {
    const double F = double(sizes.H) * sizes.V, N = sizes.S + 1, both = sizes.K + sizes.V;
    const double block =
        N * F * sizes.H * (both + sizes.K) + sizes.H * N * N * both + sizes.mlp_layers * N * F * F;
    const double a_row = sizes.I * F + sizes.num_blocks * block + N * F * 2 * sizes.gate_width;
    return team_size(order, passes * a_row, (order.batch().B + lanes - 1) / lanes);
}

/// The numbers of an argument that may not be None.
template <class T>
const T* required(nb::handle array, std::initializer_list<npy_intp> sizes, const char* name) {
    if (array.is_none()) throw nb::type_error((std::string(name) + " is None").c_str());
    return numbers<T>(array, sizes, name);
}

/// The numbers of the parameter at that place.
template <class T>
const T* parameter(nb::handle array, const RelationalSizes& sizes, int which) {
    const ParamSize size = relational_param_size(sizes, which);
    return size.columns ? required<T>(array, {size.rows, size.columns}, "a weight matrix")
                        : required<T>(array, {size.rows}, "a bias or gain");
}

template <class T>
std::vector<const T*> parameters(const nb::list& params, const RelationalSizes& sizes) {
    if (int(params.size()) != relational_num_params(sizes))
        throw nb::type_error("these are not the parameters of this cell");
    std::vector<const T*> pointers;
    for (nb::handle array : params)
        pointers.push_back(parameter<T>(array, sizes, int(pointers.size())));
    return pointers;
}

/// Gradient of e; the gradient of x is computed from it on demand.
template <class T>
class RelationalInputGradient {
public:
    RelationalInputGradient(const Inputs& inputs, const Kernels<T>& kernels,
                            const RelationalSizes& sizes)
        : d_e(kernels.relational->d_e_size(inputs.batch(), sizes) * sizeof(T)),
          order_(inputs.order), kernels_(kernels), sizes_(sizes) {}

    nb::object d_x(nb::handle W_in) const {
        RelationalInputGradientArguments<T> run{};
        run.batch = order_->batch();
        run.sizes = sizes_;
        run.W_in = parameter<T>(W_in, sizes_, 0);
        run.d_e = d_e.as<T>();
        nb::object d_x = new_array<T>({run.batch.B, run.batch.T, sizes_.I});
        run.d_x = data_of<T>(d_x);
        const int size = relational_team_size(*order_, sizes_, kernels_.lanes, 0.1);
        run_kernel(kernels_.relational->input_gradient, run, size,
                   kernels_.relational->input_gradient_work(sizes_, size));
        return d_x;
    }

    Buffer d_e;

private:
    const std::shared_ptr<const BatchOrder> order_;
    const Kernels<T>& kernels_;
    const RelationalSizes sizes_;
};

/// What backward needs of a forward pass.
template <class T>
class RelationalCache {
public:
    RelationalCache(Inputs inputs, const RelationalSizes& sizes)
        : inputs_(std::move(inputs)), kernels_(kernels<T>()), sizes_(sizes) {
        stored = Buffer(kernels_.relational->cache_size(inputs_.batch(), sizes) * sizeof(T));
    }

    nb::tuple backward(const nb::list& params, nb::handle d_y, nb::handle d_memory) const {
        const Batch batch = inputs_.batch();
        const npy_intp B = batch.B, S = sizes_.S, F = sizes_.H * sizes_.V;
        const std::vector<const T*> weights = parameters<T>(params, sizes_);
        std::vector<T*> d_weights;
        nb::list d_params;
        for (int p = 0; p < relational_num_params(sizes_); ++p) {
            const ParamSize size = relational_param_size(sizes_, p);
            d_params.append(size.columns ? new_array<T>({size.rows, size.columns})
                                         : new_array<T>({size.rows}));
            d_weights.push_back(data_of<T>(d_params[size_t(p)]));
        }
        nb::object d_memory_first = new_array<T>({B, S, F});
        auto input_gradient =
            std::make_unique<RelationalInputGradient<T>>(inputs_, kernels_, sizes_);
        RelationalBackward<T> run{};
        run.batch = batch;
        run.sizes = sizes_;
        run.x = data_of<T>(inputs_.x);
        run.params = weights.data();
        run.cache = stored.as<T>();
        run.d_y = numbers<T>(d_y, {B, batch.T, S * F}, "d_y");
        run.d_memory_last = numbers<T>(d_memory, {B, S, F}, "d_memory");
        run.d_params = d_weights.data();
        run.d_memory_first = data_of<T>(d_memory_first);
        run.d_e = input_gradient->d_e.template as<T>();
        const int size = relational_team_size(*inputs_.order, sizes_, kernels_.lanes, 2);
        run_kernel(kernels_.relational->backward, run, size,
                   kernels_.relational->backward_work(batch, sizes_, size));
        return nb::make_tuple(d_params, d_memory_first, to_python(std::move(input_gradient)));
    }

    /// i and f at every step, (B, T, S, F or 1), zeros past a row's end.
    nb::tuple gates() const {
        RelationalGates<T> run{};
        run.batch = inputs_.batch();
        run.sizes = sizes_;
        run.cache = stored.as<T>();
        const auto new_gate = [&] {
            return new_array<T>({run.batch.B, run.batch.T, sizes_.S, sizes_.gate_width});
        };
        nb::object i = new_gate(), f = new_gate();
        run.i = data_of<T>(i);
        run.f = data_of<T>(f);
        kernels_.relational->gates(run);
        return nb::make_tuple(i, f);
    }

    Buffer stored;

private:
    const Inputs inputs_;
    const Kernels<T>& kernels_;
    const RelationalSizes sizes_;
};

template <class T>
nb::tuple forward(nb::handle x, nb::handle memory, const nb::list& params, RelationalSizes sizes,
                  nb::handle lengths, bool keep) {
    const Kernels<T>& kernels = lb::kernels<T>();
    RelationalForward<T> run{};
    run.x = required<T>(x, {-1, -1, -1}, "x");
    sizes.I = int(size_of(x, 2));
    const std::vector<const T*> weights = parameters<T>(params, sizes);
    const Inputs inputs(x, lengths);
    const Batch batch = inputs.batch();
    const npy_intp B = batch.B, S = sizes.S, F = sizes.H * sizes.V;
    nb::object y = new_array<T>({B, batch.T, S * F}), memory_last = new_array<T>({B, S, F});
    run.batch = batch;
    run.sizes = sizes;
    run.memory_first = required<T>(memory, {B, S, F}, "memory");
    run.params = weights.data();
    run.y = data_of<T>(y);
    run.memory_last = data_of<T>(memory_last);
    std::unique_ptr<RelationalCache<T>> cache;
    if (keep) {
        cache = std::make_unique<RelationalCache<T>>(inputs, sizes);
        run.cache = cache->stored.template as<T>();
    }
    const int size = relational_team_size(*inputs.order, sizes, kernels.lanes, 1);
    run_kernel(kernels.relational->forward, run, size,
               kernels.relational->forward_work(sizes, keep, size));
    return nb::make_tuple(y, memory_last, keep ? to_python(std::move(cache)) : nb::none());
}

}  // namespace

void bind_relational(nb::module_& module) {
    nb::class_<Either<RelationalCache>>(module, "RelationalCache")
        .def("backward",
             method<RelationalCache>(&RelationalCache<float>::backward,
                                     &RelationalCache<double>::backward),
             nb::arg("params"), nb::arg("d_y").none(), nb::arg("d_memory").none())
        .def("gates", method<RelationalCache>(&RelationalCache<float>::gates,
                                              &RelationalCache<double>::gates));
    nb::class_<Either<RelationalInputGradient>>(module, "RelationalInputGradient")
        .def("d_x",
             method<RelationalInputGradient>(&RelationalInputGradient<float>::d_x,
                                             &RelationalInputGradient<double>::d_x),
             nb::arg("W_in"));
    module.def(
        "relational_forward",
        [](nb::handle x, nb::handle memory, const nb::list& params, int num_slots, int num_heads,
           int head_size, int key_size, int num_blocks, int mlp_layers, bool unit_gates,
           double forget_bias, double input_bias, nb::handle lengths, bool keep) {
            RelationalSizes sizes{};
            sizes.S = num_slots;
            sizes.H = num_heads;
            sizes.V = head_size;
            sizes.K = key_size;
            sizes.num_blocks = num_blocks;
            sizes.mlp_layers = mlp_layers;
            sizes.gate_width = unit_gates ? num_heads * head_size : 1;
            sizes.forget_bias = forget_bias;
            sizes.input_bias = input_bias;
            return in_precision_of(x, [&](auto number) {
                return forward<decltype(number)>(x, memory, params, sizes, lengths, keep);
            });
        },
        nb::arg("x"), nb::arg("memory"), nb::arg("params"), nb::arg("num_slots"),
        nb::arg("num_heads"), nb::arg("head_size"), nb::arg("key_size"), nb::arg("num_blocks"),
        nb::arg("mlp_layers"), nb::arg("unit_gates"), nb::arg("forget_bias"), nb::arg("input_bias"),
        nb::arg("lengths").none(), nb::arg("keep"));
}

}  // namespace lb
