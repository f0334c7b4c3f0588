// The relational memory core of relational.py, compiled: same functions, same order, same labels.
//
//     R1   e = W_in x + b_in
//     R2   X = [M'; e]                                            S + 1 rows
//     for every block
//       R3   Q, K, V = LN(W_qkv X + b_qkv)                        one layer norm over H(2K + V)
//       R4   A = softmax(Q Kᵀ / √K)                               for every head
//       R5   X ← LN(X + A V)                                      heads side by side
//       R6   X ← LN(X + MLP(X))                                   ReLU between layers
//     R7   M̃ = X without its last row
//     R8   [i, f] = W_g e + b_g + U_g tanh(M') + b_u
//     R9   M = σ(i + b_i) ⊙ tanh(M̃) + σ(f + b_f) ⊙ M'
//
// L batch rows make a group, one in each lane. A group goes through all its steps by itself, so
// threads take groups and never wait. Arrays of a group are [feature][slot][lane]: see
// native/columns.h. R7 drops the last block's output for e, so R5 and R6 of that block leave the
// row out.
//
// Lanes without a row repeat the group's first row; any numbers would do. Their gradients are zero.
// Gradients of parameters are summed in a fixed number of parts, each over its own groups in order,
// and then over the parts, so the number of threads does not change them.
#pragma once

#if __INCLUDE_LEVEL__ == 0  // in an editor
#include "../native/target.h"
#endif

#include "../native/batch.h"

namespace lb {

/// Sizes and constants of a relational memory, as relational.py names them.
struct RelationalSizes {
    int I, S, H, V, K, num_blocks, mlp_layers;
    int gate_width;  ///< F for unit gates, 1 for memory gates
    double forget_bias, input_bias;
};

/// Size of a parameter; vectors have no columns.
struct ParamSize {
    int rows, columns;
};

// Static, because every instruction set must have its own: see target.h.
static inline int relational_num_params(const RelationalSizes& sizes) {
    return 2 + 8 * sizes.num_blocks + 2 * sizes.mlp_layers + 4;
}

static inline ParamSize relational_param_size(const RelationalSizes& sizes, int param) {
    const int F = sizes.H * sizes.V, P = sizes.H * (2 * sizes.K + sizes.V);
    const int blocks_end = 2 + 8 * sizes.num_blocks, mlp_end = blocks_end + 2 * sizes.mlp_layers;
    if (param < 2) return {F, param == 0 ? sizes.I : 0};
    if (param >= mlp_end) return {2 * sizes.gate_width, (param - mlp_end) % 2 == 0 ? F : 0};
    if (param >= blocks_end) return {F, (param - blocks_end) % 2 == 0 ? F : 0};
    const int which = (param - 2) % 8;
    return {which < 4 ? P : F, which == 0 ? F : 0};
}

/// Parameters come in the order in which RelationalRNN.shapes lists them: W_in, b_in; for every
/// block W_qkv, b_qkv, gain and bias of qkv, attention and mlp; for every layer W_mlp, b_mlp; and
/// W_g, b_g, U_g, b_u.
template <class T>
struct RelationalForward {
    Batch batch;
    RelationalSizes sizes;
    const T* x;             ///< (B, T, I)
    const T* memory_first;  ///< (B, S, F)
    const T* const* params;
    T* y;            ///< (B, T, S·F), or null if not wanted
    T* memory_last;  ///< (B, S, F)
    T* cache;        ///< relational_cache_size numbers for backward, or null
    T* work;         ///< relational_forward_work numbers
};

template <class T>
struct RelationalBackward {
    Batch batch;
    RelationalSizes sizes;
    const T* x;  ///< (B, T, I)
    const T* const* params;
    T* cache;                ///< as RelationalForward left it
    const T* d_y;            ///< (B, T, S·F), or null for zeros
    const T* d_memory_last;  ///< (B, S, F), or null for zeros
    T* const* d_params;
    T* d_memory_first;  ///< (B, S, F)
    T* d_e;             ///< relational_d_e_size numbers, for the gradient of x
    T* work;            ///< relational_backward_work numbers
};

template <class T>
struct RelationalInputGradientArguments {
    Batch batch;
    RelationalSizes sizes;
    const T* W_in;  ///< (F, I)
    const T* d_e;   ///< as RelationalBackward left it
    T* d_x;         ///< (B, T, I)
    T* work;        ///< relational_input_gradient_work numbers
};

template <class T>
struct RelationalGates {
    Batch batch;
    RelationalSizes sizes;
    T* cache;  ///< as RelationalForward left it
    T *i, *f;  ///< (B, T, S, F or 1)
};

template <class T>
struct RelationalKernels {
    size_t (*cache_size)(const Batch& batch, const RelationalSizes& sizes);
    size_t (*forward_work)(const RelationalSizes& sizes, bool keep, int num_threads);
    void (*forward)(const RelationalForward<T>&, const Team&);
    size_t (*d_e_size)(const Batch& batch, const RelationalSizes& sizes);
    size_t (*backward_work)(const Batch& batch, const RelationalSizes& sizes, int num_threads);
    void (*backward)(const RelationalBackward<T>&, const Team&);
    size_t (*input_gradient_work)(const RelationalSizes& sizes, int num_threads);
    void (*input_gradient)(const RelationalInputGradientArguments<T>&, const Team&);
    void (*gates)(const RelationalGates<T>&);
};

}  // namespace lb

#ifdef LB_TARGET

#include "../activations_kernel.h"
#include "../native/columns.h"
#include "../native/rows.h"
#include "../native/slices.h"
#include "../softmax_kernel.h"
#include "layer_norm_kernel.h"

