// Apache-2.0. Weights into scratch, embeddings, norms and activations.
#include "scalar_dense.h"

#include <math.h>

static void materialize(const samara_weight *w, int64_t row_begin, int64_t row_end, float *output) {
  for (int64_t r = row_begin; r < row_end; r++) {
    samara_weight_row(w, r, 0, w->columns, output + (r - row_begin) * w->columns);
  }
}

static void quantize_rows(
    const samara_weight *w, int64_t row_begin, int64_t row_end, int8_t *output, float *scales) {
  for (int64_t r = row_begin; r < row_end; r++, output += w->columns) {
    float most = 0;
    for (int64_t c = 0; c < w->columns; c++) most = fmaxf(most, fabsf(samara_weight_element(w, r, c)));
    float scale = scales[r - row_begin] = most / 127;
    for (int64_t c = 0; c < w->columns; c++) {
      float value = scale > 0 ? rintf(samara_weight_element(w, r, c) / scale) : 0;
      output[c] = (int8_t)fminf(fmaxf(value, -127), 127);
    }
  }
}

static void embedding(
    const samara_weight *w, const int32_t *ids, int64_t count, float *output, int64_t stride) {
  for (int64_t i = 0; i < count; i++) {
    samara_weight_row(w, ids[i], 0, w->columns, output + i * stride);
  }
}

static void rms_norm(
    const float *input, const float *gain, float *output, int64_t rows, int64_t columns,
    float epsilon) {
  for (int64_t r = 0; r < rows; r++, input += columns, output += columns) {
    float mean = samara_scalar_dot(input, input, columns) / (float)columns;
    float scale = 1 / sqrtf(mean + epsilon);
    for (int64_t c = 0; c < columns; c++) output[c] = input[c] * scale * gain[c];
  }
}

/// Mean of one row, in sixteen lanes.
static float row_mean(const float *x, int64_t count) {
  float lanes[16] = {0}, sum = 0;
  for (int64_t c = 0; c < count; c++) lanes[c % 16] += x[c];
  for (int lane = 0; lane < 16; lane++) sum += lanes[lane];
  return sum / (float)count;
}

static void layer_norm(
    const float *input, const float *gain, const float *bias, float *output, int64_t rows,
    int64_t columns, float epsilon) {
  for (int64_t r = 0; r < rows; r++, input += columns, output += columns) {
    float mean = row_mean(input, columns);
    for (int64_t c = 0; c < columns; c++) output[c] = input[c] - mean;
    float variance = samara_scalar_dot(output, output, columns) / (float)columns;
    float scale = 1 / sqrtf(variance + epsilon);
    for (int64_t c = 0; c < columns; c++) {
      float value = output[c] * scale * gain[c];
      output[c] = bias ? value + bias[c] : value;
    }
  }
}

float samara_scalar_activation(int32_t activation, float x) {
  switch (activation) {
    case SAMARA_GELU: return 0.5f * x * (1 + erff(x * 0.70710678118654752f));
    case SAMARA_GELU_TANH:
      return 0.5f * x * (1 + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x)));
    case SAMARA_SILU: return x / (1 + expf(-x));
    case SAMARA_TANH: return tanhf(x);
    case SAMARA_RELU: return x < 0 ? 0 : x;
    case SAMARA_RELU6: return x < 0 ? 0 : x > 6 ? 6 : x;
    default: return x;
  }
}

static void activate(int32_t activation, const float *input, float *output, int64_t count) {
  for (int64_t i = 0; i < count; i++) output[i] = samara_scalar_activation(activation, input[i]);
}

static void silu_multiply(const float *gate, const float *up, float *output, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    output[i] = samara_scalar_activation(SAMARA_SILU, gate[i]) * up[i];
  }
}

static void add(const float *a, const float *b, float *output, int64_t count) {
  for (int64_t i = 0; i < count; i++) output[i] = a[i] + b[i];
}

static float multiply_add_peak(int64_t steps) {
  float a = 0, b = 1, c = 2, d = 3;
  for (int64_t step = 0; step < steps; step++) {
    a = a * 0.999f + 1e-3f;
    b = b * 0.999f + 1e-3f;
    c = c * 0.999f + 1e-3f;
    d = d * 0.999f + 1e-3f;
  }
  return a + b + c + d;
}

static int64_t multiply_add_flops(void) { return 8; }

void samara_install_scalar_pointwise(samara_kernel_table *table) {
  table->materialize = materialize;
  table->quantize_rows = quantize_rows;
  table->embedding = embedding;
  table->rms_norm = rms_norm;
  table->layer_norm = layer_norm;
  table->activate = activate;
  table->silu_multiply = silu_multiply;
  table->add = add;
  table->multiply_add_peak = multiply_add_peak;
  table->multiply_add_flops = multiply_add_flops;
}
