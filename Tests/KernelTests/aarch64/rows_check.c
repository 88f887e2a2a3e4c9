// Apache-2.0. Attention, norms, activations and the other kernels over rows.
#include "check.h"

#include <stdio.h>
#include <string.h>

static const int64_t widths[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 100};

/// Runs `call` with each table into `output` and compares.
#define COMPARE(name, count, tolerance, call)                                        \
  do {                                                                               \
    float *results[2] = {memory((size_t)(count) * 4), memory((size_t)(count) * 4)};  \
    for (int t = 0; t < 2; t++) {                                                    \
      const samara_kernel_table *kernels = t ? fast : scalar;                        \
      float *output = results[t];                                                    \
      call;                                                                          \
    }                                                                                \
    close_to(#name, results[0], results[1], count, tolerance);                       \
    check_guards(#name);                                                             \
    CHECKED(name);                                                                   \
  } while (0)

static void check_attention(
    const samara_kernel_table *scalar, const samara_kernel_table *fast, int64_t queries,
    int64_t keys, int64_t dimension, int32_t causal) {
  int64_t stride = dimension + 5;
  samara_attention_args a = {
      .query = random_floats(queries * stride, 1), .key = random_floats(keys * stride, 2),
      .value = random_floats(keys * stride, 3), .query_stride = stride, .key_stride = stride,
      .value_stride = stride, .output_stride = dimension, .query_count = queries,
      .key_length = keys, .head_dimension = dimension, .causal = causal, .scale = 0.3f};
  COMPARE(attention, queries * dimension, 2e-5f, {
    a.output = output;
    a.scratch = memory(kernels->attention_scratch_bytes(queries, keys, dimension));
    kernels->attention(&a);
  });
  CHECKED(attention_scratch_bytes);
}

void check_rows(const samara_kernel_table *scalar, const samara_kernel_table *fast) {
  for (unsigned i = 0; i < sizeof widths / sizeof *widths; i++) {
    int64_t n = widths[i], all = 3 * n;
    const float *x = random_floats(all, 1), *y = random_floats(all, 2);
    // The guards are freed by every comparison, so what is read stays outside of them.
    float a[300], b[300], wide[300];
    memcpy(a, x, (size_t)all * 4);
    memcpy(b, y, (size_t)all * 4);
    for (int64_t c = 0; c < all; c++) wide[c] = 20 * a[c];
    COMPARE(rms_norm, all, 1e-5f, kernels->rms_norm(a, b, output, 3, n, 1e-6f));
    COMPARE(layer_norm, all, 2e-4f, kernels->layer_norm(a, b, a, output, 3, n, 1e-5f));
    COMPARE(layer_norm, all, 2e-4f, kernels->layer_norm(a, b, NULL, output, 3, n, 1e-5f));
    COMPARE(softmax, all, 1e-5f, kernels->softmax(wide, output, 3, n));
    COMPARE(silu_multiply, all, 1e-5f, kernels->silu_multiply(wide, b, output, all));
    COMPARE(add, all, 0, kernels->add(a, b, output, all));
    for (int32_t kind = SAMARA_IDENTITY; kind <= SAMARA_RELU; kind++) {
      COMPARE(activate, all, 2e-5f, kernels->activate(kind, a, output, all));
    }
  }
  for (int64_t half = 1; half <= 36; half += 5) {
    int64_t count = 4 * 3 * 2 * half;
    float start[1024], cosines[256], sines[256];
    memcpy(start, random_floats(count, 1), (size_t)count * 4);
    memcpy(cosines, random_floats(4 * half, 2), (size_t)(4 * half) * 4);
    memcpy(sines, random_floats(4 * half, 3), (size_t)(4 * half) * 4);
    COMPARE(rotary, count, 1e-5f, {
      memcpy(output, start, (size_t)count * 4);
      kernels->rotary(output, 4, 6 * half, 3, 2 * half, cosines, sines);
    });
  }
  for (int32_t causal = 0; causal < 2; causal++) {
    check_attention(scalar, fast, 1, 1, 4, causal);
    check_attention(scalar, fast, 17, 17, 8, causal);
    check_attention(scalar, fast, 33, 33, 32, causal);
    check_attention(scalar, fast, 40, 70, 33, causal);
  }
  float sum = fast->multiply_add_peak(10);
  close_to("multiply_add_peak", &sum, &sum, 1, 0);
  if (fast->multiply_add_flops() <= 0) close_to("multiply_add_flops", &sum, &(float){-1}, 1, 0);
  CHECKED(multiply_add_peak), CHECKED(multiply_add_flops);
}
