// Apache-2.0. The floor of every matrix product: multiply-adds on registers alone.
#pragma once
#include "vector.h"

/// Chains enough to hide the latency of two units.
enum { PEAK_CHAINS = 12 };

static float multiply_add_peak(int64_t steps) {
  vec sums[PEAK_CHAINS];
  vec factor = splat(0.999f), term = splat(1e-3f);
#pragma clang loop unroll(full)
  for (int i = 0; i < PEAK_CHAINS; i++) sums[i] = splat((float)i);
  for (int64_t step = 0; step < steps; step++) {
#pragma clang loop unroll(full)
    for (int i = 0; i < PEAK_CHAINS; i++) sums[i] = fma_v(sums[i], factor, term);
  }
  vec total = splat(0);
#pragma clang loop unroll(full)
  for (int i = 0; i < PEAK_CHAINS; i++) total += sums[i];
  return sum_lanes(total);
}

static int64_t multiply_add_flops(void) { return 2 * LANES * PEAK_CHAINS; }
