// Apache-2.0. Shared-state kernels for AVX2: a byte of signs becomes a vector of masks.
#include "tables.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "shared_body.h"

// Eight Philox blocks side by side: lane l of x[w] is word w of block counter + l.
static inline void philox_lanes(__m256i x[4], const uint32_t counter[4], uint32_t direction,
                                const uint32_t key[2]) {
  const __m256i m0 = _mm256_set1_epi32((int)0xD2511F53u), m2 = _mm256_set1_epi32((int)0xCD9E8D57u);
  const __m256i lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  __m256i x0 = _mm256_add_epi32(_mm256_set1_epi32((int)counter[0]), lanes);
  __m256i x1 = _mm256_set1_epi32((int)counter[1]);
  __m256i x2 = _mm256_set1_epi32((int)direction);
  __m256i x3 = _mm256_set1_epi32((int)counter[3]);
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    __m256i pe = _mm256_mul_epu32(x0, m0), po = _mm256_mul_epu32(_mm256_srli_epi64(x0, 32), m0);
    __m256i qe = _mm256_mul_epu32(x2, m2), qo = _mm256_mul_epu32(_mm256_srli_epi64(x2, 32), m2);
    __m256i p_high = _mm256_blend_epi32(_mm256_srli_epi64(pe, 32), po, 0xAA);
    __m256i q_high = _mm256_blend_epi32(_mm256_srli_epi64(qe, 32), qo, 0xAA);
    x0 = _mm256_xor_si256(_mm256_xor_si256(q_high, x1), _mm256_set1_epi32((int)k0));
    x2 = _mm256_xor_si256(_mm256_xor_si256(p_high, x3), _mm256_set1_epi32((int)k1));
    x1 = _mm256_blend_epi32(qe, _mm256_slli_epi64(qo, 32), 0xAA);
    x3 = _mm256_blend_epi32(pe, _mm256_slli_epi64(po, 32), 0xAA);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  x[0] = x0, x[1] = x1, x[2] = x2, x[3] = x3;
}

static void philox_fill_256(uint32_t *output, int64_t blocks, const uint32_t counter[4],
                            const uint32_t key[2]) {
  int64_t block = 0;
  for (; block + 8 <= blocks; block += 8) {
    uint32_t at[4] = {counter[0] + (uint32_t)block, counter[1], counter[2], counter[3]};
    __m256i x[4];
    philox_lanes(x, at, counter[2], key);
    // Transpose 4 × 8 words: within 128-bit lanes, then the lanes.
    __m256i a = _mm256_unpacklo_epi32(x[0], x[1]), b = _mm256_unpackhi_epi32(x[0], x[1]);
    __m256i c = _mm256_unpacklo_epi32(x[2], x[3]), d = _mm256_unpackhi_epi32(x[2], x[3]);
    __m256i r0 = _mm256_unpacklo_epi64(a, c), r1 = _mm256_unpackhi_epi64(a, c);
    __m256i r2 = _mm256_unpacklo_epi64(b, d), r3 = _mm256_unpackhi_epi64(b, d);
    __m256i *to = (__m256i *)(output + 4 * block);
    _mm256_storeu_si256(to, _mm256_permute2x128_si256(r0, r1, 0x20));
    _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(r2, r3, 0x20));
    _mm256_storeu_si256(to + 2, _mm256_permute2x128_si256(r0, r1, 0x31));
    _mm256_storeu_si256(to + 3, _mm256_permute2x128_si256(r2, r3, 0x31));
  }
  uint32_t at[4] = {counter[0] + (uint32_t)block, counter[1], counter[2], counter[3]};
  philox_fill(output + 4 * block, blocks - block, at, key);
}

// All ones in lane i where bit i of `bits` is set.
static inline __m256i lane_masks(uint32_t bits) {
  const __m256i each = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
  return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), each), each);
}

// Each whole vector of 8 elements with its masks; `i` ends at the first element left over.
#define FOR_SIGNED_VECTORS(body)                                                          \
  int64_t i = 0;                                                                          \
  for (int64_t start = 0; start < count; start += 64) {                                   \
    uint64_t bits = sign_word(signs, sign_offset + start, sign_offset + count);           \
    for (i = start; i + 8 <= count && i < start + 64; i += 8, bits >>= 8) {               \
      __m256i minus = lane_masks((uint32_t)bits);                                         \
      body                                                                                \
    }                                                                                     \
  }

static void apply_signs_256(float *weights, const uint64_t *signs, int64_t sign_offset,
                            int64_t count, float step) {
  const __m256 plus = _mm256_set1_ps(step);
  FOR_SIGNED_VECTORS({
    __m256 flip = _mm256_castsi256_ps(_mm256_slli_epi32(minus, 31));
    _mm256_storeu_ps(weights + i,
                     _mm256_add_ps(_mm256_loadu_ps(weights + i), _mm256_xor_ps(plus, flip)));
  })
  apply_signs(weights + i, signs, sign_offset + i, count - i, step);
}

static inline __m256i load(const int32_t *from) {
  return _mm256_loadu_si256((const __m256i *)from);
}