namespace lb::LB_TARGET {
namespace {

/// The next part, as an array of columns.
template <class T>
Columns<T> take_columns(Slices<T>& slices, ptrdiff_t features, int columns) {
    return {slices.take(size_t(features) * size_t(columns) * LANES<T>), columns};
}

/// What the derivative of one attention block needs.
template <class T>
struct BlockCache {
    int rows;                          ///< of X in R5 and R6: S + 1, in the last block S
    Columns<T> X;                      ///< [F][N] the block's input
    LayerNormCache<T> qkv_norm;        ///< [P][N]
    Columns<T> A;                      ///< [H · rows][N] attention: row n says where row n looks
    LayerNormCache<T> attention_norm;  ///< [F][rows]
    Columns<T> mlp;                    ///< [mlp_layers · F][rows] the input of each MLP layer
    LayerNormCache<T> mlp_norm;        ///< [F][rows]
};

/// What the derivative of one step needs.
template <class T>
struct StepCache {
    Columns<T> M_prev;        ///< [F][S of N], the first block's X
    Columns<T> tanh_M_prev;   ///< [F][S]
    Columns<T> i, f;          ///< [F or 1][S]
    Columns<T> tanh_M_tilde;  ///< [F][S]
};

/// Sizes, including derived ones, and the places of a step's parts.
template <class T>
struct RelationalShape {
    const int I, S, H, V, K, num_blocks, mlp_layers, gate_width;
    const int N = S + 1, F = H * V, D = 2 * K + V, P = H * D, G = 2 * gate_width;
    size_t block_size, step_size;

    explicit RelationalShape(const RelationalSizes& sizes)
        : I(sizes.I), S(sizes.S), H(sizes.H), V(sizes.V), K(sizes.K), num_blocks(sizes.num_blocks),
          mlp_layers(sizes.mlp_layers), gate_width(sizes.gate_width) {
        Slices<T> block{nullptr}, gates{nullptr};
        take_block(block, N);
        take_gates(gates);
        block_size = block.size;
        step_size = num_blocks * block_size + gates.size;
    }

    BlockCache<T> block_cache(T* step, int k) const {
        Slices<T> slices{step + k * block_size};
        return take_block(slices, k + 1 < num_blocks ? N : S);
    }
    StepCache<T> step_cache(T* step) const {
        Slices<T> slices{step + num_blocks * block_size};
        StepCache<T> cache = take_gates(slices);
        cache.M_prev = block_cache(step, 0).X;
        return cache;
    }

private:
    BlockCache<T> take_block(Slices<T>& slices, int rows) const {
        constexpr ptrdiff_t L = LANES<T>;
        BlockCache<T> cache;
        cache.rows = rows;
        cache.X = take_columns(slices, F, N);
        cache.qkv_norm = {take_columns(slices, P, N), slices.take(N * L)};
        cache.A = take_columns(slices, ptrdiff_t(H) * rows, N);
        cache.attention_norm = {take_columns(slices, F, rows), slices.take(rows * L)};
        cache.mlp = take_columns(slices, ptrdiff_t(mlp_layers) * F, rows);
        cache.mlp_norm = {take_columns(slices, F, rows), slices.take(rows * L)};
        return cache;
    }
    StepCache<T> take_gates(Slices<T>& slices) const {
        StepCache<T> cache;
        cache.tanh_M_prev = take_columns(slices, F, S);
        cache.i = take_columns(slices, gate_width, S);
        cache.f = take_columns(slices, gate_width, S);
        cache.tanh_M_tilde = take_columns(slices, F, S);
        return cache;
    }
};

template <class P>
struct BlockParams {
    P W_qkv, b_qkv, gain_qkv, bias_qkv, gain_attention, bias_attention, gain_mlp, bias_mlp;
};

/// Parameters, or what belongs to each of them, by name.
template <class P>
class RelationalParams {
public:
    RelationalParams(const P* all, const RelationalSizes& sizes)
        : all_(all), mlp_(all + 2 + 8 * sizes.num_blocks), gates_(mlp_ + 2 * sizes.mlp_layers) {}

    P W_in() const { return all_[0]; }
    P b_in() const { return all_[1]; }
    BlockParams<P> block(int k) const {
        const P* p = all_ + 2 + 8 * k;
        return {p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]};
    }
    P W_mlp(int j) const { return mlp_[2 * j]; }
    P b_mlp(int j) const { return mlp_[2 * j + 1]; }
    P W_g() const { return gates_[0]; }
    P b_g() const { return gates_[1]; }
    P U_g() const { return gates_[2]; }
    P b_u() const { return gates_[3]; }

private:
    const P *all_, *mlp_, *gates_;
};

/// Rows that go through time side by side.
template <class T>
struct Group {
    const Batch& batch;
    const int first;  ///< place of lane 0

    /// Lanes that have a row.
    int rows() const { return batch.B - first < LANES<T> ? batch.B - first : LANES<T>; }
    /// Lanes whose row takes step t: the first ones.
    int lanes(int t) const {
        const int lanes = batch.live[t] - first;
        return lanes < 0 ? 0 : lanes < LANES<T> ? lanes : LANES<T>;
    }
    int steps() const { return batch.length(first); }
    /// The caller's row of a lane.
    ptrdiff_t row(int lane) const { return batch.order[first + lane]; }
    /// The same, but the first lane's row if this lane's row does not take step t.
    ptrdiff_t row_or_first(int lane, int t) const { return row(lane < lanes(t) ? lane : 0); }
};

template <class T>
inline int num_groups(const Batch& batch) {
    return (batch.B + LANES<T> - 1) / LANES<T>;
}

/// Steps that the groups before this one have stored.
template <class T>
inline ptrdiff_t steps_before(const Batch& batch, int group) {
    ptrdiff_t steps = 0;
    for (int g = 0; g < group; ++g) steps += batch.length(g * LANES<T>);
    return steps;
}

/// A thread's own memory for forward.
template <class T>
struct RelationalForwardWork {
    Columns<T> x, e, gates_of_e;  ///< [I], [F], [G] by TILE_COLUMNS steps
    Columns<T> head;              ///< [D][N] a head's Q, K and V
    T* mean;                      ///< [N] of a layer norm
    Columns<T> X_last;            ///< [F][N] takes the memory after the last step
    T* step;                      ///< takes a step's cache if it is not kept

