// The GRU of gru.py, compiled: same functions, same order, same labels.
//
//     F1   r = σ(W_r x + U_r h' + b_r)                     reset gate
//     F2   z = σ(W_z x + U_z h' + b_z)                     update gate
//     F3   n = tanh(W_n x + b_n + r ⊙ (U_n h' + b_u))      candidate
//     F4   h = (1 − z) ⊙ n + z ⊙ h'                        hidden state
//
// Because r scales a product of its own, W x and U h' are not one sum. So a step goes in phases, as
// in lstm_variants_kernel.h: the products of this thread's rows, then F1 to F4 of each row, all in
// memory that stays in the cache. Rows are independent, and threads take rows.
#pragma once

#if __INCLUDE_LEVEL__ == 0  // in an editor
#include "../native/target.h"
#endif

#include "../native/batch.h"
#include "../native/token_rows.h"

namespace lb {

template <class T>
struct GRUForward {
    Batch batch;
    int I, H;
    const T* x;                ///< (B, T, I)
    TokenRows<T> tokens;       ///< in place of x, with I = 0 and W x + b (V, 3H)
    const T* h_first;          ///< (B, H), or null for zeros
    const T *W, *U, *b, *b_u;  ///< (3H, I), (3H, H), (3H), (H)
    T* y;                      ///< (B, T, H), or null if not wanted
    T* h_last;                 ///< (B, H)
    bool keep;                 ///< whether backward will follow
    /// With `keep` h is (B + N, H') and gates (N, 4, H') as r, z, n, q; otherwise B rows of each.
    T *h, *gates;
    T* work;  ///< gru_forward_work numbers
};

template <class T>
struct GRUBackward {
    Batch batch;
    int I, H;
    const T* x;                  ///< (B, T, I)
    const T *h, *gates;          ///< as GRUForward stored them
    const T* U;                  ///< (3H, H)
    const T* d_y;                ///< (B, T, H), or null for zeros
    const T* d_h_last;           ///< (B, H), or null for zeros
    T *d_W, *d_U, *d_b, *d_b_u;  ///< (3H, I), (3H, H), (3H), (H)
    T* d_h_first;                ///< (B, H)
    T* d_u;                      ///< (N, 3, H') gradients of W x
    T* work;                     ///< gru_backward_work numbers
};

template <class T>
struct GRUKernels {
    size_t (*forward_work)(const Batch& batch, int I, int H);
    void (*forward)(const GRUForward<T>&, const Team&);
    size_t (*backward_work)(const GRUBackward<T>&, int num_threads);
    void (*backward)(const GRUBackward<T>&, const Team&);
};

}  // namespace lb

#ifdef LB_TARGET

#include "../activations_kernel.h"
#include "../native/column_product.h"
#include "../native/outer_products.h"
#include "../native/rows.h"
#include "../native/slices.h"
#include "affine_kernel.h"

namespace lb::LB_TARGET {
namespace {

constexpr int GRU_GATES = 3;
constexpr int GRU_STORED_GATES = 4;  // r, z, n and q = U_n h' + b_u

/// Numbers of a matrix (3H, K) as gru_pack lays it out.
template <class T>
inline size_t gru_packed_size(int K, int H) {
    return GRU_GATES * packed_affine_size<T>(H, K);
}

/// Lay a matrix (3H, K) out for products, gate by gate; biases[gate] may be null for zeros.
template <class T>
void gru_pack(int K, int H, const T* matrix, const T* const (&biases)[GRU_GATES], T* packed,
              const Range& gates) {
    for (int g = gates.first; g < gates.last; ++g)
        pack_affine(H, K, matrix + ptrdiff_t(g) * H * K, biases[g],
                    packed + g * packed_affine_size<T>(H, K));
}

/// Working memory of gru_forward.
template <class T>
struct GRUForwardWork {
    T* x;  ///< (B, I) of one step, in the order of the rows
    T* v;  ///< (B, 3, H') U h', and b_u
    T *packed_W, *packed_U;
    size_t size;

    GRUForwardWork(const Batch& batch, int I, int H, T* memory) {
        Slices<T> slices{memory};
        x = slices.take(size_t(batch.B) * size_t(I));
        v = slices.take(size_t(batch.B) * GRU_GATES * size_t(padded<T>(H)));
        packed_W = slices.take(gru_packed_size<T>(I, H));
        packed_U = slices.take(gru_packed_size<T>(H, H));
        size = slices.size;
    }
};

template <class T>
size_t gru_forward_work(const Batch& batch, int I, int H) {
    return GRUForwardWork<T>(batch, I, H, nullptr).size;
}

template <class T>
struct GRUStepper {
    const GRUForward<T>& run;
    const GRUForwardWork<T>& work;
    const ptrdiff_t width = padded<T>(run.H), lanes = GRU_GATES * width;

