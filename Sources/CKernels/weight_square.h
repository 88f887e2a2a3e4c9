// Apache-2.0. Squares of a weight, LANES rows by LANES columns, turned in registers: what panels
// are packed from and what few rows of input are multiplied with directly.
#pragma once
#include "transpose.h"

#define NR (NV * LANES)

/// Where LANES consecutive rows begin: the last is repeated from the end of the weight's range on.
typedef struct weight_rows {
  int64_t row[LANES], element[LANES], bit[LANES];
} weight_rows;

INLINE weight_rows rows_from(const samara_weight *w, int64_t row, int64_t row_end) {
  weight_rows rows;
  for (int64_t i = 0; i < LANES; i++) {
    rows.row[i] = row + i < row_end ? row + i : row_end - 1;
    rows.element[i] = rows.row[i] * w->row_stride;
    rows.bit[i] = w->sign_offset + rows.row[i] * w->columns;
  }
  return rows;
}

/// Columns [k, k + LANES) of the rows, one column a vector. `type` and `has_signs` are constants
/// where this is used, so that the loops do not branch and the square never leaves the registers.
INLINE void load_square(
    const samara_weight *w, int32_t type, int has_signs, const weight_rows *rows, int64_t k,
    vec square[LANES]) {
#pragma clang loop unroll(full)
  for (int i = 0; i < LANES; i++) {
    square[i] = load_stored(w->data, type, rows->element[i] + k);
    if (type == SAMARA_I8) square[i] *= splat(w->row_scales[rows->row[i]]);
    if (has_signs) {
      square[i] = perturbed(square[i], sign_bits(w->signs, rows->bit[i] + k), w->epsilon);
    }
  }
  transpose(square);
}

/// Calls `body(type, has_signs)` with the constants of a weight.
#define BY_KIND(w, body)                                                 \
  switch ((w)->element_type) {                                           \
    case SAMARA_F32:                                                     \
      if ((w)->signs) body(SAMARA_F32, 1) else body(SAMARA_F32, 0) break;   \
    case SAMARA_BF16:                                                    \
      if ((w)->signs) body(SAMARA_BF16, 1) else body(SAMARA_BF16, 0) break; \
    case SAMARA_I8:                                                      \
      if ((w)->signs) body(SAMARA_I8, 1) else body(SAMARA_I8, 0) break;   \
    default:                                                             \
      if ((w)->signs) body(SAMARA_F16, 1) else body(SAMARA_F16, 0)       \
  }

/// Columns [begin, end) of the rows one by one, as [k][step].
INLINE void pack_columns(
    const samara_weight *w, const weight_rows *rows, int64_t begin, int64_t end, float *packed,
    int64_t step) {
  for (int64_t k = begin; k < end; k++) {
    for (int i = 0; i < LANES; i++) {
      packed[(k - begin) * step + i] = samara_weight_element(w, rows->row[i], k);
    }
  }
}

/// NR rows of the weight from `row` (repeating the last from row_end on), columns [begin, end), as
/// [k][NR].
INLINE void pack_panel(
    const samara_weight *w, int64_t row, int64_t row_end, int64_t begin, int64_t end,
    float *packed) {
  int64_t whole = begin + (end - begin) / LANES * LANES;
  for (int64_t g = 0; g < NV; g++) {
    weight_rows rows = rows_from(w, row + g * LANES, row_end);
    float *output = packed + g * LANES;
#define PACK(type, has_signs)                                                      \
  for (int64_t k = begin; k < whole; k += LANES, output += LANES * NR) {           \
    vec square[LANES];                                                             \
    load_square(w, type, has_signs, &rows, k, square);                             \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < LANES; i++) {           \
      store(output + i * NR, square[i]);                                           \
    }                                                                              \
  }
    BY_KIND(w, PACK)
#undef PACK
    pack_columns(w, &rows, whole, end, output, NR);
  }
}
