// Apache-2.0. Projections for AVX-512: signs are mask registers, eight directions share a load.
// Included once, by avx512_shared.c.

// Lanes start from the sum of the values; each set bit then takes twice its value away: one masked
// subtraction for 16 elements of a direction.
static void project_independent_512(double *sums, const float *values, int64_t count,
                                    const uint32_t *directions, int64_t terms,
                                    const uint32_t counter[4], const uint32_t key[2]) {
  enum { GROUP = 8 };
  uint32_t signs[GROUP][PROJECTION_CHUNK / 32] __attribute__((aligned(64)));
  float twice[PROJECTION_CHUNK] __attribute__((aligned(64)));
  int64_t start = 0;
  for (; start + PROJECTION_CHUNK <= count; start += PROJECTION_CHUNK) {
    __m512 plain = _mm512_setzero_ps();
    for (int64_t i = 0; i < PROJECTION_CHUNK; i += 16) {
      __m512 value = _mm512_loadu_ps(values + start + i);
      plain = _mm512_add_ps(plain, value);
      _mm512_store_ps(twice + i, _mm512_add_ps(value, value));
    }
    for (int64_t term = 0; term < terms; term += GROUP) {
      int live = terms - term < GROUP ? (int)(terms - term) : GROUP;
      __m512 lanes[GROUP];
      for (int g = 0; g < GROUP; g++) {
        lanes[g] = plain;
        if (g >= live) continue;
        uint32_t at[4] = {counter[0] + (uint32_t)(start / 128), counter[1], directions[term + g],
                          counter[3]};
        philox_fill_512(signs[g], PROJECTION_CHUNK / 128, at, key);
      }
      // Past the last direction: what an earlier group left; nobody reads those lanes.
      if (live < GROUP && term == 0) {
        for (int g = live; g < GROUP; g++)
          for (int word = 0; word < PROJECTION_CHUNK / 32; word++) signs[g][word] = 0;
      }
      for (int64_t i = 0; i < PROJECTION_CHUNK; i += 16) {
        __m512 value = _mm512_load_ps(twice + i);
#pragma clang loop unroll(full)
        for (int g = 0; g < GROUP; g++) {
          __mmask16 minus = ((const uint16_t *)signs[g])[i / 16];
          lanes[g] = _mm512_mask_sub_ps(lanes[g], minus, lanes[g], value);
        }
      }
      for (int g = 0; g < live; g++) sums[term + g] += (double)_mm512_reduce_add_ps(lanes[g]);
    }
  }
  uint32_t at[4] = {counter[0] + (uint32_t)(start / 128), counter[1], counter[2], counter[3]};
  project_independent(sums, values + start, count - start, directions, terms, at, key);
}
