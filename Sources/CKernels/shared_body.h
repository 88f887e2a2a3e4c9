// Apache-2.0. The shared-state kernels, written once: each instruction set compiles this body under
// its own target attribute. All of it is integer arithmetic, sign flips and one rounding per
// element, so every compilation gives the same bits. No include guard: included once a file.

static void philox_block(uint32_t x[4], uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++) {
    uint64_t p = (uint64_t)0xD2511F53u * x[0];
    uint64_t q = (uint64_t)0xCD9E8D57u * x[2];
    uint32_t y0 = (uint32_t)(q >> 32) ^ x[1] ^ k0;
    uint32_t y2 = (uint32_t)(p >> 32) ^ x[3] ^ k1;
    x[1] = (uint32_t)q;
    x[3] = (uint32_t)p;
    x[0] = y0;
    x[2] = y2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

/// Blocks counter, counter+1 … (the first counter word alone runs, and wraps).
static void philox_fill(uint32_t *output, int64_t blocks, const uint32_t counter[4],
                        const uint32_t key[2]) {
  enum { LANES = 16 };
  int64_t block = 0;
  // Lanes side by side, so that the compiler makes vectors of them.
  for (; block + LANES <= blocks; block += LANES) {
    uint32_t x0[LANES], x1[LANES], x2[LANES], x3[LANES];
    for (int lane = 0; lane < LANES; lane++) {
      x0[lane] = counter[0] + (uint32_t)(block + lane);
      x1[lane] = counter[1];
      x2[lane] = counter[2];
      x3[lane] = counter[3];
    }
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
      for (int lane = 0; lane < LANES; lane++) {
        uint64_t p = (uint64_t)0xD2511F53u * x0[lane];
        uint64_t q = (uint64_t)0xCD9E8D57u * x2[lane];
        x0[lane] = (uint32_t)(q >> 32) ^ x1[lane] ^ k0;
        x2[lane] = (uint32_t)(p >> 32) ^ x3[lane] ^ k1;
        x1[lane] = (uint32_t)q;
        x3[lane] = (uint32_t)p;
      }
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    uint32_t *to = output + 4 * block;
    for (int lane = 0; lane < LANES; lane++) {
      to[4 * lane] = x0[lane];
      to[4 * lane + 1] = x1[lane];
      to[4 * lane + 2] = x2[lane];
      to[4 * lane + 3] = x3[lane];
    }
  }
  for (; block < blocks; block++) {
    uint32_t x[4] = {counter[0] + (uint32_t)block, counter[1], counter[2], counter[3]};
    philox_block(x, key[0], key[1]);
    for (int word = 0; word < 4; word++) output[4 * block + word] = x[word];
  }
}

/// The 64 sign bits from bit `at` on; bits at or past `end` are not read and are zero.
static uint64_t sign_word(const uint64_t *signs, int64_t at, int64_t end) {
  int64_t word = at >> 6;
  int shift = (int)(at & 63);
  uint64_t bits = signs[word] >> shift;
  if (shift && ((word + 1) << 6) < end) bits |= signs[word + 1] << (64 - shift);
  return bits;
}

static void apply_signs(float *weights, const uint64_t *signs, int64_t sign_offset, int64_t count,
                        float step) {
  uint32_t amount;
  __builtin_memcpy(&amount, &step, 4);
  for (int64_t start = 0; start < count; start += 64) {
    uint64_t bits = sign_word(signs, sign_offset + start, sign_offset + count);
    int64_t here = count - start < 64 ? count - start : 64;
    for (int64_t i = 0; i < here; i++) {
      uint32_t flipped = amount ^ ((uint32_t)((bits >> i) & 1) << 31);
      float signed_step;
      __builtin_memcpy(&signed_step, &flipped, 4);
      weights[start + i] += signed_step;
    }
  }
}

static void accumulate_signs(int32_t *sums, const uint64_t *signs, int64_t sign_offset,
                             int64_t count, int32_t amount) {
  for (int64_t start = 0; start < count; start += 64) {
    uint64_t bits = sign_word(signs, sign_offset + start, sign_offset + count);
    int64_t here = count - start < 64 ? count - start : 64;
    for (int64_t i = 0; i < here; i++) {
      int32_t mask = -(int32_t)((bits >> i) & 1);
      sums[start + i] += (amount ^ mask) - mask;
    }
  }
}

/// sums[i] += Σ_t amounts[t] · z_{directions[t]}[i], the first element at block `counter[0]`.
static void replay_independent(int32_t *sums, int64_t count, const uint32_t *directions,
                               const int32_t *amounts, int64_t terms, const uint32_t counter[4],
                               const uint32_t key[2]) {
  enum { CHUNK = 2048 };
  uint64_t signs[CHUNK / 64];
  for (int64_t start = 0; start < count; start += CHUNK) {
    int64_t here = count - start < CHUNK ? count - start : CHUNK;
    for (int64_t term = 0; term < terms; term++) {
      uint32_t at[4] = {counter[0] + (uint32_t)(start / 128), counter[1], directions[term],
                        counter[3]};
      philox_fill((uint32_t *)signs, (here + 127) / 128, at, key);
      accumulate_signs(sums + start, signs, 0, here, amounts[term]);
    }
  }
}

static void conditional_negate(int32_t *output, const int32_t *input, const uint64_t *signs,
                               int64_t sign_offset, int64_t count) {
  for (int64_t start = 0; start < count; start += 64) {
    uint64_t bits = sign_word(signs, sign_offset + start, sign_offset + count);
    int64_t here = count - start < 64 ? count - start : 64;
    for (int64_t i = 0; i < here; i++) {
      int32_t mask = -(int32_t)((bits >> i) & 1);
      output[start + i] = (input[start + i] ^ mask) - mask;
    }
  }
}

#define WALSH_NAME walsh_hadamard_i32
#define WALSH_VALUE int32_t
#include "walsh_body.h"

static float half_to_float(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 1023;
  uint32_t bits;
  if (exponent == 31) {
    bits = sign | 0x7F800000u | (fraction << 13);
  } else if (exponent) {
    bits = sign | ((exponent + 112) << 23) | (fraction << 13);
  } else {
    // A subnormal half is a whole number of 2^-24.
    float value = (float)fraction * 0x1p-24f;
    __builtin_memcpy(&bits, &value, 4);
    bits |= sign;
  }
  float result;
  __builtin_memcpy(&result, &bits, 4);
  return result;
}

/// weights[i] = fl32(base[i] + 2^-scale_exponent · integers[i]), the sum in binary64.
static void form_weights(const void *base, int32_t element_type, const int32_t *integers,
                         int32_t scale_exponent, float *weights, int64_t count) {
  uint64_t scale_bits = (uint64_t)(1023 - scale_exponent) << 52;
  double unit;
  __builtin_memcpy(&unit, &scale_bits, 8);
  if (element_type == SAMARA_F32) {
    const float *from = base;
    for (int64_t i = 0; i < count; i++)
      weights[i] = (float)((double)from[i] + unit * (double)integers[i]);
  } else {
    const uint16_t *from = base;
    for (int64_t i = 0; i < count; i++) {
      float value;
      if (element_type == SAMARA_BF16) {
        uint32_t bits = (uint32_t)from[i] << 16;
        __builtin_memcpy(&value, &bits, 4);
      } else {
        value = half_to_float(from[i]);
      }
      weights[i] = (float)((double)value + unit * (double)integers[i]);
    }
  }
}

static void install_shared(samara_kernel_table *table) {
  table->philox_fill = philox_fill;
  table->apply_signs = apply_signs;
  table->walsh_hadamard_i32 = walsh_hadamard_i32;
  table->accumulate_signs = accumulate_signs;
  table->replay_independent = replay_independent;
  table->form_weights = form_weights;
  table->conditional_negate = conditional_negate;
}
