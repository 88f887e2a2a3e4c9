// Apache-2.0. Projections on shared directions, written once: each instruction set compiles this body
// under its own target attribute. A projection is what a client measured, so sets may differ in its
// last bits; on one machine the order of additions is fixed. No include guard: included once a file,
// after shared_body.h, with PHILOX_FILL the fastest source of signs the file has.

enum { PROJECTION_CHUNK = 2048 };

/// sums[t] += Σ_i values[i] · z_{directions[t]}[i], the first element at block `counter[0]`.
/// Lanes in binary32 within a chunk, binary64 from chunk to chunk.
static void project_independent(double *sums, const float *values, int64_t count,
                                const uint32_t *directions, int64_t terms,
                                const uint32_t counter[4], const uint32_t key[2]) {
  enum { LANES = 32 };
  uint32_t signs[PROJECTION_CHUNK / 32];
  for (int64_t start = 0; start < count; start += PROJECTION_CHUNK) {
    int64_t here = count - start < PROJECTION_CHUNK ? count - start : PROJECTION_CHUNK;
    for (int64_t term = 0; term < terms; term++) {
      uint32_t at[4] = {counter[0] + (uint32_t)(start / 128), counter[1], directions[term],
                        counter[3]};
      PHILOX_FILL(signs, (here + 127) / 128, at, key);
      float lanes[LANES] = {0};
      int64_t i = 0;
      for (; i + LANES <= here; i += LANES) {
        uint32_t word = signs[i / 32];
        for (int lane = 0; lane < LANES; lane++) {
          uint32_t bits;
          __builtin_memcpy(&bits, values + start + i + lane, 4);
          bits ^= (word >> lane) << 31;
          float flipped;
          __builtin_memcpy(&flipped, &bits, 4);
          lanes[lane] += flipped;
        }
      }
      double sum = 0;
      for (int lane = 0; lane < LANES; lane++) sum += (double)lanes[lane];
      for (; i < here; i++) {
        double value = (double)values[start + i];
        sum += (signs[i / 32] >> (i & 31)) & 1 ? -value : value;
      }
      sums[term] += sum;
    }
  }
}

/// output[i] = ±input[i], minus where the bit sign_offset + i is set.
static void negate_signs(float *output, const float *input, const uint64_t *signs,
                         int64_t sign_offset, int64_t count) {
  for (int64_t start = 0; start < count; start += 64) {
    uint64_t word = sign_word(signs, sign_offset + start, sign_offset + count);
    int64_t here = count - start < 64 ? count - start : 64;
    for (int64_t i = 0; i < here; i++) {
      uint32_t bits;
      __builtin_memcpy(&bits, input + start + i, 4);
      bits ^= (uint32_t)((word >> i) & 1) << 31;
      __builtin_memcpy(output + start + i, &bits, 4);
    }
  }
}

#define WALSH_NAME walsh_hadamard_f32
#define WALSH_VALUE float
#include "walsh_body.h"

static void install_projection(samara_kernel_table *table) {
  table->project_independent = project_independent;
  table->negate_signs = negate_signs;
  table->walsh_hadamard_f32 = walsh_hadamard_f32;
}
