// Apache-2.0. Gradients of everything between linear layers.
#pragma once
#include "derivative_body.h"
#include "pointwise_body.h"

static void activation_gradient(
    int32_t activation, int32_t saved_output, const float *saved, const float *output_gradient,
    float *input_gradient, int64_t count) {
  FOR_VECTORS(count) {
    vec slope = derivative_v(activation, saved_output, GET(saved));
    PUT(input_gradient, GET(output_gradient) * slope);
  }
}

static void silu_multiply_gradient(
    const float *gate, const float *up, const float *output_gradient, float *gate_gradient,
    float *up_gradient, int64_t count) {
  FOR_VECTORS(count) {
    vec x = GET(gate), u = GET(up), d = GET(output_gradient);
    vec s = splat(1) / (splat(1) + exp_v(-x));
    PUT(up_gradient, d * (x * s));
    PUT(gate_gradient, d * u * (s * fma_v(x, splat(1) - s, splat(1))));
  }
}

/// Lanes of the last vector that are past the end made zero.
#define ONLY(v) \
  (some == LANES ? (v) : select_v(lane_numbers() < isplat((int32_t)some), (v), splat(0)))

/// One row: x̂ = (x − mean)·r, dx = r·(ĝ − [mean ĝ] − x̂·mean(ĝ·x̂)), ĝ = gradient · gain; the mean
/// and the term in brackets for layer_norm alone.
INLINE void norm_gradient_row(const samara_norm_gradient_args *a, int64_t row, int centred) {
  int64_t columns = a->columns;
  const float *x = a->input + row * columns, *d = a->output_gradient + row * columns;
  float width = (float)columns, average = 0;
  if (centred) {
    vec sum = splat(0);
    FOR_VECTORS(columns) sum += GET(x);
    average = sum_lanes(sum) / width;
  }
  vec mean = splat(average), squares = splat(0), sum = splat(0), product = splat(0);
  FOR_VECTORS(columns) {
    vec centre = centred ? ONLY(GET(x) - mean) : GET(x), g = GET(d) * GET(a->gain);
    squares = fma_v(centre, centre, squares);
    product = fma_v(g, centre, product);
    sum += g;
  }
  vec r = splat(1 / sqrtf(sum_lanes(squares) / width + a->epsilon));
  vec total = centred ? splat(sum_lanes(sum) / width) : splat(0);
  vec along = splat(sum_lanes(product) / width) * r;
  const float *residual = a->residual ? a->residual + row * columns : 0;
  float *output = a->input_gradient ? a->input_gradient + row * columns : 0;
  FOR_VECTORS(columns) {
    vec centre = centred ? GET(x) - mean : GET(x);
    vec normal = centre * r, gradient = GET(d);
    if (a->gain_sums) PUT(a->gain_sums, fma_v(gradient, normal, GET(a->gain_sums)));
    if (a->bias_sums) PUT(a->bias_sums, GET(a->bias_sums) + gradient);
    if (!output) continue;
    vec value = r * (gradient * GET(a->gain) - total - normal * along);
    if (residual) value += GET(residual);
    PUT(output, value);
  }
}

INLINE void norm_gradient(const samara_norm_gradient_args *a, int centred) {
  if (a->gain_sums) memset(a->gain_sums, 0, (size_t)a->columns * 4);
  if (a->bias_sums) memset(a->bias_sums, 0, (size_t)a->columns * 4);
  for (int64_t row = 0; row < a->rows; row++) norm_gradient_row(a, row, centred);
}

static void rms_norm_gradient(const samara_norm_gradient_args *a) { norm_gradient(a, 0); }
static void layer_norm_gradient(const samara_norm_gradient_args *a) { norm_gradient(a, 1); }

static void softmax_gradient(
    const float *probabilities, const float *output_gradient, float *input_gradient, int64_t rows,
    int64_t columns) {
  for (int64_t r = 0; r < rows; r++) {
    vec sum = splat(0);
    FOR_VECTORS(columns) sum = fma_v(GET(probabilities), GET(output_gradient), sum);
    vec total = splat(sum_lanes(sum));
    FOR_VECTORS(columns) {
      PUT(input_gradient, GET(probabilities) * (GET(output_gradient) - total));
    }
    probabilities += columns, output_gradient += columns, input_gradient += columns;
  }
}

static void rotary_gradient(
    float *x, int64_t positions, int64_t position_stride, int64_t heads, int64_t head_dimension,
    const float *cosines, const float *sines) {
  int64_t half = head_dimension / 2;
  for (int64_t t = 0; t < positions; t++, cosines += half, sines += half) {
    for (int64_t h = 0; h < heads; h++) {
      float *low = x + t * position_stride + h * head_dimension, *high = low + half;
      FOR_VECTORS(half) {
        vec c = GET(cosines), s = GET(sines), a = GET(low), b = GET(high);
        PUT(low, a * c + b * s);
        PUT(high, b * c - a * s);
      }
    }
  }
}

static void logits_gradient(const samara_logits_gradient_args *a) {
  int64_t columns = a->columns;
  for (int64_t r = 0; r < a->rows; r++) {
    float *row = a->logits + r * a->logits_stride;
    int64_t label = a->labels[r], best = 0;
    if (a->losses) a->losses[r] = 0;
    if (a->predictions) a->predictions[r] = -1;
    if (label < 0) {
      memset(row, 0, (size_t)columns * 4);
      continue;
    }
    float most = row_maximum(row, columns), target = row[label];
    while (best + 1 < columns && row[best] != most) best++;
    if (a->predictions) a->predictions[r] = (int32_t)best;
    most = most == -INFINITY ? 0 : most;
    float sum = exponentials(row, columns, most);
    if (a->losses) a->losses[r] = logf(sum) + most - target;
    float weight = (a->loss_gradients ? a->loss_gradients[r] : 1) * a->loss_gradient;
    vec share = splat(weight / sum);
    FOR_VECTORS(columns) PUT(row, GET(row) * share);
    row[label] -= weight;
  }
}

static void scale(const float *input, float factor, float *output, int64_t count) {
  FOR_VECTORS(count) PUT(output, splat(factor) * GET(input));
}
