// Apache-2.0. Shared-state kernels for AVX-512: signs are mask registers as they are.
#include "tables.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#include "shared_body.h"

// Sixteen Philox blocks side by side: lane l of x[w] is word w of block counter + l.
static inline void philox_lanes(__m512i x[4], const uint32_t counter[4], uint32_t direction,
                                const uint32_t key[2]) {
  const __m512i m0 = _mm512_set1_epi32((int)0xD2511F53u), m2 = _mm512_set1_epi32((int)0xCD9E8D57u);
  const __m512i low = _mm512_set_epi32(30, 14, 28, 12, 26, 10, 24, 8, 22, 6, 20, 4, 18, 2, 16, 0);
  const __m512i high = _mm512_set_epi32(31, 15, 29, 13, 27, 11, 25, 9, 23, 7, 21, 5, 19, 3, 17, 1);
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  __m512i x0 = _mm512_add_epi32(_mm512_set1_epi32((int)counter[0]), lanes);
  __m512i x1 = _mm512_set1_epi32((int)counter[1]);
  __m512i x2 = _mm512_set1_epi32((int)direction);
  __m512i x3 = _mm512_set1_epi32((int)counter[3]);
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    __m512i pe = _mm512_mul_epu32(x0, m0), po = _mm512_mul_epu32(_mm512_srli_epi64(x0, 32), m0);
    __m512i qe = _mm512_mul_epu32(x2, m2), qo = _mm512_mul_epu32(_mm512_srli_epi64(x2, 32), m2);
    x0 = _mm512_ternarylogic_epi32(_mm512_permutex2var_epi32(qe, high, qo), x1,
                                   _mm512_set1_epi32((int)k0), 0x96);
    x2 = _mm512_ternarylogic_epi32(_mm512_permutex2var_epi32(pe, high, po), x3,
                                   _mm512_set1_epi32((int)k1), 0x96);
    x1 = _mm512_permutex2var_epi32(qe, low, qo);
    x3 = _mm512_permutex2var_epi32(pe, low, po);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  x[0] = x0, x[1] = x1, x[2] = x2, x[3] = x3;
}

static void philox_fill_512(uint32_t *output, int64_t blocks, const uint32_t counter[4],
                            const uint32_t key[2]) {
  int64_t block = 0;
  for (; block + 16 <= blocks; block += 16) {
    uint32_t at[4] = {counter[0] + (uint32_t)block, counter[1], counter[2], counter[3]};
    __m512i x[4];
    philox_lanes(x, at, counter[2], key);
    // Transpose 4 × 16 words: within 128-bit lanes, then the lanes.
    __m512i a = _mm512_unpacklo_epi32(x[0], x[1]), b = _mm512_unpackhi_epi32(x[0], x[1]);
    __m512i c = _mm512_unpacklo_epi32(x[2], x[3]), d = _mm512_unpackhi_epi32(x[2], x[3]);
    __m512i r0 = _mm512_unpacklo_epi64(a, c), r1 = _mm512_unpackhi_epi64(a, c);
    __m512i r2 = _mm512_unpacklo_epi64(b, d), r3 = _mm512_unpackhi_epi64(b, d);
    __m512i s0 = _mm512_shuffle_i32x4(r0, r1, 0x44), s1 = _mm512_shuffle_i32x4(r2, r3, 0x44);
    __m512i s2 = _mm512_shuffle_i32x4(r0, r1, 0xEE), s3 = _mm512_shuffle_i32x4(r2, r3, 0xEE);
    uint32_t *to = output + 4 * block;
    _mm512_storeu_si512(to, _mm512_shuffle_i32x4(s0, s1, 0x88));
    _mm512_storeu_si512(to + 16, _mm512_shuffle_i32x4(s0, s1, 0xDD));
    _mm512_storeu_si512(to + 32, _mm512_shuffle_i32x4(s2, s3, 0x88));
    _mm512_storeu_si512(to + 48, _mm512_shuffle_i32x4(s2, s3, 0xDD));
  }
  uint32_t at[4] = {counter[0] + (uint32_t)block, counter[1], counter[2], counter[3]};
  philox_fill(output + 4 * block, blocks - block, at, key);
}

