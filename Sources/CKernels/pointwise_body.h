// Apache-2.0. Weights into scratch, embeddings, norms, rotary positions and activations.
#pragma once
#include "math_body.h"

/// One row of a weight, perturbed where it says so.
INLINE void weight_row(const samara_weight *w, int64_t row, float *output) {
  int64_t c = 0;
  for (; c + LANES <= w->columns; c += LANES) store(output + c, load_weight(w, row, c));
  if (c < w->columns) {
    store_some(output + c, load_weight_some(w, row, c, w->columns - c), w->columns - c);
  }
}

static void materialize(
    const samara_weight *w, int64_t row_begin, int64_t row_end, float *output) {
  for (int64_t r = row_begin; r < row_end; r++) {
    weight_row(w, r, output + (r - row_begin) * w->columns);
  }
}

static void embedding(
    const samara_weight *w, const int32_t *ids, int64_t count, float *output, int64_t stride) {
  for (int64_t i = 0; i < count; i++) weight_row(w, ids[i], output + i * stride);
}

/// Runs `body` for vectors at `i`, the last one shorter: GET reads one, PUT writes one.
#define GET(p) (some == LANES ? load((p) + i) : load_some((p) + i, some))
#define PUT(p, v)                      \
  do {                                 \
    if (some == LANES) {               \
      store((p) + i, v);               \
    } else {                           \
      store_some((p) + i, v, some);    \
    }                                  \
  } while (0)
#define FOR_VECTORS(count) \
  for (int64_t i = 0, some; some = (count)-i < LANES ? (count)-i : LANES, i < (count); i += LANES)

static void rms_norm(
    const float *input, const float *gain, float *output, int64_t rows, int64_t columns,
    float epsilon) {
  for (int64_t r = 0; r < rows; r++, input += columns, output += columns) {
    vec squares = splat(0);
    FOR_VECTORS(columns) {
      vec x = GET(input);
      squares = fma_v(x, x, squares);
    }
    float scale = 1 / sqrtf(sum_lanes(squares) / (float)columns + epsilon);
    FOR_VECTORS(columns) PUT(output, GET(input) * splat(scale) * GET(gain));
  }
}

static void layer_norm(
    const float *input, const float *gain, const float *bias, float *output, int64_t rows,
    int64_t columns, float epsilon) {
  for (int64_t r = 0; r < rows; r++, input += columns, output += columns) {
    vec sum = splat(0), squares = splat(0);
    FOR_VECTORS(columns) sum += GET(input);
    vec mean = splat(sum_lanes(sum) / (float)columns);
    FOR_VECTORS(columns) {
      vec x = GET(input) - mean;
      if (some < LANES) x = select_v(lane_numbers() < isplat((int32_t)some), x, splat(0));
      squares = fma_v(x, x, squares);
    }
    vec scale = splat(1 / sqrtf(sum_lanes(squares) / (float)columns + epsilon));
    FOR_VECTORS(columns) {
      vec x = (GET(input) - mean) * scale * GET(gain);
      if (bias) x += GET(bias);
      PUT(output, x);
    }
  }
}

static void activate(int32_t activation, const float *input, float *output, int64_t count) {
  FOR_VECTORS(count) PUT(output, activation_v(activation, GET(input)));
}

static void silu_multiply(const float *gate, const float *up, float *output, int64_t count) {
  FOR_VECTORS(count) PUT(output, sigmoid_times(GET(gate)) * GET(up));
}

static void add(const float *a, const float *b, float *output, int64_t count) {
  FOR_VECTORS(count) PUT(output, GET(a) + GET(b));
}

/// Halves layout: element i pairs with element i + head_dimension / 2.
static void rotary(
    float *x, int64_t positions, int64_t position_stride, int64_t heads, int64_t head_dimension,
    const float *cosines, const float *sines) {
  int64_t half = head_dimension / 2;
  for (int64_t t = 0; t < positions; t++, cosines += half, sines += half) {
    for (int64_t h = 0; h < heads; h++) {
      float *low = x + t * position_stride + h * head_dimension, *high = low + half;
      FOR_VECTORS(half) {
        vec c = GET(cosines), s = GET(sines), a = GET(low), b = GET(high);
        PUT(low, a * c - b * s);
        PUT(high, b * c + a * s);
      }
    }
  }
}

/// e^(x − maximum) over a row, in place; the sum of it.
INLINE float exponentials(float *row, int64_t count, float maximum) {
  vec sum = splat(0);
  FOR_VECTORS(count) {
    vec e = exp_v(GET(row) - splat(maximum));
    if (some < LANES) e = select_v(lane_numbers() < isplat((int32_t)some), e, splat(0));
    sum += e;
    PUT(row, e);
  }
  return sum_lanes(sum);
}

/// The largest of a row; −∞ of an empty one.
INLINE float row_maximum(const float *row, int64_t count) {
  vec most = splat(-INFINITY);
  FOR_VECTORS(count) {
    vec v = GET(row);
    if (some < LANES) v = select_v(lane_numbers() < isplat((int32_t)some), v, splat(-INFINITY));
    most = max_v(v, most);
  }
  return max_lanes(most);
}

static void softmax(const float *input, float *output, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; r++, input += columns, output += columns) {
    float maximum = row_maximum(input, columns);
    if (output != input) memcpy(output, input, (size_t)columns * sizeof(float));
    float sum = exponentials(output, columns, maximum == -INFINITY ? 0 : maximum);
    vec scale = splat(sum == 0 ? 0 : 1 / sum);
    FOR_VECTORS(columns) PUT(output, GET(output) * scale);
  }
}
