// The LSTM's variants of lstm_variants.py, compiled: same functions, same order, same labels.
//
//     F1   f = φ([z_f + p_f ⊙ c'])              forget gate; 1 − i where gates are coupled
//     F2   i = φ([z_i + p_i ⊙ c'])              input gate
//     F3   c̃ = γ([z_c])                         candidate
//     F4   o = φ([z_o + p_o ⊙ c])               output gate, which sees the new cell state
//     F5   c = f ⊙ c' + i ⊙ c̃                   cell state
//     F6   m = o ⊙ η(N_c(c)),  h = W_proj m     hidden state; m itself without a projection
//
//     with z = N_x(W x) + N_h(U h') + b and [·] a clip to ±limit
//
// and, around the step, recurrent dropout and zoneout of regularization.py. A piece is used if its
// pointer is not null. A layer norm needs a whole row and a projection all units. So, unlike the
// plain LSTM's, a step goes row by row and in phases: products of this thread's rows, written to
// memory that stays in the cache; then F1 to F6 of each row. Rows are independent, and threads take
// rows.
#pragma once

#if __INCLUDE_LEVEL__ == 0  // in an editor
#include "../native/target.h"
#endif

#include "../native/batch.h"
#include "../native/token_rows.h"
#include "gate_activations_kernel.h"

namespace lb {

/// Parameters by the names of lstm_variants.py, or their gradients; null where there is none.
template <class Number>
struct LSTMVariantParams {
    Number *W, *U, *b;                          ///< (gates · H, I), (gates · H, P), (gates · H)
    Number *p_f, *p_i, *p_o;                    ///< (H)
    Number *gain_x, *gain_h, *gain_c, *bias_c;  ///< (gates · H) twice, (H) twice
    Number* W_proj;                             ///< (P, H)
};

/// A variant's cell, as lstm_variants.py has it.
template <class T>
struct LSTMVariant {
    int I, H, P;  ///< P is H without a projection
    int gates;    ///< three if they are coupled: i, c, o
    bool clips;
    double clip;
    GateActivation phi, gamma, eta;
    bool keeps_z;  ///< whether derivatives need pre-activations, not only gates
    LSTMVariantParams<const T> params;
};

/// What regularization.py puts around a step.
template <class T>
struct Regularization {
    const T* recurrent;                ///< r (B, P), or null for 1
    bool zones_h, zones_c;             ///< whether there is zoneout of h and of c
    const uint8_t *drawn_h, *drawn_c;  ///< z (B, T, P) and (B, T, H), or null if it is the rate
    T rate_h, rate_c;
};

template <class T>
struct LSTMVariantForward {
    Batch batch;
    LSTMVariant<T> cell;
    Regularization<T> around;
    const T* x;                  ///< (B, T, I)
    TokenRows<T> tokens;         ///< in place of x, with I = 0 and W x, + b without layer norms
    const T *h_first, *c_first;  ///< (B, P) and (B, H), or null for zeros
    T* y;                        ///< (B, T, P), or null if not wanted
    T *h_last, *c_last;          ///< (B, P) and (B, H)
    bool keep;                   ///< whether backward will follow
    T* cache;                    ///< lstm_variant_cache_size numbers
    T* work;                     ///< lstm_variant_forward_work numbers
};

template <class T>
struct LSTMVariantBackward {
    Batch batch;
    LSTMVariant<T> cell;
    Regularization<T> around;
    const T* x;                    ///< (B, T, I)
    T* cache;                      ///< as LSTMVariantForward left it
    const T* d_y;                  ///< (B, T, P), or null for zeros
    const T *d_h_last, *d_c_last;  ///< (B, P) and (B, H), or null for zeros
    LSTMVariantParams<T> d_params;
    T *d_h_first, *d_c_first;  ///< (B, P) and (B, H)
    T* d_a;                    ///< (N, gates, H') gradients of W x
    T* work;                   ///< lstm_variant_backward_work numbers
};

template <class T>
struct LSTMVariantKernels {
    size_t (*cache_size)(const Batch& batch, const LSTMVariant<T>& cell, bool keep);
    size_t (*forward_work)(const Batch& batch, const LSTMVariant<T>& cell);
    void (*forward)(const LSTMVariantForward<T>&, const Team&);
    size_t (*backward_work)(const LSTMVariantBackward<T>&, int num_threads);
    void (*backward)(const LSTMVariantBackward<T>&, const Team&);
    void (*gate)(const Batch& batch, const LSTMVariant<T>& cell, T* cache, int which, T* result);
};

}  // namespace lb

#ifdef LB_TARGET

#include "../native/column_product.h"
#include "../native/outer_products.h"
#include "../native/rows.h"
#include "../native/slices.h"
#include "../native/tiles.h"
#include "affine_kernel.h"
#include "layer_norm_kernel.h"

namespace lb::LB_TARGET {
namespace {

/// z of a vector of units: the rate, or 1 and 0 if it was drawn.
template <class T>
class Zones {
public:
    Zones(const uint8_t* drawn, T rate, ptrdiff_t place, int n) : drawn_(drawn), z_(splat(rate)) {
        if (!drawn) return;
        typedef uint8_t Bytes __attribute__((vector_size(LANES<T>)));
        Bytes bytes = {};
        if (n >= LANES<T>)
            __builtin_memcpy(&bytes, drawn + place, sizeof bytes);
        else
            __builtin_memcpy(&bytes, drawn + place, size_t(n));
        z_ = __builtin_convertvector(bytes, Vec<T>);
    }
    /// z ⊙ old + (1 − z) ⊙ new. A z that was drawn selects one of the two, so that a number that is
    /// not finite in the other has no effect.
    Vec<T> mix(Vec<T> fresh, Vec<T> old) const {
        if (drawn_) return z_ > T(0) ? old : fresh;
        return z_ * old + (T(1) - z_) * fresh;
    }

private:
    const uint8_t* drawn_;
    Vec<T> z_;
};

/// Places of a row's gates, or of what belongs to them; f is null if gates are coupled.
template <class Number>
struct LSTMVariantGates {
    Number *f, *i, *c, *o;