    RelationalForwardWork(const RelationalShape<T>& shape, bool keep, Slices<T>& slices)
        : x(take_columns(slices, shape.I, TILE_COLUMNS)),
          e(take_columns(slices, shape.F, TILE_COLUMNS)),
          gates_of_e(take_columns(slices, shape.G, TILE_COLUMNS)),
          head(take_columns(slices, shape.D, shape.N)), mean(slices.take(shape.N * LANES<T>)),
          X_last(take_columns(slices, shape.F, shape.N)),
          step(slices.take(keep ? 0 : shape.step_size)) {}
};

template <class T>
struct RelationalStepper {
    static constexpr int L = LANES<T>;
    const RelationalForward<T>& run;
    const RelationalShape<T> shape;
    const RelationalForwardWork<T> work;
    const RelationalParams<const T*> params;

    RelationalStepper(const RelationalForward<T>& run, Slices<T> slices)
        : run(run), shape(run.sizes), work(shape, run.cache != nullptr, slices),
          params(run.params, run.sizes) {}

    /// R1 and the input's part of R8 for some steps from t on.
    void project(const Group<T>& group, int t, int steps) const {
        const int I = shape.I, F = shape.F, T_ = run.batch.T;
        const Columns<T> e = work.e, gates_of_e = work.gates_of_e;
        for (int column = 0; column < steps; ++column) {
            const T* rows[L];
            for (int lane = 0; lane < L; ++lane)
                rows[lane] = run.x + (group.row_or_first(lane, t + column) * T_ + t + column) * I;
            rows_to_lanes(rows, I, Places<T>(work.x, I, column));
        }
        // R1
        const T *b_in = params.b_in(), *b_g = params.b_g();
        multiply(by_row(params.W_in(), I), F, by_column(work.x), steps, I,
                 [=](int f, int column, Vec<T> z) { e.set(f, column, z + b_in[f]); });
        // R8, input part
        multiply(by_row(params.W_g(), F), shape.G, by_column(e), steps, F,
                 [=](int g, int column, Vec<T> z) { gates_of_e.set(g, column, z + b_g[g]); });
    }

    /// Apply R2 to R9; the memory goes into the next step's X.
    void step(int t, T* cache, Columns<T> X_next) const {
        const int S = shape.S, F = shape.F, gate_width = shape.gate_width;
        const int column = t % TILE_COLUMNS;
        const StepCache<T> step = shape.step_cache(cache);
        // R2
        const Columns<T> X = shape.block_cache(cache, 0).X;
        for (int f = 0; f < F; ++f) X.set(f, S, work.e(f, column));
        // R3 to R6
        for (int k = 0; k + 1 < shape.num_blocks; ++k) {
            const Columns<T> X_2 = shape.block_cache(cache, k + 1).X;
            block(k, cache, [=](int f, int n, Vec<T> x) { X_2.set(f, n, x); });
        }
        // R7, and tanh(M̃) of R9
        const Columns<T> tanh_M_tilde = step.tanh_M_tilde;
        block(shape.num_blocks - 1, cache,
              [=](int f, int s, Vec<T> m) { tanh_M_tilde.set(f, s, tanh<T>(m)); });
        // R8
        for (int f = 0; f < F; ++f)
            for (int s = 0; s < S; ++s) step.tanh_M_prev.set(f, s, tanh<T>(X(f, s)));
        const Columns<T> gates_of_e = work.gates_of_e;
        const T* b_u = params.b_u();
        const T b_i = T(run.sizes.input_bias), b_f = T(run.sizes.forget_bias);
        multiply(by_row(params.U_g(), F), shape.G, by_column(step.tanh_M_prev), S, F,
                 [=](int g, int s, Vec<T> z) {
                     z = gates_of_e(g, column) + (z + b_u[g]);
                     if (g < gate_width)
                         step.i.set(g, s, sigmoid<T>(z + b_i));
                     else
                         step.f.set(g - gate_width, s, sigmoid<T>(z + b_f));
                 });
        // R9
        for (int f = 0; f < F; ++f)
            for (int s = 0; s < S; ++s) {
                const int g = gate_width == 1 ? 0 : f;
                X_next.set(f, s, fma(step.i(g, s), tanh_M_tilde(f, s), step.f(g, s) * X(f, s)));
            }
    }

    /// Apply R3 to R6; the new X goes to output(feature, row, x).
    template <class Output>
    void block(int k, T* step, Output output) const {
        const int F = shape.F, N = shape.N, P = shape.P;
        const BlockCache<T> cache = shape.block_cache(step, k);
        const BlockParams<const T*> block = params.block(k);
        // R3
        const Columns<T> qkv = cache.qkv_norm.x_hat;
        multiply(by_row(block.W_qkv, F), P, by_column(cache.X), N, F,
                 [=](int p, int n, Vec<T> z) { qkv.set(p, n, z + block.b_qkv[p]); });
        layer_norm_statistics(qkv, P, work.mean, cache.qkv_norm.inverse_std);
        for (int h = 0; h < shape.H; ++h) attend(h, block, cache);
        // R5
        const Columns<T> X_1 = cache.mlp;
        layer_norm(cache.attention_norm, F, block.gain_attention, block.bias_attention, work.mean,
                   [=](int f, int n, Vec<T> x) { X_1.set(f, n, x); });
        // R6
        for (int j = 0; j < shape.mlp_layers; ++j) {
            const T* b = params.b_mlp(j);
            const bool last = j + 1 == shape.mlp_layers;
            const Columns<T> out = last ? cache.mlp_norm.x_hat : cache.mlp.from((j + 1) * F);
            multiply(by_row(params.W_mlp(j), F), F, by_column(cache.mlp.from(j * F)), cache.rows, F,
                     [=](int f, int n, Vec<T> z) {
                         z += b[f];
                         out.set(f, n, last ? X_1(f, n) + z : relu<T>(z));
                     });
        }
        layer_norm(cache.mlp_norm, F, block.gain_mlp, block.bias_mlp, work.mean, output);
    }