// Each vector of 16 elements with its sign mask; lanes past `count` are neither read nor written.
#define FOR_SIGNED_VECTORS(body)                                                   \
  for (int64_t start = 0; start < count; start += 64) {                            \
    uint64_t bits = sign_word(signs, sign_offset + start, sign_offset + count);    \
    for (int64_t i = start; i < count && i < start + 64; i += 16, bits >>= 16) {   \
      __mmask16 minus = (__mmask16)bits;                                           \
      __mmask16 live = count - i < 16 ? (__mmask16)((1u << (count - i)) - 1) : 0xFFFF; \
      body                                                                         \
    }                                                                              \
  }

static void apply_signs_512(float *weights, const uint64_t *signs, int64_t sign_offset,
                            int64_t count, float step) {
  const __m512 plus = _mm512_set1_ps(step);
  const __m512 negative =
      _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(plus), _mm512_set1_epi32(1u << 31)));
  FOR_SIGNED_VECTORS({
    __m512 w = _mm512_maskz_loadu_ps(live, weights + i);
    w = _mm512_add_ps(w, _mm512_mask_blend_ps(minus, plus, negative));
    _mm512_mask_storeu_ps(weights + i, live, w);
  })
}

static void accumulate_signs_512(int32_t *sums, const uint64_t *signs, int64_t sign_offset,
                                 int64_t count, int32_t amount) {
  const __m512i plus = _mm512_set1_epi32(amount);
  const __m512i negative = _mm512_sub_epi32(_mm512_setzero_si512(), plus);
  FOR_SIGNED_VECTORS({
    __m512i s = _mm512_maskz_loadu_epi32(live, sums + i);
    s = _mm512_add_epi32(s, _mm512_mask_blend_epi32(minus, plus, negative));
    _mm512_mask_storeu_epi32(sums + i, live, s);
  })
}

static void conditional_negate_512(int32_t *output, const int32_t *input, const uint64_t *signs,
                                   int64_t sign_offset, int64_t count) {
  FOR_SIGNED_VECTORS({
    __m512i v = _mm512_maskz_loadu_epi32(live, input + i);
    v = _mm512_mask_sub_epi32(v, minus, _mm512_setzero_si512(), v);
    _mm512_mask_storeu_epi32(output + i, live, v);
  })
}

// Sums start from Σ amounts; each set bit then takes twice its amount away: one masked subtraction
// for 16 elements of a term. Eight terms share a load of the sums. Modulo 2^32, which is exact.
static void replay_independent_512(int32_t *sums, int64_t count, const uint32_t *directions,
                                   const int32_t *amounts, int64_t terms,
                                   const uint32_t counter[4], const uint32_t key[2]) {
  enum { CHUNK = 2048, GROUP = 8 };
  uint32_t signs[GROUP][4][16] __attribute__((aligned(64)));
  uint32_t total = 0;
  for (int64_t term = 0; term < terms; term++) total += (uint32_t)amounts[term];
  int64_t start = 0;
  for (; start + CHUNK <= count; start += CHUNK) {
    uint32_t at[4] = {counter[0] + (uint32_t)(start / 128), counter[1], 0, counter[3]};
    for (int64_t i = start; i < start + CHUNK; i += 16) {
      __m512i s = _mm512_loadu_si512(sums + i);
      _mm512_storeu_si512(sums + i, _mm512_add_epi32(s, _mm512_set1_epi32((int)total)));
    }
    for (int64_t term = 0; term < terms; term += GROUP) {
      __m512i twice[GROUP];
      for (int g = 0; g < GROUP; g++) {
        // Past the last term: any signs, amount zero.
        int64_t which = term + g < terms ? term + g : terms - 1;
        uint32_t amount = term + g < terms ? (uint32_t)amounts[which] : 0;
        twice[g] = _mm512_set1_epi32((int)(2 * amount));
        __m512i x[4];
        philox_lanes(x, at, directions[which], key);
        for (int w = 0; w < 4; w++) _mm512_store_si512(signs[g][w], x[w]);
      }
      for (int lane = 0; lane < 16; lane++) {
        for (int part = 0; part < 8; part++) {
          int32_t *to = sums + start + 128 * lane + 16 * part;
          __m512i s = _mm512_loadu_si512(to);
#pragma clang loop unroll(full)
          for (int g = 0; g < GROUP; g++) {
            __mmask16 minus = ((const uint16_t *)&signs[g][part >> 1][lane])[part & 1];
            s = _mm512_mask_sub_epi32(s, minus, s, twice[g]);
          }
          _mm512_storeu_si512(to, s);
        }
      }
    }
  }
  uint32_t at[4] = {counter[0] + (uint32_t)(start / 128), counter[1], counter[2], counter[3]};
  replay_independent(sums + start, count - start, directions, amounts, terms, at, key);
}

