// Apache-2.0. Each implementation file installs its functions over the table it is given; a table
// starts as a copy of the scalar one, so whatever an instruction set lacks stays the reference.
#pragma once
#include "CKernels.h"

void samara_install_scalar_dense(samara_kernel_table *table);
void samara_install_scalar_shared(samara_kernel_table *table);
void samara_install_scalar_integers(samara_kernel_table *table);
#if defined(__x86_64__)
void samara_install_avx2_dense(samara_kernel_table *table);
void samara_install_avx2_shared(samara_kernel_table *table);
void samara_install_avx2_integers(samara_kernel_table *table);
void samara_install_avx512_dense(samara_kernel_table *table);
void samara_install_avx512_shared(samara_kernel_table *table);
void samara_install_amx_dense(samara_kernel_table *table);
void samara_install_avx512_integers(samara_kernel_table *table);
#elif defined(__aarch64__)
void samara_install_neon_dense(samara_kernel_table *table);
void samara_install_neon_shared(samara_kernel_table *table);
#endif