static inline void store(int32_t *to, __m256i v) { _mm256_storeu_si256((__m256i *)to, v); }

static inline __m256i negate(__m256i v, __m256i minus) {
  return _mm256_sub_epi32(_mm256_xor_si256(v, minus), minus);
}

static void accumulate_signs_256(int32_t *sums, const uint64_t *signs, int64_t sign_offset,
                                 int64_t count, int32_t amount) {
  const __m256i plus = _mm256_set1_epi32(amount);
  FOR_SIGNED_VECTORS({ store(sums + i, _mm256_add_epi32(load(sums + i), negate(plus, minus))); })
  accumulate_signs(sums + i, signs, sign_offset + i, count - i, amount);
}

static void conditional_negate_256(int32_t *output, const int32_t *input, const uint64_t *signs,
                                   int64_t sign_offset, int64_t count) {
  FOR_SIGNED_VECTORS({ store(output + i, negate(load(input + i), minus)); })
  conditional_negate(output + i, input + i, signs, sign_offset + i, count - i);
}

// `amounts` in the lanes whose bit of `each` is set in `word`.
static inline __m256i picked(__m256i amounts, __m256i word, __m256i each) {
  return _mm256_and_si256(amounts, _mm256_cmpeq_epi32(_mm256_and_si256(word, each), each));
}

// Sums start from Σ amounts; each set bit then takes twice its amount away. Four terms share a
// load of the sums. Modulo 2^32, which is exact.
static void replay_independent_256(int32_t *sums, int64_t count, const uint32_t *directions,
                                   const int32_t *amounts, int64_t terms,
                                   const uint32_t counter[4], const uint32_t key[2]) {
  enum { CHUNK = 1024, GROUP = 4 };
  const __m256i each = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
  uint32_t signs[GROUP][4][8] __attribute__((aligned(32)));
  uint32_t total = 0;
  for (int64_t term = 0; term < terms; term++) total += (uint32_t)amounts[term];
  int64_t start = 0;
  for (; start + CHUNK <= count; start += CHUNK) {
    uint32_t at[4] = {counter[0] + (uint32_t)(start / 128), counter[1], 0, counter[3]};
    for (int64_t i = start; i < start + CHUNK; i += 8)
      store(sums + i, _mm256_add_epi32(load(sums + i), _mm256_set1_epi32((int)total)));
    for (int64_t term = 0; term < terms; term += GROUP) {
      __m256i twice[GROUP];
      for (int g = 0; g < GROUP; g++) {
        // Past the last term: any signs, amount zero.
        int64_t which = term + g < terms ? term + g : terms - 1;
        uint32_t amount = term + g < terms ? (uint32_t)amounts[which] : 0;
        twice[g] = _mm256_set1_epi32((int)(2 * amount));
        __m256i x[4];
        philox_lanes(x, at, directions[which], key);
        for (int w = 0; w < 4; w++) _mm256_store_si256((__m256i *)signs[g][w], x[w]);
      }
      for (int lane = 0; lane < 8; lane++) {
        for (int word = 0; word < 4; word++) {
          int32_t *to = sums + start + 128 * lane + 32 * word;
          __m256i s0 = load(to), s1 = load(to + 8), s2 = load(to + 16), s3 = load(to + 24);
#pragma clang loop unroll(full)
          for (int g = 0; g < GROUP; g++) {
            __m256i w = _mm256_set1_epi32((int)signs[g][word][lane]);
            s0 = _mm256_sub_epi32(s0, picked(twice[g], w, each));
            s1 = _mm256_sub_epi32(s1, picked(twice[g], w, _mm256_slli_epi32(each, 8)));
            s2 = _mm256_sub_epi32(s2, picked(twice[g], w, _mm256_slli_epi32(each, 16)));
            s3 = _mm256_sub_epi32(s3, picked(twice[g], w, _mm256_slli_epi32(each, 24)));
          }
          store(to, s0), store(to + 8, s1), store(to + 16, s2), store(to + 24, s3);
        }
      }
    }
  }
  uint32_t at[4] = {counter[0] + (uint32_t)(start / 128), counter[1], counter[2], counter[3]};
  replay_independent(sums + start, count - start, directions, amounts, terms, at, key);
}

// Levels of the transform between whole vectors: R of them `half` elements apart.
#define BUTTERFLIES(R)                                                \
  _Pragma("clang loop unroll(full)") for (int h = 1; h < R; h *= 2) { \
    _Pragma("clang loop unroll(full)") for (int r = 0; r < R; r++) {  \
      if (r & h) continue;                                            \
      __m256i a = v[r], b = v[r + h];                                 \
      v[r] = _mm256_add_epi32(a, b);                                  \
      v[r + h] = _mm256_sub_epi32(a, b);                              \
    }                                                                 \
  }

