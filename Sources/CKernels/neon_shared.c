// Apache-2.0. NEON is AArch64's baseline, so the same body makes its vectors without an attribute.
#include "tables.h"

#if defined(__aarch64__)
#include "shared_body.h"
#define PHILOX_FILL philox_fill
#include "projection_body.h"

void samara_install_neon_shared(samara_kernel_table *table) {
  install_shared(table);
  install_projection(table);
}
#endif
