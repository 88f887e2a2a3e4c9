// Apache-2.0. The kernel table: one list of functions (kernels.def), one implementation of each per
// instruction set, chosen once at run time. Kernels are single-threaded and allocate nothing: the
// caller splits ranges over threads and hands in scratch.
#pragma once
#include "convolutions.h"
#include "gradients.h"
#include "integers.h"
#include "weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Instruction sets, best last within a machine family.
enum samara_isa {
  SAMARA_SCALAR = 0,
  SAMARA_AVX2 = 1,
  SAMARA_AVX512 = 2,
  SAMARA_NEON = 3,
  SAMARA_AMX = 4,  // AVX-512, and products by parts on the tile unit
  SAMARA_ISA_COUNT = 5,
};

/// output[m,n] = activation(Σ_k input[m,k]·weight[n,k] + bias[n]) + residual[m,n]
/// for m in [m_begin, m_end), n in [n_begin, n_end). Each output element is reduced over k in one
/// order that does not depend on the ranges, so splitting over threads changes no bit: beyond the
/// scalar set it is one fused multiply-add per k in the order of k, the same for every set.
/// Scratch: linear_scratch_bytes(M, N, K) is enough for every range. pack_weight: n_begin is a
/// multiple of 64, and n_end too or N.
typedef struct samara_linear_args {
  const float *input;  // [M × K]
  int64_t input_stride;
  samara_weight weight;    // [N × K]
  const void *packed;      // NULL, or the whole unperturbed weight (samara_panels)
  const float *bias;       // NULL or [N]
  const float *residual;   // NULL or [M × N]; may be `output`
  int64_t residual_stride;
  float *output;  // [M × N]
  int64_t output_stride;
  int64_t m_begin, m_end, n_begin, n_end;
  int32_t activation;  // samara_activation
  int32_t by_parts;    // samara_by_parts
  void *scratch;       // linear_scratch_bytes, 64-byte aligned, one per thread
} samara_linear_args;

/// Scaled dot-product attention of one (sequence, query head):
/// out[t,:] = Σ_u softmax_u(scale · q[t]·k[u]) v[u] over u < key_length, and u ≤ t where causal.
/// Strides are elements between consecutive positions.
typedef struct samara_attention_args {
  const float *query, *key, *value;  // first position of this head
  int64_t query_stride, key_stride, value_stride;
  float *output;
  int64_t output_stride;
  int64_t query_count, key_length, head_dimension;
  int32_t causal;
  float scale;
  void *scratch;  // attention_scratch_bytes
} samara_attention_args;

/// losses[m] = logsumexp_n(h[m]·W[n] + bias[n]) − (h[m]·W[label] + bias[label]) for rows
/// m in [m_begin, m_end) whose label is not negative; 0 for the others. No buffer of all logits.
typedef struct samara_cross_entropy_args {
  const float *hidden;  // [M × K]
  int64_t hidden_stride;
  samara_weight weight;  // [N × K]
  const void *packed;
  const float *bias;       // NULL or [N]
  const int32_t *labels;   // [M], negative: does not count
  float *losses;           // [M]
  int32_t *predictions;    // NULL or [M]: index of the largest logit (lowest on ties); −1 where not counted
  int64_t m_begin, m_end;
  void *scratch;  // cross_entropy_scratch_bytes
} samara_cross_entropy_args;

/// The table. `isa` says which instruction set filled it (a kernel it lacks stays the scalar one).
typedef struct samara_kernel_table {
  int32_t isa;
#define SAMARA_KERNEL(result, name, ...) result (*name)(__VA_ARGS__);
#include "kernels.def"
#undef SAMARA_KERNEL
} samara_kernel_table;

/// The best table of this machine; the environment variable SAMARA_ISA=scalar|avx2|avx512|neon
/// lowers it. Built once, thread-safe.
const samara_kernel_table *samara_kernels(void);

/// The table of one instruction set, or NULL where this machine or build lacks it.
const samara_kernel_table *samara_kernels_for(int32_t isa);

/// Tells the core that the caller waits for a word of memory to change.
static inline void samara_spin_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#ifdef __cplusplus
}
#endif