    /// The layer norm of R3, R4, and X + A V of R5 for one head.
    void attend(int h, const BlockParams<const T*>& block, const BlockCache<T>& cache) const {
        const int N = shape.N, K = shape.K, V = shape.V, rows = cache.rows, first = h * shape.D;
        const Columns<T> X = cache.X.from(h * V), A = cache.A.from(h * rows);
        const Columns<T> attention = cache.attention_norm.x_hat.from(h * V);
        const Columns<T> queries = work.head, keys = queries.from(K), values = keys.from(K);
        // R3
        layer_norm_apply(cache.qkv_norm.x_hat.from(first), shape.D, work.mean,
                         cache.qkv_norm.inverse_std, block.gain_qkv + first, block.bias_qkv + first,
                         [=](int d, int n, Vec<T> y) { queries.set(d, n, y); });
        // R4
        const T scale = T(1 / __builtin_sqrt(double(K)));
        multiply(by_column(queries), rows, by_column(keys), N, K,
                 [=](int n, int m, Vec<T> z) { A.set(n, m, z * scale); });
        for (int n = 0; n < rows; ++n) softmax(A, n);
        // R5
        multiply(by_feature(values), V, by_feature(A), rows, N,
                 [=](int v, int n, Vec<T> z) { attention.set(v, n, X(v, n) + z); });
    }

    /// The loop over time of recurrence.py, for one group.
    void unroll(const Group<T>& group) const {
        const int F = shape.F, M_size = shape.S * F, steps = group.steps();
        const ptrdiff_t step_size = run.cache ? shape.step_size : 0;
        T* cache = work.step;
        if (run.cache) cache = run.cache + steps_before<T>(run.batch, group.first / L) * step_size;
        if (steps > 0) {
            const T* rows[L];
            for (int lane = 0; lane < L; ++lane)
                rows[lane] = run.memory_first + group.row_or_first(lane, 0) * M_size;
            rows_to_lanes(rows, M_size, Places<T>(shape.step_cache(cache).M_prev, F));
        }
        for (int t = 0; t < steps; ++t, cache += step_size) {
            const int left = steps - t;
            if (t % TILE_COLUMNS == 0) project(group, t, left < TILE_COLUMNS ? left : TILE_COLUMNS);
            const Columns<T> X_next =
                left > 1 ? shape.step_cache(cache + step_size).M_prev : work.X_last;
            step(t, cache, X_next);
            hand_out(group, t, X_next);
        }
        finish(group);
    }

    /// Write the memory after step t: the output, and the last memory of rows that end here.
    void hand_out(const Group<T>& group, int t, Columns<T> M) const {
        const int F = shape.F, M_size = shape.S * F;
        const int lanes = group.lanes(t), lanes_left = group.lanes(t + 1);
        T *y_rows[L] = {}, *last_rows[L] = {};
        for (int lane = 0; lane < lanes; ++lane) {
            if (run.y) y_rows[lane] = run.y + (group.row(lane) * run.batch.T + t) * M_size;
            if (lane >= lanes_left) last_rows[lane] = run.memory_last + group.row(lane) * M_size;
        }
        if (run.y) lanes_to_rows(Places<T>(M, F), M_size, y_rows);
        if (lanes_left == lanes) return;
        lanes_to_rows(Places<T>(M, F), M_size, last_rows);
        for (int f = 0; f < F; ++f)
            for (int s = 0; s < shape.S; ++s) {
                T* m = M.at(f, s);
                for (int lane = lanes_left; lane < L; ++lane) m[lane] = m[0];
            }
    }

    /// Rows without a step keep their memory; outputs past a row's end are zero.
    void finish(const Group<T>& group) const {
        const ptrdiff_t M_size = shape.S * shape.F, T_ = run.batch.T;
        for (int lane = 0; lane < group.rows(); ++lane) {
            const ptrdiff_t row = group.row(lane), length = run.batch.length(group.first + lane);
            if (length == 0)
                __builtin_memcpy(run.memory_last + row * M_size, run.memory_first + row * M_size,
                                 sizeof(T) * M_size);
            if (run.y)
                __builtin_memset(run.y + (row * T_ + length) * M_size, 0,
                                 sizeof(T) * (T_ - length) * M_size);
        }
    }
};

template <class T>
size_t relational_cache_size(const Batch& batch, const RelationalSizes& sizes) {
    return steps_before<T>(batch, num_groups<T>(batch)) * RelationalShape<T>(sizes).step_size;
}

template <class T>
size_t relational_forward_work(const RelationalSizes& sizes, bool keep, int num_threads) {
    Slices<T> slices{nullptr};
    const RelationalForwardWork<T> work(RelationalShape<T>(sizes), keep, slices);
    return slices.size * num_threads;
}

/// The loop over time of recurrence.py.
template <class T>
void relational_forward(const RelationalForward<T>& run, const Team& team) {
    if (team.rank == 0) __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    const size_t size = relational_forward_work<T>(run.sizes, run.cache != nullptr, 1);
    const RelationalStepper<T> stepper(run, Slices<T>{run.work + team.rank * size});
    team.share(num_groups<T>(run.batch), by_one, [&](const Range& groups) {
        for (int g = groups.first; g < groups.last; ++g)
            stepper.unroll(Group<T>{run.batch, g * LANES<T>});
    });
}

/// Most parts in which gradients of parameters are summed, and so most threads that find work.
constexpr int MOST_PARTS = 16;

template <class T>
inline int num_parts(const Batch& batch) {
    const int groups = num_groups<T>(batch);
    return groups < MOST_PARTS ? groups : MOST_PARTS;
}

/// Numbers in a row of a part's sum. A matrix has rows of whole vectors; a vector has a number for
/// each lane, [index][lane].
template <class T>
ptrdiff_t sum_width(ParamSize size) {
    return size.columns ? padded<T>(size.columns) : LANES<T>;
}

template <class T>
size_t sums_size(const RelationalSizes& sizes) {
    size_t numbers = 0;
    for (int p = 0; p < relational_num_params(sizes); ++p) {
        const ParamSize size = relational_param_size(sizes, p);
        numbers += size.rows * sum_width<T>(size);
    }
    return numbers;
}

/// A thread's own memory for backward.
template <class T>
struct RelationalBackwardWork {
    Columns<T> d_M;                ///< [F][S] of the memory after a step, then of that before it
    Columns<T> d_given;            ///< [F][S] what the caller adds to it
    Columns<T> d_gates;            ///< [G][S]
    Columns<T> d_e, d_gates_of_e;  ///< [F], [G] by TILE_COLUMNS steps
    Columns<T> d_qkv;              ///< [P][N]
    Columns<T> head;               ///< [D][N] a head's Q, K and V
    Columns<T> d_A;                ///< [N][N]
    T *d_X, *d_sum, *d_mlp[2];     ///< [F][rows]
    LayerNormSums<T> sums;         ///< [N]
    T* rows;                       ///< what d_W takes row by row: [slot or step][lane][feature]
    T** d_params;                  ///< where each parameter's gradient is summed

