// Apache-2.0. What the checks of kernels on another machine share.
#pragma once
#include "../../../Sources/CKernels/include/CKernels.h"

#include <stdint.h>

/// The kernels of the list, by number.
enum kernel_name {
#define SAMARA_KERNEL(result, name, ...) KERNEL_##name,
#include "../../../Sources/CKernels/include/kernels.def"
#undef SAMARA_KERNEL
  KERNEL_COUNT
};

/// Notes that a kernel has been held against its oracle.
#define CHECKED(name) (checked[KERNEL_##name] = 1)
extern int checked[KERNEL_COUNT];

/// Memory of exactly `bytes`, aligned to 64, behind which a guard is watched; never freed.
void *memory(size_t bytes);
/// Fails if a guard has been written over.
void check_guards(const char *what);

/// The same numbers everywhere: 32 bits, or a float in [−1, 1).
uint32_t random_word(uint32_t index, uint32_t seed);
float *random_floats(int64_t count, uint32_t seed);
uint64_t *random_signs(int64_t bits, uint32_t seed);
/// A weight of random elements; `offset` below zero: without signs.
samara_weight random_weight(
    int64_t rows, int64_t columns, int32_t type, int64_t offset, uint32_t seed);

/// Fails with a line that names `what` unless the two agree: to the bit, or within `tolerance` of
/// the larger magnitude (at least 1e-2).
void same_bits(const char *what, const void *a, const void *b, size_t bytes);
void close_to(const char *what, const float *a, const float *b, int64_t count, float tolerance);

/// Folds bytes into the hash of a kernel, which must be the same on every machine.
void hash(const char *kernel, const void *bytes, size_t count);

/// Runs `call` with each table into `output`, `bytes` long, and compares to the bit.
#define EQUAL(name, bytes, call)                                        \
  do {                                                                  \
    void *results[2] = {memory((size_t)(bytes)), memory((size_t)(bytes))}; \
    for (int t = 0; t < 2; t++) {                                       \
      const samara_kernel_table *kernels = t ? fast : scalar;           \
      void *output = results[t];                                        \
      call;                                                             \
    }                                                                   \
    same_bits(#name, results[0], results[1], (size_t)(bytes));          \
    hash(#name, results[1], (size_t)(bytes));                           \
    CHECKED(name);                                                      \
  } while (0)

void check_linear(const samara_kernel_table *scalar, const samara_kernel_table *fast);
void check_rows(const samara_kernel_table *scalar, const samara_kernel_table *fast);
void check_products(const samara_kernel_table *scalar, const samara_kernel_table *fast);
void check_gradients(const samara_kernel_table *scalar, const samara_kernel_table *fast);
void check_convolutions(const samara_kernel_table *scalar, const samara_kernel_table *fast);
void check_shared(const samara_kernel_table *scalar, const samara_kernel_table *fast);
void check_projections(const samara_kernel_table *scalar, const samara_kernel_table *fast);
void check_integers(const samara_kernel_table *scalar, const samara_kernel_table *fast);
