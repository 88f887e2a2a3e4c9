// Apache-2.0. Linear layers and the loss over a vocabulary, one weight row at a time.
#include "scalar_dense.h"

#include <math.h>

static size_t row_bytes(int64_t inputs) { return (size_t)(inputs + 16) * sizeof(float); }

static size_t linear_scratch_bytes(int64_t rows, int64_t outputs, int64_t inputs) {
  (void)rows, (void)outputs;
  return row_bytes(inputs);
}

static size_t packed_bytes(int64_t outputs, int64_t inputs) {
  return (size_t)(outputs * inputs) * sizeof(float);
}

static void pack_weight(const samara_weight *w, int64_t n_begin, int64_t n_end, void *packed) {
  float *rows = packed;
  for (int64_t n = n_begin; n < n_end; n++) {
    samara_weight plain = *w;
    plain.signs = NULL;
    samara_weight_row(&plain, n, 0, w->columns, rows + n * w->columns);
  }
}

static size_t panel_bytes(int32_t panels, int64_t outputs, int64_t inputs) {
  return panels == SAMARA_INPUT_GRADIENT_PANELS ? 0 : packed_bytes(outputs, inputs);
}

static void pack_panels(int32_t panels, const samara_weight *w, void *packed) {
  if (panels != SAMARA_INPUT_GRADIENT_PANELS) pack_weight(w, 0, w->rows, packed);
}

static const float *weight_row(
    const samara_weight *w, const void *packed, int64_t n, float *scratch) {
  if (packed) return (const float *)packed + n * w->columns;
  samara_weight_row(w, n, 0, w->columns, scratch);
  return scratch;
}

static void linear(const samara_linear_args *a) {
  int64_t inputs = a->weight.columns;
  for (int64_t n = a->n_begin; n < a->n_end; n++) {
    const float *row = weight_row(&a->weight, a->packed, n, a->scratch);
    float bias = a->bias ? a->bias[n] : 0;
    for (int64_t m = a->m_begin; m < a->m_end; m++) {
      float sum = samara_scalar_dot(a->input + m * a->input_stride, row, inputs);
      float value = samara_scalar_activation(a->activation, sum + bias);
      if (a->residual) value += a->residual[m * a->residual_stride + n];
      a->output[m * a->output_stride + n] = value;
    }
  }
}

static size_t cross_entropy_scratch_bytes(int64_t rows, int64_t outputs, int64_t inputs) {
  (void)outputs;
  return row_bytes(inputs) + (size_t)rows * 4 * sizeof(float);
}

static void cross_entropy(const samara_cross_entropy_args *a) {
  int64_t inputs = a->weight.columns, count = a->m_end - a->m_begin;
  float *row_scratch = a->scratch;
  float *maximum = row_scratch + inputs + 16, *sum = maximum + count, *target = sum + count;
  for (int64_t i = 0; i < count; i++) {
    maximum[i] = -INFINITY;
    sum[i] = 0;
    target[i] = 0;
    if (a->predictions) a->predictions[a->m_begin + i] = -1;
  }
  for (int64_t n = 0; n < a->weight.rows; n++) {
    const float *row = weight_row(&a->weight, a->packed, n, row_scratch);
    float bias = a->bias ? a->bias[n] : 0;
    for (int64_t i = 0; i < count; i++) {
      int64_t m = a->m_begin + i;
      if (a->labels[m] < 0) continue;
      float logit = samara_scalar_dot(a->hidden + m * a->hidden_stride, row, inputs) + bias;
      if (n == a->labels[m]) target[i] = logit;
      if (logit > maximum[i]) {
        sum[i] = sum[i] * expf(maximum[i] - logit) + 1;
        maximum[i] = logit;
        if (a->predictions) a->predictions[m] = (int32_t)n;
      } else {
        // Not greater: also where either is not a number, which then stays in the sum.
        sum[i] += logit == maximum[i] ? 1 : expf(logit - maximum[i]);
      }
    }
  }
  for (int64_t i = 0; i < count; i++) {
    int64_t m = a->m_begin + i;
    a->losses[m] = a->labels[m] < 0 ? 0 : logf(sum[i]) + maximum[i] - target[i];
  }
}

void samara_install_scalar_linear(samara_kernel_table *table) {
  table->linear = linear;
  table->linear_scratch_bytes = linear_scratch_bytes;
  table->packed_bytes = packed_bytes;
  table->pack_weight = pack_weight;
  table->panel_bytes = panel_bytes;
  table->pack_panels = pack_panels;
  table->cross_entropy = cross_entropy;
  table->cross_entropy_scratch_bytes = cross_entropy_scratch_bytes;
}