    RelationalBackwardWork(const RelationalShape<T>& shape, int num_params, Slices<T>& slices)
        : d_M(take_columns(slices, shape.F, shape.S)),
          d_given(take_columns(slices, shape.F, shape.S)),
          d_gates(take_columns(slices, shape.G, shape.S)),
          d_e(take_columns(slices, shape.F, TILE_COLUMNS)),
          d_gates_of_e(take_columns(slices, shape.G, TILE_COLUMNS)),
          d_qkv(take_columns(slices, shape.P, shape.N)),
          head(take_columns(slices, shape.D, shape.N)),
          d_A(take_columns(slices, shape.N, shape.N)) {
        constexpr ptrdiff_t L = LANES<T>;
        d_X = take_columns(slices, shape.F, shape.N).data;
        d_sum = take_columns(slices, shape.F, shape.N).data;
        d_mlp[0] = take_columns(slices, shape.F, shape.N).data;
        d_mlp[1] = take_columns(slices, shape.F, shape.N).data;
        sums = {slices.take(shape.N * L), slices.take(shape.N * L)};
        const ptrdiff_t slots = shape.N * padded<T>(shape.F);
        const ptrdiff_t steps = TILE_COLUMNS * padded<T>(shape.F < shape.I ? shape.I : shape.F);
        rows = slices.take((slots < steps ? steps : slots) * L);
        const size_t pointers = num_params * sizeof(T*) / sizeof(T);
        d_params = reinterpret_cast<T**>(slices.take((pointers + L) / L * L));
    }
};

template <class T>
struct RelationalBackwardStepper {
    static constexpr int L = LANES<T>;
    const RelationalBackward<T>& run;
    const RelationalShape<T> shape;
    const RelationalBackwardWork<T> work;
    const RelationalParams<const T*> params;
    const RelationalParams<T*> d_params;  ///< sums of the part under way

    RelationalBackwardStepper(const RelationalBackward<T>& run, Slices<T> slices)
        : run(run), shape(run.sizes), work(shape, relational_num_params(run.sizes), slices),
          params(run.params, run.sizes), d_params(work.d_params, run.sizes) {}

    /// Begin a part: gradients of parameters are summed here.
    void start_part(T* sums) const {
        __builtin_memset(sums, 0, sizeof(T) * sums_size<T>(run.sizes));
        for (int p = 0; p < relational_num_params(run.sizes); ++p) {
            const ParamSize size = relational_param_size(run.sizes, p);
            work.d_params[p] = sums;
            sums += size.rows * sum_width<T>(size);
        }
    }

    /// d_W += Σ d_z aᵀ over columns and batch rows; work.rows holds a, [column][lane][input].
    void add_weights(Columns<T> d_z, int num_outputs, int num_inputs, int num_columns, int lanes,
                     T* d_W) const {
        const ptrdiff_t width = padded<T>(num_inputs);
        add_products(Numbers<T>{d_z.data, d_z.number * L, 1, L}, num_outputs,
                     Vectors<T>{work.rows, L, width, L * width}, int(width / L),
                     Terms{lanes, num_columns}, d_W, width);
    }

    /// The same for a [F][columns]; d_z has all of these columns or the first ones.
    void add_weights(Columns<T> d_z, int num_outputs, Columns<T> a, int lanes, T* d_W) const {
        const ptrdiff_t width = padded<T>(shape.F);
        for (int c = 0; c < d_z.number; ++c)
            column_to_rows(a, shape.F, c, work.rows + c * L * width, width);
        add_weights(d_z, num_outputs, shape.F, d_z.number, lanes, d_W);
    }