// Levels of the transform between whole vectors: R of them `half` elements apart.
#define BUTTERFLIES(R)                                       \
  _Pragma("clang loop unroll(full)") for (int h = 1; h < R; h *= 2) { \
    _Pragma("clang loop unroll(full)") for (int r = 0; r < R; r++) {  \
      if (r & h) continue;                                   \
      __m512i a = v[r], b = v[r + h];                        \
      v[r] = _mm512_add_epi32(a, b);                         \
      v[r + h] = _mm512_sub_epi32(a, b);                     \
    }                                                        \
  }

// The four levels within a vector: swap, then add below and subtract above.
static inline __m512i within(__m512i v) {
  __m512i t = _mm512_shuffle_epi32(v, 0xB1);
  v = _mm512_mask_sub_epi32(_mm512_add_epi32(v, t), 0xAAAA, t, v);
  t = _mm512_shuffle_epi32(v, 0x4E);
  v = _mm512_mask_sub_epi32(_mm512_add_epi32(v, t), 0xCCCC, t, v);
  t = _mm512_shuffle_i32x4(v, v, 0xB1);
  v = _mm512_mask_sub_epi32(_mm512_add_epi32(v, t), 0xF0F0, t, v);
  t = _mm512_shuffle_i32x4(v, v, 0x4E);
  return _mm512_mask_sub_epi32(_mm512_add_epi32(v, t), 0xFF00, t, v);
}

#define PASS(name, R, inner)                                                              \
  static void name(int32_t *values, int64_t count, int64_t half) {                        \
    for (int64_t start = 0; start < count; start += R * half) {                           \
      for (int64_t i = start; i < start + half; i += 16) {                                \
        __m512i v[R];                                                                     \
        _Pragma("clang loop unroll(full)") for (int r = 0; r < R; r++)                    \
          v[r] = inner(_mm512_loadu_si512(values + i + r * half));                        \
        BUTTERFLIES(R)                                                                    \
        _Pragma("clang loop unroll(full)") for (int r = 0; r < R; r++)                    \
          _mm512_storeu_si512(values + i + r * half, v[r]);                               \
      }                                                                                   \
    }                                                                                     \
  }
#define AS_IS(v) (v)
PASS(first_16, 16, within)
PASS(first_8, 8, within)
PASS(first_4, 4, within)
PASS(first_2, 2, within)
PASS(first_1, 1, within)
PASS(later_16, 16, AS_IS)

