// What every instruction set implements: the arguments of the kernels, and the table of them.
//
// All arrays are row-major without gaps; names and shapes are those of the equations. "Stored" rows
// are padded to whole vectors, H' = L ⌈H / L⌉ for L lanes, and ordered by time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "team.h"

namespace lb {

/// Which rows take part in which step. Rows are worked on longest first, so that those that are
/// still running are always the first ones: no mask, and no work past a row's end.
struct Batch {
    int B, T;
    const int32_t* order;  ///< (B) the caller's row at each place
    const int32_t* live;   ///< (T + 1) rows longer than t steps; live[T] = 0
    const int64_t* begin;  ///< (T + 1) stored row of step t's first one; begin[T] = their number

    /// Steps of the row at a place.
    LB_INLINE int length(int place) const {
        int low = 0, high = T;
        while (low < high) {
            const int middle = (low + high + 1) / 2;
            if (live[middle - 1] > place)
                low = middle;
            else
                high = middle - 1;
        }
        return low;
    }
};

template <class T>
struct LSTMForward {
    Batch batch;
    int I, H;
    const T* x;                 ///< (B, T, I)
    const T *h_first, *c_first; ///< (B, H), or null for zeros
    const T* packed;            ///< W, U and b, from lstm_pack
    T* y;                       ///< (B, T, H), or null where nobody asks for it
    T *h_last, *c_last;         ///< (B, H)
    /// With `gates`, stored for backward: h and c (B + N, H'), gates (N, 5, H') as f, i, c̃, o,
    /// tanh c. Without: h is (2, B, H') and c (B, H').
    T *h, *c, *gates;
};

template <class T>
struct LSTMBackward {
    Batch batch;
    int I, H;
    const T* x;                       ///< (B, T, I)
    const T *h, *c, *gates;           ///< as LSTMForward stored them
    const T* U;                       ///< (4H, H)
    const T* d_y;                     ///< (B, T, H), or null for zeros
    const T *d_h_last, *d_c_last;     ///< (B, H), or null for zeros
    T *d_W, *d_U, *d_b;               ///< (4H, I), (4H, H), (4H)
    T *d_h_first, *d_c_first;         ///< (B, H)
    T* d_z;                           ///< (N, 4, H') gradients of the pre-activations
    T* work;                          ///< lstm_backward_work numbers
};

template <class T>
struct LSTMInputGradient {
    Batch batch;
    int I, H, gates;
    const T* W;    ///< (gates · H, I)
    const T* d_z;  ///< as LSTMBackward left it; d_a of LSTMVariantBackward, d_u of GRUBackward
    T* d_x;        ///< (B, T, I)
    T* packed;     ///< lstm_input_gradient_work numbers
};

/// An activation of gate_activations.py: its place among NAMES, and its constants.
struct GateActivation {
    int kind;
    double alpha, beta;
};

/// Parameters by the names of lstm_variants.py, or their gradients; null where there is none.
template <class Number>
struct LSTMVariantParams {
    Number *W, *U, *b;                         ///< (gates · H, I), (gates · H, P), (gates · H)
    Number *p_f, *p_i, *p_o;                   ///< (H)
    Number *gain_x, *gain_h, *gain_c, *bias_c; ///< (gates · H) twice, (H) twice
    Number* W_proj;                            ///< (P, H)
};

/// A variant's cell, as lstm_variants.py has it.
template <class T>
struct LSTMVariant {
    int I, H, P;  ///< P is H without a projection
    int gates;    ///< three where they are coupled, i, c, o
    bool clips;
    double clip;
    GateActivation phi, gamma, eta;
    bool keeps_z;  ///< whether derivatives ask for pre-activations, not for gates alone
    LSTMVariantParams<const T> params;
};

/// What regularization.py puts around a step.
template <class T>
struct Regularization {
    const T* recurrent;              ///< r (B, P), or null for 1
    bool zones_h, zones_c;           ///< whether there is zoneout of h and of c
    const uint8_t *drawn_h, *drawn_c; ///< z (B, T, P) and (B, T, H), or null where it is the rate
    T rate_h, rate_c;
};

template <class T>
struct LSTMVariantForward {
    Batch batch;
    LSTMVariant<T> cell;
    Regularization<T> around;
    const T* x;                  ///< (B, T, I)
    const T *h_first, *c_first;  ///< (B, P) and (B, H), or null for zeros
    T* y;                        ///< (B, T, P), or null where nobody asks for it
    T *h_last, *c_last;          ///< (B, P) and (B, H)
    bool keep;                   ///< whether backward is to follow
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
    T *d_h_first, *d_c_first;      ///< (B, P) and (B, H)
    T* d_a;                        ///< (N, gates, H') gradients of W x
    T* work;                       ///< lstm_variant_backward_work numbers
};

template <class T>
struct GRUForward {
    Batch batch;
    int I, H;
    const T* x;                ///< (B, T, I)
    const T* h_first;          ///< (B, H), or null for zeros
    const T *W, *U, *b, *b_u;  ///< (3H, I), (3H, H), (3H), (H)
    T* y;                      ///< (B, T, H), or null where nobody asks for it
    T* h_last;                 ///< (B, H)
    bool keep;                 ///< whether backward is to follow
    /// Stored for backward: h (B + N, H'), gates (N, 4, H') as r, z, n, q. Otherwise B rows of each.
    T *h, *gates;
    T* work;                   ///< gru_forward_work numbers
};

template <class T>
struct GRUBackward {
    Batch batch;
    int I, H;
    const T* x;                    ///< (B, T, I)
    const T *h, *gates;            ///< as GRUForward stored them
    const T* U;                    ///< (3H, H)
    const T* d_y;                  ///< (B, T, H), or null for zeros
    const T* d_h_last;             ///< (B, H), or null for zeros
    T *d_W, *d_U, *d_b, *d_b_u;    ///< (3H, I), (3H, H), (3H), (H)
    T* d_h_first;                  ///< (B, H)
    T* d_u;                        ///< (N, 3, H') gradients of W x
    T* work;                       ///< gru_backward_work numbers
};

/// Sizes and constants of a relational memory, as relational.py names them.
struct RelationalSizes {
    int I, S, H, V, K, num_blocks, mlp_layers;
    int gate_width;  ///< F where every unit has gates, 1 where every slot has
    double forget_bias, input_bias;
};

/// Size of a parameter; vectors have no columns.
struct ParamSize {
    int rows, columns;
};

// Static, as every instruction set must have its own: see target.h.
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
    const T* x;              ///< (B, T, I)
    const T* memory_first;   ///< (B, S, F)
    const T* const* params;
    T* y;                    ///< (B, T, S·F), or null where nobody asks for it
    T* memory_last;          ///< (B, S, F)
    T* cache;                ///< relational_cache_size numbers for backward, or null
    T* work;                 ///< relational_forward_work numbers
};