    /// Differentiate R9 to R2, in this order.
    void step_backward(int t, int lanes, T* cache) const {
        const int S = shape.S, F = shape.F, G = shape.G, gate_width = shape.gate_width;
        const int column = t % TILE_COLUMNS;
        const StepCache<T> step = shape.step_cache(cache);
        const Columns<T> d_M = work.d_M, d_gates = work.d_gates, d_f = d_gates.from(gate_width);
        // R9  M = σ(i + b_i) ⊙ tanh(M̃) + σ(f + b_f) ⊙ M'
        const Columns<T> d_M_tilde{work.d_X, S};
        for (int f = 0; f < F; ++f)
            for (int s = 0; s < S; ++s) {
                const int g = gate_width == 1 ? 0 : f;
                const Vec<T> d = d_M(f, s), tanh_M_tilde = step.tanh_M_tilde(f, s);
                const bool first = f == g;  // of the features that share a gate
                const Vec<T> d_i_of_f = d * tanh_M_tilde, d_f_of_f = d * step.M_prev(f, s);
                d_gates.set(g, s, first ? d_i_of_f : d_gates(g, s) + d_i_of_f);
                d_f.set(g, s, first ? d_f_of_f : d_f(g, s) + d_f_of_f);
                d_M_tilde.set(f, s, d * step.i(g, s) * d_tanh<T>(tanh_M_tilde));
                d_M.set(f, s, d * step.f(g, s));
            }
        // R8  [i, f] = W_g e + b_g + U_g tanh(M') + b_u
        for (int g = 0; g < G; ++g) {
            Vec<T> sum = {};
            for (int s = 0; s < S; ++s) {
                const Vec<T> gate = g < gate_width ? step.i(g, s) : step.f(g - gate_width, s);
                d_gates.set(g, s, d_gates(g, s) * d_sigmoid<T>(gate));
                sum += d_gates(g, s);
            }
            work.d_gates_of_e.set(g, column, sum);
        }
        add_columns(d_gates, G, S, d_params.b_u());
        add_weights(d_gates, G, step.tanh_M_prev, lanes, d_params.U_g());
        multiply(by_column(params.U_g(), F), F, by_column(d_gates), S, G,
                 [=](int f, int s, Vec<T> d) {
                     d_M.set(f, s, fma(d, d_tanh<T>(step.tanh_M_prev(f, s)), d_M(f, s)));
                 });
        // R7  M̃ = X without its last row: what R6 gets is d_M̃
        // R6 to R3
        for (int k = shape.num_blocks - 1; k >= 0; --k) block_backward(k, lanes, cache);
        // R2  X = [M'; e]
        const Columns<T> d_X{work.d_X, shape.N};
        for (int f = 0; f < F; ++f) {
            for (int s = 0; s < S; ++s) d_M.add(f, s, d_X(f, s));
            work.d_e.set(f, column, d_X(f, S));
        }
    }

    /// Differentiate R6 to R3, in this order: work.d_X is the gradient of the block's output, then
    /// that of its input.
    void block_backward(int k, int lanes, T* step) const {
        const int F = shape.F, N = shape.N, P = shape.P;
        const BlockCache<T> cache = shape.block_cache(step, k);
        const BlockParams<const T*> block = params.block(k);
        const BlockParams<T*> d_block = d_params.block(k);
        const int rows = cache.rows, last = shape.mlp_layers - 1;
        const Columns<T> d_sum{work.d_sum, rows};
        // R6  X ← LN(X + MLP(X))
        layer_norm_backward(Columns<T>{work.d_X, rows}, cache.mlp_norm, F, block.gain_mlp,
                            work.sums, d_block.gain_mlp, d_block.bias_mlp, d_params.b_mlp(last),
                            d_sum);
        Columns<T> d_z = d_sum;
        for (int j = last; j >= 0; --j) {
            const Columns<T> a = cache.mlp.from(j * F), d_a{work.d_mlp[j % 2], rows};
            if (j < last) add_columns(d_z, F, rows, d_params.b_mlp(j));
            add_weights(d_z, F, a, lanes, d_params.W_mlp(j));
            multiply(by_column(params.W_mlp(j), F), F, by_column(d_z), rows, F,
                     [=](int f, int n, Vec<T> d) {
                         d_a.set(f, n, j > 0 ? relu_backward<T>(d, a(f, n)) : d_sum(f, n) + d);
                     });
            d_z = d_a;
        }
        // R5  X ← LN(X + A V)
        layer_norm_backward<T>(d_z, cache.attention_norm, F, block.gain_attention, work.sums,
                               d_block.gain_attention, d_block.bias_attention, nullptr, d_sum);
        work.sums.clear(N);
        for (int h = 0; h < shape.H; ++h) attend_backward(h, block, d_block, cache);
        // R3  Q, K, V = LN(W_qkv X + b_qkv)
        layer_norm_backward_apply(work.d_qkv, cache.qkv_norm, P, block.gain_qkv, work.sums,
                                  d_block.b_qkv, work.d_qkv);
        add_weights(work.d_qkv, P, cache.X, lanes, d_block.W_qkv);
        const Columns<T> d_X{work.d_X, N};
        multiply(by_column(block.W_qkv, F), F, by_column(work.d_qkv), N, P,
                 [=](int f, int n, Vec<T> d) { d_X.set(f, n, n < rows ? d_sum(f, n) + d : d); });
    }

    /// Differentiate, for one head, A V of R5, R4 and the sums in the layer norm of R3.
    void attend_backward(int h, const BlockParams<const T*>& block, const BlockParams<T*>& d_block,
                         const BlockCache<T>& cache) const {
        const int N = shape.N, K = shape.K, V = shape.V, D = shape.D, rows = cache.rows;
        const int first = h * D;
        const T *gain = block.gain_qkv + first, *bias = block.bias_qkv + first;
        const Columns<T> x_hat = cache.qkv_norm.x_hat.from(first), A = cache.A.from(h * rows);
        const Columns<T> queries = work.head, keys = queries.from(K), values = keys.from(K);
        const Columns<T> d_AV = Columns<T>{work.d_sum, rows}.from(h * V), d_A = work.d_A;
        const Columns<T> d_Q = work.d_qkv.from(first), d_K = d_Q.from(K), d_V = d_K.from(K);
        for (int d = 0; d < D; ++d)
            for (int n = 0; n < N; ++n)
                queries.set(d, n, fma(splat(gain[d]), x_hat(d, n), splat(bias[d])));
        // R5  X ← LN(X + A V)
        multiply(by_column(d_AV), rows, by_column(values), N, V,
                 [=](int n, int m, Vec<T> d) { d_A.set(n, m, d); });
        multiply(by_feature(d_AV), V, by_column(A), N, rows,
                 [=](int v, int m, Vec<T> d) { d_V.set(v, m, d); });
        // R4  A = softmax(Q Kᵀ / √K)
        const T scale = T(1 / __builtin_sqrt(double(K)));
        for (int n = 0; n < rows; ++n) softmax_backward(d_A, A, n, scale);
        multiply(by_feature(keys), K, by_feature(d_A), rows, N,
                 [=](int d, int n, Vec<T> d_q) { d_Q.set(d, n, d_q); });
        for (int n = rows; n < N; ++n)
            for (int d = 0; d < K; ++d) d_Q.set(d, n, Vec<T>{});
        multiply(by_feature(queries), K, by_column(d_A), N, rows,
                 [=](int d, int m, Vec<T> d_k) { d_K.set(d, m, d_k); });
        // R3  Q, K, V = LN(W_qkv X + b_qkv)
        layer_norm_backward_sums(d_Q, x_hat, D, gain, work.sums, d_block.gain_qkv + first * L,
                                 d_block.bias_qkv + first * L);
    }

