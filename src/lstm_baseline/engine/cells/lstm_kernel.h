// The LSTM of lstm.py, compiled: same functions, same order, same labels.
//
//     F1   f = σ(W_f x + U_f h' + b_f)          forget gate
//     F2   i = σ(W_i x + U_i h' + b_i)          input gate
//     F3   c̃ = tanh(W_c x + U_c h' + b_c)       candidate
//     F4   o = σ(W_o x + U_o h' + b_o)          output gate
//     F5   c = f ⊙ c' + i ⊙ c̃                   cell state
//     F6   h = o ⊙ tanh(c)                      hidden state
//
// L lanes of hidden units make a block. A tile is R rows by N blocks: it sums the pre-activations
// of all four gates of its units in registers, applies F1 to F6 to them, and writes only the
// results. Rows are independent, so threads take rows. If there are fewer rows than threads,
// threads take blocks instead and meet after every step.
#pragma once

#if __INCLUDE_LEVEL__ == 0  // in an editor
#include "../native/target.h"
#endif

#include "../native/batch.h"
#include "../native/token_rows.h"

namespace lb {

template <class T>
struct LSTMForward {
    Batch batch;
    int I, H;
    const T* x;                  ///< (B, T, I)
    TokenRows<T> tokens;         ///< in place of x, with I = 0 and W x + b (V, 4H)
    const T *h_first, *c_first;  ///< (B, H), or null for zeros
    const T* packed;             ///< W, U and b, from lstm_pack
    T* y;                        ///< (B, T, H), or null if not wanted
    T *h_last, *c_last;          ///< (B, H)
    /// With `gates`, stored for backward: h and c (B + N, H'), gates (N, 5, H') as f, i, c̃, o,
    /// tanh c. Without: h is (2, B, H') and c (B, H').
    T *h, *c, *gates;
};

template <class T>
struct LSTMBackward {
    Batch batch;
    int I, H;
    const T* x;                    ///< (B, T, I)
    const T *h, *c, *gates;        ///< as LSTMForward stored them
    const T* U;                    ///< (4H, H)
    const T* d_y;                  ///< (B, T, H), or null for zeros
    const T *d_h_last, *d_c_last;  ///< (B, H), or null for zeros
    T *d_W, *d_U, *d_b;            ///< (4H, I), (4H, H), (4H)
    T *d_h_first, *d_c_first;      ///< (B, H)
    T* d_z;                        ///< (N, 4, H') gradients of the pre-activations
    T* work;                       ///< lstm_backward_work numbers
};

template <class T>
struct LSTMKernels {
    size_t (*packed_size)(int I, int H);
    void (*pack)(int I, int H, const T* W, const T* U, const T* b, T* packed);
    void (*forward)(const LSTMForward<T>&, const Team&);
    size_t (*backward_work)(const LSTMBackward<T>&, int num_threads);
    void (*backward)(const LSTMBackward<T>&, const Team&);
};

}  // namespace lb

#ifdef LB_TARGET

#include "../activations_kernel.h"
#include "../native/column_product.h"
#include "../native/outer_products.h"
#include "../native/rows.h"
#include "../native/slices.h"
#include "../native/tiles.h"

namespace lb::LB_TARGET {
namespace {

constexpr int GATES = 4;
constexpr int STORED_GATES = 5;  // f, i, c̃, o and tanh c

/// Numbers in a block's panel: its bias, then I rows of W and H rows of U, four vectors each.
template <class T>
inline ptrdiff_t lstm_panel_size(int I, int H) {
    return ptrdiff_t(1 + I + H) * GATES * LANES<T>;
}

template <class T>
size_t lstm_packed_size(int I, int H) {
    return size_t(num_blocks<T>(H)) * lstm_panel_size<T>(I, H);
}

/// Lay the rows of W (4H, I), U (4H, H) and b (4H) that belong to a block side by side.
template <class T>
void lstm_pack(int I, int H, const T* W, const T* U, const T* b, T* packed) {
    constexpr int L = LANES<T>, step = GATES * L;
    for (int n = 0; n < num_blocks<T>(H); ++n, packed += lstm_panel_size<T>(I, H)) {
        const int units = H - n * L < L ? H - n * L : L;
        for (int g = 0; g < GATES; ++g) {
            const ptrdiff_t row = ptrdiff_t(g) * H + n * L;
            store(packed + g * L, load(b + row, units));
            pack_transposed(W + row * I, I, units, I, packed + step + g * L, step);
            pack_transposed(U + row * H, H, units, H, packed + (1 + I) * step + g * L, step);
        }
    }
}

/// W x + b + U h' at step t: the product that the four gates share.
template <class T>
struct LSTMProjection {
    static constexpr int WIDTH = GATES, STEP = GATES * LANES<T>;
    const LSTMForward<T>& run;
    const int t;
    const T* h_before;  ///< of the first row
    const int terms[2] = {run.I, run.H};

