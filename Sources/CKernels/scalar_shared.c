// Apache-2.0. Shared-state kernels for the machine's baseline: the oracle of the other sets.
#include "tables.h"

#include "shared_body.h"
#define PHILOX_FILL philox_fill
#include "projection_body.h"

void samara_install_scalar_shared(samara_kernel_table *table) {
  install_shared(table);
  install_projection(table);
}
