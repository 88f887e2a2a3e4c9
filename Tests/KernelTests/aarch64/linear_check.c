// Apache-2.0. Linear layers, the loss over a vocabulary, and what reads stored weights.
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

samara_weight random_weight(
    int64_t rows, int64_t columns, int32_t type, int64_t offset, uint32_t seed) {
  int64_t stride = columns + 3, count = rows * stride;
  samara_weight w = {.rows = rows, .columns = columns, .row_stride = stride, .element_type = type};
  if (type == SAMARA_F32) {
    w.data = random_floats(count, seed);
  } else if (type == SAMARA_I8) {
    int8_t *bytes = memory((size_t)count);
    for (int64_t i = 0; i < count; i++) bytes[i] = (int8_t)random_word((uint32_t)i, seed);
    w.data = bytes;
    w.row_scales = random_floats(rows, seed + 5);
  } else {
    uint16_t *bits = memory((size_t)count * 2);
    for (int64_t i = 0; i < count; i++) {
      uint32_t word = random_word((uint32_t)i, seed);
      // Around 1, every fraction and both signs.
      bits[i] = type == SAMARA_F16 ? (uint16_t)((word & 0x83FFu) | 0x3800u)
                                   : (uint16_t)((word & 0x807Fu) | 0x3F00u);
    }
    w.data = bits;
  }
  if (offset >= 0) {
    w.signs = random_signs(offset + rows * columns, seed + 7);
    w.sign_offset = offset;
    w.epsilon = 1.25e-3f;
  }
  return w;
}

/// One layer by both; the fast one also row by row, column range by column range, and packed.
static void check_shape(
    const samara_kernel_table *scalar, const samara_kernel_table *fast, int64_t m, int64_t n,
    int64_t k, int32_t type, int64_t offset) {
  char what[96];
  snprintf(what, sizeof what, "linear %lldx%lldx%lld type %d offset %lld", (long long)m,
           (long long)n, (long long)k, type, (long long)offset);
  samara_weight w = random_weight(n, k, type, offset, 3);
  float *values = memory((size_t)(n * k) * 4), *other = memory((size_t)(n * k) * 4);
  scalar->materialize(&w, 0, n, values);
  fast->materialize(&w, 0, n, other);
  same_bits("materialize", values, other, (size_t)(n * k) * 4);
  const float *x = random_floats(m * k + 1, 1), *bias = random_floats(n, 2);
  float *expected = memory((size_t)(m * n) * 4);
  for (int64_t row = 0; row < m; row++) {
    for (int64_t column = 0; column < n; column++) {
      float sum = 0;
      for (int64_t i = 0; i < k; i++) sum = fmaf(x[row * k + i], values[column * k + i], sum);
      expected[row * n + column] = sum + bias[column];
    }
  }
  samara_linear_args a = {.input = x, .input_stride = k, .weight = w, .bias = bias,
                          .output_stride = n, .m_end = m, .n_end = n};
  a.scratch = memory(fast->linear_scratch_bytes(m, n, k));
  a.output = memory((size_t)(m * n) * 4);
  fast->linear(&a);
  same_bits(what, expected, a.output, (size_t)(m * n) * 4);
  if (offset < 0) hash("linear", a.output, (size_t)(m * n) * 4);
  a.output = memory((size_t)(m * n) * 4);
  for (a.m_begin = 0; a.m_begin < m; a.m_begin = a.m_end) {
    a.m_end = a.m_begin + 3 < m ? a.m_begin + 3 : m;
    for (a.n_begin = 0; a.n_begin < n; a.n_begin = a.n_end) {
      a.n_end = a.n_begin + 19 < n ? a.n_begin + 19 : n;
      fast->linear(&a);
    }
  }
  same_bits(what, expected, a.output, (size_t)(m * n) * 4);
  if (offset < 0) {
    void *packed = memory(fast->packed_bytes(n, k));
    for (int64_t begin = 0; begin < n; begin += 64) {
      fast->pack_weight(&w, begin, begin + 64 < n ? begin + 64 : n, packed);
    }
    a.packed = packed;
    a.m_begin = a.n_begin = 0;
    a.m_end = m, a.n_end = n;
    a.output = memory((size_t)(m * n) * 4);
    fast->linear(&a);
    same_bits(what, expected, a.output, (size_t)(m * n) * 4);
    a.packed = memory(fast->panel_bytes(SAMARA_LINEAR_PANELS, n, k));
    fast->pack_panels(SAMARA_LINEAR_PANELS, &w, (void *)a.packed);
    a.output = memory((size_t)(m * n) * 4);
    fast->linear(&a);
    same_bits(what, expected, a.output, (size_t)(m * n) * 4);
  }
  check_guards(what);
}