    void segment(int s, int row, int R, int block, Segment<T>& segment) const {
        segment.panel = panel(block) + (s == 0 ? 1 : 1 + run.I) * STEP;
        segment.panel_stride = lstm_panel_size<T>(run.I, run.H);
        if (s == 1) {
            const ptrdiff_t width = padded<T>(run.H);
            set_rows(segment, h_before + row * width, width, R);
            return;
        }
        for (int r = 0; r < R; ++r)
            segment.rows[r] =
                run.x + (ptrdiff_t(run.batch.order[row + r]) * run.batch.T + t) * run.I;
    }
    bool starts_by_row() const { return bool(run.tokens); }
    void row_starts(int R, int N, int row, int block, Vec<T>* z) const {
        for (int r = 0; r < R; ++r) {
            const T* of_token = run.tokens(ptrdiff_t(run.batch.order[row + r]) * run.batch.T + t);
            for (int n = block; n < block + N; ++n)
                for (int g = 0; g < GATES; ++g)
                    *z++ =
                        load(of_token + ptrdiff_t(g) * run.H + n * LANES<T>, run.H - n * LANES<T>);
        }
    }
    /// Each block's panel begins with its bias.
    void start(int block, int N, T* numbers) const {
        for (int n = 0; n < N; ++n)
            __builtin_memcpy(numbers + n * STEP, panel(block + n), sizeof(T) * STEP);
    }

private:
    const T* panel(int block) const {
        return run.packed + block * lstm_panel_size<T>(run.I, run.H);
    }
};

template <class T>
struct LSTMStepper {
    const LSTMForward<T>& run;
    const ptrdiff_t width = padded<T>(run.H);
    const bool keep = run.gates != nullptr;

    /// Where h and c of a row before step t are stored; t is the number of steps taken.
    const T* h_before(int t, int row) const { return run.h + h_row(t, row) * width; }
    T* h_after(int t, int row) const { return run.h + h_row(t + 1, row) * width; }
    const T* c_before(int t, int row) const { return run.c + c_row(t, row) * width; }
    T* c_after(int t, int row) const { return run.c + c_row(t + 1, row) * width; }

    ptrdiff_t stored_row(int t, int row) const {
        return t == 0 ? row : run.batch.B + run.batch.begin[t - 1] + row;
    }
    ptrdiff_t h_row(int t, int row) const {
        return keep ? stored_row(t, row) : ptrdiff_t(t % 2) * run.batch.B + row;
    }
    ptrdiff_t c_row(int t, int row) const { return keep ? stored_row(t, row) : row; }

    T* gates_of(int t, int row) const {
        return run.gates + (run.batch.begin[t] + row) * STORED_GATES * width;
    }
    T* y_of(int t, int row) const {
        return run.y + (ptrdiff_t(run.batch.order[row]) * run.batch.T + t) * run.H;
    }

    LSTMProjection<T> project(int t) const { return {run, t, h_before(t, 0)}; }

