// Apache-2.0. Attention, softmax and rotary positions.
#include "scalar_dense.h"

#include <math.h>

/// In place over one row; a row of −∞ alone becomes zeros, not NaN: nothing to attend to.
static void softmax_row(const float *input, float *output, int64_t count) {
  float maximum = -INFINITY, sum = 0;
  for (int64_t i = 0; i < count; i++) maximum = input[i] > maximum ? input[i] : maximum;
  if (maximum == -INFINITY) maximum = 0;
  for (int64_t i = 0; i < count; i++) sum += output[i] = expf(input[i] - maximum);
  float scale = sum == 0 ? 0 : 1 / sum;
  for (int64_t i = 0; i < count; i++) output[i] *= scale;
}

static void softmax(const float *input, float *output, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; r++) {
    softmax_row(input + r * columns, output + r * columns, columns);
  }
}

static size_t attention_scratch_bytes(int64_t queries, int64_t keys, int64_t dimension) {
  (void)queries, (void)dimension;
  return (size_t)(keys + 16) * sizeof(float);
}

static void attention(const samara_attention_args *a) {
  float *scores = a->scratch;
  for (int64_t t = 0; t < a->query_count; t++) {
    const float *query = a->query + t * a->query_stride;
    float *output = a->output + t * a->output_stride;
    int64_t keys = a->causal && t + 1 < a->key_length ? t + 1 : a->key_length;
    for (int64_t u = 0; u < keys; u++) {
      scores[u] =
          a->scale * samara_scalar_dot(query, a->key + u * a->key_stride, a->head_dimension);
    }
    softmax_row(scores, scores, keys);
    for (int64_t i = 0; i < a->head_dimension; i++) {
      float sum = 0;
      for (int64_t u = 0; u < keys; u++) sum += scores[u] * a->value[u * a->value_stride + i];
      output[i] = sum;
    }
  }
}

/// Halves layout: element i pairs with element i + head_dimension / 2, as in Llama checkpoints.
/// cosines and sines: [positions × head_dimension / 2].
static void rotary(
    float *x, int64_t positions, int64_t position_stride, int64_t heads, int64_t head_dimension,
    const float *cosines, const float *sines) {
  int64_t half = head_dimension / 2;
  for (int64_t t = 0; t < positions; t++) {
    for (int64_t h = 0; h < heads; h++) {
      float *head = x + t * position_stride + h * head_dimension;
      for (int64_t i = 0; i < half; i++) {
        float c = cosines[t * half + i], s = sines[t * half + i];
        float low = head[i], high = head[i + half];
        head[i] = low * c - high * s;
        head[i + half] = high * c + low * s;
      }
    }
  }
}

void samara_install_scalar_attention(samara_kernel_table *table) {
  table->softmax = softmax;
  table->attention = attention;
  table->attention_scratch_bytes = attention_scratch_bytes;
  table->rotary = rotary;
}
