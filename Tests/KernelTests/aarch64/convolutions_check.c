// Apache-2.0. Convolutions, their gradients and pooling.
#include "check.h"

#include <stdio.h>
#include <string.h>

static void check_window(
    const samara_kernel_table *scalar, const samara_kernel_table *fast, samara_window w,
    int32_t activation) {
  char what[96];
  snprintf(what, sizeof what, "%lldx%lldx%lld window %lld stride %lld", (long long)w.height,
           (long long)w.width, (long long)w.channels, (long long)w.size, (long long)w.stride);
  enum { IMAGES = 2 };
  int64_t in = w.height * w.width * w.channels, out = w.output_height * w.output_width * w.channels;
  int64_t area = w.size * w.size, taps = w.channels * area;
  const float *x = random_floats(IMAGES * in, 1), *d = random_floats(IMAGES * out, 2);
  samara_weight weight = random_weight(w.channels, area, SAMARA_F32, taps % 2 ? 5 : -1, 3);
  float *y[2], *dx[2], *dw[2], *patches[2], *folded[2], *pooled[2];
  samara_update update = {.rule = SAMARA_SGD, .rate = 0.01f, .scale = 1};
  for (int t = 0; t < 2; t++) {
    const samara_kernel_table *table = t ? fast : scalar;
    void *scratch = memory(table->depthwise_scratch_bytes(w.channels, w.size));
    samara_depthwise_args a = {.window = w, .input = x, .weight = weight,
                               .bias = random_floats(w.channels, 4), .activation = activation,
                               .output = y[t] = memory((size_t)out * 4), .scratch = scratch};
    for (a.row_begin = 0; a.row_begin < w.output_height; a.row_begin = a.row_end) {
      a.row_end = a.row_begin + 2 < w.output_height ? a.row_begin + 2 : w.output_height;
      table->depthwise(&a);
    }
    dx[t] = random_floats(in, 6);
    samara_depthwise_input_gradient_args b = {
        .window = w, .output_gradient = d, .weight = weight, .saved = x, .activation = activation,
        .residual = dx[t], .input_gradient = dx[t], .scratch = scratch};
    for (b.row_begin = 0; b.row_begin < w.height; b.row_begin = b.row_end) {
      b.row_end = b.row_begin + 3 < w.height ? b.row_begin + 3 : w.height;
      table->depthwise_input_gradient(&b);
    }
    dw[t] = random_floats(3 * taps, 7);
    samara_depthwise_weight_gradient_args c = {
        .window = w, .images = IMAGES, .output_gradient = d, .input = x,
        .input_activation = activation, .accumulate = 1, .gradient = dw[t], .scratch = scratch};
    for (c.channel_begin = 0; c.channel_begin < w.channels; c.channel_begin = c.channel_end) {
      c.channel_end = c.channel_begin + 16 < w.channels ? c.channel_begin + 16 : w.channels;
      table->depthwise_weight_gradient(&c);
    }
    c.channel_begin = 0, c.accumulate = 0, c.gradient = dw[t] + taps;
    table->depthwise_weight_gradient(&c);
    c.update = &update, c.weights = dw[t] + 2 * taps, c.gradient = 0;
    table->depthwise_weight_gradient(&c);
    int64_t pixels = w.output_height * w.output_width;
    patches[t] = memory((size_t)(pixels * taps) * 4);
    table->unfold(&w, x, patches[t], 0, pixels / 2);
    table->unfold(&w, x, patches[t] + pixels / 2 * taps, pixels / 2, pixels);
    folded[t] = memory((size_t)in * 4);
    table->fold(&w, patches[t], folded[t], 0, w.height / 2);
    table->fold(&w, patches[t], folded[t], w.height / 2, w.height);
    pooled[t] = memory((size_t)(w.channels + in) * 4);
    table->average_pool(x, w.height * w.width, w.channels, pooled[t]);
    table->average_pool_gradient(
        d, w.height * w.width, w.channels, pooled[t] + w.channels);
  }
  close_to(what, y[0], y[1], out, 1e-4f);
  close_to(what, dx[0], dx[1], in, 1e-4f);
  close_to(what, dw[0], dw[1], 3 * taps, 1e-3f);
  same_bits(what, patches[0], patches[1], (size_t)(w.output_height * w.output_width * taps) * 4);
  close_to(what, folded[0], folded[1], in, 1e-5f);
  close_to(what, pooled[0], pooled[1], w.channels + in, 1e-4f);
  check_guards(what);
}

void check_convolutions(const samara_kernel_table *scalar, const samara_kernel_table *fast) {
  static const int64_t channels[] = {1, 3, 8, 16, 17, 32, 33, 40, 100};
  int turn = 0;
  for (int64_t size = 1; size <= 7; size += 2) {
    for (int64_t stride = 1; stride <= 2; stride++) {
      for (int64_t height = 1; height <= 12; height += height < 4 ? 1 : 4, turn++) {
        samara_window w = {.height = height, .width = 1 + (height * 5 + size) % 11,
                           .channels = channels[turn % 9], .size = size, .stride = stride,
                           .top = size / 2, .left = turn % 3 ? size / 2 : 0};
        w.output_height = (height + stride - 1) / stride;
        w.output_width = (w.width + stride - 1) / stride;
        check_window(scalar, fast, w, turn % 2 ? SAMARA_RELU6 : SAMARA_IDENTITY);
      }
    }
  }
  CHECKED(depthwise), CHECKED(depthwise_input_gradient), CHECKED(depthwise_weight_gradient);
  CHECKED(depthwise_scratch_bytes), CHECKED(unfold), CHECKED(fold), CHECKED(average_pool);
  CHECKED(average_pool_gradient);
}