    LSTMVariantGates(Number* first, int gates, ptrdiff_t width)
        : f(gates == 4 ? first : nullptr), i(first + (gates - 3) * width), c(i + width),
          o(c + width) {}
};

/// What forward leaves for backward; without `keep` there is room for one step, used again.
///
/// States have B + N rows: those before the first step and those after each step. Steps have N.
template <class T>
struct LSTMVariantCache {
    bool keep;
    const Batch& batch;
    ptrdiff_t width, width_h, gates_width;
    T *h, *c;                  ///< (B + N, P'), h as the step sees it; (B + N, H')
    T* gates;                  ///< (N, gates + 1, H') f, i, c̃, o and η
    T* z;                      ///< (N, gates, H') the products; with keeps_z what is clipped
    T *x_hat, *h_hat;          ///< (N, gates, H') N_x and N_h without gains
    T *x_inverse, *h_inverse;  ///< (N) 1 / √(variance + 1e-5)
    T *c_mean, *c_inverse;     ///< (N)
    T* m;                      ///< (N, H')
    size_t size;

    LSTMVariantCache(const Batch& batch, const LSTMVariant<T>& cell, bool keep, T* memory)
        : keep(keep), batch(batch), width(padded<T>(cell.H)), width_h(padded<T>(cell.P)),
          gates_width(cell.gates * width) {
        Slices<T> slices{memory};
        const size_t N = size_t(keep ? batch.begin[batch.T] : batch.B), B = size_t(batch.B);
        const size_t rows = keep ? B + N : B, lanes = size_t(gates_width);
        const auto& params = cell.params;
        h = slices.take(rows * size_t(width_h));
        c = slices.take(rows * size_t(width));
        gates = slices.take(N * (lanes + size_t(width)));
        z = slices.take((cell.keeps_z ? N : B) * lanes);
        x_hat = slices.take(params.gain_x ? N * lanes : 0);
        h_hat = slices.take(params.gain_h ? N * lanes : 0);
        x_inverse = slices.take(N);
        h_inverse = slices.take(N);
        c_mean = slices.take(N);
        c_inverse = slices.take(N);
        m = slices.take(params.W_proj ? N * size_t(width) : 0);
        size = slices.size;
    }

    /// The state's row before step t, and the step's own.
    ptrdiff_t before(int t, int row) const {
        return !keep || t == 0 ? row : batch.B + batch.begin[t - 1] + row;
    }
    ptrdiff_t after(int t, int row) const { return keep ? before(t + 1, row) : row; }
    ptrdiff_t step(int t, int row) const { return keep ? batch.begin[t] + row : row; }
    /// f, i, c̃ and o of a row at step t, and η.
    LSTMVariantGates<T> gates_of(int t, int row, int number) const {
        return {gates + step(t, row) * (gates_width + width), number, width};
    }
    T* eta_of(int t, int row) const {
        return gates + step(t, row) * (gates_width + width) + gates_width;
    }
    /// The row of z, which is kept only if backward needs it.
    ptrdiff_t z_row(int t, int row, bool keeps_z) const { return keeps_z ? step(t, row) : row; }
};

/// W x and U h' of step t, or one of them: a block is a vector of one gate's units.
template <class T>
struct LSTMVariantProduct {
    static constexpr int WIDTH = 1;
    const T* x;  ///< (B, T, I)
    const Batch& batch;
    int t, I;
    const T* h;  ///< of the first row
    ptrdiff_t h_stride;
    const T* packed;
    int terms[2];
    TokenRows<T> tokens;  ///< where the sums start, if x holds tokens
    int H;
    const ptrdiff_t panel_size = ptrdiff_t(1 + terms[0] + terms[1]) * LANES<T>;

    bool starts_by_row() const { return bool(tokens); }
    void row_starts(int R, int N, int row, int block, Vec<T>* z) const {
        const int blocks = num_blocks<T>(H);
        for (int r = 0; r < R; ++r) {
            const T* of_token = tokens(ptrdiff_t(batch.order[row + r]) * batch.T + t);
            for (int n = block; n < block + N; ++n) {
                const int unit = n % blocks * LANES<T>;
                *z++ = load(of_token + ptrdiff_t(n / blocks) * H + unit, H - unit);
            }
        }
    }
    void segment(int s, int row, int R, int block, Segment<T>& segment) const {
        segment.panel = packed + block * panel_size + (1 + (s == 0 ? 0 : terms[0])) * LANES<T>;
        segment.panel_stride = panel_size;
        if (s == 1) {
            set_rows(segment, h + row * h_stride, h_stride, R);
            return;
        }
        for (int r = 0; r < R; ++r)
            segment.rows[r] = x + (ptrdiff_t(batch.order[row + r]) * batch.T + t) * I;
    }
    void start(int block, int N, T* numbers) const {
        for (int n = 0; n < N; ++n)
            store(numbers + n * LANES<T>, load(packed + (block + n) * panel_size));
    }
};

/// Pack the weights of the gates' units into panels: bias, I rows of W, P rows of U; null is left
/// out.
template <class T>
void lstm_variant_pack(const LSTMVariant<T>& cell, const T* W, const T* U, const T* b, T* packed,
                       const Range& panels) {
    constexpr int L = LANES<T>;
    const int blocks = num_blocks<T>(cell.H), I = W ? cell.I : 0, P = U ? cell.P : 0;
    for (int n = panels.first; n < panels.last; ++n) {
        const int unit = n % blocks * L, units = cell.H - unit < L ? cell.H - unit : L;
        const ptrdiff_t row = ptrdiff_t(n / blocks) * cell.H + unit;
        T* to = packed + n * ptrdiff_t(1 + I + P) * L;
        store(to, b ? load(b + row, units) : Vec<T>{});
        if (W) pack_transposed(W + row * I, I, units, I, to + L, L);
        if (U) pack_transposed(U + row * P, P, units, P, to + ptrdiff_t(1 + I) * L, L);
    }
}

/// Working memory of lstm_variant_forward.
template <class T>
struct LSTMVariantForwardWork {
    T *h, *h_new;  ///< (B, P') the state, and what the step gives
    T *packed, *packed_h, *packed_proj;
    size_t size;

