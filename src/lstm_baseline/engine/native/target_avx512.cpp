#define LB_TARGET avx512
#define LB_VECTOR_BYTES 64
#include "target.h"
