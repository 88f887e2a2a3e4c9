// Apache-2.0. The oracle of the gradients of linear layers and embeddings: sums in binary64.
#include "scalar_dense.h"
#include "update.h"

static size_t linear_input_gradient_scratch_bytes(int64_t rows, int64_t outputs, int64_t inputs) {
  (void)rows, (void)outputs, (void)inputs;
  return 64;
}

static void linear_input_gradient(const samara_linear_input_gradient_args *a) {
  for (int64_t m = a->m_begin; m < a->m_end; m++) {
    const float *gradient = a->output_gradient + m * a->output_gradient_stride;
    for (int64_t k = a->k_begin; k < a->k_end; k++) {
      double sum = 0;
      for (int64_t n = 0; n < a->weight.rows; n++) {
        sum += (double)gradient[n] * samara_weight_element(&a->weight, n, k);
      }
      float value = (float)sum;
      if (a->saved) {
        float saved = a->saved[m * a->saved_stride + k];
        value *= samara_scalar_derivative(a->activation, a->saved_output, saved);
      }
      if (a->residual) value += a->residual[m * a->residual_stride + k];
      a->input_gradient[m * a->input_gradient_stride + k] = value;
    }
  }
}

static size_t linear_weight_gradient_scratch_bytes(int64_t rows, int64_t outputs, int64_t inputs) {
  (void)rows, (void)outputs, (void)inputs;
  return 64;
}

static void linear_weight_gradient(const samara_linear_weight_gradient_args *a) {
  for (int64_t n = a->n_begin; n < a->n_end; n++) {
    for (int64_t k = a->k_begin; k < a->k_end; k++) {
      double sum = a->accumulate ? a->gradient[n * a->gradient_stride + k] : 0;
      for (int64_t m = 0; m < a->rows; m++) {
        float input = a->input[m * a->input_stride + k];
        if (a->input_activation) input = samara_scalar_activation(a->input_activation, input);
        sum += (double)a->output_gradient[m * a->output_gradient_stride + n] * input;
      }
      if (a->update) {
        int64_t place = n * a->weight_stride + k;
        samara_update_element(
            a->update, a->weights + place, (float)sum, a->first ? a->first + place : 0,
            a->second ? a->second + place : 0);
      } else {
        a->gradient[n * a->gradient_stride + k] = (float)sum;
      }
    }
  }
}

static void column_sums(
    const float *x, int64_t stride, int64_t rows, int64_t columns, float *sums,
    int32_t accumulate) {
  for (int64_t c = 0; c < columns; c++) {
    double sum = accumulate ? sums[c] : 0;
    for (int64_t r = 0; r < rows; r++) sum += x[r * stride + c];
    sums[c] = (float)sum;
  }
}

static void embedding_gradient(
    const float *output_gradient, int64_t output_gradient_stride, const int32_t *ids,
    int64_t count, float scale, float *gradient, int64_t gradient_stride, int64_t columns,
    int64_t id_begin, int64_t id_end) {
  for (int64_t i = 0; i < count; i++) {
    if (ids[i] < id_begin || ids[i] >= id_end) continue;
    const float *from = output_gradient + i * output_gradient_stride;
    float *to = gradient + ids[i] * gradient_stride;
    for (int64_t c = 0; c < columns; c++) to[c] += scale * from[c];
  }
}

static void optimizer_update(
    const samara_update *update, float *weights, const float *gradient, float *first,
    float *second, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    samara_update_element(
        update, weights + i, gradient[i], first ? first + i : 0, second ? second + i : 0);
  }
}

static double sum_of_squares(const float *x, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += (double)x[i] * x[i];
  return sum;
}

static double squared_distance(const float *a, const float *b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) {
    double difference = (double)a[i] - (double)b[i];
    sum += difference * difference;
  }
  return sum;
}

void samara_install_scalar_linear_gradient(samara_kernel_table *table) {
  table->linear_input_gradient = linear_input_gradient;
  table->linear_input_gradient_scratch_bytes = linear_input_gradient_scratch_bytes;
  table->linear_weight_gradient = linear_weight_gradient;
  table->linear_weight_gradient_scratch_bytes = linear_weight_gradient_scratch_bytes;
  table->column_sums = column_sums;
  table->embedding_gradient = embedding_gradient;
  table->optimizer_update = optimizer_update;
  table->sum_of_squares = sum_of_squares;
  table->squared_distance = squared_distance;
}