    LSTMVariantForwardWork(const Batch& batch, const LSTMVariant<T>& cell, T* memory) {
        Slices<T> slices{memory};
        const size_t B = size_t(batch.B), units = size_t(padded<T>(cell.H)),
                     lanes = size_t(cell.gates) * units;
        h = slices.take(B * size_t(padded<T>(cell.P)));
        h_new = slices.take(B * size_t(padded<T>(cell.P)));
        packed = slices.take(lanes * size_t(1 + cell.I + cell.P));
        packed_h = slices.take(cell.params.gain_h ? lanes * size_t(1 + cell.P) : 0);
        packed_proj = slices.take(cell.params.W_proj ? packed_affine_size<T>(cell.P, cell.H) : 0);
        size = slices.size;
    }
};

template <class T>
size_t lstm_variant_cache_size(const Batch& batch, const LSTMVariant<T>& cell, bool keep) {
    return LSTMVariantCache<T>(batch, cell, keep, nullptr).size;
}

template <class T>
size_t lstm_variant_forward_work(const Batch& batch, const LSTMVariant<T>& cell) {
    return LSTMVariantForwardWork<T>(batch, cell, nullptr).size;
}

template <class T>
struct LSTMVariantStepper {
    const LSTMVariantForward<T>& run;
    const LSTMVariantCache<T>& cache;
    const LSTMVariantForwardWork<T>& work;
    const LSTMVariant<T>& cell = run.cell;
    const LSTMVariantParams<const T>& params = run.cell.params;
    const ptrdiff_t width = cache.width;

    /// [z]
    Vec<T> clipped(Vec<T> z) const {
        return cell.clips ? clamp<T>(z, T(-cell.clip), T(cell.clip)) : z;
    }
    static Vec<T> peep(const T* p, int unit, int units, Vec<T> z, Vec<T> c) {
        return p ? fma(load(p + unit, units), c, z) : z;
    }

    /// The products of step t for some rows.
    void project(int t, int first, int last) const {
        const T* h = cache.h + cache.before(t, 0) * cache.width_h;
        const auto put = [&](const T* packed, int I, int P, const TokenRows<T>& tokens, T* to) {
            const LSTMVariantProduct<T> product{run.x,         run.batch, t,      cell.I, h,
                                                cache.width_h, packed,    {I, P}, tokens, cell.H};
            for_products<T>(product, first, last, 0, cell.gates * num_blocks<T>(cell.H),
                            [&](int R, int N, int row, int block, const Vec<T>* z) {
                                store_tile(R, N, z, to + row * cache.gates_width + block * LANES<T>,
                                           cache.gates_width,
                                           int(cache.gates_width) - block * LANES<T>);
                            });
        };
        if (!params.gain_x) {
            put(work.packed, cell.I, cell.P, run.tokens,
                cache.z + cache.z_row(t, 0, cell.keeps_z) * cache.gates_width);
            return;
        }
        put(work.packed, cell.I, 0, run.tokens, cache.x_hat + cache.step(t, 0) * cache.gates_width);
        put(work.packed_h, 0, cell.P, {}, cache.h_hat + cache.step(t, 0) * cache.gates_width);
    }

    /// z = N_x(W x) + N_h(U h') + b
    void add_norms(int t, int row, T* z) const {
        const ptrdiff_t step = cache.step(t, row);
        T *x_hat = cache.x_hat + step * cache.gates_width,
          *h_hat = cache.h_hat + step * cache.gates_width;
        const RowStatistics<T> of_x(x_hat, cell.gates, cell.H), of_h(h_hat, cell.gates, cell.H);
        cache.x_inverse[step] = of_x.inverse;
        cache.h_inverse[step] = of_h.inverse;
        for (int g = 0; g < cell.gates; ++g)
            for_vectors<T>(cell.H, [&](int unit, int units) {
                const ptrdiff_t place = g * width + unit, lane = ptrdiff_t(g) * cell.H + unit;
                const Vec<T> x = of_x.normalise(load(x_hat + place), units),
                             h = of_h.normalise(load(h_hat + place), units);
                const Vec<T> b = params.b ? load(params.b + lane, units) : Vec<T>{};
                const Vec<T> sum = fma(load(params.gain_x + lane, units), x, b);
                store(x_hat + place, x);
                store(h_hat + place, h);
                store(z + place, fma(load(params.gain_h + lane, units), h, sum));
            });
    }

    /// Apply F1 to F6 to a row, without the projection.
    void step(int t, int row) const {
        T* z = cache.z + cache.z_row(t, row, cell.keeps_z) * cache.gates_width;
        if (params.gain_x) add_norms(t, row, z);
        apply_gates(t, row, LSTMVariantGates<T>(z, cell.gates, width));
        apply_output(t, row);
    }

    /// Apply F1 to F5 to a row; the new c also goes to the place of η.
    void apply_gates(int t, int row, LSTMVariantGates<T> z) const {
        const T* c_before = cache.c + cache.before(t, row) * width;
        T* c_after = cache.c + cache.after(t, row) * width;
        const LSTMVariantGates<T> gates = cache.gates_of(t, row, cell.gates);
        T* eta = cache.eta_of(t, row);
        const ptrdiff_t user = ptrdiff_t(run.batch.order[row]) * run.batch.T + t;
        for_vectors<T>(cell.H, [&](int unit, int units) {
            const Vec<T> c_prev = load(c_before + unit);
            // F2
            const Vec<T> in_i = peep(params.p_i, unit, units, load(z.i + unit), c_prev);
            const Vec<T> i = activate<T>(cell.phi, clipped(in_i));
            // F1
            Vec<T> f = T(1) - i;
            if (gates.f) {
                const Vec<T> in_f = peep(params.p_f, unit, units, load(z.f + unit), c_prev);
                f = activate<T>(cell.phi, clipped(in_f));
                store(gates.f + unit, f);
                if (cell.keeps_z) store(z.f + unit, in_f);
            }
            // F3
            const Vec<T> c_tilde = activate<T>(cell.gamma, clipped(load(z.c + unit)));
            // F5
            // Lanes without a unit stay 0, because sums over a row include them.
            const Vec<T> c = first_lanes<T>(fma(f, c_prev, i * c_tilde), units);
            // F4
            const Vec<T> in_o = peep(params.p_o, unit, units, load(z.o + unit), c);
            const Vec<T> o = activate<T>(cell.phi, clipped(in_o));
            store(gates.i + unit, i);
            store(gates.c + unit, c_tilde);
            store(gates.o + unit, o);
            if (cell.keeps_z) {
                store(z.i + unit, in_i);
                store(z.o + unit, in_o);
            }
            store(eta + unit, c);
            Vec<T> kept = c;
            if (run.around.zones_c) {
                const Zones<T> zones(run.around.drawn_c, run.around.rate_c, user * cell.H + unit,
                                     units);
                kept = zones.mix(c, c_prev);
            }
            store(c_after + unit, kept);
        });
    }

