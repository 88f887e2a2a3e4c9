// Apache-2.0. Gradients of linear layers and updates of weights.
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { M_STEP = 5, N_STEP = 19, K_STEP = 21 };

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static float *copy_of(const float *values, int64_t count) {
  return memcpy(memory((size_t)count * 4), values, (size_t)count * 4);
}

/// dX by both; the fast one whole, and range by range with the same bits as fused sums in order.
static void check_input_gradient(
    const samara_kernel_table *scalar, const samara_kernel_table *fast, int64_t m, int64_t n,
    int64_t k, int32_t type, int64_t offset) {
  char what[96];
  snprintf(what, sizeof what, "linear_input_gradient %lldx%lldx%lld type %d offset %lld",
           (long long)m, (long long)n, (long long)k, type, (long long)offset);
  samara_weight w = random_weight(n, k, type, offset, 3);
  float *values = memory((size_t)(n * k) * 4), *expected = memory((size_t)(m * k) * 4);
  scalar->materialize(&w, 0, n, values);
  const float *d = random_floats(m * n + 1, 1), *residual = random_floats(m * k, 5);
  for (int64_t row = 0; row < m; row++) {
    for (int64_t column = 0; column < k; column++) {
      float sum = 0;
      for (int64_t i = 0; i < n; i++) sum = fmaf(d[row * n + i], values[i * k + column], sum);
      expected[row * k + column] = sum + residual[row * k + column];
    }
  }
  samara_linear_input_gradient_args a = {
      .output_gradient = d, .output_gradient_stride = n, .weight = w, .residual = residual,
      .residual_stride = k, .input_gradient_stride = k, .m_end = m, .k_end = k};
  a.scratch = memory(fast->linear_input_gradient_scratch_bytes(m, n, k));
  a.input_gradient = copy_of(residual, m * k);
  a.residual = a.input_gradient;
  fast->linear_input_gradient(&a);
  same_bits(what, expected, a.input_gradient, (size_t)(m * k) * 4);
  a.input_gradient = memory((size_t)(m * k) * 4);
  a.residual = residual;
  for (a.m_begin = 0; a.m_begin < m; a.m_begin = a.m_end) {
    a.m_end = smaller(m, a.m_begin + M_STEP);
    for (a.k_begin = 0; a.k_begin < k; a.k_begin = a.k_end) {
      a.k_end = smaller(k, a.k_begin + K_STEP);
      fast->linear_input_gradient(&a);
    }
  }
  same_bits(what, expected, a.input_gradient, (size_t)(m * k) * 4);
  a.m_begin = a.k_begin = 0, a.m_end = m, a.k_end = k;
  if (offset < 0) {
    a.packed = memory(fast->panel_bytes(SAMARA_INPUT_GRADIENT_PANELS, n, k));
    fast->pack_panels(SAMARA_INPUT_GRADIENT_PANELS, &w, (void *)a.packed);
    a.input_gradient = memory((size_t)(m * k) * 4);
    fast->linear_input_gradient(&a);
    same_bits(what, expected, a.input_gradient, (size_t)(m * k) * 4);
    a.packed = NULL;
  }
  a.saved = random_floats(m * k, 8), a.saved_stride = k, a.activation = SAMARA_GELU;
  fast->linear_input_gradient(&a);
  float *other = a.input_gradient;
  a.input_gradient = memory((size_t)(m * k) * 4);
  scalar->linear_input_gradient(&a);
  close_to(what, a.input_gradient, other, m * k, 2e-3f);
  check_guards(what);
}

