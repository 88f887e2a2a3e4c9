// Apache-2.0. Optimisers, sums of squares and sums over rows.
#pragma once
#include "pointwise_body.h"
#include "update.h"

/// What samara_update_element does, LANES at a time; the same operations in the same order.
static void optimizer_update(
    const samara_update *u, float *weights, const float *gradient, float *first, float *second,
    int64_t count) {
  vec scale = splat(u->scale), rate = splat(u->rate), decay = splat(u->decay);
  vec momentum = splat(u->momentum);
  if (u->rule == SAMARA_ADAMW) {
    vec rest = splat(1 - u->momentum), second_momentum = splat(u->second_momentum);
    vec second_rest = splat(1 - u->second_momentum), shrink = splat(u->rate * u->decay);
    vec pace = splat(u->rate * u->first_correction), correction = splat(u->second_correction);
    FOR_VECTORS(count) {
      vec w = GET(weights), g = GET(gradient) * scale;
      vec m = momentum * GET(first) + rest * g;
      vec v = second_momentum * GET(second) + second_rest * (g * g);
      w = w - shrink * w;
      vec root = __builtin_elementwise_sqrt(v) * correction + splat(u->epsilon);
      PUT(first, m);
      PUT(second, v);
      PUT(weights, w - pace * m / root);
    }
    return;
  }
  FOR_VECTORS(count) {
    vec w = GET(weights), g = GET(gradient) * scale + decay * w;
    if (u->rule == SAMARA_MOMENTUM) {
      g = momentum * GET(first) + g;
      PUT(first, g);
    }
    PUT(weights, w - rate * g);
  }
}

typedef double wide __attribute__((vector_size(LANES * 8)));

INLINE double sum_wide(const wide *v) {
  double sum = 0;
  for (int i = 0; i < LANES; i++) sum += (*v)[i];
  return sum;
}

static double sum_of_squares(const float *x, int64_t count) {
  wide sum = {0};
  FOR_VECTORS(count) {
    wide v = __builtin_convertvector(GET(x), wide);
    sum += v * v;
  }
  return sum_wide(&sum);
}

static double squared_distance(const float *a, const float *b, int64_t count) {
  wide sum = {0};
  FOR_VECTORS(count) {
    wide v = __builtin_convertvector(GET(a), wide) - __builtin_convertvector(GET(b), wide);
    sum += v * v;
  }
  return sum_wide(&sum);
}

/// Four vectors of columns at a time stay in registers over all rows.
static void column_sums(
    const float *x, int64_t stride, int64_t rows, int64_t columns, float *sums,
    int32_t accumulate) {
  int64_t c = 0;
  for (; c + 4 * LANES <= columns; c += 4 * LANES) {
    vec sum[4];
#pragma clang loop unroll(full)
    for (int g = 0; g < 4; g++) sum[g] = accumulate ? load(sums + c + g * LANES) : splat(0);
    for (int64_t r = 0; r < rows; r++) {
#pragma clang loop unroll(full)
      for (int g = 0; g < 4; g++) sum[g] += load(x + r * stride + c + g * LANES);
    }
#pragma clang loop unroll(full)
    for (int g = 0; g < 4; g++) store(sums + c + g * LANES, sum[g]);
  }
  x += c, sums += c, columns -= c;
  FOR_VECTORS(columns) {
    vec sum = accumulate ? GET(sums) : splat(0);
    for (int64_t r = 0; r < rows; r++) sum += GET(x + r * stride);
    PUT(sums, sum);
  }
}

static void embedding_gradient(
    const float *output_gradient, int64_t output_gradient_stride, const int32_t *ids,
    int64_t count, float scale, float *gradient, int64_t gradient_stride, int64_t columns,
    int64_t id_begin, int64_t id_end) {
  for (int64_t row = 0; row < count; row++) {
    if (ids[row] < id_begin || ids[row] >= id_end) continue;
    const float *from = output_gradient + row * output_gradient_stride;
    float *to = gradient + ids[row] * gradient_stride;
    FOR_VECTORS(columns) PUT(to, GET(to) + splat(scale) * GET(from));
  }
}