    /// Differentiate the input's part of R8, then R1, for some steps from t on.
    void project_backward(const Group<T>& group, int t, int steps, T* cache, T* d_e_stored) const {
        const int I = shape.I, F = shape.F, G = shape.G, lanes = group.lanes(t);
        const Columns<T> d_e = work.d_e, d_gates_of_e = work.d_gates_of_e;
        // R8, input part
        const ptrdiff_t width = padded<T>(F), x_width = padded<T>(I);
        for (int column = 0; column < steps; ++column)
            column_to_rows(shape.block_cache(cache + column * shape.step_size, 0).X, F, shape.S,
                           work.rows + column * L * width, width);
        add_columns(d_gates_of_e, G, steps, d_params.b_g());
        add_weights(d_gates_of_e, G, F, steps, lanes, d_params.W_g());
        multiply(by_column(params.W_g(), F), F, by_column(d_gates_of_e), steps, G,
                 [=](int f, int column, Vec<T> d) {
                     d_e.add(f, column, d);
                     store(d_e_stored + (ptrdiff_t(column) * F + f) * L, d_e(f, column));
                 });
        // R1  e = W_in x + b_in
        for (int column = 0; column < steps; ++column)
            for (int lane = 0; lane < lanes; ++lane) {
                const ptrdiff_t row = group.row_or_first(lane, t + column);
                copy_padded(run.x + (row * run.batch.T + t + column) * I, I,
                            work.rows + (column * L + lane) * x_width);
            }
        add_columns(d_e, F, steps, d_params.b_in());
        add_weights(d_e, F, I, steps, lanes, d_params.W_in());
    }

    /// The derivative of the loop over time, for one group.
    void unroll_backward(const Group<T>& group) const {
        const int F = shape.F, M_size = shape.S * F, steps = group.steps();
        const ptrdiff_t before = steps_before<T>(run.batch, group.first / L);
        T* cache = run.cache + before * shape.step_size;
        T* d_e = run.d_e + before * F * L;
        for (int t = steps - 1; t >= 0; --t) {
            add_given(group, t);
            step_backward(t, group.lanes(t), cache + t * shape.step_size);
            if (t % TILE_COLUMNS == 0) {
                const int columns = steps - t < TILE_COLUMNS ? steps - t : TILE_COLUMNS;
                project_backward(group, t, columns, cache + t * shape.step_size,
                                 d_e + ptrdiff_t(t) * F * L);
            }
        }
        T* first_rows[L] = {};
        for (int lane = 0; lane < group.lanes(0); ++lane)
            first_rows[lane] = run.d_memory_first + group.row(lane) * M_size;
        if (steps > 0) lanes_to_rows(Places<T>(work.d_M, F), M_size, first_rows);
        // A row without a step passes its gradient on.
        for (int lane = group.lanes(0); lane < group.rows(); ++lane) {
            const ptrdiff_t row = group.row(lane) * M_size;
            if (run.d_memory_last)
                __builtin_memcpy(run.d_memory_first + row, run.d_memory_last + row,
                                 sizeof(T) * M_size);
            else
                __builtin_memset(run.d_memory_first + row, 0, sizeof(T) * M_size);
        }
    }