template <class T>
struct RelationalBackward {
    Batch batch;
    RelationalSizes sizes;
    const T* x;              ///< (B, T, I)
    const T* const* params;
    T* cache;                ///< as RelationalForward left it
    const T* d_y;            ///< (B, T, S·F), or null for zeros
    const T* d_memory_last;  ///< (B, S, F), or null for zeros
    T* const* d_params;
    T* d_memory_first;       ///< (B, S, F)
    T* d_e;                  ///< relational_d_e_size numbers, for the gradient of x
    T* work;                 ///< relational_backward_work numbers
};

template <class T>
struct RelationalInputGradient {
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
    T* cache;   ///< as RelationalForward left it
    T *i, *f;   ///< (B, T, S, F or 1)
};

/// One step of Adam, as optimizers.py names its terms.
struct AdamRates {
    double beta_1, beta_2, rate, epsilon;
};

/// The kernels of one instruction set in one precision.
template <class T>
struct Kernels {
    int lanes;
    int64_t* calls;  ///< how often a forward pass of this instruction set has run

    size_t (*packed_affine_size)(int O, int K);
    void (*pack_affine)(int O, int K, const T* W, const T* b, T* packed);
    void (*affine)(int num_rows, const T* x, ptrdiff_t x_stride, int O, int K, const T* packed,
                   T* y, ptrdiff_t y_stride);

    double (*cross_entropy)(int64_t num_rows, int K, const T* z, const int64_t* targets, T* d_z);
    double (*sum_of_squares)(int64_t n, const T* g);
    void (*adam_update)(int64_t n, const AdamRates& rates, const T* g, T* m, T* v, T* p);

    size_t (*lstm_packed_size)(int I, int H);
    void (*lstm_pack)(int I, int H, const T* W, const T* U, const T* b, T* packed);
    void (*lstm_forward)(const LSTMForward<T>&, const Team&);
    size_t (*lstm_backward_work)(const LSTMBackward<T>&, int num_threads);
    void (*lstm_backward)(const LSTMBackward<T>&, const Team&);
    size_t (*lstm_input_gradient_work)(int I, int H, int gates);
    void (*lstm_input_gradient)(const LSTMInputGradient<T>&, const Team&);

    size_t (*lstm_variant_cache_size)(const Batch& batch, const LSTMVariant<T>& cell, bool keep);
    size_t (*lstm_variant_forward_work)(const Batch& batch, const LSTMVariant<T>& cell);
    void (*lstm_variant_forward)(const LSTMVariantForward<T>&, const Team&);
    size_t (*lstm_variant_backward_work)(const LSTMVariantBackward<T>&, int num_threads);
    void (*lstm_variant_backward)(const LSTMVariantBackward<T>&, const Team&);
    void (*lstm_variant_gate)(const Batch& batch, const LSTMVariant<T>& cell, T* cache, int which,
                              T* result);

    size_t (*gru_forward_work)(const Batch& batch, int I, int H);
    void (*gru_forward)(const GRUForward<T>&, const Team&);
    size_t (*gru_backward_work)(const GRUBackward<T>&, int num_threads);
    void (*gru_backward)(const GRUBackward<T>&, const Team&);

    size_t (*relational_cache_size)(const Batch& batch, const RelationalSizes& sizes);
    size_t (*relational_forward_work)(const RelationalSizes& sizes, bool keep, int num_threads);
    void (*relational_forward)(const RelationalForward<T>&, const Team&);
    size_t (*relational_d_e_size)(const Batch& batch, const RelationalSizes& sizes);
    size_t (*relational_backward_work)(const Batch& batch, const RelationalSizes& sizes,
                                       int num_threads);
    void (*relational_backward)(const RelationalBackward<T>&, const Team&);
    size_t (*relational_input_gradient_work)(const RelationalSizes& sizes, int num_threads);
    void (*relational_input_gradient)(const RelationalInputGradient<T>&, const Team&);
    void (*relational_gates)(const RelationalGates<T>&);
};

/// An instruction set that this build holds.
struct InstructionSet {
    const char* name;
    bool (*runs_here)();
    const Kernels<float>* single;
    const Kernels<double>* twice;
};

/// All that this build holds, the fastest first, ended by a null name.
const InstructionSet* instruction_sets();

}  // namespace lb
