// Apache-2.0. Dense kernels for AVX-512: a tile of 14 × 32 in 28 of 32 registers.
#include "tables.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#define LANES 16
#define MR 14
#define NV 2
#include "dense_body.h"
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("amx-tile,amx-bf16,avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#include "linear_parts_body.h"
#pragma clang attribute pop

void samara_install_avx512_dense(samara_kernel_table *table) { install_dense(table); }
void samara_install_amx_dense(samara_kernel_table *table) { install_parts(table); }
#endif
