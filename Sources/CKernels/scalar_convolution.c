// Apache-2.0. The oracle of convolutions and pooling.
#include "scalar_dense.h"
#include "update.h"

static size_t depthwise_scratch_bytes(int64_t channels, int64_t size) {
  (void)channels, (void)size;
  return 64;
}

/// Element (y, x) of channel c of one image; zero outside.
static float pixel(const samara_window *w, const float *image, int64_t y, int64_t x, int64_t c) {
  if (y < 0 || y >= w->height || x < 0 || x >= w->width) return 0;
  return image[(y * w->width + x) * w->channels + c];
}

static void depthwise(const samara_depthwise_args *a) {
  const samara_window *w = &a->window;
  for (int64_t y = a->row_begin; y < a->row_end; y++) {
    for (int64_t x = 0; x < w->output_width; x++) {
      for (int64_t c = 0; c < w->channels; c++) {
        double sum = a->bias ? a->bias[c] : 0;
        for (int64_t ij = 0; ij < w->size * w->size; ij++) {
          int64_t i = y * w->stride + ij / w->size - w->top;
          int64_t j = x * w->stride + ij % w->size - w->left;
          sum += (double)pixel(w, a->input, i, j, c) * samara_weight_element(&a->weight, c, ij);
        }
        a->output[(y * w->output_width + x) * w->channels + c] =
            samara_scalar_activation(a->activation, (float)sum);
      }
    }
  }
}

static void depthwise_input_gradient(const samara_depthwise_input_gradient_args *a) {
  const samara_window *w = &a->window;
  for (int64_t i = a->row_begin; i < a->row_end; i++) {
    for (int64_t j = 0; j < w->width; j++) {
      for (int64_t c = 0; c < w->channels; c++) {
        double sum = 0;
        for (int64_t ij = 0; ij < w->size * w->size; ij++) {
          int64_t y = i + w->top - ij / w->size, x = j + w->left - ij % w->size;
          if (y < 0 || x < 0 || y % w->stride || x % w->stride) continue;
          y /= w->stride, x /= w->stride;
          if (y >= w->output_height || x >= w->output_width) continue;
          sum += (double)a->output_gradient[(y * w->output_width + x) * w->channels + c] *
                 samara_weight_element(&a->weight, c, ij);
        }
        int64_t place = (i * w->width + j) * w->channels + c;
        float value = (float)sum;
        if (a->saved) {
          value *= samara_scalar_derivative(a->activation, a->saved_output, a->saved[place]);
        }
        a->input_gradient[place] = a->residual ? value + a->residual[place] : value;
      }
    }
  }
}

/// Σ over images and pixels for one element of the weight.
static double weight_sum(
    const samara_depthwise_weight_gradient_args *a, int64_t c, int64_t i, int64_t j) {
  const samara_window *w = &a->window;
  const float *image = a->input, *gradient = a->output_gradient + c;
  double sum = 0;
  for (int64_t b = 0; b < a->images; b++, image += w->height * w->width * w->channels) {
    for (int64_t y = 0; y < w->output_height; y++) {
      for (int64_t x = 0; x < w->output_width; x++, gradient += w->channels) {
        int64_t row = y * w->stride + i - w->top, column = x * w->stride + j - w->left;
        float value = pixel(w, image, row, column, c);
        sum += (double)*gradient * samara_scalar_activation(a->input_activation, value);
      }
    }
  }
  return sum;
}

static void depthwise_weight_gradient(const samara_depthwise_weight_gradient_args *a) {
  int64_t size = a->window.size;
  for (int64_t c = a->channel_begin; c < a->channel_end; c++) {
    for (int64_t ij = 0; ij < size * size; ij++) {
      int64_t place = c * size * size + ij;
      double sum = weight_sum(a, c, ij / size, ij % size);
      if (a->accumulate) sum += a->gradient[place];
      if (a->update) {
        samara_update_element(
            a->update, a->weights + place, (float)sum, a->first ? a->first + place : 0,
            a->second ? a->second + place : 0);
      } else {
        a->gradient[place] = (float)sum;
      }
    }
  }
}

static void unfold(
    const samara_window *w, const float *input, float *patches, int64_t pixel_begin,
    int64_t pixel_end) {
  for (int64_t p = pixel_begin; p < pixel_end; p++) {
    int64_t y = p / w->output_width * w->stride - w->top;
    int64_t x = p % w->output_width * w->stride - w->left;
    for (int64_t c = 0; c < w->channels; c++) {
      for (int64_t ij = 0; ij < w->size * w->size; ij++) {
        *patches++ = pixel(w, input, y + ij / w->size, x + ij % w->size, c);
      }
    }
  }
}

static void fold(
    const samara_window *w, const float *patches, float *input_gradient, int64_t row_begin,
    int64_t row_end) {
  int64_t area = w->size * w->size;
  for (int64_t i = row_begin; i < row_end; i++) {
    for (int64_t j = 0; j < w->width; j++) {
      for (int64_t c = 0; c < w->channels; c++) {
        float sum = 0;
        for (int64_t ij = 0; ij < area; ij++) {
          int64_t y = i + w->top - ij / w->size, x = j + w->left - ij % w->size;
          if (y < 0 || x < 0 || y % w->stride || x % w->stride) continue;
          y /= w->stride, x /= w->stride;
          if (y >= w->output_height || x >= w->output_width) continue;
          sum += patches[((y * w->output_width + x) * w->channels + c) * area + ij];
        }
        input_gradient[(i * w->width + j) * w->channels + c] = sum;
      }
    }
  }
}

static void average_pool(const float *input, int64_t pixels, int64_t channels, float *output) {
  for (int64_t c = 0; c < channels; c++) {
    double sum = 0;
    for (int64_t p = 0; p < pixels; p++) sum += input[p * channels + c];
    output[c] = (float)(sum / (double)pixels);
  }
}

static void average_pool_gradient(
    const float *output_gradient, int64_t pixels, int64_t channels, float *input_gradient) {
  for (int64_t p = 0; p < pixels; p++) {
    for (int64_t c = 0; c < channels; c++) {
      input_gradient[p * channels + c] = output_gradient[c] / (float)pixels;
    }
  }
}

void samara_install_scalar_convolution(samara_kernel_table *table) {
  table->depthwise = depthwise;
  table->depthwise_scratch_bytes = depthwise_scratch_bytes;
  table->depthwise_input_gradient = depthwise_input_gradient;
  table->depthwise_weight_gradient = depthwise_weight_gradient;
  table->unfold = unfold;
  table->fold = fold;
  table->average_pool = average_pool;
  table->average_pool_gradient = average_pool_gradient;
}