/// dW by both: whole, in ranges, in two halves of the rows, and fused with every update.
static void check_weight_gradient(
    const samara_kernel_table *scalar, const samara_kernel_table *fast, int64_t m, int64_t n,
    int64_t k) {
  char what[96];
  snprintf(what, sizeof what, "linear_weight_gradient %lldx%lldx%lld", (long long)m, (long long)n,
           (long long)k);
  size_t bytes = (size_t)(n * k) * 4;
  const float *d = random_floats(m * n, 1), *x = random_floats(m * k, 2);
  float *expected = memory(bytes);
  for (int64_t row = 0; row < n; row++) {
    for (int64_t column = 0; column < k; column++) {
      float sum = 0;
      for (int64_t i = 0; i < m; i++) sum = fmaf(d[i * n + row], x[i * k + column], sum);
      expected[row * k + column] = sum;
    }
  }
  samara_linear_weight_gradient_args a = {
      .output_gradient = d, .output_gradient_stride = n, .input = x, .input_stride = k, .rows = m,
      .gradient_stride = k, .weight_stride = k, .n_end = n, .k_end = k};
  a.scratch = memory(fast->linear_weight_gradient_scratch_bytes(m, n, k));
  a.gradient = memory(bytes);
  fast->linear_weight_gradient(&a);
  same_bits(what, expected, a.gradient, bytes);
  a.gradient = memory(bytes);
  for (a.n_begin = 0; a.n_begin < n; a.n_begin = a.n_end) {
    a.n_end = smaller(n, a.n_begin + N_STEP);
    for (a.k_begin = 0; a.k_begin < k; a.k_begin = a.k_end) {
      a.k_end = smaller(k, a.k_begin + K_STEP);
      a.rows = m / 2, a.accumulate = 0;
      fast->linear_weight_gradient(&a);
      a.rows = m - m / 2, a.accumulate = 1;
      a.output_gradient += m / 2 * n, a.input += m / 2 * k;
      fast->linear_weight_gradient(&a);
      a.output_gradient = d, a.input = x;
    }
  }
  same_bits(what, expected, a.gradient, bytes);
  a.rows = m, a.accumulate = 0, a.gradient = 0;
  a.n_begin = a.k_begin = 0, a.n_end = n, a.k_end = k;
  const float *weights = random_floats(n * k, 6), *state = random_floats(2 * n * k, 7);
  float *absolute = memory(2 * bytes);
  for (int64_t i = 0; i < 2 * n * k; i++) absolute[i] = fabsf(state[i]);
  for (int32_t rule = SAMARA_SGD; rule <= SAMARA_ADAMW; rule++) {
    samara_update update = {.rule = rule, .rate = 0.01f, .decay = 0.1f, .scale = 0.7f,
                            .momentum = 0.9f, .second_momentum = 0.999f, .epsilon = 1e-8f,
                            .first_correction = 10, .second_correction = 31.6f};
    float *w[3], *v[3];
    for (int i = 0; i < 3; i++) w[i] = copy_of(weights, n * k), v[i] = copy_of(absolute, 2 * n * k);
    scalar->optimizer_update(&update, w[0], expected, v[0], v[0] + n * k, n * k);
    fast->optimizer_update(&update, w[1], expected, v[1], v[1] + n * k, n * k);
    same_bits("optimizer_update", w[0], w[1], bytes);
    same_bits("optimizer_update state", v[0], v[1], 2 * bytes);
    a.update = &update, a.weights = w[2], a.first = v[2], a.second = v[2] + n * k;
    fast->linear_weight_gradient(&a);
    same_bits("fused update", w[0], w[2], bytes);
    same_bits("fused update state", v[0], v[2], 2 * bytes);
  }
  a.update = 0, a.input_activation = SAMARA_SILU;
  float *gradients[2] = {memory(bytes), memory(bytes)};
  a.gradient = gradients[0], scalar->linear_weight_gradient(&a);
  a.gradient = gradients[1], fast->linear_weight_gradient(&a);
  close_to(what, gradients[0], gradients[1], n * k, 1e-3f);
  check_guards(what);
}

void check_products(const samara_kernel_table *scalar, const samara_kernel_table *fast) {
  static const int64_t extents[] = {1, 2, 5, 7, 14, 15, 16, 17, 31, 33, 70};
  enum { EXTENTS = sizeof extents / sizeof *extents };
  static const int64_t offsets[] = {-1, 0, -1, 37, 64};
  int turn = 0;
  for (int i = 0; i < EXTENTS; i++) {
    for (int j = 0; j < EXTENTS; j++, turn++) {
      int64_t m = extents[i], n = extents[j], k = extents[(i + 3 * j) % EXTENTS];
      check_input_gradient(scalar, fast, m, n, k, turn % 4, offsets[turn % 5]);
      check_weight_gradient(scalar, fast, k, n, m);
    }
  }
  check_input_gradient(scalar, fast, 9, 0, 20, 0, -1);
  check_input_gradient(scalar, fast, 30, 801, 40, 0, -1);
  check_input_gradient(scalar, fast, 350, 60, 530, 2, -1);
  check_input_gradient(scalar, fast, 340, 390, 600, 0, -1);
  check_input_gradient(scalar, fast, 1100, 390, 20, 0, -1);
  check_weight_gradient(scalar, fast, 390, 1100, 20);
  check_weight_gradient(scalar, fast, 801, 30, 40);
  check_weight_gradient(scalar, fast, 60, 350, 530);
  check_weight_gradient(scalar, fast, 390, 340, 600);
  CHECKED(linear_input_gradient), CHECKED(linear_input_gradient_scratch_bytes);
  CHECKED(linear_weight_gradient), CHECKED(linear_weight_gradient_scratch_bytes);
  CHECKED(optimizer_update);
}
