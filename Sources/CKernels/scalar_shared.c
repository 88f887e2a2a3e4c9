// Apache-2.0.
#include "tables.h"

void samara_install_scalar_shared(samara_kernel_table *table) { (void)table; }
