// Apache-2.0.
#include "tables.h"

#if defined(__x86_64__)
void samara_install_avx512_dense(samara_kernel_table *table) { (void)table; }
#endif