    /// Where h of a row before step t is stored; t is the number of steps taken.
    T* h_before(int t, int row) const {
        const bool first = t == 0 || !run.keep;
        return run.h + (first ? row : run.batch.B + run.batch.begin[t - 1] + row) * width;
    }
    T* h_after(int t, int row) const { return h_before(t + 1, row); }
    T* gates_of(int t, int row) const {
        return run.gates + ((run.keep ? run.batch.begin[t] : 0) + row) * GRU_STORED_GATES * width;
    }
    ptrdiff_t user_step(int t, int row) const {
        return ptrdiff_t(run.batch.order[row]) * run.batch.T + t;
    }

    /// Write u = W x + b of all three gates at step t to the places of r, z and n.
    void project(int t, int first, int last) const {
        if (run.tokens) {
            for (int row = first; row < last; ++row) {
                const T* of_token = run.tokens(user_step(t, row));
                for (int g = 0; g < GRU_GATES; ++g)
                    copy_padded(of_token + g * run.H, run.H, gates_of(t, row) + g * width);
            }
            return;
        }
        for (int row = first; row < last; ++row)
            __builtin_memcpy(work.x + ptrdiff_t(row) * run.I, run.x + user_step(t, row) * run.I,
                             sizeof(T) * run.I);
        affine(last - first, work.x + ptrdiff_t(first) * run.I, run.I, int(lanes), run.I,
               work.packed_W, gates_of(t, first), GRU_STORED_GATES * width);
    }

    /// Apply F1 to F4.
    void step(int t, int first, int last) const {
        affine(last - first, h_before(t, first), width, int(lanes), run.H, work.packed_U,
               work.v + first * lanes, lanes);
        for (int row = first; row < last; ++row) {
            const T *v = work.v + row * lanes, *h_prev = h_before(t, row);
            T *gates = gates_of(t, row), *h_new = h_after(t, row);
            for_vectors<T>(run.H, [&](int unit, int units) {
                // F1
                const Vec<T> r = sigmoid<T>(load(gates + unit) + load(v + unit));
                // F2
                const Vec<T> z = sigmoid<T>(load(gates + width + unit) + load(v + width + unit));
                // F3
                const Vec<T> q = load(v + 2 * width + unit);
                const Vec<T> n = tanh<T>(fma(r, q, load(gates + 2 * width + unit)));
                // F4
                const Vec<T> h = fma(z, load(h_prev + unit), (T(1) - z) * n);
                store(gates + unit, r);
                store(gates + width + unit, z);
                store(gates + 2 * width + unit, n);
                store(gates + 3 * width + unit, q);
                store(h_new + unit, h);
                if (run.y) store(run.y + user_step(t, row) * run.H + unit, h, units);
            });
        }
    }
};

/// The loop over time of recurrence.py.
template <class T>
void gru_forward(const GRUForward<T>& run, const Team& team) {
    if (team.rank == 0) __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    const Batch& batch = run.batch;
    const int I = run.I, H = run.H;
    const GRUForwardWork<T> work(batch, I, H, run.work);
    const GRUStepper<T> stepper{run, work};
    team.share(GRU_GATES, [&](const Range& gates) {
        gru_pack<T>(I, H, run.W, {run.b, run.b + H, run.b + 2 * H}, work.packed_W, gates);
        gru_pack<T>(H, H, run.U, {nullptr, nullptr, run.b_u}, work.packed_U, gates);
    });
    for_row_ranges(batch, team, [&](Range& rows) {
        if (rows.step == 0)
            for (int row = rows.first; row < rows.last; ++row)
                copy_padded(run.h_first ? run.h_first + ptrdiff_t(batch.order[row]) * H : nullptr,
                            H, stepper.h_before(0, row));
        for (int t; (t = rows.step) < batch.T; give_rows(batch, rows, team)) {
            const int last = batch.live[t] < rows.last ? batch.live[t] : rows.last;
            if (last <= rows.first) break;
            stepper.project(t, rows.first, last);
            stepper.step(t, rows.first, last);
            ++rows.step;
        }
        for (int row = rows.first; row < rows.last; ++row) {
            const ptrdiff_t user = batch.order[row];
            const int length = batch.length(row);
            __builtin_memcpy(run.h_last + user * H, stepper.h_before(length, row), sizeof(T) * H);
            if (run.y)
                __builtin_memset(run.y + (user * batch.T + length) * H, 0,
                                 sizeof(T) * (batch.T - length) * H);
        }
    });
}

/// Working memory of gru_backward.
template <class T>
struct GRUBackwardWork {
    T* d_h;                      ///< (B, H') gradient of the state after the step
    T* d_v;                      ///< (N, 3, H') gradients of U h'
    T* packed;                   ///< columns of U
    const T **x_rows, **h_rows;  ///< (N) x and h' of every stored row
    T* outer;                    ///< Σ of outer products
    T* tiles;                    ///< outer_products_work for each thread
    size_t size;

