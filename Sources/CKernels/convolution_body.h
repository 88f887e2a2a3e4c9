// Apache-2.0. Depthwise convolutions over images [height × width × channels], a vector of channels
// at a time. A convolution and its input gradient are the same sum over taps: each tap has a row of
// its source, a place in it and one weight a channel.
#pragma once
#include "derivative_body.h"
#include "update_body.h"

enum { TAPS = 49, PIXELS = 4 };

/// Weights as [tap][channel], or the sums of one vector of channels.
static size_t depthwise_scratch_bytes(int64_t channels, int64_t size) {
  return (size_t)(round_up(channels, 16) * size * size) * sizeof(float);
}

INLINE void turn_depthwise_weight(const samara_weight *w, float *taps) {
  for (int64_t c = 0; c < w->rows; c++) {
    for (int64_t t = 0; t < w->columns; t++) taps[t * w->rows + c] = samara_weight_element(w, c, t);
  }
}

/// Results of one row: result t at column first + t·spread, summed over taps from column
/// t·step + offset of each tap's row.
typedef struct tap_row {
  int64_t channels, count, step, source_width, first, spread;
  int64_t taps;
  const float *source[TAPS], *weight[TAPS];
  int64_t offset[TAPS];
  // What happens to a sum: + bias, activation, · activation′(saved), + residual.
  const float *bias, *saved, *residual;
  int32_t activation, saved_output;
  float *output;
} tap_row;

INLINE void finish_taps(const tap_row *r, int64_t t, int64_t i, int64_t some, vec v) {
  int64_t place = (r->first + t * r->spread) * r->channels;
  if (r->bias) v += GET(r->bias);
  if (r->saved) {
    v *= derivative_v(r->activation, r->saved_output, GET(r->saved + place));
  } else if (r->activation) {
    v = activation_v(r->activation, v);
  }
  if (r->residual) v += GET(r->residual + place);
  PUT(r->output + place, v);
}

/// `pixels` results from t, every tap inside its source.
INLINE void inner_taps(const tap_row *r, int64_t t, int pixels) {
  int64_t next = r->step * r->channels;
  FOR_VECTORS(r->channels) {
    vec sum[PIXELS];
#pragma clang loop unroll(full)
    for (int p = 0; p < pixels; p++) sum[p] = splat(0);
    for (int64_t k = 0; k < r->taps; k++) {
      const float *source = r->source[k] + t * next + r->offset[k] * r->channels;
      vec weight = GET(r->weight[k]);
#pragma clang loop unroll(full)
      for (int p = 0; p < pixels; p++) sum[p] = fma_v(GET(source + p * next), weight, sum[p]);
    }
#pragma clang loop unroll(full)
    for (int p = 0; p < pixels; p++) finish_taps(r, t + p, i, some, sum[p]);
  }
}

/// One result at a border: taps outside add nothing.
INLINE void border_taps(const tap_row *r, int64_t t) {
  FOR_VECTORS(r->channels) {
    vec sum = splat(0);
    for (int64_t k = 0; k < r->taps; k++) {
      int64_t column = t * r->step + r->offset[k];
      if (column < 0 || column >= r->source_width) continue;
      sum = fma_v(GET(r->source[k] + column * r->channels), GET(r->weight[k]), sum);
    }
    finish_taps(r, t, i, some, sum);
  }
}

static void run_taps(const tap_row *r) {
  int64_t least = INT64_MAX, most = INT64_MIN;
  for (int64_t k = 0; k < r->taps; k++) {
    least = r->offset[k] < least ? r->offset[k] : least;
    most = r->offset[k] > most ? r->offset[k] : most;
  }
  for (int64_t t = 0; t < r->count;) {
    int inside = r->taps && t * r->step + least >= 0;
    if (inside && (t + PIXELS - 1) * r->step + most < r->source_width && t + PIXELS <= r->count) {
      inner_taps(r, t, PIXELS);
      t += PIXELS;
    } else if (inside && t * r->step + most < r->source_width) {
      inner_taps(r, t++, 1);
    } else {
      border_taps(r, t++);
    }
  }
}

static void depthwise(const samara_depthwise_args *a) {
  const samara_window *w = &a->window;
  float *weights = a->scratch;
  turn_depthwise_weight(&a->weight, weights);
  tap_row row = {.channels = w->channels, .count = w->output_width, .step = w->stride,
                 .source_width = w->width, .spread = 1, .bias = a->bias,
                 .activation = a->activation};
  for (int64_t y = a->row_begin; y < a->row_end; y++) {
    row.taps = 0;
    for (int64_t k = 0; k < w->size * w->size; k++) {
      int64_t source = y * w->stride + k / w->size - w->top;
      if (source < 0 || source >= w->height) continue;
      row.source[row.taps] = a->input + source * w->width * w->channels;
      row.weight[row.taps] = weights + k * w->channels;
      row.offset[row.taps++] = k % w->size - w->left;
    }
    row.output = a->output + y * w->output_width * w->channels;
    run_taps(&row);
  }
}