static void walsh_hadamard_i32_512(int32_t *values, int32_t log2_count) {
  if (log2_count < 4) return walsh_hadamard_i32(values, log2_count);
  int64_t count = (int64_t)1 << log2_count;
  // Whole radix-16 passes last; the first takes what is left over.
  switch ((log2_count - 4) % 4) {
    case 0:
      if (log2_count == 4) return first_1(values, count, 16);
      first_16(values, count, 16);
      for (int64_t half = 256; half < count; half *= 16) later_16(values, count, half);
      return;
    case 1: first_2(values, count, 16); break;
    case 2: first_4(values, count, 16); break;
    default: first_8(values, count, 16); break;
  }
  for (int64_t half = (int64_t)16 << ((log2_count - 4) % 4); half < count; half *= 16)
    later_16(values, count, half);
}

static inline __m256 form(__m256 base, __m256i integers, __m512d unit) {
  __m512d moved = _mm512_mul_pd(unit, _mm512_cvtepi32_pd(integers));
  return _mm512_cvtpd_ps(_mm512_add_pd(_mm512_cvtps_pd(base), moved));
}

// Sixteen stored values, widened.
static inline __m512 widen(const void *base, int32_t element_type, int64_t i) {
  if (element_type == SAMARA_F32) return _mm512_loadu_ps((const float *)base + i);
  __m256i stored = _mm256_loadu_si256((const __m256i *)((const uint16_t *)base + i));
  return element_type == SAMARA_F16
             ? _mm512_cvtph_ps(stored)
             : _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(stored), 16));
}

// Where all |I| < 2^24 the product I·2^−s is exact in binary32, and one fused multiply-add rounds
// once, to what the way through binary64 gives: that sum is inexact only if one side is below 2^−29
// of the other, where both ways return the larger.
static void form_weights_512(const void *base, int32_t element_type, const int32_t *integers,
                             int32_t scale_exponent, float *weights, int64_t count) {
  const __m512d unit =
      _mm512_castsi512_pd(_mm512_set1_epi64((long long)(1023 - scale_exponent) << 52));
  const __m512 narrow_unit = _mm512_castsi512_ps(_mm512_set1_epi32((127 - scale_exponent) << 23));
  const int may_be_narrow = scale_exponent >= 0 && scale_exponent <= 126;
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    __m512 from = widen(base, element_type, i);
    __m512i sums = _mm512_loadu_si512(integers + i);
    // The sums of a block come from the first cache, so nothing else fetches ahead.
    __builtin_prefetch((const char *)base + 4 * (i + 512), 0, 3);
    __builtin_prefetch(weights + i + 512, 1, 3);
    __mmask16 large = _mm512_cmpge_epu32_mask(_mm512_abs_epi32(sums), _mm512_set1_epi32(1 << 24));
    if (__builtin_expect(may_be_narrow && !large, 1)) {
      _mm512_storeu_ps(weights + i, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), narrow_unit, from));
    } else {
      __m256 low = form(_mm512_castps512_ps256(from), _mm512_castsi512_si256(sums), unit);
      __m256 high =
          form(_mm512_extractf32x8_ps(from, 1), _mm512_extracti32x8_epi32(sums, 1), unit);
      _mm512_storeu_ps(weights + i, _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1));
    }
  }
  form_weights((const char *)base + i * (element_type == SAMARA_F32 ? 4 : 2), element_type,
               integers + i, scale_exponent, weights + i, count - i);
}

#define PHILOX_FILL philox_fill_512
#include "projection_body.h"
#include "avx512_projection.h"

#pragma clang attribute pop

void samara_install_avx512_shared(samara_kernel_table *table) {
  install_shared(table);
  install_projection(table);
  table->philox_fill = philox_fill_512;
  table->apply_signs = apply_signs_512;
  table->accumulate_signs = accumulate_signs_512;
  table->conditional_negate = conditional_negate_512;
  table->replay_independent = replay_independent_512;
  table->walsh_hadamard_i32 = walsh_hadamard_i32_512;
  table->form_weights = form_weights_512;
  table->project_independent = project_independent_512;
}
#endif
