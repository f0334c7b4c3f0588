// The tables of one instruction set's kernels, put together. kernels.cmake compiles this file once
// for each set; it holds none of the set's instructions.

#include "kernels.h"
#include "target.h"

namespace lb::LB_TARGET {

int64_t calls = 0;

#define LB_DECLARE(name, Table)              \
    extern const Table<float> name##_single; \
    extern const Table<double> name##_double;
LB_KERNELS(LB_DECLARE)

#define LB_SINGLE(name, Table) &name##_single,
#define LB_DOUBLE(name, Table) &name##_double,
extern const Kernels<float> single{LB_VECTOR_BYTES / sizeof(float), &calls, LB_KERNELS(LB_SINGLE)};
extern const Kernels<double> twice{LB_VECTOR_BYTES / sizeof(double), &calls, LB_KERNELS(LB_DOUBLE)};

}  // namespace lb::LB_TARGET
