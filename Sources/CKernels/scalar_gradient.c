// Apache-2.0. The oracle of the gradients of everything between linear layers.
#include "scalar_dense.h"

#include <math.h>

float samara_scalar_derivative(int32_t activation, int32_t saved_output, float saved) {
  double x = saved;
  switch (activation) {
    case SAMARA_GELU:
      return (float)(0.5 * (1 + erf(x * 0.70710678118654752)) +
                     x * 0.39894228040143268 * exp(-0.5 * x * x));
    case SAMARA_GELU_TANH: {
      double slope = 0.7978845608028654;
      double t = tanh(slope * (x + 0.044715 * x * x * x));
      return (float)(0.5 * (1 + t) +
                     0.5 * x * (1 - t * t) * slope * (1 + 3 * 0.044715 * x * x));
    }
    case SAMARA_SILU: {
      double s = 1 / (1 + exp(-x));
      return (float)(s * (1 + x * (1 - s)));
    }
    case SAMARA_TANH: {
      double t = saved_output ? x : tanh(x);
      return (float)(1 - t * t);
    }
    case SAMARA_RELU: return x > 0;
    case SAMARA_RELU6: return x > 0 && x < 6;
    default: return 1;
  }
}

static void activation_gradient(
    int32_t activation, int32_t saved_output, const float *saved, const float *output_gradient,
    float *input_gradient, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    input_gradient[i] =
        output_gradient[i] * samara_scalar_derivative(activation, saved_output, saved[i]);
  }
}

static void silu_multiply_gradient(
    const float *gate, const float *up, const float *output_gradient, float *gate_gradient,
    float *up_gradient, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    float g = gate[i], slope = samara_scalar_derivative(SAMARA_SILU, 0, g), d = output_gradient[i];
    float u = up[i];
    up_gradient[i] = d * samara_scalar_activation(SAMARA_SILU, g);
    gate_gradient[i] = d * u * slope;
  }
}

/// One row of a norm with the given mean: x̂ = (x − mean)·r. d x = r·(ĝ − [mean ĝ] − x̂·mean(ĝ·x̂)),
/// ĝ = gradient · gain, the term in brackets for layer_norm alone.
static void norm_gradient_row(
    const samara_norm_gradient_args *a, int64_t row, double mean, double variance, int centred) {
  const float *x = a->input + row * a->columns, *d = a->output_gradient + row * a->columns;
  double r = 1 / sqrt(variance + a->epsilon), sum = 0, product = 0;
  for (int64_t c = 0; c < a->columns; c++) {
    double g = (double)d[c] * a->gain[c], normal = (x[c] - mean) * r;
    sum += g;
    product += g * normal;
  }
  sum = centred ? sum / (double)a->columns : 0;
  product /= (double)a->columns;
  for (int64_t c = 0; c < a->columns; c++) {
    double g = (double)d[c] * a->gain[c], normal = (x[c] - mean) * r;
    if (a->gain_sums) a->gain_sums[c] += (float)(d[c] * normal);
    if (a->bias_sums) a->bias_sums[c] += d[c];
    if (!a->input_gradient) continue;
    float value = (float)(r * (g - sum - normal * product));
    if (a->residual) value += a->residual[row * a->columns + c];
    a->input_gradient[row * a->columns + c] = value;
  }
}

static void norm_gradient(const samara_norm_gradient_args *a, int centred) {
  for (int64_t c = 0; c < a->columns; c++) {
    if (a->gain_sums) a->gain_sums[c] = 0;
    if (a->bias_sums) a->bias_sums[c] = 0;
  }
  for (int64_t row = 0; row < a->rows; row++) {
    const float *x = a->input + row * a->columns;
    double mean = 0, variance = 0;
    for (int64_t c = 0; centred && c < a->columns; c++) mean += x[c];
    mean /= (double)a->columns;
    for (int64_t c = 0; c < a->columns; c++) variance += (x[c] - mean) * (x[c] - mean);
    norm_gradient_row(a, row, mean, variance / (double)a->columns, centred);
  }
}

static void rms_norm_gradient(const samara_norm_gradient_args *a) { norm_gradient(a, 0); }
static void layer_norm_gradient(const samara_norm_gradient_args *a) { norm_gradient(a, 1); }

static void softmax_gradient(
    const float *probabilities, const float *output_gradient, float *input_gradient, int64_t rows,
    int64_t columns) {
  for (int64_t r = 0; r < rows; r++) {
    const float *p = probabilities + r * columns, *d = output_gradient + r * columns;
    double sum = 0;
    for (int64_t c = 0; c < columns; c++) sum += (double)p[c] * d[c];
    for (int64_t c = 0; c < columns; c++) {
      input_gradient[r * columns + c] = (float)(p[c] * (d[c] - sum));
    }
  }
}

static void rotary_gradient(
    float *x, int64_t positions, int64_t position_stride, int64_t heads, int64_t head_dimension,
    const float *cosines, const float *sines) {
  int64_t half = head_dimension / 2;
  for (int64_t t = 0; t < positions; t++) {
    for (int64_t h = 0; h < heads; h++) {
      float *head = x + t * position_stride + h * head_dimension;
      for (int64_t i = 0; i < half; i++) {
        float c = cosines[t * half + i], s = sines[t * half + i];
        float low = head[i], high = head[i + half];
        head[i] = low * c + high * s;
        head[i + half] = high * c - low * s;
      }
    }
  }
}

static void logits_gradient(const samara_logits_gradient_args *a) {
  for (int64_t r = 0; r < a->rows; r++) {
    float *row = a->logits + r * a->logits_stride;
    int64_t label = a->labels[r], best = 0;
    if (a->losses) a->losses[r] = 0;
    if (a->predictions) a->predictions[r] = -1;
    if (label < 0) {
      for (int64_t c = 0; c < a->columns; c++) row[c] = 0;
      continue;
    }
    for (int64_t c = 1; c < a->columns; c++) best = row[c] > row[best] ? c : best;
    double most = isinf(row[best]) ? 0 : row[best], sum = 0;
    for (int64_t c = 0; c < a->columns; c++) sum += exp(row[c] - most);
    if (a->losses) a->losses[r] = (float)(log(sum) + most - row[label]);
    if (a->predictions) a->predictions[r] = (int32_t)best;
    double weight = (a->loss_gradients ? a->loss_gradients[r] : 1) * a->loss_gradient;
    for (int64_t c = 0; c < a->columns; c++) {
      row[c] = (float)(weight * (exp(row[c] - most) / sum - (c == label)));
    }
  }
}

static void scale(const float *input, float factor, float *output, int64_t count) {
  for (int64_t i = 0; i < count; i++) output[i] = factor * input[i];
}

void samara_install_scalar_gradient(samara_kernel_table *table) {
  table->activation_gradient = activation_gradient;
  table->silu_multiply_gradient = silu_multiply_gradient;
  table->rms_norm_gradient = rms_norm_gradient;
  table->layer_norm_gradient = layer_norm_gradient;
  table->softmax_gradient = softmax_gradient;
  table->rotary_gradient = rotary_gradient;
  table->logits_gradient = logits_gradient;
  table->scale = scale;
}
