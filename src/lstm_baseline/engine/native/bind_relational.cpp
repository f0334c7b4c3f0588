// The relational memory as Python sees it: one call a sequence, forward or backward.

#include "arrays.h"

namespace lb {
namespace {

/// Threads for a call that goes so many times through the cell. They take groups of rows.
int team_size(const BatchOrder& order, const RelationalSizes& sizes, int lanes, double passes) {
    const double F = double(sizes.H) * sizes.V, N = sizes.S + 1, both = sizes.K + sizes.V;
    const double block = N * F * sizes.H * (both + sizes.K) + sizes.H * N * N * both +
                         sizes.mlp_layers * N * F * F;
    const double a_row = sizes.I * F + sizes.num_blocks * block + N * F * 2 * sizes.gate_width;
    const int groups = (order.batch().B + lanes - 1) / lanes;
    const int useful = useful_threads(passes * a_row * double(order.num_stored()));
    return std::max(1, std::min(useful, groups));
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

/// What backward needs of a forward pass.
class RelationalCacheBase {
public:
    virtual ~RelationalCacheBase() = default;
    virtual nb::tuple backward(const nb::list& params, nb::handle d_y, nb::handle d_memory) = 0;
    virtual nb::tuple gates() const = 0;
};

/// Gradient of e, from which that of x comes when it is asked for.
class RelationalInputGradientBase {
public:
    virtual ~RelationalInputGradientBase() = default;
    virtual nb::object d_x(nb::handle W_in) const = 0;
};

template <class T>
class RelationalInputGradientOf final : public RelationalInputGradientBase {
public:
    RelationalInputGradientOf(std::shared_ptr<const BatchOrder> order, const Kernels<T>& kernels,
                              const RelationalSizes& sizes)
        : order_(std::move(order)), kernels_(kernels), sizes_(sizes) {
        d_e = Buffer(kernels_.relational_d_e_size(order_->batch(), sizes) * sizeof(T));
    }

    nb::object d_x(nb::handle W_in) const override {
        const Batch batch = order_->batch();
        const T* weights = parameter<T>(W_in, sizes_, 0);
        nb::object result = new_array<T>({batch.B, batch.T, sizes_.I});
        RelationalInputGradient<T> run{
            batch, sizes_, weights, d_e.template as<T>(), data_of<T>(result), nullptr};
        nb::gil_scoped_release released;
        const int size = team_size(*order_, sizes_, kernels_.lanes, 0.1);
        Buffer work(kernels_.relational_input_gradient_work(sizes_, size) * sizeof(T));
        run.work = work.as<T>();
        run_team(size,
                 [&](const Team& team) { kernels_.relational_input_gradient(run, team); });
        return result;
    }

    Buffer d_e;

private:
    std::shared_ptr<const BatchOrder> order_;
    const Kernels<T>& kernels_;
    RelationalSizes sizes_;
};

template <class T>
class RelationalCacheOf final : public RelationalCacheBase {
public:
    RelationalCacheOf(nb::handle x, std::shared_ptr<const BatchOrder> order,
                      const RelationalSizes& sizes)
        : x_(nb::borrow(x)), order_(std::move(order)), kernels_(lb::kernels<T>()), sizes_(sizes) {
        stored = Buffer(kernels_.relational_cache_size(order_->batch(), sizes) * sizeof(T));
    }

    nb::tuple backward(const nb::list& params, nb::handle d_y, nb::handle d_memory) override {
        const Batch batch = order_->batch();
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
        auto rest = std::make_unique<RelationalInputGradientOf<T>>(order_, kernels_, sizes_);
        RelationalBackward<T> run{batch,
                                  sizes_,
                                  data_of<T>(x_),
                                  weights.data(),
                                  stored.template as<T>(),
                                  numbers<T>(d_y, {B, batch.T, S * F}, "d_y"),
                                  numbers<T>(d_memory, {B, S, F}, "d_memory"),
                                  d_weights.data(),
                                  data_of<T>(d_memory_first),
                                  rest->d_e.template as<T>(),
                                  nullptr};
        {
            nb::gil_scoped_release released;
            const int size = team_size(*order_, sizes_, kernels_.lanes, 2);
            Buffer work(kernels_.relational_backward_work(batch, sizes_, size) * sizeof(T));
            run.work = work.as<T>();
            run_team(size, [&](const Team& team) { kernels_.relational_backward(run, team); });
        }
        std::unique_ptr<RelationalInputGradientBase> input_gradient = std::move(rest);
        return nb::make_tuple(
            d_params, d_memory_first,
            nb::cast(input_gradient.release(), nb::rv_policy::take_ownership));
    }

    /// i and f at every step, (B, T, S, F or 1), zeros past a row's end.
    nb::tuple gates() const override {
        const Batch batch = order_->batch();
        nb::object i = new_array<T>({batch.B, batch.T, sizes_.S, sizes_.gate_width});
        nb::object f = new_array<T>({batch.B, batch.T, sizes_.S, sizes_.gate_width});
        kernels_.relational_gates(RelationalGates<T>{batch, sizes_, stored.template as<T>(),
                                                     data_of<T>(i), data_of<T>(f)});
        return nb::make_tuple(i, f);
    }

    Buffer stored;

private:
    nb::object x_;
    std::shared_ptr<const BatchOrder> order_;
    const Kernels<T>& kernels_;
    RelationalSizes sizes_;
};

template <class T>
nb::tuple forward(nb::handle x, nb::handle memory, const nb::list& params,
                  RelationalSizes sizes, nb::handle lengths, bool keep) {
    const Kernels<T>& kernels = lb::kernels<T>();
    const T* inputs = required<T>(x, {-1, -1, -1}, "x");
    sizes.I = int(size_of(x, 2));
    const std::vector<const T*> weights = parameters<T>(params, sizes);
    auto order = std::make_shared<const BatchOrder>(batch_order(x, lengths));
    const Batch batch = order->batch();
    const npy_intp B = batch.B, S = sizes.S, F = sizes.H * sizes.V;
    nb::object y = new_array<T>({B, batch.T, S * F}), memory_last = new_array<T>({B, S, F});
    std::unique_ptr<RelationalCacheOf<T>> cache;
    if (keep) cache = std::make_unique<RelationalCacheOf<T>>(x, order, sizes);
    RelationalForward<T> run{batch,
                             sizes,
                             inputs,
                             required<T>(memory, {B, S, F}, "memory"),
                             weights.data(),
                             data_of<T>(y),
                             data_of<T>(memory_last),
                             keep ? cache->stored.template as<T>() : nullptr,
                             nullptr};
    {
        nb::gil_scoped_release released;
        const int size = team_size(*order, sizes, kernels.lanes, 1);
        Buffer work(kernels.relational_forward_work(sizes, keep, size) * sizeof(T));
        run.work = work.as<T>();
        run_team(size, [&](const Team& team) { kernels.relational_forward(run, team); });
    }
    if (!keep) return nb::make_tuple(y, memory_last, nb::none());
    std::unique_ptr<RelationalCacheBase> kept = std::move(cache);
    return nb::make_tuple(y, memory_last,
                          nb::cast(kept.release(), nb::rv_policy::take_ownership));
}

}  // namespace

void bind_relational(nb::module_& module) {
    nb::class_<RelationalCacheBase>(module, "RelationalCache")
        .def("backward", &RelationalCacheBase::backward, nb::arg("params"), nb::arg("d_y").none(),
             nb::arg("d_memory").none())
        .def("gates", &RelationalCacheBase::gates);
    nb::class_<RelationalInputGradientBase>(module, "RelationalInputGradient")
        .def("d_x", &RelationalInputGradientBase::d_x, nb::arg("W_in"));
    module.def(
        "relational_forward",
        [](nb::handle x, nb::handle memory, const nb::list& params, int num_slots, int num_heads,
           int head_size, int key_size, int num_blocks, int mlp_layers, bool unit_gates,
           double forget_bias, double input_bias, nb::handle lengths, bool keep) {
            const int width = unit_gates ? num_heads * head_size : 1;
            const RelationalSizes sizes{0,           num_slots,  num_heads,  head_size,
                                        key_size,    num_blocks, mlp_layers, width,
                                        forget_bias, input_bias};
            return type_of(x) == NPY_FLOAT64
                       ? forward<double>(x, memory, params, sizes, lengths, keep)
                       : forward<float>(x, memory, params, sizes, lengths, keep);
        },
        nb::arg("x"), nb::arg("memory"), nb::arg("params"), nb::arg("num_slots"),
        nb::arg("num_heads"), nb::arg("head_size"), nb::arg("key_size"), nb::arg("num_blocks"),
        nb::arg("mlp_layers"), nb::arg("unit_gates"), nb::arg("forget_bias"),
        nb::arg("input_bias"), nb::arg("lengths").none(), nb::arg("keep"));
}

}  // namespace lb
