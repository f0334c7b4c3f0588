#define LB_TARGET neon
#define LB_VECTOR_BYTES 16
#include "target.h"