    /// Apply F6 to a row, without the projection.
    void apply_output(int t, int row) const {
        const ptrdiff_t step = cache.step(t, row);
        const T* o = cache.gates_of(t, row, cell.gates).o;
        T* eta = cache.eta_of(t, row);
        T* m = params.W_proj ? cache.m + step * width : work.h_new + row * width;
        const auto give = [&](int unit, int units, Vec<T> c_in) {
            const Vec<T> y = activate<T>(cell.eta, c_in);
            store(eta + unit, y);
            store(m + unit, first_lanes<T>(load(o + unit) * y, units));
        };
        if (!params.gain_c) {
            for_vectors<T>(cell.H,
                           [&](int unit, int units) { give(unit, units, load(eta + unit)); });
            return;
        }
        const RowStatistics<T> of_c(eta, 1, cell.H);
        cache.c_mean[step] = of_c.mean;
        cache.c_inverse[step] = of_c.inverse;
        for_vectors<T>(cell.H, [&](int unit, int units) {
            const Vec<T> gain = load(params.gain_c + unit, units);
            give(unit, units,
                 fma(gain, of_c.normalise(load(eta + unit), units),
                     load(params.bias_c + unit, units)));
        });
    }

    /// h = W_proj m of some rows, if there is a projection; then zoneout and recurrent dropout.
    void finish(int t, int first, int last) const {
        if (params.W_proj && last > first)
            affine(last - first, cache.m + cache.step(t, first) * width, width, int(cache.width_h),
                   cell.H, work.packed_proj, work.h_new + first * cache.width_h, cache.width_h);
        for (int row = first; row < last; ++row) {
            const T* h_new = work.h_new + row * cache.width_h;
            T *h = work.h + row * cache.width_h,
              *seen = cache.h + cache.after(t, row) * cache.width_h;
            const ptrdiff_t user_row = run.batch.order[row], user = user_row * run.batch.T + t;
            for_vectors<T>(cell.P, [&](int unit, int units) {
                Vec<T> kept = load(h_new + unit);
                if (run.around.zones_h) {
                    const Zones<T> zones(run.around.drawn_h, run.around.rate_h,
                                         user * cell.P + unit, units);
                    kept = zones.mix(kept, load(h + unit));
                }
                store(h + unit, kept);
                if (run.y) store(run.y + user * cell.P + unit, kept, units);
                store(seen + unit, masked(user_row, unit, units, kept));
            });
        }
    }

    /// r ⊙ h
    Vec<T> masked(ptrdiff_t user_row, int unit, int units, Vec<T> h) const {
        const T* r = run.around.recurrent;
        return r ? load(r + user_row * cell.P + unit, units) * h : h;
    }
};

/// The loop over time of recurrence.py.
template <class T>
void lstm_variant_forward(const LSTMVariantForward<T>& run, const Team& team) {
    if (team.rank == 0) __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    const Batch& batch = run.batch;
    const LSTMVariant<T>& cell = run.cell;
    const LSTMVariantParams<const T>& params = cell.params;
    const LSTMVariantCache<T> cache(batch, cell, run.keep, run.cache);
    const LSTMVariantForwardWork<T> work(batch, cell, run.work);
    const LSTMVariantStepper<T> stepper{run, cache, work};
    team.share(cell.gates * num_blocks<T>(cell.H), [&](const Range& panels) {
        if (params.gain_x) {
            lstm_variant_pack<T>(cell, params.W, nullptr, nullptr, work.packed, panels);
            lstm_variant_pack<T>(cell, nullptr, params.U, nullptr, work.packed_h, panels);
        } else {
            lstm_variant_pack<T>(cell, params.W, params.U, params.b, work.packed, panels);
        }
        if (params.W_proj && panels.first == 0)
            pack_affine<T>(cell.P, cell.H, params.W_proj, nullptr, work.packed_proj);
    });
    for_row_ranges(batch, team, [&](Range& rows) {
        for (int row = rows.first; row < rows.last && rows.step == 0; ++row) {
            const ptrdiff_t user = batch.order[row];
            T *h = work.h + row * cache.width_h, *seen = cache.h + row * cache.width_h;
            copy_padded(run.h_first ? run.h_first + user * cell.P : nullptr, cell.P, h);
            copy_padded(run.c_first ? run.c_first + user * cell.H : nullptr, cell.H,
                        cache.c + row * cache.width);
            for_vectors<T>(cell.P, [&](int unit, int units) {
                store(seen + unit, stepper.masked(user, unit, units, load(h + unit)));
            });
        }
        for (int t; (t = rows.step) < batch.T; give_rows(batch, rows, team)) {
            const int last = batch.live[t] < rows.last ? batch.live[t] : rows.last;
            if (last <= rows.first) break;
            stepper.project(t, rows.first, last);
            for (int row = rows.first; row < last; ++row) stepper.step(t, row);
            stepper.finish(t, rows.first, last);
            ++rows.step;
        }
        for (int row = rows.first; row < rows.last; ++row) {
            const ptrdiff_t user = batch.order[row];
            const int length = batch.length(row);
            __builtin_memcpy(run.h_last + user * cell.P, work.h + row * cache.width_h,
                             sizeof(T) * cell.P);
            __builtin_memcpy(run.c_last + user * cell.H,
                             cache.c + cache.before(length, row) * cache.width, sizeof(T) * cell.H);
            if (run.y)
                __builtin_memset(run.y + (user * batch.T + length) * cell.P, 0,
                                 sizeof(T) * (batch.T - length) * cell.P);
        }
    });
}

/// Gradients of gains, of peepholes and, with a layer norm, of biases: sums over rows and steps.
/// Every row has its own sums, which only its thread changes, while all that they need is in the
/// cache. At the end they are added up in the order of rows, whichever thread made them. Sums of a
/// row over time are made in chains as short as those of products.
template <class T>
struct LSTMVariantSums {
    enum Kind { BIAS, GAIN_X, GAIN_H, PEEPHOLE, GAIN_C, BIAS_C };
    ptrdiff_t lanes, width, size;  ///< numbers of all gates, of the units, of a row's sums
    T *chains, *totals;            ///< (B, size)

