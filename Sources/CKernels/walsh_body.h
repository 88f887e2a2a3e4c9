// Apache-2.0. The fast Walsh-Hadamard transform, written once for both types of values. No include
// guard: included once for each WALSH_VALUE, under the target attributes of the file.

/// In place, unnormalised: v ← H v, H[i][j] = (−1)^popcount(i & j). Of integers partial sums are
/// bounded by Σ|v|, which the caller holds below 2^31.
static void WALSH_NAME(WALSH_VALUE *values, int32_t log2_count) {
  int64_t count = (int64_t)1 << log2_count;
  int64_t half = 1;
  if (log2_count & 1) {
    for (int64_t i = 0; i < count; i += 2) {
      WALSH_VALUE a = values[i], b = values[i + 1];
      values[i] = a + b;
      values[i + 1] = a - b;
    }
    half = 2;
  }
  // Two levels a pass: a quarter of the memory traffic of single levels.
  for (; half < count; half *= 4) {
    for (int64_t start = 0; start < count; start += 4 * half) {
      WALSH_VALUE *v0 = values + start, *v1 = v0 + half, *v2 = v1 + half, *v3 = v2 + half;
      for (int64_t i = 0; i < half; i++) {
        WALSH_VALUE a = v0[i] + v1[i], b = v0[i] - v1[i], c = v2[i] + v3[i], d = v2[i] - v3[i];
        v0[i] = a + c;
        v1[i] = b + d;
        v2[i] = a - c;
        v3[i] = b - d;
      }
    }
  }
}

#undef WALSH_NAME
#undef WALSH_VALUE