    GRUBackwardWork(const GRUBackward<T>& run, int num_threads) {
        Slices<T> slices{run.work};
        const size_t stored = size_t(run.batch.begin[run.batch.T]);
        const size_t units = size_t(padded<T>(run.H)), lanes = GRU_GATES * units;
        const int M = run.I > run.H ? run.I : run.H;
        d_h = slices.take(run.batch.B * units);
        d_v = slices.take(stored * lanes);
        packed = slices.take(lanes * size_t(run.H));
        const size_t pointers = stored * sizeof(void*) / sizeof(T);
        x_rows = reinterpret_cast<const T**>(slices.take(pointers));
        h_rows = reinterpret_cast<const T**>(slices.take(pointers));
        const size_t four = 4 * LANES<T>;
        outer = slices.take((lanes + four - 1) / four * four * size_t(M));
        tiles = slices.take(size_t(num_threads) * outer_products_work<T>(M));
        size = slices.size;
    }
};

template <class T>
size_t gru_backward_work(const GRUBackward<T>& run, int num_threads) {
    return GRUBackwardWork<T>(run, num_threads).size;
}

template <class T>
struct GRUBackwardStepper {
    const GRUBackward<T>& run;
    const GRUBackwardWork<T>& work;
    const ptrdiff_t width = padded<T>(run.H), lanes = GRU_GATES * width;

    const T* h_before(int t, int row) const {
        return run.h + (t == 0 ? row : run.batch.B + run.batch.begin[t - 1] + row) * width;
    }

