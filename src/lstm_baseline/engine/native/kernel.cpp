// One kernel for one instruction set. kernels.cmake compiles this file once for each pair of them
// and defines LB_KERNEL, the kernel's file, and LB_NAME, its name in the list of kernels.h.

#ifndef LB_KERNEL  // in an editor
#define LB_KERNEL "../cells/lstm_kernel.h"
#define LB_NAME lstm
#endif

#include "target.h"

#include LB_KERNEL

namespace lb::LB_TARGET {

#define LB_JOIN(a, b) a##b
#define LB_WITH(name, suffix) LB_JOIN(name, suffix)

extern constexpr auto LB_WITH(LB_NAME, _single) = LB_WITH(LB_NAME, _kernels)<float>();
extern constexpr auto LB_WITH(LB_NAME, _double) = LB_WITH(LB_NAME, _kernels)<double>();

}  // namespace lb::LB_TARGET
