#define LB_TARGET sse2
#define LB_VECTOR_BYTES 16
#include "target.h"
