// Apache-2.0. Gradients of what lies between linear layers.
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const int64_t widths[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100};
enum { WIDTHS = sizeof widths / sizeof *widths };

static void check_elementwise(
    const samara_kernel_table *scalar, const samara_kernel_table *fast, int64_t count) {
  float *x = random_floats(count, 1), *u = random_floats(count, 2), *d = random_floats(count, 3);
  float *a = memory((size_t)count * 8), *b = memory((size_t)count * 8);
  for (int64_t i = 0; i < count; i++) x[i] *= 12;
  for (int32_t activation = SAMARA_IDENTITY; activation <= SAMARA_RELU6; activation++) {
    scalar->activation_gradient(activation, 0, x, d, a, count);
    fast->activation_gradient(activation, 0, x, d, b, count);
    close_to("activation_gradient", a, b, count, 1e-4f);
    if (activation != SAMARA_IDENTITY && activation < SAMARA_TANH) continue;
    scalar->activation_gradient(activation, 1, u, d, a, count);
    fast->activation_gradient(activation, 1, u, d, b, count);
    close_to("activation_gradient from the output", a, b, count, 1e-5f);
  }
  scalar->silu_multiply_gradient(x, u, d, a, a + count, count);
  fast->silu_multiply_gradient(x, u, d, b, b + count, count);
  close_to("silu_multiply_gradient", a, b, 2 * count, 1e-5f);
  scalar->scale(x, 1.7f, a, count), fast->scale(x, 1.7f, b, count);
  same_bits("scale", a, b, (size_t)count * 4);
  double sums[4] = {scalar->sum_of_squares(x, count), fast->sum_of_squares(x, count),
                    scalar->squared_distance(x, u, count), fast->squared_distance(x, u, count)};
  for (int i = 0; i < 4; i += 2) {
    float pair[2] = {(float)sums[i], (float)sums[i + 1]};
    close_to("sum_of_squares", pair, pair + 1, 1, 1e-6f);
  }
  check_guards("gradients of elements");
}

static void check_norms(
    const samara_kernel_table *scalar, const samara_kernel_table *fast, int64_t columns) {
  enum { ROWS = 5 };
  int64_t count = ROWS * columns;
  samara_norm_gradient_args a = {.input = random_floats(count, 1), .gain = random_floats(columns, 2),
                                 .output_gradient = random_floats(count, 3), .rows = ROWS,
                                 .columns = columns, .epsilon = 1e-3f};
  for (int variant = 0; variant < 8; variant++) {
    float *results[2];
    for (int t = 0; t < 2; t++) {
      float *all = results[t] = memory((size_t)(count + 2 * columns) * 4);
      a.residual = variant & 2 ? random_floats(count, 4) : 0;
      a.input_gradient = all;
      if (variant & 2) a.residual = memcpy(all, a.residual, (size_t)count * 4);
      a.gain_sums = variant & 4 ? 0 : all + count;
      a.bias_sums = variant & 4 ? 0 : all + count + columns;
      const samara_kernel_table *table = t ? fast : scalar;
      (variant & 1 ? table->rms_norm_gradient : table->layer_norm_gradient)(&a);
    }
    const char *what = variant & 1 ? "rms_norm_gradient" : "layer_norm_gradient";
    close_to(what, results[0], results[1], count + 2 * columns, 2e-4f);
  }
  float *p = random_floats(count, 5), *x[2], *s[2];
  for (int t = 0; t < 2; t++) {
    const samara_kernel_table *table = t ? fast : scalar;
    x[t] = memory((size_t)count * 4), s[t] = memory((size_t)columns * 8);
    table->softmax_gradient(p, a.output_gradient, x[t], ROWS, columns);
    table->column_sums(p, columns, ROWS - 2, columns, s[t], 0);
    table->column_sums(p + (ROWS - 2) * columns, columns, 2, columns, s[t], 1);
  }
  close_to("softmax_gradient", x[0], x[1], count, 1e-4f);
  close_to("column_sums", s[0], s[1], columns, 1e-5f);
  check_guards("gradients of rows");
}

static void check_logits(
    const samara_kernel_table *scalar, const samara_kernel_table *fast, int64_t columns) {
  enum { ROWS = 6 };
  int32_t labels[ROWS], predictions[2][ROWS];
  for (int r = 0; r < ROWS; r++) {
    labels[r] = r == 2 ? -1 : (int32_t)(random_word((uint32_t)r, 9) % (uint32_t)columns);
  }
  float losses[2][ROWS], *results[2];
  const float *weights = random_floats(ROWS, 5);
  for (int t = 0; t < 2; t++) {
    float *logits = results[t] = random_floats(ROWS * columns, 3);
    for (int64_t i = 0; i < ROWS * columns; i++) logits[i] *= 9;
    samara_logits_gradient_args a = {.logits = logits, .logits_stride = columns, .labels = labels,
                                     .loss_gradients = weights, .loss_gradient = 0.2f,
                                     .losses = losses[t],
                                     .predictions = predictions[t], .rows = ROWS,
                                     .columns = columns};
    (t ? fast : scalar)->logits_gradient(&a);
  }
  close_to("logits_gradient", results[0], results[1], ROWS * columns, 1e-4f);
  close_to("logits_gradient losses", losses[0], losses[1], ROWS, 1e-4f);
  same_bits("logits_gradient predictions", predictions[0], predictions[1], sizeof predictions[0]);
  check_guards("logits_gradient");
}

