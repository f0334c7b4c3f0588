// The LSTM's variants as Python sees them: one call a sequence, forward or backward.

#include "../cells/lstm_variants_kernel.h"

#include <nanobind/stl/optional.h>

#include "bind.h"
#include "bind_input_gradient.h"

namespace lb {
namespace {

/// Order of the parameters in a list, which Python reads; None for those that are not there.
constexpr const char* PARAM_NAMES[] = {"W",      "U",      "b",      "p_f",    "p_i",   "p_o",
                                       "gain_x", "gain_h", "gain_c", "bias_c", "W_proj"};
constexpr size_t NUM_PARAMS = sizeof PARAM_NAMES / sizeof *PARAM_NAMES;

template <class Number>
Number** members(LSTMVariantParams<Number>& params, size_t which) {
    Number** all[NUM_PARAMS] = {&params.W,      &params.U,      &params.b,      &params.p_f,
                                &params.p_i,    &params.p_o,    &params.gain_x, &params.gain_h,
                                &params.gain_c, &params.bias_c, &params.W_proj};
    return all[which];
}

/// Rows and columns of a parameter; columns are negative for a vector.
std::pair<npy_intp, npy_intp> size_of_param(int I, int H, int P, int gates, size_t which) {
    const npy_intp G = npy_intp(gates) * H;
    switch (which) {
        case 0: return {G, I};
        case 1: return {G, P};
        case 2:
        case 6:
        case 7: return {G, -1};
        case 10: return {P, H};
        default: return {H, -1};
    }
}

/// Which parameters there are: a bit for each.
template <class T>
unsigned which_params(LSTMVariant<T> cell) {
    unsigned bits = 0;
    for (size_t p = 0; p < NUM_PARAMS; ++p)
        bits |= unsigned(*members(cell.params, p) != nullptr) << p;
    return bits;
}

/// What Python says of the cell, without its parameters.
struct Description {
    bool coupled, clips;
    double clip;
    GateActivation phi, gamma, eta;
    bool keeps_z;
};

template <class T>
LSTMVariant<T> variant(const Description& about, nb::handle x, const nb::list& params) {
    if (params.size() != NUM_PARAMS || params[0].is_none() || params[1].is_none())
        throw nb::type_error("these are not the parameters of this cell");
    if (type_of(x) != NUMPY_TYPE<T> || type_of(params[1]) != NUMPY_TYPE<T> ||
        PyArray_NDIM(reinterpret_cast<PyArrayObject*>(nb::handle(params[1]).ptr())) != 2)
        throw nb::type_error("U is no matrix of the dtype of x");
    LSTMVariant<T> cell{};
    cell.gates = about.coupled ? 3 : 4;
    cell.I = int(size_of(x, 2));
    cell.H = int(size_of(params[1], 0)) / cell.gates;
    cell.P = int(size_of(params[1], 1));
    cell.clips = about.clips;
    cell.clip = about.clip;
    cell.phi = about.phi;
    cell.gamma = about.gamma;
    cell.eta = about.eta;
    cell.keeps_z = about.keeps_z;
    for (size_t p = 0; p < NUM_PARAMS; ++p) {
        const auto [rows, columns] = size_of_param(cell.I, cell.H, cell.P, cell.gates, p);
        *members(cell.params, p) = columns >= 0
                                       ? numbers<T>(params[p], {rows, columns}, "a weight matrix")
                                       : numbers<T>(params[p], {rows}, "a vector of weights");
    }
    const auto& given = cell.params;
    const bool norms = given.gain_x && given.gain_h && given.gain_c && given.bias_c;
    const bool no_norms = !given.gain_x && !given.gain_h && !given.gain_c && !given.bias_c;
    if (!norms && !no_norms)
        throw nb::type_error("some of the layer norms' parameters are missing");
    const bool peepholes = given.p_i && given.p_o && (given.p_f || about.coupled);
    if ((given.p_f && about.coupled) || (!peepholes && (given.p_f || given.p_i || given.p_o)))
        throw nb::type_error("these peepholes are not those of this cell");
    if (!given.W_proj && cell.P != cell.H) throw nb::type_error("W_proj is missing");
    return cell;
}

/// Where zoneout keeps the old value: a rate, what was drawn (B, T, width), or None for nowhere.
template <class T>
void set_zones(nb::handle given, std::initializer_list<npy_intp> sizes, bool& there,
               const uint8_t*& drawn, T& rate) {
    there = !given.is_none();
    if (!there) return;
    if (nb::isinstance<nb::float_>(given)) {
        rate = T(nb::cast<double>(given));
        return;
    }
    auto* a = reinterpret_cast<PyArrayObject*>(given.ptr());
    bool fitting = type_of(given) == NPY_BOOL && PyArray_NDIM(a) == int(sizes.size()) &&
                   PyArray_ISCARRAY_RO(a);
    const npy_intp* wanted = sizes.begin();
    for (int axis = 0; fitting && axis < int(sizes.size()); ++axis)
        fitting = PyArray_DIM(a, axis) == wanted[axis];
    if (!fitting) throw nb::type_error("zoneout is no contiguous bool array of the state's shape");
    drawn = static_cast<const uint8_t*>(PyArray_DATA(a));
}

/// Recurrent dropout and zoneout, as Python gives them; kept for backward.
struct Around {
    nb::object recurrent, zoneout_h, zoneout_c;

