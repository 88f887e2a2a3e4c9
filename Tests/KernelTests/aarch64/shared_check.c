// Apache-2.0. Shared-state kernels: equal bits in every set, and hashes that every machine prints.
#include "check.h"

#include <string.h>

void check_shared(const samara_kernel_table *scalar, const samara_kernel_table *fast) {
  static const int64_t counts[] = {0, 1, 2, 7, 16, 31, 63, 64, 65, 127, 200, 1000, 5003};
  static const int64_t offsets[] = {0, 1, 37, 63, 64, 100};
  const uint32_t counter[4] = {0xFFFFFFF0u, 2, 3, 4}, key[2] = {0xDEADBEEFu, 0x1234567u};
  for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
    int64_t n = counts[i];
    EQUAL(philox_fill, n * 16, kernels->philox_fill(output, n, counter, key));
    uint32_t *words = memory((size_t)n * 4);
    for (int64_t e = 0; e < n; e++) words[e] = random_word((uint32_t)e, 5) >> 4;
    const float *floats = random_floats(n, 6);
    const uint32_t directions[5] = {0, 9, 1u << 20, 77, 4095};
    const int32_t amounts[5] = {3, -70000, 1 << 20, 0, -1};
    EQUAL(replay_independent, n * 4,
          kernels->replay_independent(output, n, directions, amounts, 5, counter, key));
    for (unsigned j = 0; j < sizeof offsets / sizeof *offsets; j++) {
      int64_t at = offsets[j];
      const uint64_t *signs = random_signs(at + n, 8);
      EQUAL(apply_signs, n * 4, {
        memcpy(output, floats, (size_t)n * 4);
        kernels->apply_signs(output, signs, at, n, 3e-3f);
      });
      EQUAL(accumulate_signs, n * 4, {
        memcpy(output, words, (size_t)n * 4);
        kernels->accumulate_signs(output, signs, at, n, -12345);
      });
      EQUAL(conditional_negate, n * 4,
            kernels->conditional_negate(output, (const int32_t *)words, signs, at, n));
    }
    for (int32_t type = SAMARA_F32; type <= SAMARA_BF16; type++) {
      uint16_t *halves = memory((size_t)n * 2);
      for (int64_t e = 0; e < n; e++) {
        // Finite ones, subnormals among them.
        uint16_t bits = (uint16_t)random_word((uint32_t)e, 11);
        halves[e] = bits & (type == SAMARA_F16 ? 0xBBFFu : 0xBFFFu);
      }
      const void *base = type == SAMARA_F32 ? (const void *)floats : halves;
      EQUAL(form_weights, n * 4,
            kernels->form_weights(base, type, (const int32_t *)words, 24, output, n));
    }
    check_guards("shared kernels");
  }
  for (int32_t log2 = 0; log2 <= 12; log2++) {
    size_t bytes = (size_t)4 << log2;
    EQUAL(walsh_hadamard_i32, bytes, {
      for (int32_t e = 0; e < 1 << log2; e++) {
        ((int32_t *)output)[e] = (int32_t)(random_word((uint32_t)e, 12) >> 14) - 100000;
      }
      kernels->walsh_hadamard_i32(output, log2);
    });
    check_guards("walsh_hadamard_i32");
  }
}
