// Apache-2.0. Probes the processor once and builds the tables.
#include "tables.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

static samara_kernel_table tables[SAMARA_ISA_COUNT];
static int available[SAMARA_ISA_COUNT];
static const samara_kernel_table *chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static samara_kernel_table *start(int32_t isa, int32_t from) {
  tables[isa] = tables[from];
  tables[isa].isa = isa;
  available[isa] = 1;
  return &tables[isa];
}

#if defined(__x86_64__)
/// Whether the processor has tiles of bf16 and the system lets this process use them.
static int has_tiles(void) {
#if defined(__linux__)
  enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
  return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
         __builtin_cpu_supports("avx512bf16") &&
         syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
  return 0;
#endif
}
#endif

static void build(void) {
  int32_t best = SAMARA_SCALAR;
  samara_install_scalar_dense(&tables[SAMARA_SCALAR]);
  samara_install_scalar_shared(&tables[SAMARA_SCALAR]);
  samara_install_scalar_integers(&tables[SAMARA_SCALAR]);
  available[SAMARA_SCALAR] = 1;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c")) {
    samara_kernel_table *table = start(best = SAMARA_AVX2, SAMARA_SCALAR);
    samara_install_avx2_dense(table);
    samara_install_avx2_shared(table);
    samara_install_avx2_integers(table);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      table = start(best = SAMARA_AVX512, SAMARA_AVX2);
      samara_install_avx512_dense(table);
      samara_install_avx512_shared(table);
      samara_install_avx512_integers(table);
      if (has_tiles()) samara_install_amx_dense(start(best = SAMARA_AMX, SAMARA_AVX512));
    }
  }
#elif defined(__aarch64__)
  samara_kernel_table *table = start(best = SAMARA_NEON, SAMARA_SCALAR);
  samara_install_neon_dense(table);
  samara_install_neon_shared(table);
#endif
  static const char *const names[SAMARA_ISA_COUNT] = {"scalar", "avx2", "avx512", "neon", "amx"};
  const char *wanted = getenv("SAMARA_ISA");
  for (int32_t isa = 0; wanted && isa < SAMARA_ISA_COUNT; isa++) {
    if (available[isa] && strcmp(wanted, names[isa]) == 0) best = isa;
  }
  chosen = &tables[best];
}

const samara_kernel_table *samara_kernels(void) {
  pthread_once(&once, build);
  return chosen;
}

const samara_kernel_table *samara_kernels_for(int32_t isa) {
  pthread_once(&once, build);
  return isa >= 0 && isa < SAMARA_ISA_COUNT && available[isa] ? &tables[isa] : NULL;
}