    template <class T>
    Regularization<T> as(const Batch& batch, const LSTMVariant<T>& cell) const {
        Regularization<T> around{};
        const npy_intp B = batch.B, T_ = batch.T;
        around.recurrent = numbers<T>(recurrent, {B, cell.P}, "the mask of h");
        set_zones<T>(zoneout_h, {B, T_, cell.P}, around.zones_h, around.drawn_h, around.rate_h);
        set_zones<T>(zoneout_c, {B, T_, cell.H}, around.zones_c, around.drawn_c, around.rate_c);
        return around;
    }
};

template <class T>
int variant_team_size(const Inputs& inputs, const LSTMVariant<T>& cell, double passes) {
    const double a_row = double(cell.gates) * cell.H * (cell.I + cell.P) +
                         (cell.params.W_proj ? double(cell.P) * cell.H : 0);
    return team_size(*inputs.order, passes * a_row, inputs.batch().B);
}

/// What backward needs of a forward pass.
template <class T>
class LSTMVariantCache {
public:
    LSTMVariantCache(Inputs inputs, const Description& about, const LSTMVariant<T>& cell,
                     Around around)
        : inputs_(std::move(inputs)), kernels_(kernels<T>()), about_(about),
          around_(std::move(around)), H_(cell.H), P_(cell.P), params_(which_params(cell)) {
        memory =
            Buffer(kernels_.lstm_variants->cache_size(inputs_.batch(), cell, true) * sizeof(T));
    }

    nb::tuple backward(const nb::list& params, nb::handle d_y, nb::handle d_h,
                       nb::handle d_c) const {
        const Batch batch = inputs_.batch();
        const LSTMVariant<T> cell = same_cell(params);
        const npy_intp B = batch.B, T_ = batch.T, H = cell.H, P = cell.P;
        LSTMVariantBackward<T> run{};
        nb::list d_params;
        for (size_t p = 0; p < NUM_PARAMS; ++p) {
            if (params[p].is_none()) {
                d_params.append(nb::none());
                continue;
            }
            const auto [rows, columns] = size_of_param(cell.I, cell.H, cell.P, cell.gates, p);
            d_params.append(columns >= 0 ? new_array<T>({rows, columns}) : new_array<T>({rows}));
            *members(run.d_params, p) = data_of<T>(d_params[p]);
        }
        nb::object d_h_first = new_array<T>({B, P}), d_c_first = new_array<T>({B, H});
        auto input_gradient =
            std::make_unique<LSTMInputGradient<T>>(inputs_, kernels_, cell.H, cell.gates);
        run.batch = batch;
        run.cell = cell;
        run.around = around_.as<T>(batch, cell);
        run.x = data_of<T>(inputs_.x);
        run.cache = memory.as<T>();
        run.d_y = numbers<T>(d_y, {B, T_, P}, "d_y");
        run.d_h_last = numbers<T>(d_h, {B, P}, "d_h");
        run.d_c_last = numbers<T>(d_c, {B, H}, "d_c");
        run.d_h_first = data_of<T>(d_h_first);
        run.d_c_first = data_of<T>(d_c_first);
        run.d_a = input_gradient->d_z.template as<T>();
        const int size = variant_team_size(inputs_, cell, 2);
        run_kernel(kernels_.lstm_variants->backward, run, size,
                   kernels_.lstm_variants->backward_work(run, size));
        return nb::make_tuple(d_params, d_h_first, d_c_first, to_python(std::move(input_gradient)));
    }

    /// A gate at every step as (B, T, H), zeros past a row's end.
    nb::object stored(int which, const nb::list& params) const {
        const Batch batch = inputs_.batch();
        const LSTMVariant<T> cell = same_cell(params);
        if (which < 0 || which > cell.gates) throw nb::value_error("there is no such gate");
        nb::object result = new_array<T>({batch.B, batch.T, cell.H});
        kernels_.lstm_variants->gate(batch, cell, memory.as<T>(), which, data_of<T>(result));
        return result;
    }

    Buffer memory;

private:
    LSTMVariant<T> same_cell(const nb::list& params) const {
        const LSTMVariant<T> cell = variant<T>(about_, inputs_.x, params);
        if (cell.H != H_ || cell.P != P_ || which_params(cell) != params_)
            throw nb::type_error("these are parameters of another cell than that of the cache");
        return cell;
    }

