#define LB_TARGET avx2
#define LB_VECTOR_BYTES 32
#include "target.h"