static void check_loss(
    const samara_kernel_table *scalar, const samara_kernel_table *fast, int64_t m, int64_t n,
    int64_t k, int64_t offset) {
  samara_cross_entropy_args a = {.hidden = random_floats(m * k, 1), .hidden_stride = k,
                                 .weight = random_weight(n, k, SAMARA_F32, offset, 3),
                                 .bias = random_floats(n, 2), .m_end = m};
  int32_t *labels = memory((size_t)m * 4);
  for (int64_t i = 0; i < m; i++) {
    labels[i] = i % 3 == 2 ? -1 : (int32_t)(random_word((uint32_t)i, 9) % (uint32_t)n);
  }
  a.labels = labels;
  const samara_kernel_table *tables[2] = {scalar, fast};
  float *losses[2];
  int32_t *predictions[2];
  for (int t = 0; t < 2; t++) {
    a.losses = losses[t] = memory((size_t)m * 4);
    a.predictions = predictions[t] = memory((size_t)m * 4);
    a.scratch = memory(tables[t]->cross_entropy_scratch_bytes(m, n, k));
    tables[t]->cross_entropy(&a);
  }
  close_to("cross_entropy", losses[0], losses[1], m, 1e-5f);
  same_bits("cross_entropy predictions", predictions[0], predictions[1], (size_t)m * 4);
  check_guards("cross_entropy");
}

void check_linear(const samara_kernel_table *scalar, const samara_kernel_table *fast) {
  static const int64_t rows[] = {1, 2, 3, 4, 6, 7, 8, 9, 14, 15, 31};
  static const int64_t outputs[] = {1, 3, 15, 16, 17, 33, 70};
  static const int64_t inputs[] = {0, 1, 3, 15, 16, 33, 100, 1101};
  int turn = 0;
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (unsigned j = 0; j < sizeof outputs / sizeof *outputs; j++, turn++) {
      static const int64_t offsets[] = {-1, 0, -1, 37, 64};
      check_shape(scalar, fast, rows[i], outputs[j], inputs[turn % 8], turn % 4, offsets[turn % 5]);
      check_shape(scalar, fast, rows[i], outputs[j], 40 + j, (turn + 1) % 4, -1);
    }
  }
  CHECKED(linear), CHECKED(linear_scratch_bytes), CHECKED(packed_bytes), CHECKED(pack_weight);
  CHECKED(panel_bytes), CHECKED(pack_panels), CHECKED(materialize);
  check_loss(scalar, fast, 1, 3, 5, -1);
  check_loss(scalar, fast, 40, 131, 67, 11);
  check_loss(scalar, fast, 300, 40, 33, -1);
  CHECKED(cross_entropy), CHECKED(cross_entropy_scratch_bytes);
  samara_weight table = random_weight(50, 37, SAMARA_F16, 5, 6);
  int32_t ids[20];
  for (int i = 0; i < 20; i++) ids[i] = (int32_t)(random_word((uint32_t)i, 4) % 50);
  float *a = memory(20 * 37 * 4), *b = memory(20 * 37 * 4);
  scalar->embedding(&table, ids, 20, a, 37);
  fast->embedding(&table, ids, 20, b, 37);
  same_bits("embedding", a, b, 20 * 37 * 4);
  CHECKED(embedding);
  int8_t *bytes[2];
  float *scales[2];
  for (int t = 0; t < 2; t++) {
    bytes[t] = memory(50 * 37), scales[t] = memory(50 * 4);
    (t ? fast : scalar)->quantize_rows(&table, 0, 50, bytes[t], scales[t]);
  }
  same_bits("quantize_rows", bytes[0], bytes[1], 50 * 37);
  same_bits("quantize_rows scales", scales[0], scales[1], 50 * 4);
  CHECKED(quantize_rows);
  check_guards("embedding");
}
