// Apache-2.0.
#include "tables.h"

#if defined(__aarch64__)
void samara_install_neon_shared(samara_kernel_table *table) { (void)table; }
#endif
