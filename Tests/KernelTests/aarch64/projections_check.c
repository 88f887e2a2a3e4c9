// Apache-2.0. Projections on shared directions: equal bits where sums are exact, near ones elsewhere.
#include "check.h"

void check_projections(const samara_kernel_table *scalar, const samara_kernel_table *fast) {
  static const int64_t counts[] = {0, 1, 31, 63, 65, 127, 128, 129, 2047, 2049, 5003};
  static const int64_t offsets[] = {0, 1, 37, 63, 64, 100};
  enum { TERMS = 11 };
  const uint32_t counter[4] = {7, 2, 99, 1u << 24}, key[2] = {17, 4};
  const uint32_t directions[TERMS] = {4, 9, 1u << 31, 3, 2, 1, 0, 77, 78, 79, 80};
  for (unsigned c = 0; c < sizeof counts / sizeof *counts; c++) {
    int64_t n = counts[c];
    const float *values = random_floats(n, 1);
    for (unsigned o = 0; o < sizeof offsets / sizeof *offsets; o++) {
      const uint64_t *signs = random_signs(offsets[o] + n, 2);
      EQUAL(negate_signs, n * 4, kernels->negate_signs(output, values, signs, offsets[o], n));
    }
    for (int64_t terms = 0; terms <= TERMS; terms++) {
      double *exact = memory(TERMS * 8), *sums = memory(TERMS * 8);
      float *expected = memory(TERMS * 4), *found = memory(TERMS * 4);
      for (int64_t i = 0; i < TERMS; i++) exact[i] = sums[i] = 0.5;
      scalar->project_independent(exact, values, n, directions, terms, counter, key);
      fast->project_independent(sums, values, n, directions, terms, counter, key);
      for (int64_t i = 0; i < TERMS; i++) {
        // Beside the norm of all values, which bounds every sum's rounding.
        double scale = 1.0 / (1.0 + (double)n);
        expected[i] = (float)(exact[i] * scale);
        found[i] = (float)(sums[i] * scale);
      }
      close_to("project_independent", expected, found, TERMS, 1e-4f);
    }
    CHECKED(project_independent);
    check_guards("projections");
  }
  for (int32_t log2 = 0; log2 <= 12; log2++) {
    // Whole numbers whose sums binary32 holds exactly.
    EQUAL(walsh_hadamard_f32, (size_t)4 << log2, {
      for (int32_t e = 0; e < 1 << log2; e++) {
        ((float *)output)[e] = (float)(int32_t)(random_word((uint32_t)e, 3) % 255) - 127;
      }
      kernels->walsh_hadamard_f32(output, log2);
    });
    check_guards("walsh_hadamard_f32");
  }
}