    /// Differentiate F4 to F1, in this order.
    void step_backward(int t, int first, int last) const {
        const Batch& batch = run.batch;
        for (int row = first; row < last; ++row) {
            const ptrdiff_t stored = batch.begin[t] + row;
            const T *gates = run.gates + stored * GRU_STORED_GATES * width,
                    *h_before_step = h_before(t, row);
            const T* d_y =
                run.d_y ? run.d_y + (ptrdiff_t(batch.order[row]) * batch.T + t) * run.H : nullptr;
            T *d_h_of = work.d_h + row * width, *d_u = run.d_u + stored * lanes,
              *d_v = work.d_v + stored * lanes;
            for_vectors<T>(run.H, [&](int unit, int units) {
                const Vec<T> r = load(gates + unit), z = load(gates + width + unit),
                             n = load(gates + 2 * width + unit), q = load(gates + 3 * width + unit),
                             h_prev = load(h_before_step + unit);
                Vec<T> d_h = load(d_h_of + unit);
                if (d_y) d_h += load(d_y + unit, units);
                // F4  h = (1 − z) ⊙ n + z ⊙ h'
                const Vec<T> d_n = d_h * (T(1) - z);
                const Vec<T> d_z = d_h * (h_prev - n);
                store(d_h_of + unit, d_h * z);
                // F3  n = tanh(W_n x + b_n + r ⊙ (U_n h' + b_u))
                const Vec<T> d_u_n = d_n * d_tanh<T>(n);
                const Vec<T> d_r = d_u_n * q;
                store(d_u + 2 * width + unit, d_u_n);
                store(d_v + 2 * width + unit, d_u_n * r);
                // F2  z = σ(W_z x + U_z h' + b_z)
                const Vec<T> d_u_z = d_z * d_sigmoid<T>(z);
                store(d_u + width + unit, d_u_z);
                store(d_v + width + unit, d_u_z);
                // F1  r = σ(W_r x + U_r h' + b_r)
                const Vec<T> d_u_r = d_r * d_sigmoid<T>(r);
                store(d_u + unit, d_u_r);
                store(d_v + unit, d_u_r);
            });
        }
        // F1 to F3: the product that the three gates share
        const ColumnProduct<T> product(work.d_v + batch.begin[t] * lanes, work.packed, run.H,
                                       GRU_GATES);
        for_products<T>(product, first, last, 0, num_blocks<T>(run.H),
                        [&](int R, int N, int row, int block, const Vec<T>* d) {
                            T* d_h = work.d_h + row * width + block * LANES<T>;
                            for (int r = 0; r < R; ++r, d_h += width)
                                for (int n = 0; n < N * LANES<T>; n += LANES<T>)
                                    store(d_h + n, load(d_h + n) + *d++);
                        });
    }
};

/// Σ over n stored rows, half by half. Gradients of a bias tend to have one sign, and one chain of
/// them would lose more precision than PyTorch, which adds up each step first.
template <class T>
Vec<T> pairwise_sum(const T* d, ptrdiff_t stride, int64_t n) {
    if (n > 16) {
        const Vec<T> first = pairwise_sum(d, stride, n / 2);
        return first + pairwise_sum(d + n / 2 * stride, stride, n - n / 2);
    }
    Vec<T> sum = {};
    for (int64_t k = 0; k < n; ++k) sum += load(d + k * stride);
    return sum;
}

/// d_W = Σ d_u xᵀ, d_b = Σ d_u, d_U = Σ d_v h'ᵀ and d_b_u = Σ d_q, the last gate of d_v, over all
/// rows and steps, in the order of time.
template <class T>
void gru_sum_gradients(const GRUBackward<T>& run, const GRUBackwardStepper<T>& stepper,
                       const GRUBackwardWork<T>& work, const Team& team) {
    constexpr int L = LANES<T>;
    const Batch& batch = run.batch;
    const int I = run.I, H = run.H;
    const int64_t N = batch.begin[batch.T];
    team.share(batch.T, [&](const Range& steps) {
        for (int t = steps.first; t < steps.last; ++t)
            for (int row = 0; row < batch.live[t]; ++row) {
                const int64_t k = batch.begin[t] + row;
                work.x_rows[k] = run.x + (ptrdiff_t(batch.order[row]) * batch.T + t) * I;
                work.h_rows[k] = stepper.h_before(t, row);
            }
    });
    const Part<T> x{work.x_rows, I}, h{work.h_rows, H};
    const GatePlaces<T> at{H};
    sum_over_rows<T>({x}, run.d_u, stepper.lanes, N, work, team, [&](int v, const T* from) {
        unpack_transposed(from, 4 * L, at.units(v), I, run.d_W + at.row(v) * I, I);
        store(run.d_b + at.row(v), pairwise_sum(run.d_u + v * L, stepper.lanes, N), at.units(v));
    });
    sum_over_rows<T>({h}, work.d_v, stepper.lanes, N, work, team, [&](int v, const T* from) {
        unpack_transposed(from, 4 * L, at.units(v), H, run.d_U + at.row(v) * H, H);
        if (v >= 2 * at.blocks)
            store(run.d_b_u + at.row(v) - 2 * H, pairwise_sum(work.d_v + v * L, stepper.lanes, N),
                  at.units(v));
    });
}

/// The derivative of the loop over time.
template <class T>
void gru_backward(const GRUBackward<T>& run, const Team& team) {
    const Batch& batch = run.batch;
    const int H = run.H;
    const GRUBackwardWork<T> work(run, team.size);
    const GRUBackwardStepper<T> stepper{run, work};
    team.share(num_blocks<T>(H), [&](const Range& blocks) {
        pack_gate_columns(run.U, H, H, GRU_GATES, blocks.first, blocks.last, work.packed);
    });
    for_row_ranges(batch, team, [&](Range& rows) {
        if (rows.step == 0)
            for (int row = rows.first; row < rows.last; ++row)
                copy_padded(run.d_h_last ? run.d_h_last + ptrdiff_t(batch.order[row]) * H : nullptr,
                            H, work.d_h + row * stepper.width);
        for (; rows.step < batch.T; give_rows(batch, rows, team)) {
            const int t = batch.T - 1 - rows.step++;
            const int last = batch.live[t] < rows.last ? batch.live[t] : rows.last;
            if (last > rows.first) stepper.step_backward(t, rows.first, last);
        }
        for (int row = rows.first; row < rows.last; ++row)
            __builtin_memcpy(run.d_h_first + ptrdiff_t(batch.order[row]) * H,
                             work.d_h + row * stepper.width, sizeof(T) * H);
    });
    gru_sum_gradients(run, stepper, work, team);
}

/// This set's functions.
template <class T>
constexpr GRUKernels<T> gru_kernels() {
    GRUKernels<T> table{};
    table.forward_work = gru_forward_work<T>;
    table.forward = gru_forward<T>;
    table.backward_work = gru_backward_work<T>;
    table.backward = gru_backward<T>;
    return table;
}

}  // namespace
}  // namespace lb::LB_TARGET

#endif  // LB_TARGET
