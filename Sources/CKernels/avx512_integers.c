// Apache-2.0. Kernels of dense integers for AVX-512: the common body, made vectors by the compiler.
#include "tables.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#include "integers_body.h"
#pragma clang attribute pop

void samara_install_avx512_integers(samara_kernel_table *table) { install_integers(table); }
#endif