    LSTMVariantSums(Slices<T>& slices, const Batch& batch, const LSTMVariant<T>& cell)
        : lanes(cell.gates * padded<T>(cell.H)), width(padded<T>(cell.H)),
          size(cell.params.gain_x || cell.params.p_i ? 4 * lanes + 2 * width : 0) {
        chains = slices.take(size_t(batch.B) * size_t(size));
        totals = slices.take(size_t(batch.B) * size_t(size));
    }

    /// Sums of one kind in a row, [gate][unit] or [unit].
    ptrdiff_t at(int row, Kind kind) const {
        return row * size + (kind < GAIN_C ? kind * lanes : 4 * lanes + (kind - GAIN_C) * width);
    }
    void clear(int row) const {
        __builtin_memset(chains + row * size, 0, sizeof(T) * size_t(size));
        __builtin_memset(totals + row * size, 0, sizeof(T) * size_t(size));
    }
    void add(int row, Kind kind, ptrdiff_t place, Vec<T> a) const {
        T* chain = chains + at(row, kind) + place;
        store(chain, load(chain) + a);
    }
    void add(int row, Kind kind, ptrdiff_t place, Vec<T> a, Vec<T> b) const {
        T* chain = chains + at(row, kind) + place;
        store(chain, fma(a, b, load(chain)));
    }
    /// After step t: end the chains if they are long enough or the step is the last.
    void end_step(int t, int row) const {
        if (t % CHAIN != 0) return;
        for (ptrdiff_t k = row * size; k < (row + 1) * size; k += LANES<T>) {
            store(totals + k, load(totals + k) + load(chains + k));
            store(chains + k, Vec<T>{});
        }
    }
    Vec<T> over_rows(int num_rows, Kind kind, ptrdiff_t place) const {
        Vec<T> sum = {}, chain = {};
        for (int row = 0; row < num_rows; ++row) {
            chain += load(totals + at(row, kind) + place);
            if (row % CHAIN != CHAIN - 1 && row != num_rows - 1) continue;
            sum += chain;
            chain = Vec<T>{};
        }
        return sum;
    }
};

/// Working memory of lstm_variant_backward.
template <class T>
struct LSTMVariantBackwardWork {
    T *d_h, *d_c;       ///< (B, P'), (B, H') gradients of the state after the step
    T* d_h_around;      ///< (B, P') the part of d_h that bypasses the step
    T* d_h_new;         ///< (N, P') gradients of what the step gave; (B, P') without projection
    T* d_m;             ///< (B, H')
    T* d_z;             ///< (B, gates, H') gradients of z; N rows if U h' has the same
    T* d_v;             ///< (N, gates, H') gradients of U h'
    T *c_hat, *d_c_in;  ///< (B, H') N_c(c) without gain and bias, and the gradient of N_c(c)
    T *packed, *packed_proj;               ///< columns of U and of W_proj
    const T **x_rows, **h_rows, **m_rows;  ///< (N) x, h' and m of every stored row
    T* outer;                              ///< Σ of outer products
    T* tiles;                              ///< outer_products_work for each thread
    Slices<T> slices;
    LSTMVariantSums<T> sums;
    size_t size;

    LSTMVariantBackwardWork(const LSTMVariantBackward<T>& run, int num_threads)
        : slices{run.work}, sums(slices, run.batch, run.cell) {
        const LSTMVariant<T>& cell = run.cell;
        const auto& params = cell.params;
        const size_t B = size_t(run.batch.B), N = size_t(run.batch.begin[run.batch.T]),
                     units = size_t(padded<T>(cell.H)), units_h = size_t(padded<T>(cell.P)),
                     lanes = size_t(cell.gates) * units;
        const int M = cell.I + 1 + cell.P, most = M > cell.H ? M : cell.H;
        d_h = slices.take(B * units_h);
        d_c = slices.take(B * units);
        d_h_around = slices.take(B * units_h);
        d_h_new = slices.take((params.W_proj ? N : B) * units_h);
        d_m = slices.take(B * units);
        d_z = params.gain_x ? slices.take(B * lanes) : run.d_a;
        d_v = params.gain_x ? slices.take(N * lanes) : run.d_a;
        c_hat = slices.take(params.gain_c ? B * units : 0);
        d_c_in = slices.take(params.gain_c ? B * units : 0);
        packed = slices.take(units_h * size_t(cell.gates) * size_t(cell.H));
        packed_proj = slices.take(params.W_proj ? packed_affine_size<T>(cell.H, cell.P) : 0);
        const auto take_pointers = [&](size_t number) {
            return reinterpret_cast<const T**>(slices.take(number * sizeof(void*) / sizeof(T)));
        };
        x_rows = take_pointers(N);
        h_rows = take_pointers(N);
        m_rows = take_pointers(params.W_proj ? N : 0);
        const size_t widest = lanes > units_h ? lanes : units_h, four = 4 * LANES<T>;
        outer = slices.take((widest + four - 1) / four * four * size_t(most));
        tiles = slices.take(size_t(num_threads) * outer_products_work<T>(most));
        size = slices.size;
    }
};

template <class T>
size_t lstm_variant_backward_work(const LSTMVariantBackward<T>& run, int num_threads) {
    return LSTMVariantBackwardWork<T>(run, num_threads).size;
}

template <class T>
struct LSTMVariantBackwardStepper {
    const LSTMVariantBackward<T>& run;
    const LSTMVariantCache<T>& cache;
    const LSTMVariantBackwardWork<T>& work;
    const LSTMVariant<T>& cell = run.cell;
    const LSTMVariantParams<const T>& params = run.cell.params;
    const ptrdiff_t width = cache.width;

    T* d_h_new(int t, int row) const {
        return work.d_h_new + (params.W_proj ? cache.step(t, row) : row) * cache.width_h;
    }

    /// Differentiate zoneout of h, and the projection.
    void finish_backward(int t, int first, int last) const {
        for (int row = first; row < last; ++row) {
            const ptrdiff_t user = ptrdiff_t(run.batch.order[row]) * run.batch.T + t;
            T *d_h = work.d_h + row * cache.width_h,
              *around = work.d_h_around + row * cache.width_h, *to = d_h_new(t, row);
            for_vectors<T>(cell.P, [&](int unit, int units) {
                Vec<T> d = load(d_h + unit);
                if (run.d_y) d += load(run.d_y + user * cell.P + unit, units);
                if (run.around.zones_h) {
                    const Zones<T> zones(run.around.drawn_h, run.around.rate_h,
                                         user * cell.P + unit, units);
                    store(around + unit, zones.mix(Vec<T>{}, d));
                    d = zones.mix(d, Vec<T>{});
                }
                store(to + unit, d);
            });
        }
        if (params.W_proj && last > first)
            affine(last - first, d_h_new(t, first), cache.width_h, int(width), cell.P,
                   work.packed_proj, work.d_m + first * width, width);
    }