static void check_attention(
    const samara_kernel_table *scalar, const samara_kernel_table *fast, int64_t length,
    int64_t keys, int64_t dimension, int32_t causal) {
  enum { HEADS = 2 };
  int64_t wide = HEADS * dimension + 3, narrow = dimension + 2;
  samara_attention_gradient_args a = {
      .query = random_floats(length * wide, 1), .key = random_floats(length * narrow, 2),
      .value = random_floats(length * narrow, 3), .query_stride = wide, .key_stride = narrow,
      .value_stride = narrow, .output_gradient = random_floats(length * wide, 4),
      .output_gradient_stride = wide, .query_gradient_stride = wide,
      .key_gradient_stride = narrow, .value_gradient_stride = narrow, .heads = HEADS,
      .head_stride = dimension, .query_count = length, .key_length = keys, .key_count = length,
      .head_dimension = dimension, .causal = causal, .scale = 0.9f};
  float *results[2];
  int64_t queries = length * wide, all = queries + 2 * length * narrow;
  for (int t = 0; t < 2; t++) {
    const samara_kernel_table *table = t ? fast : scalar;
    results[t] = memory((size_t)all * 4);
    a.query_gradient = results[t];
    a.key_gradient = results[t] + queries;
    a.value_gradient = results[t] + queries + length * narrow;
    a.scratch = memory(table->attention_gradient_scratch_bytes(length, keys, dimension));
    table->attention_gradient(&a);
  }
  char what[96];
  snprintf(what, sizeof what, "attention_gradient %lldx%lldx%lld causal %d", (long long)length,
           (long long)keys, (long long)dimension, causal);
  close_to(what, results[0], results[1], all, 1e-3f);
  check_guards(what);
}

void check_gradients(const samara_kernel_table *scalar, const samara_kernel_table *fast) {
  for (int i = 0; i < WIDTHS; i++) {
    check_elementwise(scalar, fast, widths[i]);
    check_norms(scalar, fast, widths[i]);
    check_logits(scalar, fast, widths[i]);
    static const int64_t lengths[] = {1, 5, 14, 15, 33, 56, 57, 70, 100, 113, 128, 3, 30};
    static const int64_t dimensions[] = {1, 4, 7, 16, 32, 40, 64, 80, 33, 8, 24, 13, 128};
    int64_t length = lengths[i], half = (length + 1) / 2;
    check_attention(scalar, fast, length, length, dimensions[i], 0);
    check_attention(scalar, fast, length, length, dimensions[i], 1);
    check_attention(scalar, fast, length, half, dimensions[i], 0);
    check_attention(scalar, fast, length, half, dimensions[i], 1);
  }
  check_attention(scalar, fast, 3, 0, 8, 0);
  CHECKED(activation_gradient), CHECKED(silu_multiply_gradient), CHECKED(scale);
  CHECKED(sum_of_squares), CHECKED(squared_distance), CHECKED(rms_norm_gradient);
  CHECKED(layer_norm_gradient), CHECKED(softmax_gradient), CHECKED(column_sums);
  CHECKED(logits_gradient), CHECKED(attention_gradient), CHECKED(attention_gradient_scratch_bytes);
  float *x = random_floats(4 * 70, 1), *y = memory(4 * 70 * 4);
  const float *c = random_floats(4 * 17, 2), *s = random_floats(4 * 17, 3);
  memcpy(y, x, 4 * 70 * 4);
  scalar->rotary_gradient(x, 4, 70, 2, 34, c, s), fast->rotary_gradient(y, 4, 70, 2, 34, c, s);
  close_to("rotary_gradient", x, y, 4 * 70, 1e-6f);
  CHECKED(rotary_gradient);
  int32_t ids[] = {3, 9, 3, 0, 7, 3};
  float *table[2];
  for (int t = 0; t < 2; t++) {
    table[t] = random_floats(10 * 20, 4);
    (t ? fast : scalar)->embedding_gradient(x, 35, ids, 6, -0.5f, table[t], 20, 19, 1, 9);
  }
  same_bits("embedding_gradient", table[0], table[1], 10 * 20 * 4);
  CHECKED(embedding_gradient);
  check_guards("gradients of positions and tables");
}