    /// Make d_M the gradient of the memory after step t: set it for rows whose last step this is,
    /// set it to zero for lanes without a row, and add the output's gradient.
    void add_given(const Group<T>& group, int t) const {
        const int F = shape.F, M_size = shape.S * F;
        const int lanes = group.lanes(t), running = group.lanes(t + 1);
        const Columns<T> d_M = work.d_M, d_given = work.d_given;
        if (running < L) {
            const T* rows[L] = {};
            for (int lane = running; lane < lanes && run.d_memory_last; ++lane)
                rows[lane] = run.d_memory_last + group.row(lane) * M_size;
            rows_to_lanes(rows, M_size, Places<T>(d_given, F));
            for (int f = 0; f < F; ++f)
                for (int s = 0; s < shape.S; ++s)
                    for (int lane = running; lane < L; ++lane)
                        d_M.at(f, s)[lane] = d_given.at(f, s)[lane];
        }
        if (run.d_y) {
            const T* rows[L] = {};
            for (int lane = 0; lane < lanes; ++lane)
                rows[lane] = run.d_y + (group.row(lane) * run.batch.T + t) * M_size;
            rows_to_lanes(rows, M_size, Places<T>(d_given, F));
            for (int f = 0; f < F; ++f)
                for (int s = 0; s < shape.S; ++s) d_M.add(f, s, d_given(f, s));
        }
    }
};

/// Numbers of d_e, which backward leaves for the gradient of x: [step][F][lane] for every group.
template <class T>
size_t relational_d_e_size(const Batch& batch, const RelationalSizes& sizes) {
    return steps_before<T>(batch, num_groups<T>(batch)) * RelationalShape<T>(sizes).F * LANES<T>;
}

/// Numbers of a thread's own memory for backward.
template <class T>
size_t relational_backward_own(const RelationalSizes& sizes) {
    Slices<T> slices{nullptr};
    const RelationalBackwardWork<T> work(RelationalShape<T>(sizes), relational_num_params(sizes),
                                         slices);
    return slices.size;
}

template <class T>
size_t relational_backward_work(const Batch& batch, const RelationalSizes& sizes, int num_threads) {
    return num_parts<T>(batch) * sums_size<T>(sizes) +
           num_threads * relational_backward_own<T>(sizes);
}

/// Add up the parts of every sum and, for vectors, the lanes too.
template <class T>
void relational_sum_gradients(const RelationalBackward<T>& run, const T* sums, const Team& team) {
    constexpr int L = LANES<T>;
    const size_t part_size = sums_size<T>(run.sizes);
    const int num_params = relational_num_params(run.sizes);
    team.share(num_params, by_one, [&](const Range& params) {
        const T* of_param = sums;
        for (int p = 0; p < params.last; ++p) {
            const ParamSize size = relational_param_size(run.sizes, p);
            const ptrdiff_t width = sum_width<T>(size);
            for (int row = 0; row < size.rows && p >= params.first; ++row)
                for (ptrdiff_t column = 0; column < width; column += L) {
                    Vec<T> total = {};
                    for (int part = 0; part < num_parts<T>(run.batch); ++part)
                        total += load(of_param + part * part_size + row * width + column);
                    if (size.columns)
                        store(run.d_params[p] + ptrdiff_t(row) * size.columns + column, total,
                              int(size.columns - column));
                    else
                        run.d_params[p][row] = sum<T>(total);
                }
            of_param += size.rows * width;
        }
    });
}

/// The derivative of the loop over time.
template <class T>
void relational_backward(const RelationalBackward<T>& run, const Team& team) {
    const int groups = num_groups<T>(run.batch), parts = num_parts<T>(run.batch);
    const size_t part_size = sums_size<T>(run.sizes);
    T* own = run.work + parts * part_size + team.rank * relational_backward_own<T>(run.sizes);
    const RelationalBackwardStepper<T> stepper(run, Slices<T>{own});
    team.share(parts, by_one, [&](const Range& ours) {
        for (int part = ours.first; part < ours.last; ++part) {
            stepper.start_part(run.work + part * part_size);
            for (int g = part; g < groups; g += parts)
                stepper.unroll_backward(Group<T>{run.batch, g * LANES<T>});
        }
    });
    relational_sum_gradients(run, run.work, team);
}

template <class T>
size_t relational_input_gradient_work(const RelationalSizes& sizes, int num_threads) {
    return size_t(sizes.I) * TILE_COLUMNS * LANES<T> * num_threads;
}

/// d_x = W_inᵀ d_e, zero past each row's end.
template <class T>
void relational_input_gradient(const RelationalInputGradientArguments<T>& run, const Team& team) {
    constexpr int L = LANES<T>;
    const int I = run.sizes.I, F = run.sizes.H * run.sizes.V;
    const ptrdiff_t T_ = run.batch.T;
    const size_t size = relational_input_gradient_work<T>(run.sizes, 1);
    const Columns<T> d_x{run.work + team.rank * size, TILE_COLUMNS};
    team.share(num_groups<T>(run.batch), by_one, [&](const Range& groups) {
        for (int g = groups.first; g < groups.last; ++g) {
            const Group<T> group{run.batch, g * L};
            const T* d_e = run.d_e + steps_before<T>(run.batch, g) * F * L;
            const int steps = group.steps();
            for (int t = 0; t < steps; t += TILE_COLUMNS) {
                const int columns = steps - t < TILE_COLUMNS ? steps - t : TILE_COLUMNS;
                // R1  e = W_in x + b_in
                multiply(by_column(run.W_in, I), I,
                         Vectors<T>{d_e + ptrdiff_t(t) * F * L, ptrdiff_t(F) * L, L}, columns, F,
                         [=](int i, int column, Vec<T> d) { d_x.set(i, column, d); });
                for (int column = 0; column < columns; ++column) {
                    T* rows[L] = {};
                    for (int lane = 0; lane < group.lanes(t + column); ++lane)
                        rows[lane] = run.d_x + (group.row(lane) * T_ + t + column) * I;
                    lanes_to_rows(Places<T>(d_x, I, column), I, rows);
                }
            }
            for (int lane = 0; lane < group.rows(); ++lane) {
                const ptrdiff_t length = run.batch.length(group.first + lane);
                __builtin_memset(run.d_x + (group.row(lane) * T_ + length) * I, 0,
                                 sizeof(T) * (T_ - length) * I);
            }
        }
    });
}

/// i and f of every step, zero past each row's end.
template <class T>
void relational_gates(const RelationalGates<T>& run) {
    constexpr int L = LANES<T>;
    const RelationalShape<T> shape(run.sizes);
    const int width = shape.gate_width, size = shape.S * width;
    T* cache = run.cache;
    for (int g = 0; g < num_groups<T>(run.batch); ++g) {
        const Group<T> group{run.batch, g * L};
        for (int t = 0; t < run.batch.T; ++t) {
            const int lanes = group.lanes(t);
            T *i_rows[L] = {}, *f_rows[L] = {};
            for (int lane = 0; lane < group.rows(); ++lane) {
                const ptrdiff_t at = (group.row(lane) * run.batch.T + t) * size;
                if (lane < lanes) {
                    i_rows[lane] = run.i + at;
                    f_rows[lane] = run.f + at;
                } else {
                    __builtin_memset(run.i + at, 0, sizeof(T) * size);
                    __builtin_memset(run.f + at, 0, sizeof(T) * size);
                }
            }
            if (lanes == 0) continue;
            const StepCache<T> step = shape.step_cache(cache);
            lanes_to_rows(Places<T>(step.i, width), size, i_rows);
            lanes_to_rows(Places<T>(step.f, width), size, f_rows);
            cache += shape.step_size;
        }
    }
}

/// This set's functions.
template <class T>
constexpr RelationalKernels<T> relational_kernels() {
    RelationalKernels<T> table{};
    table.cache_size = relational_cache_size<T>;
    table.forward_work = relational_forward_work<T>;
    table.forward = relational_forward<T>;
    table.d_e_size = relational_d_e_size<T>;
    table.backward_work = relational_backward_work<T>;
    table.backward = relational_backward<T>;
    table.input_gradient_work = relational_input_gradient_work<T>;
    table.input_gradient = relational_input_gradient<T>;
    table.gates = relational_gates<T>;
    return table;
}

}  // namespace
}  // namespace lb::LB_TARGET

#endif  // LB_TARGET