    /// Apply F1 to F6 to the pre-activations of R rows and N blocks.
    void step(int R, int N, int t, int row, int block, const Vec<T>* z) const {
        const auto for_tile = [&](auto f) {
            for (int r = 0, k = 0; r < R; ++r)
                for (int n = 0; n < N; ++n, ++k) f(k, row + r, (block + n) * LANES<T>);
        };
        // Two loops: in one loop, a processor would wait for F6 of a unit before the next unit.
        Vec<T> c[ACCUMULATORS / GATES], o[ACCUMULATORS / GATES];
        for_tile([&](int k, int r, int unit) {
            const Vec<T>* sums = z + k * GATES;
            const Vec<T> c_prev = load(c_before(t, r) + unit);
            // F1
            const Vec<T> f = sigmoid<T>(sums[0]);
            // F2
            const Vec<T> i = sigmoid<T>(sums[1]);
            // F3
            const Vec<T> c_tilde = tanh<T>(sums[2]);
            // F4
            o[k] = sigmoid<T>(sums[3]);
            // F5
            c[k] = fma(f, c_prev, i * c_tilde);
            store(c_after(t, r) + unit, c[k]);
            if (keep) {
                T* gates = gates_of(t, r) + unit;
                store(gates, f);
                store(gates + width, i);
                store(gates + 2 * width, c_tilde);
                store(gates + 3 * width, o[k]);
            }
        });
        for_tile([&](int k, int r, int unit) {
            // F6
            const Vec<T> tanh_c = tanh<T>(c[k]);
            const Vec<T> h = o[k] * tanh_c;
            store(h_after(t, r) + unit, h);
            if (run.y) store(y_of(t, r) + unit, h, run.H - unit);
            if (keep) store(gates_of(t, r) + 4 * width + unit, tanh_c);
        });
    }
};

/// Rows and blocks that a thread works on.
struct LSTMShare {
    Range rows;
    int first_block, last_block;
    const Batch& batch;
    const Team& team;

    /// True for the one thread that does what is done once for each row.
    bool first_of_rows() const { return !team.barrier || team.rank == 0; }
    int last_row(int live) const { return live < rows.last ? live : rows.last; }
    /// After a step: meet the threads that have the other blocks, or give rows away.
    void end_step() {
        team.wait();
        ++rows.step;
        if (!team.barrier) give_rows(batch, rows, team);
    }
};

/// f(share) for all rows. A team that meets after every step shares the blocks, others the rows.
template <class T, class F>
inline void for_lstm_shares(const Batch& batch, int H, const Team& team, F f) {
    const int blocks = num_blocks<T>(H);
    if (team.barrier) {
        LSTMShare share{{0, batch.B, 0}, team.first(blocks), team.last(blocks), batch, team};
        f(share);
        team.wait();
        return;
    }
    for_row_ranges(batch, team, [&](Range& rows) {
        LSTMShare share{rows, 0, blocks, batch, team};
        f(share);
    });
}

/// The loop over time of recurrence.py.
template <class T>
void lstm_forward(const LSTMForward<T>& run, const Team& team) {
    if (team.rank == 0) __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    const Batch& batch = run.batch;
    const int H = run.H;
    const LSTMStepper<T> stepper{run};
    const ptrdiff_t width = stepper.width;
    for_lstm_shares<T>(batch, H, team, [&](LSTMShare& share) {
        Range& rows = share.rows;
        if (rows.step == 0 && share.first_of_rows())
            for (int row = rows.first; row < rows.last; ++row) {
                const ptrdiff_t user = ptrdiff_t(batch.order[row]) * H;
                copy_padded(run.h_first ? run.h_first + user : nullptr, H, run.h + row * width);
                copy_padded(run.c_first ? run.c_first + user : nullptr, H, run.c + row * width);
            }
        team.wait();
        while (rows.step < batch.T) {
            const int t = rows.step;
            for_products<T>(stepper.project(t), rows.first, share.last_row(batch.live[t]),
                            share.first_block, share.last_block,
                            [&](int R, int N, int row, int block, const Vec<T>* z) {
                                stepper.step(R, N, t, row, block, z);
                            });
            share.end_step();
        }
        if (!share.first_of_rows()) return;
        for (int row = rows.first; row < rows.last; ++row) {
            const ptrdiff_t user = batch.order[row];
            const int length = batch.length(row);
            __builtin_memcpy(run.h_last + user * H, stepper.h_before(length, row), sizeof(T) * H);
            __builtin_memcpy(run.c_last + user * H, stepper.c_before(length, row), sizeof(T) * H);
            if (run.y)
                __builtin_memset(run.y + (user * batch.T + length) * H, 0,
                                 sizeof(T) * (batch.T - length) * H);
        }
    });
}

/// Working memory of lstm_backward.
template <class T>
struct LSTMBackwardWork {
    T *d_h, *d_c;                ///< (B, H') gradients of the states after the step
    T* packed;                   ///< columns of U
    const T **x_rows, **h_rows;  ///< (N) x and h' of every stored row
    T* outer;                    ///< Σ [x, 1, h'] d_zᵀ
    T* tiles;                    ///< outer_products_work for each thread
    size_t size;

