// Apache-2.0. Weights as they are stored, and the functions applied elementwise.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// How an element is stored.
enum samara_element_type {
  SAMARA_F32 = 0,
  SAMARA_F16 = 1,
  SAMARA_BF16 = 2,
  SAMARA_I8 = 3,  // −127 … 127, times the scale of the row
};

/// What a weight is packed for; `packed` of the arguments is what was packed for this purpose.
enum samara_panels {
  SAMARA_LINEAR_PANELS = 0,          // `linear` where by_parts is 0, and cross_entropy
  SAMARA_PARTS_PANELS = 1,           // `linear` where it is not
  SAMARA_INPUT_GRADIENT_PANELS = 2,  // `linear_input_gradient` where by_parts is not 0
};

/// What `linear` applies to each output element after the bias.
enum samara_activation {
  SAMARA_IDENTITY = 0,
  SAMARA_GELU = 1,       // exact, by erf
  SAMARA_GELU_TANH = 2,
  SAMARA_SILU = 3,
  SAMARA_TANH = 4,
  SAMARA_RELU = 5,
  SAMARA_RELU6 = 6,  // min(max(x, 0), 6)
};

/// Products by parts. Not 0: an instruction set with a tile unit may take factors as sums of three bf16
/// numbers and sum six of their nine products in binary32, in one order whatever the ranges. Results
/// are as near to the exact ones as one fused multiply-add a term is, in other bits. Sets without one
/// and perturbed weights do as if it were 0.
///
/// A matrix of weights as stored, row-major [rows × columns], with an optional perturbation formed
/// on load: value(r,c) = float(data[r·row_stride + c]) [· row_scales[r], rounded once, of SAMARA_I8]
/// + epsilon · z(sign_offset + r·columns + c), z(p) = −1 where bit p of `signs` (least significant first) is set, +1 elsewhere.
typedef struct samara_weight {
  const void *data;
  const uint64_t *signs;  // NULL: no perturbation
  int64_t sign_offset;    // bit of element (0, 0); any value, not only multiples of 64
  int64_t rows;           // output features of a linear layer; vocabulary of an embedding
  int64_t columns;        // input features
  int64_t row_stride;     // elements
  float epsilon;          // may be negative
  int32_t element_type;   // samara_element_type
  const float *row_scales;  // [rows] of SAMARA_I8; not read otherwise
} samara_weight;

#ifdef __cplusplus
}
#endif
