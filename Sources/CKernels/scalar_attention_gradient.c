// Apache-2.0. The oracle of the gradient of attention, one query at a time.
#include "scalar_dense.h"

#include <math.h>

static size_t attention_gradient_scratch_bytes(int64_t queries, int64_t keys, int64_t dimension) {
  (void)queries, (void)dimension;
  return (size_t)(2 * keys + 16) * sizeof(double);
}

/// Probabilities of one query over the first `keys` keys.
static void probabilities(
    const samara_attention_gradient_args *a, const float *query, int64_t keys, double *p) {
  double maximum = -INFINITY, sum = 0;
  for (int64_t u = 0; u < keys; u++) {
    const float *key = a->key + u * a->key_stride;
    double score = 0;
    for (int64_t i = 0; i < a->head_dimension; i++) score += (double)query[i] * key[i];
    p[u] = score * a->scale;
    maximum = p[u] > maximum ? p[u] : maximum;
  }
  for (int64_t u = 0; u < keys; u++) sum += p[u] = exp(p[u] - maximum);
  for (int64_t u = 0; u < keys; u++) p[u] /= sum;
}

/// What one query of one head adds: dv += p·do, ds = p·(dp − Σ p·dp), dq = ds·k, dk += ds·q.
static void query_gradients(
    const samara_attention_gradient_args *a, int64_t head, int64_t t, double *p, double *dp) {
  int64_t keys = a->causal && t + 1 < a->key_length ? t + 1 : a->key_length;
  const float *query = a->query + t * a->query_stride + head * a->head_stride;
  const float *gradient =
      a->output_gradient + t * a->output_gradient_stride + head * a->head_stride;
  float *query_gradient =
      a->query_gradient + t * a->query_gradient_stride + head * a->head_stride;
  probabilities(a, query, keys, p);
  double total = 0;
  for (int64_t u = 0; u < keys; u++) {
    const float *value = a->value + u * a->value_stride;
    dp[u] = 0;
    for (int64_t i = 0; i < a->head_dimension; i++) dp[u] += (double)gradient[i] * value[i];
    total += p[u] * dp[u];
  }
  for (int64_t i = 0; i < a->head_dimension; i++) {
    double sum = 0;
    for (int64_t u = 0; u < keys; u++) {
      double score = p[u] * (dp[u] - total) * a->scale;
      sum += score * a->key[u * a->key_stride + i];
      a->key_gradient[u * a->key_gradient_stride + i] += (float)(score * query[i]);
      a->value_gradient[u * a->value_gradient_stride + i] += (float)(p[u] * gradient[i]);
    }
    query_gradient[i] = (float)sum;
  }
}

static void attention_gradient(const samara_attention_gradient_args *a) {
  double *p = a->scratch, *dp = p + a->key_length;
  for (int64_t u = 0; u < a->key_count; u++) {
    for (int64_t i = 0; i < a->head_dimension; i++) {
      a->key_gradient[u * a->key_gradient_stride + i] = 0;
      a->value_gradient[u * a->value_gradient_stride + i] = 0;
    }
  }
  for (int64_t head = 0; head < a->heads; head++) {
    for (int64_t t = 0; t < a->query_count; t++) query_gradients(a, head, t, p, dp);
  }
}

void samara_install_scalar_attention_gradient(samara_kernel_table *table) {
  table->attention_gradient = attention_gradient;
  table->attention_gradient_scratch_bytes = attention_gradient_scratch_bytes;
}
