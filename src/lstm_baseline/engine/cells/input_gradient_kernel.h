// The gradient of x, which an LSTM, its variants and a GRU compute alike: only their number of
// gates differs.
#pragma once

#if __INCLUDE_LEVEL__ == 0  // in an editor
#include "../native/target.h"
#endif

#include "../native/batch.h"

namespace lb {

template <class T>
struct InputGradient {
    Batch batch;
    int I, H, gates;
    const T* W;    ///< (gates · H, I)
    const T* d_z;  ///< (N, gates, H') as the backward kernel of a cell left it
    T* d_x;        ///< (B, T, I)
    T* work;       ///< input_gradient_work numbers
};

/// Where x holds tokens: what each row of their table gets.
template <class T>
struct TokenGradient {
    Batch batch;
    int H, gates, V;
    const int32_t* tokens;  ///< (B, T)
    const T* d_z;           ///< as InputGradient has it
    T* sums;                ///< (V, gates · H)
};

template <class T>
struct InputGradientKernels {
    size_t (*work)(int I, int H, int gates);
    void (*run)(const InputGradient<T>&, const Team&);
    void (*by_token)(const TokenGradient<T>&, const Team&);
};

}  // namespace lb

#ifdef LB_TARGET

#include "../native/column_product.h"

namespace lb::LB_TARGET {
namespace {

/// d_x = Wᵀ d_z, zero past each row's end; `work` has room for W's columns.
template <class T>
void input_gradient(const InputGradient<T>& run, const Team& team) {
    constexpr int L = LANES<T>;
    const Batch& batch = run.batch;
    const int I = run.I, H = run.H, blocks = num_blocks<T>(I);
    const ptrdiff_t width = padded<T>(H);
    team.share(blocks, [&](const Range& ours) {
        pack_gate_columns(run.W, I, H, run.gates, ours.first, ours.last, run.work);
    });
    const auto d_x_of = [&](int t, int row) {
        return run.d_x + (ptrdiff_t(batch.order[row]) * batch.T + t) * I;
    };
    team.share(batch.T, [&](const Range& steps) {
        for (int t = steps.first; t < steps.last; ++t) {
            const ColumnProduct<T> product(run.d_z + batch.begin[t] * run.gates * width, run.work,
                                           H, run.gates);
            for_products<T>(product, 0, batch.live[t], 0, blocks,
                            [&](int R, int N, int row, int block, const Vec<T>* d_x) {
                                for (int r = 0; r < R; ++r)
                                    store_tile(1, N, d_x + r * N, d_x_of(t, row + r) + block * L, 0,
                                               I - block * L);
                            });
            for (int row = batch.live[t]; row < batch.B; ++row)
                __builtin_memset(d_x_of(t, row), 0, sizeof(T) * I);
        }
    });
}

template <class T>
size_t input_gradient_work(int I, int H, int gates) {
    return size_t(padded<T>(I)) * gates * H;
}

/// Σ d_z over the places of each token, in the order of time; threads take units.
template <class T>
void token_gradient(const TokenGradient<T>& run, const Team& team) {
    constexpr int L = LANES<T>;
    const Batch& batch = run.batch;
    const ptrdiff_t width = padded<T>(run.H), G = ptrdiff_t(run.gates) * run.H;
    team.share(num_blocks<T>(run.H), [&](const Range& blocks) {
        const int first = blocks.first * L,
                  last = blocks.last * L < run.H ? blocks.last * L : run.H;
        for (ptrdiff_t row = 0; row < ptrdiff_t(run.V) * run.gates; ++row)
            __builtin_memset(run.sums + row * run.H + first, 0, sizeof(T) * (last - first));
        for (int t = 0; t < batch.T; ++t)
            for (int row = 0; row < batch.live[t]; ++row) {
                const T* d_z = run.d_z + (batch.begin[t] + row) * run.gates * width;
                T* sums = run.sums + run.tokens[ptrdiff_t(batch.order[row]) * batch.T + t] * G;
                for (int gate = 0; gate < run.gates; ++gate)
                    for (int unit = first; unit < last; unit += L) {
                        T* to = sums + gate * run.H + unit;
                        store(to, load(to, last - unit) + load(d_z + gate * width + unit),
                              last - unit);
                    }
            }
    });
}

/// This set's functions.
template <class T>
constexpr InputGradientKernels<T> input_gradient_kernels() {
    InputGradientKernels<T> table{};
    table.work = input_gradient_work<T>;
    table.run = input_gradient<T>;
    table.by_token = token_gradient<T>;
    return table;
}

}  // namespace
}  // namespace lb::LB_TARGET

#endif  // LB_TARGET