    /// d ⊙ φ′(z) from y = φ([z]); 0 where the clip cut z off.
    Vec<T> activate_backward(const GateActivation& by, const T* z, Vec<T> y, Vec<T> d) const {
        if (!cell.keeps_z) return d * d_activate<T>(by, y, y);
        const Vec<T> in = load(z);
        if (!cell.clips) return d * d_activate<T>(by, in, y);
        const T limit = T(cell.clip);
        const Vec<T> d_in = d * d_activate<T>(by, clamp<T>(in, -limit, limit), y);
        return in >= -limit ? (in <= limit ? d_in : Vec<T>{}) : Vec<T>{};
    }

    /// d ⊙ p
    static Vec<T> peep_backward(const T* p, int unit, int units, Vec<T> d, Vec<T> d_c) {
        return p ? fma(load(p + unit, units), d, d_c) : d_c;
    }

    /// What the derivatives of a row's step read and write.
    struct Row {
        const LSTMVariant<T>& cell;
        int t, row;
        ptrdiff_t step;  ///< as LSTMVariantCache counts
        LSTMVariantGates<T> gates, z, d_z;
        const T *eta, *c_before, *d_m;
        T *c_hat, *d_c_in, *d_c;

        Vec<T> forget_gate(int unit) const {
            return gates.f ? load(gates.f + unit) : T(1) - load(gates.i + unit);
        }
        Vec<T> new_c(int unit) const {
            return fma(forget_gate(unit), load(c_before + unit),
                       load(gates.i + unit) * load(gates.c + unit));
        }
        Vec<T> through_eta(int unit, Vec<T> c_in) const {
            return load(d_m + unit) * load(gates.o + unit) *
                   d_activate<T>(cell.eta, c_in, load(eta + unit));
        }
    };

    Row row_at(int t, int row) const {
        const ptrdiff_t step = cache.step(t, row);
        T* z = cache.z + cache.z_row(t, row, cell.keeps_z) * cache.gates_width;
        T* d_z = work.d_z + (params.gain_x ? row : step) * cache.gates_width;
        return {cell,
                t,
                row,
                step,
                cache.gates_of(t, row, cell.gates),
                {z, cell.gates, width},
                {d_z, cell.gates, width},
                cache.eta_of(t, row),
                cache.c + cache.before(t, row) * width,
                params.W_proj ? work.d_m + row * width : d_h_new(t, row),
                work.c_hat + row * width,
                work.d_c_in + row * width,
                work.d_c + row * width};
    }

    /// Differentiate F6 to F1 of a row, in this order.
    void step_backward(int t, int row) const {
        const Row of = row_at(t, row);
        const NormBackward<T> of_c = params.gain_c ? output_backward(of) : NormBackward<T>{};
        gates_backward(of, of_c);
        if (params.gain_x) norms_backward(row, of.step, work.d_z + row * cache.gates_width);
        work.sums.end_step(t, row);
    }

    /// Differentiate F6 as far as N_c(c), if there is a layer norm of c.
    NormBackward<T> output_backward(Row of) const {
        using Sums = LSTMVariantSums<T>;
        NormBackward<T> of_c;
        // F6  m = o ⊙ η(N_c(c)),  h = W_proj m
        for_vectors<T>(cell.H, [&](int unit, int units) {
            const Vec<T> gain = load(params.gain_c + unit, units);
            const Vec<T> hat = first_lanes<T>(
                (of.new_c(unit) - cache.c_mean[of.step]) * cache.c_inverse[of.step], units);
            const Vec<T> d =
                of.through_eta(unit, fma(gain, hat, load(params.bias_c + unit, units)));
            store(of.c_hat + unit, hat);
            store(of.d_c_in + unit, d);
            work.sums.add(of.row, Sums::BIAS_C, unit, d);
            work.sums.add(of.row, Sums::GAIN_C, unit, d, hat);
            of_c.add(gain * d, hat, units);
        });
        of_c.finish(cell.H);
        return of_c;
    }

    /// Add to the sum of a peephole's gradient; gates are numbered as f, i, c̃, o.
    void add_peephole(int row, int gate, int unit, Vec<T> d, Vec<T> c) const {
        if (params.p_i)
            work.sums.add(row, LSTMVariantSums<T>::PEEPHOLE, (gate + cell.gates - 4) * width + unit,
                          d, c);
    }

    /// Differentiate the rest of F6, then F5 to F1.
    void gates_backward(Row of, NormBackward<T> of_c) const {
        const ptrdiff_t user = ptrdiff_t(run.batch.order[of.row]) * run.batch.T + of.t;
        for_vectors<T>(cell.H, [&](int unit, int units) {
            const Vec<T> f = of.forget_gate(unit), i = load(of.gates.i + unit),
                         c_tilde = load(of.gates.c + unit), o = load(of.gates.o + unit),
                         c_prev = load(of.c_before + unit), c = of.new_c(unit);
            Vec<T> d_c = load(of.d_c + unit), by_the_step = {};
            if (run.around.zones_c) {
                const Zones<T> zones(run.around.drawn_c, run.around.rate_c, user * cell.H + unit,
                                     units);
                by_the_step = zones.mix(Vec<T>{}, d_c);
                d_c = zones.mix(d_c, Vec<T>{});
            }
            // F6  m = o ⊙ η(N_c(c)),  h = W_proj m
            const Vec<T> d_o = load(of.d_m + unit) * load(of.eta + unit);
            if (params.gain_c) {
                const Vec<T> d = load(params.gain_c + unit, units) * load(of.d_c_in + unit);
                d_c += of_c.d_x(d, load(of.c_hat + unit), cache.c_inverse[of.step], units);
            } else {
                d_c += of.through_eta(unit, c);
            }
            // F4  o = φ([z_o + p_o ⊙ c])
            const Vec<T> d_of_o = activate_backward(cell.phi, of.z.o + unit, o, d_o);
            store(of.d_z.o + unit, d_of_o);
            add_peephole(of.row, 3, unit, d_of_o, c);
            d_c = peep_backward(params.p_o, unit, units, d_of_o, d_c);
            // F5  c = f ⊙ c' + i ⊙ c̃
            const Vec<T> d_f = d_c * c_prev;
            Vec<T> d_i = d_c * c_tilde;
            Vec<T> d_c_prev = fma(d_c, f, by_the_step);
            // F3  c̃ = γ([z_c])
            store(of.d_z.c + unit, activate_backward(cell.gamma, of.z.c + unit, c_tilde, d_c * i));
            // F1  f = φ([z_f + p_f ⊙ c'])
            if (of.gates.f) {
                const Vec<T> d_of_f = activate_backward(cell.phi, of.z.f + unit, f, d_f);
                store(of.d_z.f + unit, d_of_f);
                add_peephole(of.row, 0, unit, d_of_f, c_prev);
                d_c_prev = peep_backward(params.p_f, unit, units, d_of_f, d_c_prev);
            } else {
                d_i -= d_f;
            }
            // F2  i = φ([z_i + p_i ⊙ c'])
            const Vec<T> d_of_i = activate_backward(cell.phi, of.z.i + unit, i, d_i);
            store(of.d_z.i + unit, d_of_i);
            add_peephole(of.row, 1, unit, d_of_i, c_prev);
            store(of.d_c + unit, peep_backward(params.p_i, unit, units, d_of_i, d_c_prev));
        });
    }