/// The taps of input row i and of its columns q, q + stride, … whose window positions fall on whole
/// output pixels.
INLINE void gather_gradient_taps(
    const samara_depthwise_input_gradient_args *a, const float *weights, int64_t i, int64_t q,
    tap_row *row) {
  const samara_window *w = &a->window;
  row->taps = 0;
  for (int64_t k = 0; k < w->size * w->size; k++) {
    int64_t y = i + w->top - k / w->size, x = q + w->left - k % w->size;
    if (y < 0 || y % w->stride || x % w->stride || y / w->stride >= w->output_height) continue;
    row->source[row->taps] = a->output_gradient + y / w->stride * w->output_width * w->channels;
    row->weight[row->taps] = weights + k * w->channels;
    row->offset[row->taps++] = x / w->stride;
  }
}

static void depthwise_input_gradient(const samara_depthwise_input_gradient_args *a) {
  const samara_window *w = &a->window;
  float *weights = a->scratch;
  turn_depthwise_weight(&a->weight, weights);
  tap_row row = {.channels = w->channels, .step = 1, .source_width = w->output_width,
                 .spread = w->stride, .activation = a->saved ? a->activation : SAMARA_IDENTITY,
                 .saved_output = a->saved_output};
  for (int64_t i = a->row_begin; i < a->row_end; i++) {
    int64_t place = i * w->width * w->channels;
    row.output = a->input_gradient + place;
    row.saved = a->saved ? a->saved + place : 0;
    row.residual = a->residual ? a->residual + place : 0;
    for (int64_t q = 0; q < w->stride && q < w->width; q++) {
      gather_gradient_taps(a, weights, i, q, &row);
      row.first = q;
      row.count = (w->width - q + w->stride - 1) / w->stride;
      run_taps(&row);
    }
  }
}

/// Sums of `rows` × `size` taps from row `first` of the window for one vector of channels, over all
/// images and pixels: sums[channel][tap]. Sizes are constants where this is used.
INLINE void tap_sums(
    const samara_depthwise_weight_gradient_args *a, int64_t channel, int64_t some, int first,
    int rows, int size, float *sums) {
  const samara_window *w = &a->window;
  int64_t i = 0, wide = w->channels, area = w->size * w->size;
  vec sum[TAPS];
#pragma clang loop unroll(full)
  for (int k = 0; k < rows * size; k++) {
    float lanes[LANES] = {0};
    for (int64_t c = 0; c < some; c++) lanes[c] = sums[c * area + first * w->size + k];
    sum[k] = load(lanes);
  }
  const float *image = a->input + channel, *gradient = a->output_gradient + channel;
  for (int64_t b = 0; b < a->images; b++, image += w->height * w->width * wide) {
    for (int64_t y = 0; y < w->output_height; y++) {
      for (int64_t x = 0; x < w->output_width; x++, gradient += wide) {
        int64_t column = x * w->stride - w->left;
        int inside = column >= 0 && column + size <= w->width;
        vec d = GET(gradient);
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
          int64_t row = y * w->stride + first + r - w->top;
          if (row < 0 || row >= w->height) continue;
          const float *from = image + (row * w->width + column) * wide;
#pragma clang loop unroll(full)
          for (int j = 0; j < size; j++) {
            if (!inside && (column + j < 0 || column + j >= w->width)) continue;
            vec v = GET(from + j * wide);
            if (a->input_activation) v = activation_v(a->input_activation, v);
            sum[r * size + j] = fma_v(d, v, sum[r * size + j]);
          }
        }
      }
    }
  }
#pragma clang loop unroll(full)
  for (int k = 0; k < rows * size; k++) {
    for (int64_t c = 0; c < some; c++) sums[c * area + first * w->size + k] = sum[k][c];
  }
}

/// One tap of a window of any size.
static void one_tap(
    const samara_depthwise_weight_gradient_args *a, int64_t channel, int64_t some, int64_t tap,
    float *sums) {
  samara_depthwise_weight_gradient_args shifted = *a;
  samara_window *w = &shifted.window;
  w->top -= tap / w->size, w->left -= tap % w->size, w->size = 1;
  float lanes[LANES] = {0};
  int64_t area = a->window.size * a->window.size;
  for (int64_t c = 0; c < some; c++) lanes[c] = sums[c * area + tap];
  tap_sums(&shifted, channel, some, 0, 1, 1, lanes);
  for (int64_t c = 0; c < some; c++) sums[c * area + tap] = lanes[c];
}

