// Apache-2.0. Vectors of LANES floats by the compiler's vector extension. The dense bodies are
// written once over these and compiled for each instruction set: include with LANES defined and
// the target attribute pushed.
#pragma once
#include "elements.h"

#if LANES == 16
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int32_t ivec __attribute__((vector_size(LANES * 4)));
typedef uint32_t uvec __attribute__((vector_size(LANES * 4)));
typedef int8_t bvec __attribute__((vector_size(LANES)));
typedef uint16_t hvec __attribute__((vector_size(LANES * 2)));
typedef _Float16 halves __attribute__((vector_size(LANES * 2)));

INLINE vec splat(float x) { return x - (vec){0}; }
INLINE ivec isplat(int32_t x) { return x - (ivec){0}; }
INLINE vec fma_v(vec a, vec b, vec c) { return __builtin_elementwise_fma(a, b, c); }
INLINE vec select_v(ivec mask, vec yes, vec no) {
  return (vec)(((ivec)yes & mask) | ((ivec)no & ~mask));
}
/// The larger; `b` where either is not a number.
INLINE vec max_v(vec a, vec b) { return select_v(a > b, a, b); }
INLINE vec min_v(vec a, vec b) { return select_v(a < b, a, b); }

INLINE vec load(const float *p) {
  vec v;
  memcpy(&v, p, sizeof v);
  return v;
}
INLINE void store(float *p, vec v) { memcpy(p, &v, sizeof v); }

/// The first `count` (< LANES) floats, zeros after them; nothing past them is touched.
INLINE vec load_some(const float *p, int64_t count) {
#if LANES == 16
  return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
#else
  float lanes[LANES] = {0};
  memcpy(lanes, p, (size_t)count * 4);
  return load(lanes);
#endif
}
INLINE void store_some(float *p, vec v, int64_t count) {
#if LANES == 16
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)v);
#else
  float lanes[LANES];
  store(lanes, v);
  memcpy(p, lanes, (size_t)count * 4);
#endif
}

/// 0, 1, 2 …
INLINE ivec lane_numbers(void) {
  ivec v;
  for (int i = 0; i < LANES; i++) v[i] = i;
  return v;
}

/// Sum by halves: a fixed tree.
INLINE float sum_lanes(vec v) {
  float lanes[LANES];
  store(lanes, v);
  for (int half = LANES / 2; half; half >>= 1) {
    for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}
/// The largest lane, of numbers.
INLINE float max_lanes(vec v) {
#if LANES == 16
  return _mm512_reduce_max_ps((__m512)v);
#else
  float most = v[0];
  for (int i = 1; i < LANES; i++) most = v[i] > most ? v[i] : most;
  return most;
#endif
}
/// The first lane that equals x; LANES where none does.
INLINE int find_lane(vec v, float x) {
#if LANES == 16
  return __builtin_ctz(_mm512_cmp_ps_mask((__m512)v, (__m512)splat(x), _CMP_EQ_OQ) | 1u << LANES);
#else
  int lane = 0;
  while (lane < LANES && v[lane] != x) lane++;
  return lane;
#endif
}

/// LANES stored elements as floats; of SAMARA_I8 without the scale of their row.
INLINE vec load_stored(const void *data, int32_t type, int64_t index) {
  if (type == SAMARA_F32) return load((const float *)data + index);
  if (type == SAMARA_I8) {
    bvec bytes;
    memcpy(&bytes, (const int8_t *)data + index, sizeof bytes);
    return __builtin_convertvector(bytes, vec);
  }
  const uint16_t *p = (const uint16_t *)data + index;
  if (type == SAMARA_BF16) {
    hvec bits;
    memcpy(&bits, p, sizeof bits);
    return (vec)(__builtin_convertvector(bits, uvec) << 16);
  }
  halves bits;
  memcpy(&bits, p, sizeof bits);
  return __builtin_convertvector(bits, vec);
}

/// LANES sign bits from any bit offset, in the low bits. Reads no byte that holds none of them.
INLINE uint32_t sign_bits(const uint64_t *signs, int64_t bit) {
  enum { BYTES = LANES > 8 ? LANES / 8 : 1 };
  const uint8_t *p = (const uint8_t *)signs + (bit >> 3);
  uint32_t shift = bit & 7, bits = 0;
  memcpy(&bits, p, BYTES);
  if (shift + LANES > 8 * BYTES) bits |= (uint32_t)p[BYTES] << (8 * BYTES);
  return bits >> shift;
}

/// v + epsilon where a lane's bit is clear, v − epsilon where it is set.
INLINE vec perturbed(vec v, uint32_t bits, float epsilon) {
#if LANES == 16
  __m512 plus = (__m512)splat(epsilon), minus = (__m512)splat(-epsilon);
  return v + (vec)_mm512_mask_blend_ps((__mmask16)bits, plus, minus);
#else
  ivec set = (isplat((int32_t)bits) & (isplat(1) << lane_numbers())) != 0;
  return v + (vec)((ivec)splat(epsilon) ^ (set & isplat((int32_t)0x80000000u)));
#endif
}

/// Columns [column, column + LANES) of a row, perturbed where the weight says so.
INLINE vec load_weight(const samara_weight *w, int64_t row, int64_t column) {
  vec v = load_stored(w->data, w->element_type, row * w->row_stride + column);
  if (w->element_type == SAMARA_I8) v *= splat(w->row_scales[row]);
  if (!w->signs) return v;
  int64_t bit = w->sign_offset + row * w->columns + column;
  return perturbed(v, sign_bits(w->signs, bit), w->epsilon);
}

/// The same for the last `count` (< LANES) columns; zeros after them.
INLINE vec load_weight_some(const samara_weight *w, int64_t row, int64_t column, int64_t count) {
  float lanes[LANES] = {0};
  samara_weight_row(w, row, column, column + count, lanes);
  return load(lanes);
}