    LSTMBackwardWork(const LSTMBackward<T>& run, int num_threads) {
        Slices<T> slices{run.work};
        const size_t stored = size_t(run.batch.begin[run.batch.T]);
        const size_t units = size_t(padded<T>(run.H)), M = size_t(run.I) + 1 + run.H;
        d_h = slices.take(run.batch.B * units);
        d_c = slices.take(run.batch.B * units);
        packed = slices.take(units * GATES * run.H);
        const size_t pointers = stored * sizeof(void*) / sizeof(T);
        x_rows = reinterpret_cast<const T**>(slices.take(pointers));
        h_rows = reinterpret_cast<const T**>(slices.take(pointers));
        outer = slices.take(units * GATES * M);
        tiles = slices.take(num_threads * outer_products_work<T>(int(M)));
        size = slices.size;
    }
};

template <class T>
size_t lstm_backward_work(const LSTMBackward<T>& run, int num_threads) {
    return LSTMBackwardWork<T>(run, num_threads).size;
}

template <class T>
struct LSTMBackwardStepper {
    const LSTMBackward<T>& run;
    const LSTMBackwardWork<T>& work;
    const ptrdiff_t width = padded<T>(run.H);

    /// d_h' = Uᵀ d_z of step t.
    ColumnProduct<T> project_backward(int t) const {
        return {run.d_z + run.batch.begin[t] * GATES * width, work.packed, run.H, GATES};
    }

