// Apache-2.0. Reading weights as stored, one element at a time: the definition that every
// vectorised loader must equal bit for bit.
#pragma once
#include "include/CKernels.h"

#include <string.h>

static inline float samara_float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline float samara_float_of_bf16(uint16_t bits) {
  return samara_float_of_bits((uint32_t)bits << 16);
}

/// Exact; subnormals kept, NaN payloads kept and made quiet as the hardware does.
static inline float samara_float_of_f16(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
  uint32_t exponent = (bits >> 10) & 31u, fraction = bits & 1023u;
  if (exponent == 31) {
    return samara_float_of_bits(sign | 0x7F800000u | (fraction ? 0x00400000u : 0) | fraction << 13);
  }
  if (exponent == 0) {
    float magnitude = (float)fraction * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return samara_float_of_bits(sign | (exponent + 112u) << 23 | fraction << 13);
}

static inline float samara_stored_element(const void *data, int32_t type, int64_t index) {
  if (type == SAMARA_F32) return ((const float *)data)[index];
  if (type == SAMARA_I8) return ((const int8_t *)data)[index];
  uint16_t bits = ((const uint16_t *)data)[index];
  return type == SAMARA_F16 ? samara_float_of_f16(bits) : samara_float_of_bf16(bits);
}

static inline int samara_sign_bit(const uint64_t *signs, int64_t bit) {
  return (int)(signs[bit >> 6] >> (bit & 63) & 1);
}

static inline float samara_weight_element(const samara_weight *w, int64_t row, int64_t column) {
  float value = samara_stored_element(w->data, w->element_type, row * w->row_stride + column);
  if (w->element_type == SAMARA_I8) value *= w->row_scales[row];
  if (!w->signs) return value;
  int64_t bit = w->sign_offset + row * w->columns + column;
  return value + (samara_sign_bit(w->signs, bit) ? -w->epsilon : w->epsilon);
}

/// Columns [begin, end) of one row into `output`.
static inline void samara_weight_row(
    const samara_weight *w, int64_t row, int64_t begin, int64_t end, float *output) {
  for (int64_t c = begin; c < end; c++) output[c - begin] = samara_weight_element(w, row, c);
}
