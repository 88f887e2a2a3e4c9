// Apache-2.0. Arguments of convolutions. Images are [height × width × channels] (NHWC), so a
// pointwise convolution is `linear` over pixels and a dense one `linear` over unfolded patches.
// Weights lie as checkpoints have them: [outputs, channels, size, size], depthwise [channels, 1,
// size, size]; a patch holds its elements in the same order (channel, row, column).
#pragma once
#include "gradients.h"

#ifdef __cplusplus
extern "C" {
#endif

/// One image and the window that slides over it.
typedef struct samara_window {
  int64_t height, width, channels;
  int64_t output_height, output_width;
  int64_t size, stride;  // square; size at most 7 for depthwise convolutions
  int64_t top, left;     // rows and columns of zeros before the image; after it as many as it takes
} samara_window;

/// output[y,x,c] = activation(Σ_ij input[y·stride + i − top, x·stride + j − left, c] · weight[c,i,j]
///                            + bias[c]) for rows y in [row_begin, row_end) of one image.
/// Scratch of this and of its gradients: depthwise_scratch_bytes(channels, size).
typedef struct samara_depthwise_args {
  samara_window window;
  const float *input;
  samara_weight weight;  // [channels × size·size]
  const float *bias;     // NULL or [channels]
  float *output;
  int64_t row_begin, row_end;
  int32_t activation;
  void *scratch;
} samara_depthwise_args;

/// input_gradient = (transposed convolution of output_gradient) · activation′(saved) + residual
/// for rows [row_begin, row_end) of the input of one image.
typedef struct samara_depthwise_input_gradient_args {
  samara_window window;
  const float *output_gradient;
  samara_weight weight;
  const float *saved;  // NULL or as the input: see linear_input_gradient
  int32_t activation, saved_output;
  const float *residual;  // NULL or as the input; may be input_gradient
  float *input_gradient;
  int64_t row_begin, row_end;
  void *scratch;
} samara_depthwise_input_gradient_args;

/// gradient[c,i,j] (+)= Σ over images and pixels of output_gradient · input_activation(input)
/// for channels [channel_begin, channel_end); `update` as in linear_weight_gradient, the rows of
/// weights and state size·size apart. Images lie one after the other.
typedef struct samara_depthwise_weight_gradient_args {
  samara_window window;
  int64_t images;
  const float *output_gradient;
  const float *input;
  int32_t input_activation;
  int32_t accumulate;
  float *gradient;  // [channels × size·size]
  const samara_update *update;
  float *weights, *first, *second;
  int64_t channel_begin, channel_end;
  void *scratch;
} samara_depthwise_weight_gradient_args;

#ifdef __cplusplus
}
#endif