    /// Differentiate F6 to F1, in this order; d_h_next, or null, comes from the step after.
    void step_backward(int R, int N, int t, int row, int block, const Vec<T>* d_h_next) const {
        constexpr int L = LANES<T>;
        const Batch& batch = run.batch;
        const ptrdiff_t stored = batch.begin[t] + row;
        const ptrdiff_t before = t == 0 ? row : batch.B + batch.begin[t - 1] + row;
        for (int r = 0; r < R; ++r)
            for (int n = 0; n < N; ++n) {
                const int unit = (block + n) * L, units = run.H - unit;
                const T* gates = run.gates + (stored + r) * STORED_GATES * width + unit;
                const Vec<T> f = load(gates), i = load(gates + width),
                             c_tilde = load(gates + 2 * width), o = load(gates + 3 * width),
                             tanh_c = load(gates + 4 * width);
                const Vec<T> c_prev = load(run.c + (before + r) * width + unit);
                T* d_c_of = work.d_c + (row + r) * width + unit;
                Vec<T> d_h_t =
                    d_h_next ? d_h_next[r * N + n] : load(work.d_h + (row + r) * width + unit);
                if (run.d_y)
                    d_h_t += load(
                        run.d_y + (ptrdiff_t(batch.order[row + r]) * batch.T + t) * run.H + unit,
                        units);
                // F6  h = o ⊙ tanh(c)
                const Vec<T> d_o = d_h_t * tanh_c;
                const Vec<T> d_c_t = fma(d_h_t * o, d_tanh<T>(tanh_c), load(d_c_of));
                // F5  c = f ⊙ c' + i ⊙ c̃
                const Vec<T> d_f = d_c_t * c_prev;
                const Vec<T> d_i = d_c_t * c_tilde;
                const Vec<T> d_c_tilde = d_c_t * i;
                store(d_c_of, d_c_t * f);
                T* d_z = run.d_z + (stored + r) * GATES * width + unit;
                // F4  o = σ(W_o x + U_o h' + b_o)
                store(d_z + 3 * width, d_o * d_sigmoid<T>(o));
                // F3  c̃ = tanh(W_c x + U_c h' + b_c)
                store(d_z + 2 * width, d_c_tilde * d_tanh<T>(c_tilde));
                // F2  i = σ(W_i x + U_i h' + b_i)
                store(d_z + width, d_i * d_sigmoid<T>(i));
                // F1  f = σ(W_f x + U_f h' + b_f)
                store(d_z, d_f * d_sigmoid<T>(f));
            }
    }
};

/// d_W = Σ d_z xᵀ, d_b = Σ d_z and d_U = Σ d_z h'ᵀ over all rows and steps, in the order of time.
template <class T>
void lstm_sum_gradients(const LSTMBackward<T>& run, const LSTMBackwardWork<T>& work,
                        const Team& team) {
    constexpr int L = LANES<T>;
    const Batch& batch = run.batch;
    const int I = run.I, H = run.H;
    const ptrdiff_t width = padded<T>(H);
    const GatePlaces<T> at{H};
    team.share(batch.T, [&](const Range& steps) {
        for (int t = steps.first; t < steps.last; ++t)
            for (int row = 0; row < batch.live[t]; ++row) {
                const int64_t k = batch.begin[t] + row;
                const int64_t before = t == 0 ? row : batch.B + batch.begin[t - 1] + row;
                work.x_rows[k] = run.x + (ptrdiff_t(batch.order[row]) * batch.T + t) * I;
                work.h_rows[k] = run.h + before * width;
            }
    });
    const Part<T> x{work.x_rows, I}, one{nullptr, 1}, h{work.h_rows, H};
    sum_over_rows<T>({x, one, h}, run.d_z, GATES * width, batch.begin[batch.T], work, team,
                     [&](int v, const T* from) {
                         const ptrdiff_t row = at.row(v);
                         unpack_transposed(from, 4 * L, at.units(v), I, run.d_W + row * I, I);
                         store(run.d_b + row, load(from + ptrdiff_t(I) * 4 * L), at.units(v));
                         unpack_transposed(from + ptrdiff_t(I + 1) * 4 * L, 4 * L, at.units(v), H,
                                           run.d_U + row * H, H);
                     });
}

/// The derivative of the loop over time.
template <class T>
void lstm_backward(const LSTMBackward<T>& run, const Team& team) {
    constexpr int L = LANES<T>;
    const Batch& batch = run.batch;
    const int H = run.H;
    const LSTMBackwardWork<T> work(run, team.size);
    const LSTMBackwardStepper<T> stepper{run, work};
    const ptrdiff_t width = stepper.width;
    team.share(num_blocks<T>(H), [&](const Range& blocks) {
        pack_gate_columns(run.U, H, H, GATES, blocks.first, blocks.last, work.packed);
    });
    for_lstm_shares<T>(batch, H, team, [&](LSTMShare& share) {
        Range& rows = share.rows;
        if (rows.step == 0 && share.first_of_rows())
            for (int row = rows.first; row < rows.last; ++row) {
                const ptrdiff_t user = ptrdiff_t(batch.order[row]) * H;
                copy_padded(run.d_h_last ? run.d_h_last + user : nullptr, H,
                            work.d_h + row * width);
                copy_padded(run.d_c_last ? run.d_c_last + user : nullptr, H,
                            work.d_c + row * width);
            }
        team.wait();
        while (rows.step < batch.T) {
            const int t = batch.T - 1 - rows.step;
            const int next = share.last_row(batch.live[t + 1]);
            const int last = share.last_row(batch.live[t]);
            if (next > rows.first)
                for_products<T>(stepper.project_backward(t + 1), rows.first, next,
                                share.first_block, share.last_block,
                                [&](int R, int N, int row, int block, const Vec<T>* d_h_prev) {
                                    stepper.step_backward(R, N, t, row, block, d_h_prev);
                                });
            // Rows that end with this step.
            for (int row = next > rows.first ? next : rows.first; row < last; ++row)
                for (int block = share.first_block; block < share.last_block; ++block)
                    stepper.step_backward(1, 1, t, row, block, nullptr);
            share.end_step();
        }
        // The initial state; rows without a step pass their gradient on.
        for_products<T>(stepper.project_backward(0), rows.first, share.last_row(batch.live[0]),
                        share.first_block, share.last_block,
                        [&](int R, int N, int row, int block, const Vec<T>* d_h_prev) {
                            store_tile(R, N, d_h_prev, work.d_h + row * width + block * L, width,
                                       int(width) - block * L);
                        });
        team.wait();
        if (!share.first_of_rows()) return;
        for (int row = rows.first; row < rows.last; ++row) {
            const ptrdiff_t user = ptrdiff_t(batch.order[row]) * H;
            __builtin_memcpy(run.d_h_first + user, work.d_h + row * width, sizeof(T) * H);
            __builtin_memcpy(run.d_c_first + user, work.d_c + row * width, sizeof(T) * H);
        }
    });
    lstm_sum_gradients(run, work, team);
}

/// This set's functions.
template <class T>
constexpr LSTMKernels<T> lstm_kernels() {
    LSTMKernels<T> table{};
    table.packed_size = lstm_packed_size<T>;
    table.pack = lstm_pack<T>;
    table.forward = lstm_forward<T>;
    table.backward_work = lstm_backward_work<T>;
    table.backward = lstm_backward<T>;
    return table;
}

}  // namespace
}  // namespace lb::LB_TARGET

#endif  // LB_TARGET