    /// Differentiate z = N_x(W x) + N_h(U h') + b.
    void norms_backward(int row, ptrdiff_t step, const T* d_z) const {
        using Sums = LSTMVariantSums<T>;
        const ptrdiff_t at = step * cache.gates_width;
        const T *x_hat = cache.x_hat + at, *h_hat = cache.h_hat + at;
        // f(place, d_x̂, d_ĥ, units) for all vectors.
        const auto for_gradients = [&](auto f) {
            for (int g = 0; g < cell.gates; ++g)
                for_vectors<T>(cell.H, [&](int unit, int units) {
                    const ptrdiff_t place = g * width + unit, lane = ptrdiff_t(g) * cell.H + unit;
                    const Vec<T> d = load(d_z + place);
                    f(place, d * load(params.gain_x + lane, units),
                      d * load(params.gain_h + lane, units), units);
                });
        };
        NormBackward<T> of_x, of_h;
        for_gradients([&](ptrdiff_t place, Vec<T> d_x_hat, Vec<T> d_h_hat, int units) {
            const Vec<T> d = load(d_z + place), x = load(x_hat + place), h = load(h_hat + place);
            work.sums.add(row, Sums::BIAS, place, d);
            work.sums.add(row, Sums::GAIN_X, place, d, x);
            work.sums.add(row, Sums::GAIN_H, place, d, h);
            of_x.add(d_x_hat, x, units);
            of_h.add(d_h_hat, h, units);
        });
        of_x.finish(cell.gates * cell.H);
        of_h.finish(cell.gates * cell.H);
        for_gradients([&](ptrdiff_t place, Vec<T> d_x_hat, Vec<T> d_h_hat, int units) {
            store(run.d_a + at + place,
                  of_x.d_x(d_x_hat, load(x_hat + place), cache.x_inverse[step], units));
            store(work.d_v + at + place,
                  of_h.d_x(d_h_hat, load(h_hat + place), cache.h_inverse[step], units));
        });
    }