// The three levels within a vector: swap, then add below and subtract above.
static inline __m256i within(__m256i v) {
  __m256i t = _mm256_shuffle_epi32(v, 0xB1);
  v = _mm256_blend_epi32(_mm256_add_epi32(v, t), _mm256_sub_epi32(t, v), 0xAA);
  t = _mm256_shuffle_epi32(v, 0x4E);
  v = _mm256_blend_epi32(_mm256_add_epi32(v, t), _mm256_sub_epi32(t, v), 0xCC);
  t = _mm256_permute2x128_si256(v, v, 0x01);
  return _mm256_blend_epi32(_mm256_add_epi32(v, t), _mm256_sub_epi32(t, v), 0xF0);
}

#define PASS(name, R, inner)                                               \
  static void name(int32_t *values, int64_t count, int64_t half) {         \
    for (int64_t start = 0; start < count; start += R * half) {            \
      for (int64_t i = start; i < start + half; i += 8) {                  \
        __m256i v[R];                                                      \
        _Pragma("clang loop unroll(full)") for (int r = 0; r < R; r++)     \
          v[r] = inner(load(values + i + r * half));                       \
        BUTTERFLIES(R)                                                     \
        _Pragma("clang loop unroll(full)") for (int r = 0; r < R; r++)     \
          store(values + i + r * half, v[r]);                              \
      }                                                                    \
    }                                                                      \
  }
#define AS_IS(v) (v)
PASS(first_8, 8, within)
PASS(first_4, 4, within)
PASS(first_2, 2, within)
PASS(first_1, 1, within)
PASS(later_8, 8, AS_IS)

static void walsh_hadamard_i32_256(int32_t *values, int32_t log2_count) {
  if (log2_count < 3) return walsh_hadamard_i32(values, log2_count);
  int64_t count = (int64_t)1 << log2_count;
  // Radix-8 passes last; the first takes the levels within vectors and what is left over.
  int64_t half;
  switch ((log2_count - 3) % 3) {
    case 0:
      half = log2_count == 3 ? 8 : 64;
      if (log2_count == 3) first_1(values, count, 8);
      else first_8(values, count, 8);
      break;
    case 1: first_2(values, count, 8), half = 16; break;
    default: first_4(values, count, 8), half = 32; break;
  }
  for (; half < count; half *= 8) later_8(values, count, half);
}

static inline __m128 form(__m128 base, __m128i integers, __m256d unit) {
  __m256d moved = _mm256_mul_pd(unit, _mm256_cvtepi32_pd(integers));
  return _mm256_cvtpd_ps(_mm256_add_pd(_mm256_cvtps_pd(base), moved));
}

// Eight stored values, widened.
static inline __m256 widen(const void *base, int32_t element_type, int64_t i) {
  if (element_type == SAMARA_F32) return _mm256_loadu_ps((const float *)base + i);
  __m128i stored = _mm_loadu_si128((const __m128i *)((const uint16_t *)base + i));
  return element_type == SAMARA_F16
             ? _mm256_cvtph_ps(stored)
             : _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(stored), 16));
}

// Where all |I| < 2^24 the product I·2^−s is exact in binary32, and one fused multiply-add rounds
// once, to what the way through binary64 gives: that sum is inexact only if one side is below 2^−29
// of the other, where both ways return the larger.
static void form_weights_256(const void *base, int32_t element_type, const int32_t *integers,
                             int32_t scale_exponent, float *weights, int64_t count) {
  const __m256d unit =
      _mm256_castsi256_pd(_mm256_set1_epi64x((long long)(1023 - scale_exponent) << 52));
  const __m256 narrow_unit = _mm256_castsi256_ps(_mm256_set1_epi32((127 - scale_exponent) << 23));
  const __m256i high_byte = _mm256_set1_epi32((int)0xFF000000u);
  const int may_be_narrow = scale_exponent >= 0 && scale_exponent <= 126;
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m256 from = widen(base, element_type, i);
    __m256i sums = _mm256_loadu_si256((const __m256i *)(integers + i));
    int small = _mm256_testz_si256(_mm256_abs_epi32(sums), high_byte);
    if (__builtin_expect(may_be_narrow && small, 1)) {
      _mm256_storeu_ps(weights + i, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), narrow_unit, from));
    } else {
      __m128 low = form(_mm256_castps256_ps128(from), _mm256_castsi256_si128(sums), unit);
      __m128 high =
          form(_mm256_extractf128_ps(from, 1), _mm256_extracti128_si256(sums, 1), unit);
      _mm256_storeu_ps(weights + i, _mm256_set_m128(high, low));
    }
  }
  form_weights((const char *)base + i * (element_type == SAMARA_F32 ? 4 : 2), element_type,
               integers + i, scale_exponent, weights + i, count - i);
}

#define PHILOX_FILL philox_fill_256
#include "projection_body.h"

#pragma clang attribute pop

void samara_install_avx2_shared(samara_kernel_table *table) {
  install_shared(table);
  install_projection(table);
  table->philox_fill = philox_fill_256;
  table->apply_signs = apply_signs_256;
  table->accumulate_signs = accumulate_signs_256;
  table->conditional_negate = conditional_negate_256;
  table->replay_independent = replay_independent_256;
  table->walsh_hadamard_i32 = walsh_hadamard_i32_256;
  table->form_weights = form_weights_256;
}
#endif
