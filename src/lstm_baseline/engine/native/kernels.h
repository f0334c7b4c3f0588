// What this build holds: instruction sets, and for each of them the table of every kernel.
//
// Each kernel's own file has its table and the arguments of its functions. All arrays are row-major
// without gaps; names and shapes are those of the equations. "Stored" rows are padded to whole
// vectors, H' = L ⌈H / L⌉ for L lanes, and ordered by time; N is their number.
#pragma once

#include <cstddef>
#include <cstdint>

/// A line for each kernel: its name, which is that of its file, and its table.
#define LB_KERNELS(KERNEL)                       \
    KERNEL(affine, AffineKernels)                \
    KERNEL(gru, GRUKernels)                      \
    KERNEL(input_gradient, InputGradientKernels) \
    KERNEL(losses, LossKernels)                  \
    KERNEL(lstm, LSTMKernels)                    \
    KERNEL(lstm_variants, LSTMVariantKernels)    \
    KERNEL(optimizers, OptimizerKernels)         \
    KERNEL(relational, RelationalKernels)

namespace lb {

#define LB_DECLARE(name, Table) \
    template <class T>          \
    struct Table;
LB_KERNELS(LB_DECLARE)
#undef LB_DECLARE

/// The kernels of one instruction set in one precision.
template <class T>
struct Kernels {
    int lanes;
    int64_t* calls;  ///< forward passes that this instruction set has run
#define LB_MEMBER(name, Table) const Table<T>* name;
    LB_KERNELS(LB_MEMBER)
#undef LB_MEMBER
};

/// An instruction set that this build holds.
struct InstructionSet {
    const char* name;
    bool (*runs_here)();
    const Kernels<float>* single;
    const Kernels<double>* twice;
};

/// All instruction sets of this build, the fastest first. A null name ends the list.
const InstructionSet* instruction_sets();

}  // namespace lb
