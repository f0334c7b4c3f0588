// Which instruction sets this build holds, and which of them this machine runs.

#include "kernels.h"

namespace lb {

#define LB_DECLARE(target)              \
    namespace target {                  \
    extern const Kernels<float> single; \
    extern const Kernels<double> twice; \
    }

#if defined(__x86_64__)

LB_DECLARE(avx512)
LB_DECLARE(avx2)
LB_DECLARE(sse2)

const InstructionSet* instruction_sets() {
    static const InstructionSet sets[] = {
#ifdef LB_HAS_avx512
        {"avx512",
         [] {
             return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
         },
         &avx512::single, &avx512::twice},
#endif
#ifdef LB_HAS_avx2
        {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); },
         &avx2::single, &avx2::twice},
#endif
#ifdef LB_HAS_sse2
        {"sse2", [] { return true; }, &sse2::single, &sse2::twice},
#endif
        {nullptr, nullptr, nullptr, nullptr}};
    return sets;
}

#elif defined(__aarch64__)

LB_DECLARE(neon)

const InstructionSet* instruction_sets() {
    static const InstructionSet sets[] = {
        {"neon", [] { return true; }, &neon::single, &neon::twice},
        {nullptr, nullptr, nullptr, nullptr}};
    return sets;
}

#endif

}  // namespace lb
