// Apache-2.0. Holds every kernel of this machine's instruction sets against the scalar ones and
// prints hashes of what must be the same on every machine. Exit code 1 where anything differs.
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int checked[KERNEL_COUNT];
static int failures;

enum { GUARD = 64, BLOCKS = 1 << 16 };
static struct {
  unsigned char *start;
  size_t bytes;
} blocks[BLOCKS];
static int block_count;

void *memory(size_t bytes) {
  unsigned char *start = aligned_alloc(64, (bytes + GUARD + 63) / 64 * 64);
  if (!start || block_count == BLOCKS) {
    fprintf(stderr, "out of memory\n");
    exit(1);
  }
  memset(start, 0, bytes);
  memset(start + bytes, 0x5A, GUARD);
  blocks[block_count].start = start;
  blocks[block_count++].bytes = bytes;
  return start;
}

void check_guards(const char *what) {
  for (int i = 0; i < block_count; i++) {
    for (int byte = 0; byte < GUARD; byte++) {
      if (blocks[i].start[blocks[i].bytes + (size_t)byte] == 0x5A) continue;
      printf("FAILED %s: writes past the end of a buffer\n", what);
      failures++;
      break;
    }
    free(blocks[i].start);
  }
  block_count = 0;
}

uint32_t random_word(uint32_t index, uint32_t seed) {
  uint32_t x = index * 0x9E3779B9u + seed * 0x85EBCA6Bu + 0x165667B1u;
  x = (x ^ x >> 16) * 0x7FEB352Du;
  x = (x ^ x >> 15) * 0x846CA68Bu;
  return x ^ x >> 16;
}

float *random_floats(int64_t count, uint32_t seed) {
  float *values = memory((size_t)count * 4);
  for (int64_t i = 0; i < count; i++) {
    values[i] = (float)((int32_t)random_word((uint32_t)i, seed) >> 8) * 0x1p-23f;
  }
  return values;
}

uint64_t *random_signs(int64_t bits, uint32_t seed) {
  int64_t words = (bits + 63) / 64;
  uint64_t *signs = memory((size_t)words * 8);
  for (int64_t i = 0; i < words; i++) {
    signs[i] = (uint64_t)random_word((uint32_t)i, seed) << 32 | random_word((uint32_t)i, seed + 1);
  }
  return signs;
}

void same_bits(const char *what, const void *a, const void *b, size_t bytes) {
  if (memcmp(a, b, bytes) == 0) return;
  printf("FAILED %s: other bits\n", what);
  failures++;
}

void close_to(const char *what, const float *a, const float *b, int64_t count, float tolerance) {
  for (int64_t i = 0; i < count; i++) {
    if (a[i] == b[i] || (isnan(a[i]) && isnan(b[i]))) continue;
    float scale = fmaxf(fmaxf(fabsf(a[i]), fabsf(b[i])), 1e-2f);
    if (fabsf(a[i] - b[i]) <= tolerance * scale) continue;
    printf("FAILED %s: element %lld is %.9g, not %.9g\n", what, (long long)i, b[i], a[i]);
    failures++;
    return;
  }
}

static struct {
  const char *kernel;
  uint64_t value;
} hashes[32];

void hash(const char *kernel, const void *bytes, size_t count) {
  int i = 0;
  while (hashes[i].kernel && strcmp(hashes[i].kernel, kernel) != 0) i++;
  if (!hashes[i].kernel) {
    hashes[i].kernel = kernel;
    hashes[i].value = 0xCBF29CE484222325u;
  }
  for (size_t byte = 0; byte < count; byte++) {
    hashes[i].value = (hashes[i].value ^ ((const unsigned char *)bytes)[byte]) * 0x100000001B3u;
  }
}

int main(void) {
  static const char *const sets[] = {"scalar", "avx2", "avx512", "neon"};
  static const char *const kernels[] = {
#define SAMARA_KERNEL(result, name, ...) #name,
#include "../../../Sources/CKernels/include/kernels.def"
#undef SAMARA_KERNEL
  };
  const samara_kernel_table *scalar = samara_kernels_for(SAMARA_SCALAR);
  int compared = 0;
  for (int32_t isa = SAMARA_SCALAR + 1; isa <= SAMARA_NEON; isa++) {
    const samara_kernel_table *fast = samara_kernels_for(isa);
    if (!fast) continue;
    fprintf(stderr, "%s against scalar\n", sets[isa]);
    memset(hashes, 0, sizeof hashes);
    check_linear(scalar, fast);
    check_rows(scalar, fast);
    check_products(scalar, fast);
    check_gradients(scalar, fast);
    check_convolutions(scalar, fast);
    check_shared(scalar, fast);
    check_projections(scalar, fast);
    check_integers(scalar, fast);
    compared++;
  }
  for (int kernel = 0; kernel < KERNEL_COUNT && compared; kernel++) {
    if (checked[kernel]) continue;
    printf("FAILED %s: no check\n", kernels[kernel]);
    failures++;
  }
  for (int i = 0; i < 32 && hashes[i].kernel; i++) {
    printf("%s %016llx\n", hashes[i].kernel, (unsigned long long)hashes[i].value);
  }
  if (!compared) printf("FAILED: this machine has the scalar set alone\n");
  return failures || !compared;
}
