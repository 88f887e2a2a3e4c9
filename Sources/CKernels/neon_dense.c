// Apache-2.0. Dense kernels for NEON, AArch64's baseline: a tile of 6 × 16 in 24 of 32 registers.
#include "tables.h"

#if defined(__aarch64__)
#define LANES 4
#define MR 6
#define NV 4
#include "dense_body.h"

void samara_install_neon_dense(samara_kernel_table *table) { install_dense(table); }
#endif
