// Apache-2.0. Few rows of input: the weight is read once, turned in registers and multiplied at
// once, in the same order over k as everywhere, so that the bits are those of the packed way.
#pragma once
#include "gemm_micro.h"

/// Rows of input that go this way; their sums stay in registers beside a square.
enum { STREAM_ROWS = LANES == 16 ? 8 : 4 };

/// Squares side by side, so that one is turned while another waits for its sums; a wide square
/// takes long enough alone.
enum { STREAM_GROUPS = LANES == 16 ? 1 : NV, STREAM_WIDTH = STREAM_GROUPS * LANES };

/// sums[row][STREAM_WIDTH] of `rows` rows (the last repeated up to the constant `count`) with as
/// many rows of the weight from `n`; `rest`: room for LANES columns.
INLINE void stream_sums(
    int count, int32_t type, int has_signs, const samara_weight *w, const float *input,
    int64_t stride, int64_t rows, int64_t n, int64_t n_end, float *sums, float *rest) {
  const float *in[STREAM_ROWS];
  weight_rows places[STREAM_GROUPS];
  vec total[STREAM_GROUPS][STREAM_ROWS];
  int64_t inputs = w->columns, whole = inputs / LANES * LANES;
#pragma clang loop unroll(full)
  for (int i = 0; i < count; i++) in[i] = input + (i < rows ? i : rows - 1) * stride;
#pragma clang loop unroll(full)
  for (int g = 0; g < STREAM_GROUPS; g++) {
    places[g] = rows_from(w, n + g * LANES, n_end);
#pragma clang loop unroll(full)
    for (int i = 0; i < count; i++) total[g][i] = splat(0);
  }
  for (int64_t k = 0; k < whole; k += LANES) {
#pragma clang loop unroll(full)
    for (int g = 0; g < STREAM_GROUPS; g++) {
      vec square[LANES];
      load_square(w, type, has_signs, &places[g], k, square);
#pragma clang loop unroll(full)
      for (int j = 0; j < LANES; j++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < count; i++) {
          total[g][i] = fma_v(splat(in[i][k + j]), square[j], total[g][i]);
        }
      }
    }
  }
#pragma clang loop unroll(full)
  for (int g = 0; g < STREAM_GROUPS; g++) {
    pack_columns(w, &places[g], whole, inputs, rest, LANES);
    for (int64_t k = whole; k < inputs; k++) {
      vec column = load(rest + (k - whole) * LANES);
#pragma clang loop unroll(full)
      for (int i = 0; i < count; i++) total[g][i] = fma_v(splat(in[i][k]), column, total[g][i]);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < count; i++) store(sums + i * STREAM_WIDTH + g * LANES, total[g][i]);
  }
}

#define STREAM(count, kind, type, has_signs)                                                   \
  static void stream_##kind##_##count(                                                         \
      const samara_weight *w, const float *input, int64_t stride, int64_t rows, int64_t n,     \
      int64_t n_end, float *sums, float *rest) {                                               \
    stream_sums(count, type, has_signs, w, input, stride, rows, n, n_end, sums, rest);         \
  }
#define STREAM_KINDS(count)                                             \
  STREAM(count, f32, SAMARA_F32, 0) STREAM(count, f32s, SAMARA_F32, 1)  \
  STREAM(count, bf16, SAMARA_BF16, 0) STREAM(count, bf16s, SAMARA_BF16, 1) \
  STREAM(count, f16, SAMARA_F16, 0) STREAM(count, f16s, SAMARA_F16, 1)  \
  STREAM(count, i8, SAMARA_I8, 0) STREAM(count, i8s, SAMARA_I8, 1)
#define STREAM_ROW(count)                                                              \
  {                                                                                    \
    {stream_f32_##count, stream_f32s_##count}, {stream_f16_##count, stream_f16s_##count}, \
        {stream_bf16_##count, stream_bf16s_##count}, {stream_i8_##count, stream_i8s_##count}, \
  }
STREAM_KINDS(1) STREAM_KINDS(2) STREAM_KINDS(4)
#if LANES == 16
STREAM_KINDS(8)
#endif

typedef void stream_function(
    const samara_weight *, const float *, int64_t, int64_t, int64_t, int64_t, float *, float *);

/// By ⌈log2 of the rows⌉, element type, and whether there are signs.
static stream_function *const streams[][4][2] = {
    STREAM_ROW(1), STREAM_ROW(2), STREAM_ROW(4),
#if LANES == 16
    STREAM_ROW(8),
#endif
};
#undef STREAM
#undef STREAM_KINDS
#undef STREAM_ROW