    /// d_h' = r ⊙ Uᵀ d_v of step t, plus the part that bypassed the step.
    void project_backward(int t, int first, int last) const {
        const ColumnProduct<T> product(work.d_v + cache.step(t, 0) * cache.gates_width, work.packed,
                                       cell.H, cell.gates);
        for_products<T>(product, first, last, 0, num_blocks<T>(cell.P),
                        [&](int R, int N, int row, int block, const Vec<T>* d) {
                            for (int r = 0; r < R; ++r)
                                for (int n = 0; n < N; ++n)
                                    store_d_h(row + r, (block + n) * LANES<T>, d[r * N + n]);
                        });
    }
    void store_d_h(int row, int unit, Vec<T> d) const {
        const ptrdiff_t place = row * cache.width_h + unit;
        if (const T* r = run.around.recurrent)
            d *= load(r + ptrdiff_t(run.batch.order[row]) * cell.P + unit, cell.P - unit);
        if (run.around.zones_h) d += load(work.d_h_around + place);
        store(work.d_h + place, d);
    }
};

/// Gradients of weights and, without a layer norm, of the bias: sums of outer products over all
/// rows and steps.
template <class T>
void lstm_variant_sum_weights(const LSTMVariantBackward<T>& run, const LSTMVariantCache<T>& cache,
                              const LSTMVariantBackwardWork<T>& work, const Team& team) {
    constexpr int L = LANES<T>;
    const Batch& batch = run.batch;
    const LSTMVariantParams<T>& d = run.d_params;
    const int I = run.cell.I, H = run.cell.H, P = run.cell.P;
    const int64_t N = batch.begin[batch.T];
    team.share(batch.T, [&](const Range& steps) {
        for (int t = steps.first; t < steps.last; ++t)
            for (int row = 0; row < batch.live[t]; ++row) {
                const ptrdiff_t k = cache.step(t, row);
                work.x_rows[k] = run.x + (ptrdiff_t(batch.order[row]) * batch.T + t) * I;
                work.h_rows[k] = cache.h + cache.before(t, row) * cache.width_h;
                if (d.W_proj) work.m_rows[k] = cache.m + k * cache.width;
            }
    });
    const Part<T> x{work.x_rows, I}, one{nullptr, 1}, h{work.h_rows, P}, m{work.m_rows, H};
    const GatePlaces<T> at{H};
    const auto give_W = [&](int v, const T* from) {
        unpack_transposed(from, 4 * L, at.units(v), I, d.W + at.row(v) * I, I);
    };
    const auto give_U = [&](int v, const T* from) {
        unpack_transposed(from, 4 * L, at.units(v), P, d.U + at.row(v) * P, P);
    };
    if (d.gain_x) {
        sum_over_rows<T>({x}, run.d_a, cache.gates_width, N, work, team, give_W);
        sum_over_rows<T>({h}, work.d_v, cache.gates_width, N, work, team, give_U);
    } else {
        sum_over_rows<T>(
            {x, one, h}, work.d_z, cache.gates_width, N, work, team, [&](int v, const T* from) {
                give_W(v, from);
                if (d.b) store(d.b + at.row(v), load(from + ptrdiff_t(I) * 4 * L), at.units(v));
                give_U(v, from + ptrdiff_t(I + 1) * 4 * L);
            });
    }
    if (d.W_proj)
        sum_over_rows<T>(
            {m}, work.d_h_new, cache.width_h, N, work, team, [&](int v, const T* from) {
                const int rows = P - v * L < L ? P - v * L : L;
                unpack_transposed(from, 4 * L, rows, H, d.W_proj + ptrdiff_t(v) * L * H, H);
            });
}

/// Gradients of gains, of peepholes and, with a layer norm, of biases.
template <class T>
void lstm_variant_sum_vectors(const LSTMVariantBackward<T>& run,
                              const LSTMVariantBackwardWork<T>& work, const Team& team) {
    constexpr int L = LANES<T>;
    using Sums = LSTMVariantSums<T>;
    const LSTMVariantParams<T>& d = run.d_params;
    const int gates = run.cell.gates;
    const GatePlaces<T> at{run.cell.H};
    const auto put = [&](T* to, typename Sums::Kind kind, ptrdiff_t place, int units) {
        if (to) store(to, work.sums.over_rows(run.batch.B, kind, place), units);
    };
    const auto part = [](T* of, ptrdiff_t lane) { return of ? of + lane : nullptr; };
    team.share(gates * at.blocks, [&](const Range& vectors) {
        for (int v = vectors.first; v < vectors.last; ++v) {
            const int gate = v / at.blocks + 4 - gates, unit = v % at.blocks * L;
            if (d.gain_x) {
                put(part(d.b, at.row(v)), Sums::BIAS, v * L, at.units(v));
                put(d.gain_x + at.row(v), Sums::GAIN_X, v * L, at.units(v));
                put(d.gain_h + at.row(v), Sums::GAIN_H, v * L, at.units(v));
            }
            T* peepholes[] = {d.p_f, d.p_i, nullptr, d.p_o};
            put(part(peepholes[gate], unit), Sums::PEEPHOLE, v * L, at.units(v));
            if (v < at.blocks && d.gain_c) {
                put(d.gain_c + v * L, Sums::GAIN_C, v * L, at.units(v));
                put(d.bias_c + v * L, Sums::BIAS_C, v * L, at.units(v));
            }
        }
    });
}

/// The derivative of the loop over time.
template <class T>
void lstm_variant_backward(const LSTMVariantBackward<T>& run, const Team& team) {
    constexpr int L = LANES<T>;
    const Batch& batch = run.batch;
    const LSTMVariant<T>& cell = run.cell;
    const int H = cell.H, P = cell.P;
    const LSTMVariantCache<T> cache(batch, cell, true, run.cache);
    const LSTMVariantBackwardWork<T> work(run, team.size);
    const LSTMVariantBackwardStepper<T> stepper{run, cache, work};
    team.share(num_blocks<T>(P), [&](const Range& blocks) {
        pack_gate_columns(cell.params.U, P, H, cell.gates, blocks.first, blocks.last, work.packed);
    });
    if (cell.params.W_proj)
        team.share(num_blocks<T>(H), [&](const Range& blocks) {
            for (int n = blocks.first; n < blocks.last; ++n) {
                T* to = work.packed_proj + ptrdiff_t(n) * (1 + P) * L;
                store(to, Vec<T>{});
                pack_columns(cell.params.W_proj + n * L, H, H - n * L, P, to + L);
            }
        });
    for_row_ranges(batch, team, [&](Range& rows) {
        for (int row = rows.first; row < rows.last && rows.step == 0; ++row) {
            const ptrdiff_t user = batch.order[row];
            copy_padded(run.d_h_last ? run.d_h_last + user * P : nullptr, P,
                        work.d_h + row * cache.width_h);
            copy_padded(run.d_c_last ? run.d_c_last + user * H : nullptr, H,
                        work.d_c + row * cache.width);
            work.sums.clear(row);
        }
        for (; rows.step < batch.T; give_rows(batch, rows, team)) {
            const int t = batch.T - 1 - rows.step++;
            const int last = batch.live[t] < rows.last ? batch.live[t] : rows.last;
            if (last <= rows.first) continue;
            stepper.finish_backward(t, rows.first, last);
            for (int row = rows.first; row < last; ++row) stepper.step_backward(t, row);
            stepper.project_backward(t, rows.first, last);
        }
        for (int row = rows.first; row < rows.last; ++row) {
            const ptrdiff_t user = batch.order[row];
            __builtin_memcpy(run.d_h_first + user * P, work.d_h + row * cache.width_h,
                             sizeof(T) * P);
            __builtin_memcpy(run.d_c_first + user * H, work.d_c + row * cache.width, sizeof(T) * H);
        }
    });
    lstm_variant_sum_weights(run, cache, work, team);
    lstm_variant_sum_vectors(run, work, team);
}

/// A gate's values at every step, (B, T, H), zeros past a row's end.
template <class T>
void lstm_variant_gate(const Batch& batch, const LSTMVariant<T>& cell, T* memory, int which,
                       T* result) {
    const LSTMVariantCache<T> cache(batch, cell, true, memory);
    __builtin_memset(result, 0, sizeof(T) * batch.B * batch.T * cell.H);
    for (int t = 0; t < batch.T; ++t)
        for (int row = 0; row < batch.live[t]; ++row) {
            const T* from = cache.gates + cache.step(t, row) * (cache.gates_width + cache.width) +
                            which * cache.width;
            __builtin_memcpy(result + (ptrdiff_t(batch.order[row]) * batch.T + t) * cell.H, from,
                             sizeof(T) * cell.H);
        }
}

/// This set's functions.
template <class T>
constexpr LSTMVariantKernels<T> lstm_variants_kernels() {
    LSTMVariantKernels<T> table{};
    table.cache_size = lstm_variant_cache_size<T>;
    table.forward_work = lstm_variant_forward_work<T>;
    table.forward = lstm_variant_forward<T>;
    table.backward_work = lstm_variant_backward_work<T>;
    table.backward = lstm_variant_backward<T>;
    table.gate = lstm_variant_gate<T>;
    return table;
}

}  // namespace
}  // namespace lb::LB_TARGET

#endif  // LB_TARGET
