// Apache-2.0. Dense kernels for AVX2 with FMA and F16C: a tile of 6 × 16 in 12 of 16 registers.
#include "tables.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define LANES 8
#define MR 6
#define NV 2
#include "dense_body.h"
#pragma clang attribute pop

void samara_install_avx2_dense(samara_kernel_table *table) { install_dense(table); }
#endif
