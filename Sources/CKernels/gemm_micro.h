// Apache-2.0. The inner part of every matrix product: packing and the register tile.
//
// A block of up to MR rows of the input is packed as [k][row], NR = NV · LANES rows of the weight
// as [k][NR]; the tile accumulates one fused multiply-add per k, in the order of k, so each output
// element has the same bits whatever the blocking, the ranges or the instruction set.
#pragma once
#include "weight_square.h"

/// `rows` (≤ MR) rows of `count` columns as [k][rows]; writes up to LANES floats past the end.
INLINE void pack_rows(
    const float *input, int64_t stride, int64_t rows, int64_t count, float *packed) {
  for (int64_t k = 0; k < count; k += LANES) {
    int64_t some = count - k < LANES ? count - k : LANES;
    vec square[(MR + LANES - 1) / LANES][LANES];
#pragma clang loop unroll(full)
    for (int g = 0; g < (MR + LANES - 1) / LANES; g++) {
#pragma clang loop unroll(full)
      for (int i = 0; i < LANES; i++) {
        int64_t row = g * LANES + i;
        const float *p = input + row * stride + k;
        square[g][i] = row >= rows ? splat(0) : some == LANES ? load(p) : load_some(p, some);
      }
      transpose(square[g]);
    }
    // In ascending order: what a store spills over the next one overwrites.
    for (int i = 0; i < some; i++) {
      for (int g = 0; g * LANES < rows; g++) {
        store(packed + (k + i) * rows + g * LANES, square[g][i]);
      }
    }
  }
}

/// tile[row][NR] (+)= Σ_k a[k][row] · b[k][·]; `fresh`: from zero, else on top of what is there;
/// `step`: floats from one k to the next in a.
INLINE void tile_rows(
    int rows, const float *a, int64_t step, const float *b, int64_t count, float *tile,
    int64_t tile_stride, int fresh) {
  vec sums[MR][NV];
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) {
#pragma clang loop unroll(full)
    for (int j = 0; j < NV; j++) {
      sums[i][j] = fresh ? splat(0) : load(tile + i * tile_stride + j * LANES);
    }
  }
  for (int64_t k = 0; k < count; k++, a += step, b += NR) {
    vec right[NV];
#pragma clang loop unroll(full)
    for (int j = 0; j < NV; j++) right[j] = load(b + j * LANES);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
      vec left = splat(a[i]);
#pragma clang loop unroll(full)
      for (int j = 0; j < NV; j++) sums[i][j] = fma_v(left, right[j], sums[i][j]);
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) {
#pragma clang loop unroll(full)
    for (int j = 0; j < NV; j++) store(tile + i * tile_stride + j * LANES, sums[i][j]);
  }
}

/// The same of rows as they lie: a[row · stride + k]. A cursor for every third row, because an
/// address of this machine reaches one and two strides further for nothing.
INLINE void tile_of_rows(
    int rows, const float *a, int64_t stride, const float *b, int64_t count, float *tile,
    int64_t tile_stride, int fresh) {
  enum { CURSORS = (MR + 2) / 3 };
  vec sums[MR][NV];
  const float *at[CURSORS];
#pragma clang loop unroll(full)
  for (int c = 0; c < CURSORS; c++) at[c] = a + (3 * c < rows ? 3 * c : 0) * stride;
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) {
#pragma clang loop unroll(full)
    for (int j = 0; j < NV; j++) {
      sums[i][j] = fresh ? splat(0) : load(tile + i * tile_stride + j * LANES);
    }
  }
  for (int64_t k = 0; k < count; k++, b += NR) {
    vec right[NV];
#pragma clang loop unroll(full)
    for (int j = 0; j < NV; j++) right[j] = load(b + j * LANES);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
      vec left = splat(at[i / 3][i % 3 * stride]);
#pragma clang loop unroll(full)
      for (int j = 0; j < NV; j++) sums[i][j] = fma_v(left, right[j], sums[i][j]);
    }
#pragma clang loop unroll(full)
    for (int c = 0; c < CURSORS; c++) {
      at[c]++;
      // Else the compiler keeps one index and a register a row, of which there are not enough.
      __asm__ volatile("" : "+r"(at[c]));
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) {
#pragma clang loop unroll(full)
    for (int j = 0; j < NV; j++) store(tile + i * tile_stride + j * LANES, sums[i][j]);
  }
}

#define TILE(n)                                                                                \
  static void tile_##n(                                                                        \
      const float *a, const float *b, int64_t count, float *tile, int64_t stride, int fresh) { \
    tile_rows(n, a, n, b, count, tile, stride, fresh);                                         \
  }                                                                                            \
  static void stepped_tile_##n(                                                                \
      const float *a, int64_t step, const float *b, int64_t count, float *tile) {              \
    tile_rows(n, a, step, b, count, tile, NR, 1);                                              \
  }                                                                                            \
  static void row_tile_##n(                                                                    \
      const float *a, int64_t stride, const float *b, int64_t count, float *tile,              \
      int64_t tile_stride, int fresh) {                                                        \
    tile_of_rows(n, a, stride, b, count, tile, tile_stride, fresh);                            \
  }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#if MR >= 14
TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)
#endif
#undef TILE

typedef void tile_function(const float *, const float *, int64_t, float *, int64_t, int);
typedef void stepped_tile_function(const float *, int64_t, const float *, int64_t, float *);
typedef void row_tile_function(
    const float *, int64_t, const float *, int64_t, float *, int64_t, int);

/// Tiles by their rows, which is also the step of `a`.
static tile_function *const tiles[MR + 1] = {
    0, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6,
#if MR >= 14
    tile_7, tile_8, tile_9, tile_10, tile_11, tile_12, tile_13, tile_14,
#endif
};

/// Fresh tiles of stride NR by their rows, which may be some of those in `a`.
static stepped_tile_function *const stepped_tiles[MR + 1] = {
    0,
    stepped_tile_1, stepped_tile_2, stepped_tile_3, stepped_tile_4, stepped_tile_5, stepped_tile_6,
#if MR >= 14
    stepped_tile_7, stepped_tile_8, stepped_tile_9, stepped_tile_10, stepped_tile_11,
    stepped_tile_12, stepped_tile_13, stepped_tile_14,
#endif
};

/// Tiles of rows as they lie.
static row_tile_function *const row_tiles[MR + 1] = {
    0, row_tile_1, row_tile_2, row_tile_3, row_tile_4, row_tile_5, row_tile_6,
#if MR >= 14
    row_tile_7, row_tile_8, row_tile_9, row_tile_10, row_tile_11, row_tile_12, row_tile_13,
    row_tile_14,
#endif
};
