// Apache-2.0. Kernels of dense integers for the machine's baseline: the oracle of the other sets.
#include "tables.h"

#include "integers_body.h"

void samara_install_scalar_integers(samara_kernel_table *table) { install_integers(table); }
