// Everything that is compiled once for each instruction set. A target's source file sets LB_TARGET
// and LB_VECTOR_BYTES and includes this; the build gives that one file the compiler options of its
// instruction set. All stands in the target's own namespace and nothing of the standard library is
// instantiated here: otherwise the linker could keep an AVX-512 copy of a function that others call.

#include <cstddef>
#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "kernels.h"

namespace lb {
namespace LB_TARGET {
namespace {

/// Forward passes so far: tells which instruction set has really run.
int64_t calls = 0;

#include "vec.h"
#include "../activations_kernel.h"
#include "tiles.h"
#include "../cells/lstm_kernel.h"
#include "../cells/blocks_kernel.h"
#include "../cells/gate_activations_kernel.h"
#include "../cells/lstm_variants_kernel.h"
#include "../cells/gru_kernel.h"
#include "../cells/relational_kernel.h"
#include "../../training/losses_kernel.h"
#include "../../training/optimizers_kernel.h"

template <class T>
constexpr Kernels<T> table() {
    return {LANES<T>,
            &calls,
            packed_affine_size<T>,
            pack_affine<T>,
            affine<T>,
            cross_entropy<T>,
            sum_of_squares<T>,
            adam_update<T>,
            lstm_packed_size<T>,
            lstm_pack<T>,
            lstm_forward<T>,
            lstm_backward_work<T>,
            lstm_backward<T>,
            lstm_input_gradient_work<T>,
            lstm_input_gradient<T>,
            lstm_variant_cache_size<T>,
            lstm_variant_forward_work<T>,
            lstm_variant_forward<T>,
            lstm_variant_backward_work<T>,
            lstm_variant_backward<T>,
            lstm_variant_gate<T>,
            gru_forward_work<T>,
            gru_forward<T>,
            gru_backward_work<T>,
            gru_backward<T>,
            relational_cache_size<T>,
            relational_forward_work<T>,
            relational_forward<T>,
            relational_d_e_size<T>,
            relational_backward_work<T>,
            relational_backward<T>,
            relational_input_gradient_work<T>,
            relational_input_gradient<T>,
            relational_gates<T>};
}

}  // namespace

extern const Kernels<float> single = table<float>();
extern const Kernels<double> twice = table<double>();

}  // namespace LB_TARGET
}  // namespace lb
