// Apache-2.0. Shared-state kernels compiled for this instruction set.
#include "tables.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "shared_body.h"
#pragma clang attribute pop

void samara_install_avx2_shared(samara_kernel_table *table) { install_shared(table); }
#endif