    const Inputs inputs_;
    const Kernels<T>& kernels_;
    const Description about_;
    const Around around_;
    const int H_, P_;
    const unsigned params_;
};

template <class T>
nb::tuple forward(nb::handle x, nb::handle h, nb::handle c, const nb::list& params,
                  const Description& about, const Around& around, nb::handle tokens,
                  nb::handle table, nb::handle lengths, bool keep) {
    const Kernels<T>& kernels = lb::kernels<T>();
    LSTMVariantForward<T> run{};
    run.x = numbers<T>(x, {-1, -1, -1}, "x");
    const LSTMVariant<T> cell = variant<T>(about, x, params);
    const Inputs inputs(x, lengths);
    const Batch batch = inputs.batch();
    const npy_intp B = batch.B, H = cell.H, P = cell.P;
    nb::object y = new_array<T>({B, batch.T, P}), h_last = new_array<T>({B, P}),
               c_last = new_array<T>({B, H});
    run.batch = batch;
    run.cell = cell;
    run.tokens = token_rows<T>(tokens, table, batch, npy_intp(cell.gates) * H);
    run.around = around.as<T>(batch, cell);
    run.h_first = numbers<T>(h, {B, P}, "h");
    run.c_first = numbers<T>(c, {B, H}, "c");
    run.y = data_of<T>(y);
    run.h_last = data_of<T>(h_last);
    run.c_last = data_of<T>(c_last);
    run.keep = keep;
    std::unique_ptr<LSTMVariantCache<T>> cache;
    Buffer passing;
    if (keep)
        cache = std::make_unique<LSTMVariantCache<T>>(inputs, about, cell, around);
    else
        passing = Buffer(kernels.lstm_variants->cache_size(batch, cell, false) * sizeof(T));
    run.cache = (keep ? cache->memory : passing).template as<T>();
    run_kernel(kernels.lstm_variants->forward, run, variant_team_size(inputs, cell, 1),
               kernels.lstm_variants->forward_work(batch, cell));
    return nb::make_tuple(y, h_last, c_last, keep ? to_python(std::move(cache)) : nb::none());
}

/// (kind, α, β)
GateActivation activation(const nb::list& all, size_t which) {
    nb::tuple given;
    if (all.size() != 3 || !nb::try_cast<nb::tuple>(all[which], given) || given.size() != 3)
        throw nb::type_error("activations are not three of (kind, alpha, beta)");
    const int kind = nb::cast<int>(given[0]);
    if (kind < 0 || kind >= NUM_ACTIVATIONS) throw nb::value_error("there is no such activation");
    return {kind, nb::cast<double>(given[1]), nb::cast<double>(given[2])};
}

}  // namespace

void bind_lstm_variants(nb::module_& module) {
    nb::list activations, params;
    for (const char* name : ACTIVATION_NAMES) activations.append(name);
    for (const char* name : PARAM_NAMES) params.append(name);
    module.attr("ACTIVATIONS") = nb::tuple(activations);
    module.attr("LSTM_VARIANT_PARAMS") = nb::tuple(params);
    nb::class_<Either<LSTMVariantCache>>(module, "LSTMVariantCache")
        .def("backward",
             method<LSTMVariantCache>(&LSTMVariantCache<float>::backward,
                                      &LSTMVariantCache<double>::backward),
             nb::arg("params"), nb::arg("d_y").none(), nb::arg("d_h").none(), nb::arg("d_c").none())
        .def("stored",
             method<LSTMVariantCache>(&LSTMVariantCache<float>::stored,
                                      &LSTMVariantCache<double>::stored),
             nb::arg("which"), nb::arg("params"));
    module.def(
        "lstm_variant_forward",
        [](nb::handle x, nb::handle h, nb::handle c, const nb::list& params, bool coupled,
           std::optional<double> clip, const nb::list& activations, bool keeps_z,
           nb::handle recurrent, nb::handle zoneout_h, nb::handle zoneout_c, nb::handle tokens,
           nb::handle table, nb::handle lengths, bool keep) {
            Description about{};
            about.coupled = coupled;
            about.clips = clip.has_value();
            about.clip = clip.value_or(0);
            about.phi = activation(activations, 0);
            about.gamma = activation(activations, 1);
            about.eta = activation(activations, 2);
            about.keeps_z = keeps_z;
            const Around around{nb::borrow(recurrent), nb::borrow(zoneout_h),
                                nb::borrow(zoneout_c)};
            return in_precision_of(x, [&](auto number) {
                return forward<decltype(number)>(x, h, c, params, about, around, tokens, table,
                                                 lengths, keep);
            });
        },
        nb::arg("x"), nb::arg("h").none(), nb::arg("c").none(), nb::arg("params"),
        nb::arg("coupled"), nb::arg("clip").none(), nb::arg("activations"), nb::arg("keeps_z"),
        nb::arg("recurrent").none(), nb::arg("zoneout_h").none(), nb::arg("zoneout_c").none(),
        nb::arg("tokens").none(), nb::arg("table").none(), nb::arg("lengths").none(),
        nb::arg("keep"));
}

}  // namespace lb