/// All taps for one vector of channels; `some` is a constant for whole ones.
INLINE void window_sums(
    const samara_depthwise_weight_gradient_args *a, int64_t channel, int64_t some, float *sums) {
  int64_t size = a->window.size;
  if (size == 3) {
    tap_sums(a, channel, some, 0, 3, 3, sums);
  } else if (size == 5) {
    for (int r = 0; r < 5; r++) tap_sums(a, channel, some, r, 1, 5, sums);
  } else if (size == 7) {
    for (int r = 0; r < 7; r++) tap_sums(a, channel, some, r, 1, 7, sums);
  } else {
    for (int64_t k = 0; k < size * size; k++) one_tap(a, channel, some, k, sums);
  }
}

static void depthwise_weight_gradient(const samara_depthwise_weight_gradient_args *a) {
  const samara_window *w = &a->window;
  int64_t area = w->size * w->size, count = a->channel_end - a->channel_begin;
  int64_t place = a->channel_begin * area;
  float *sums = a->scratch;
  memset(sums, 0, (size_t)(round_up(count, LANES) * area) * 4);
  if (a->accumulate) memcpy(sums, a->gradient + place, (size_t)(count * area) * 4);
  // Image by image, since one may stay in the second cache for all channels.
  samara_depthwise_weight_gradient_args image = *a;
  image.images = 1;
  for (int64_t b = 0; b < a->images; b++) {
    for (int64_t c = 0; c < count; c += LANES) {
      int64_t channel = a->channel_begin + c, some = smaller(LANES, count - c);
      if (some == LANES) {
        window_sums(&image, channel, LANES, sums + c * area);
      } else {
        window_sums(&image, channel, some, sums + c * area);
      }
    }
    image.input += w->height * w->width * w->channels;
    image.output_gradient += w->output_height * w->output_width * w->channels;
  }
  if (a->update) {
    optimizer_update(a->update, a->weights + place, sums, a->first ? a->first + place : 0,
                     a->second ? a->second + place : 0, count * area);
  } else {
    memcpy(a->gradient + place, sums, (size_t)(count * area) * 4);
  }
}

/// Patches of `channels` and `size`, which are constants where this matters.
INLINE void unfold_patches(
    const samara_window *w, const float *input, float *patches, int64_t pixel_begin,
    int64_t pixel_end, int64_t channels, int64_t size) {
  for (int64_t p = pixel_begin; p < pixel_end; p++, patches += channels * size * size) {
    int64_t y = p / w->output_width * w->stride - w->top;
    int64_t x = p % w->output_width * w->stride - w->left;
    const float *corner = input + (y * w->width + x) * channels;
    if (y >= 0 && y + size <= w->height && x >= 0 && x + size <= w->width) {
      for (int64_t i = 0; i < size; i++) {
        const float *from = corner + i * w->width * channels;
        for (int64_t j = 0; j < size; j++) {
          for (int64_t c = 0; c < channels; c++) {
            patches[(c * size + i) * size + j] = from[j * channels + c];
          }
        }
      }
      continue;
    }
    for (int64_t i = 0; i < size; i++) {
      for (int64_t j = 0; j < size; j++) {
        int seen = y + i >= 0 && y + i < w->height && x + j >= 0 && x + j < w->width;
        for (int64_t c = 0; c < channels; c++) {
          patches[(c * size + i) * size + j] =
              seen ? corner[(i * w->width + j) * channels + c] : 0;
        }
      }
    }
  }
}

static void unfold(
    const samara_window *w, const float *input, float *patches, int64_t pixel_begin,
    int64_t pixel_end) {
  if (w->channels == 3 && w->size == 3) {
    unfold_patches(w, input, patches, pixel_begin, pixel_end, 3, 3);
  } else {
    unfold_patches(w, input, patches, pixel_begin, pixel_end, w->channels, w->size);
  }
}

static void average_pool(const float *input, int64_t pixels, int64_t channels, float *output) {
  column_sums(input, channels, pixels, channels, output, 0);
  float share = 1 / (float)pixels;
  FOR_VECTORS(channels) PUT(output, GET(output) * splat(share));
}

static void average_pool_gradient(
    const float *output_gradient, int64_t pixels, int64_t channels, float *input_gradient) {
  float share = 1 / (float)pixels;
  for (int64_t p = 0; p < pixels; p++, input_gradient += channels) {
    FOR_VECTORS(channels) PUT(input_gradient, GET(output_gradient) * splat(share));
  }
}
