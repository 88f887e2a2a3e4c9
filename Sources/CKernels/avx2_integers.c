// Apache-2.0. Kernels of dense integers for AVX2: the common body, made vectors by the compiler.
#include "tables.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#include "integers_body.h"
#pragma clang attribute pop

void samara_install_avx2_integers(samara_kernel_table *table) { install_integers(table); }
#endif
