// Apache-2.0. All dense kernels of one instruction set; LANES, MR and NV are given.
#pragma once
#include "linear_body.h"

static void install_dense(samara_kernel_table *table) {
  table->linear = linear;
  table->linear_scratch_bytes = linear_scratch_bytes;
  table->packed_bytes = packed_bytes;
  table->pack_weight = pack_weight;
}
