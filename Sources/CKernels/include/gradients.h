// Apache-2.0. Arguments of the kernels that carry gradients back and of those that update weights.
// What is summed over rows is summed in the order of the rows, so a split over threads (ranges of
// the result, never of what is summed) changes no bit.
#pragma once
#include "weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/// input_gradient[m,k] = (Σ_n output_gradient[m,n]·weight[n,k]) · activation′(saved[m,k])
///                       + residual[m,k]
/// for m in [m_begin, m_end), k in [k_begin, k_end). Summed over n in one order that does not depend
/// on the ranges: beyond the scalar set one fused multiply-add per n in the order of n.
/// Scratch: linear_input_gradient_scratch_bytes(M, N, K) is enough for every range.
typedef struct samara_linear_input_gradient_args {
  const float *output_gradient;  // [M × N]
  int64_t output_gradient_stride;
  samara_weight weight;    // [N × K], as in `linear`
  const void *packed;      // NULL, or what pack_panels made of the whole unperturbed weight
  const float *saved;      // NULL or [M × K]: what went into the activation before this layer
  int64_t saved_stride;
  int32_t activation;      // samara_activation of `saved`
  int32_t saved_output;    // not 0: `saved` is what came out (identity, tanh, ReLU, ReLU6 only)
  const float *residual;   // NULL or [M × K]: the gradient by other ways; may be input_gradient
  int64_t residual_stride;
  float *input_gradient;   // [M × K]
  int64_t input_gradient_stride;
  int64_t m_begin, m_end, k_begin, k_end;
  int32_t by_parts;  // as in `linear`
  void *scratch;  // 64-byte aligned, one per thread
} samara_linear_input_gradient_args;

/// How weights follow their gradient g′ = scale · g.
///   SGD:      w ← w − rate · (g′ + decay·w)
///   momentum: v ← momentum·v + (g′ + decay·w); w ← w − rate·v    (v = first; zeros at the start)
///   AdamW:    w ← w − rate·decay·w; m ← β₁m + (1 − β₁)g′; v ← β₂v + (1 − β₂)g′²;
///             w ← w − rate·first_correction·m / (√v·second_correction + epsilon)
/// (Loshchilov & Hutter, 2019, as PyTorch does it). Same bits in every instruction set, and whether
/// fused with the gradient or not.
enum samara_update_rule { SAMARA_SGD = 0, SAMARA_MOMENTUM = 1, SAMARA_ADAMW = 2 };

typedef struct samara_update {
  int32_t rule;             // samara_update_rule
  float rate;               // step size of this step
  float decay;              // weight decay: coupled for SGD and momentum, decoupled for AdamW
  float scale;              // of gradients: 1, or what clips or averages them
  float momentum;           // momentum, or β₁
  float second_momentum;    // β₂
  float epsilon;
  float first_correction;   // 1 / (1 − β₁^t)
  float second_correction;  // 1 / √(1 − β₂^t)
} samara_update;

/// gradient[n,k] (+)= Σ_m output_gradient[m,n] · input_activation(input[m,k])
/// for n in [n_begin, n_end), k in [k_begin, k_end): a range of k trains a fraction of the input
/// channels. With `update` the sum goes straight into `weights` and `gradient` is not written (it is
/// read, and may be NULL unless `accumulate`). Summed in the order of m.
/// Scratch: linear_weight_gradient_scratch_bytes(M, N, K) is enough for every range.
typedef struct samara_linear_weight_gradient_args {
  const float *output_gradient;  // [M × N]
  int64_t output_gradient_stride;
  const float *input;  // [M × K]
  int64_t input_stride;
  int32_t input_activation;  // samara_activation; SAMARA_IDENTITY: the layer read `input` itself
  int32_t accumulate;        // not 0: on top of what `gradient` holds
  int64_t rows;              // M
  float *gradient;           // [N × K]
  int64_t gradient_stride;
  const samara_update *update;     // NULL: the gradient alone
  float *weights, *first, *second;  // [N × K]: master copy and the rule's state
  int64_t weight_stride;
  int64_t n_begin, n_end, k_begin, k_end;
  int32_t by_parts;  // as in `linear`
  void *scratch;
} samara_linear_weight_gradient_args;

/// Gradients of rms_norm and layer_norm; statistics are computed again from the input.
/// gain_sums and bias_sums are of these rows alone: give every group of a fixed number of rows its
/// own and add the groups by column_sums, so that the number of threads changes no bit.
typedef struct samara_norm_gradient_args {
  const float *input, *gain;
  const float *output_gradient;
  const float *residual;   // NULL or [rows × columns]: the gradient by other ways
  float *input_gradient;   // NULL: not wanted; may be output_gradient or residual
  float *gain_sums;        // NULL or [columns]: Σ over rows of output_gradient · normalised input
  float *bias_sums;        // NULL or [columns]: Σ over rows of output_gradient
  int64_t rows, columns;
  float epsilon;
} samara_norm_gradient_args;

/// Gradients of `attention` for one head of keys and values and the `heads` query heads that share
/// it (their first elements head_stride apart, in gradients too). Probabilities are computed again.
/// Key and value gradients are sums over the query heads in order; those of positions in
/// [key_length, key_count) are zeros. Overwrites all three.
/// Scratch: attention_gradient_scratch_bytes(query_count, key_length, head_dimension).
typedef struct samara_attention_gradient_args {
  const float *query, *key, *value;  // first position of the (first) head
  int64_t query_stride, key_stride, value_stride;
  const float *output_gradient;
  int64_t output_gradient_stride;
  float *query_gradient, *key_gradient, *value_gradient;
  int64_t query_gradient_stride, key_gradient_stride, value_gradient_stride;
  int64_t heads, head_stride;
  int64_t query_count, key_length, key_count, head_dimension;
  int32_t causal;
  float scale;
  void *scratch;
} samara_attention_gradient_args;

/// Rows of logits [rows × columns] to losses and, in place, to gradients: the loss of a row is
/// logsumexp − logit[label] and its gradient loss_gradient · (softmax − onehot); a row whose label
/// is negative has loss 0 and gradient zeros.
/// The gradient of a loss over a vocabulary without a buffer of all logits: for chunks of a fixed
/// number of rows `linear` into the chunk, this, linear_input_gradient, and linear_weight_gradient
/// with `accumulate`. Chunks change no bit, since sums go on in the order of rows.
typedef struct samara_logits_gradient_args {
  float *logits;
  int64_t logits_stride;
  const int32_t *labels;       // [rows]
  const float *loss_gradients; // NULL or [rows]: times loss_gradient
  float loss_gradient;         // what each counted row weighs in the result: 1 / counted for a mean
  float *losses;               // NULL or [rows]
  int32_t *predictions;        // NULL or [rows]: index of the largest; −1 where not counted
  int64_t rows, columns;
} samara_logits_gradient_args;

#ifdef __cplusplus
}
#endif
