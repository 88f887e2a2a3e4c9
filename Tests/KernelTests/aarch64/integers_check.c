// Apache-2.0. Dense integers: equal bits in every set, and hashes that every machine prints.
#include "check.h"

#include <string.h>

void check_integers(const samara_kernel_table *scalar, const samara_kernel_table *fast) {
  static const int64_t counts[] = {0, 1, 2, 7, 8, 15, 16, 17, 63, 65, 200, 1000, 5003};
  for (unsigned c = 0; c < sizeof counts / sizeof *counts; c++) {
    int64_t n = counts[c];
    float *values = random_floats(n, 1);
    int32_t *a = memory((size_t)n * 4), *b = memory((size_t)n * 4);
    int64_t *sums = memory((size_t)n * 8);
    for (int64_t i = 0; i < n; i++) {
      if (i % 11 == 3) values[i] = 9e30f;
      a[i] = (int32_t)random_word((uint32_t)i, 2) >> (1 + i % 13);
      b[i] = (int32_t)random_word((uint32_t)i, 3) >> 1;
      sums[i] = (int64_t)b[i] << 18;
    }
    EQUAL(fixed_point, n * 4, kernels->fixed_point(values, n, 28, 1 << 30, output));
    EQUAL(add_bounded, n * 4, {
      memcpy(output, a, (size_t)n * 4);
      kernels->add_bounded(output, b, n, 1 << 29);
    });
    EQUAL(subtract_i32, n * 4, kernels->subtract_i32(a, b, n, output));
    EQUAL(accumulate_scaled, n * 8, {
      memcpy(output, sums, (size_t)n * 8);
      kernels->accumulate_scaled(output, a, n, 1 << 20);
    });
    EQUAL(largest_magnitude, 4, *(int32_t *)output = kernels->largest_magnitude(a, n));
    EQUAL(squared_norm_i32, 8, *(double *)output = kernels->squared_norm_i32(a, n));
    EQUAL(quantize_codes, n * 5, {
      memcpy(output, a, (size_t)n * 4);
      kernels->quantize_codes(output, n, 12345678, 127, (int8_t *)output + 4 * n);
    });
    int8_t *codes = memory((size_t)n);
    for (int64_t i = 0; i < n; i++) codes[i] = (int8_t)(random_word((uint32_t)i, 4) % 15) - 7;
    EQUAL(expand_codes, n * 4, kernels->expand_codes(codes, n, 54321, output));
    EQUAL(pack_nibbles, (n + 1) / 2, kernels->pack_nibbles(codes, n, output));
    uint8_t *bytes = memory((size_t)n * 4);
    for (int64_t i = 0; i < 4 * n; i++) bytes[i] = (uint8_t)random_word((uint32_t)i, 5);
    EQUAL(unpack_nibbles, n, kernels->unpack_nibbles(bytes, n, output));
    EQUAL(shift_codes, n * 8, {
      memcpy(output, a, (size_t)n * 4);
      kernels->shift_codes(output, n, 7, (int32_t *)output + n);
    });
    EQUAL(split_planes, n * 3, kernels->split_planes(a, n, 3, output));
    EQUAL(join_planes, n * 4, kernels->join_planes(bytes, n, 2, 9, output));
    int64_t columns = n / 5;
    int32_t *scratch = memory(16 * 5 * 4);
    EQUAL(trimmed_sums, columns * 8,
          kernels->trimmed_sums(b, columns, 5, columns, 1, output, scratch));
    for (int32_t rule = 0; rule < 4; rule++) {
      samara_server_step step = {rule, (1 << 30) - 1, 0x1p-48, 0x1p24, 0.7, 0.9, 0.99, 1e-3};
      EQUAL(server_step, n * 24, {
        double *first = output;
        double *second = first + n;
        int32_t *integers = (int32_t *)(second + n);
        for (int64_t i = 0; i < n; i++) {
          first[i] = b[i] * 0x1p-31;
          second[i] = first[i] * first[i];
          integers[i] = a[i] / 2;
        }
        kernels->server_step(&step, sums, integers, first, second, n);
      });
    }
    check_guards("dense integers");
  }
}
