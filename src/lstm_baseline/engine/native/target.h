// The instruction set that a file is compiled for: LB_TARGET, its name and namespace, and
// LB_VECTOR_BYTES. kernels.cmake defines both for every object.
//
// All code of a kernel is in an unnamed namespace within the set's own, and instantiates nothing of
// the standard library. Otherwise the linker could keep an AVX-512 copy of a function that others
// call.
#pragma once

#ifndef LB_TARGET  // in an editor, which opens a file by itself
#define LB_TARGET in_an_editor
#define LB_VECTOR_BYTES 16
#endif

#include <cstddef>
#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace lb::LB_TARGET {

/// Number of forward passes so far; it tells which instruction set has really run.
extern int64_t calls;

}  // namespace lb::LB_TARGET
