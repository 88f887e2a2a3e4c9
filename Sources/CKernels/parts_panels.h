// Apache-2.0. Operands of products by parts, packed in panels for the tile unit (parts_body.h).
#pragma once
#include "product_body.h"

/// Sides of a register tile, terms of a step, and what one step of a packed panel of 2·SIDE takes.
enum { SIDE = 16, STEP = 32, PARTS = 3, PART = 2 * SIDE * STEP, PANEL_STEP = PARTS * PART };

/// An operand: element (index, term) lies at data[index·stride + term], or turned at
/// data[term·stride + index]; of `weight` where that is set, index being a row unless turned. A narrow
/// weight is packed as its one part, int8 without the scales of its rows. `scales`: a left operand that
/// is not turned is taken times that of each term.
typedef struct parts_operand {
  const float *data;
  int64_t stride;
  const samara_weight *weight;
  int turned, narrow;
  const float *scales;
} parts_operand;

/// What one step of a packed panel of it takes.
INLINE int64_t panel_step(const parts_operand *o) { return o->narrow ? PART : PANEL_STEP; }

/// Three parts of the floats of two vectors: bf16 numbers in the low halves for `low`, in the high ones
/// for `high`. Each is the nearest one to what the parts before it have left; nothing is left in the end.
INLINE void parts_of(vec low, vec high, ivec parts[PARTS]) {
  ivec upper = isplat((int32_t)0xFFFF0000u), half = isplat(0x8000);
#pragma clang loop unroll(full)
  for (int p = 0; p < PARTS; p++) {
    ivec a = (ivec)low, b = (ivec)high;
    if (p + 1 < PARTS) a += half, b += half;
    parts[p] = (ivec)((uvec)a >> 16) | (b & upper);
    low -= (vec)(a & upper);
    high -= (vec)(b & upper);
  }
}

/// 16 indices by 32 terms, as floats one after another, [index][term] or turned [term][index]; zeros
/// past `indices` and `terms`.
INLINE void gather_block(
    const parts_operand *o, int64_t index, int64_t indices, int64_t term, int64_t terms,
    float block[SIDE * STEP]) {
  memset(block, 0, SIDE * STEP * 4);
  int64_t rows = o->turned ? terms : indices, columns = o->turned ? indices : terms;
  int64_t row = o->turned ? term : index, column = o->turned ? index : term;
  int64_t step = o->turned ? SIDE : STEP;
  for (int64_t r = 0; r < rows; r++) {
    if (!o->weight) {
      memcpy(block + r * step, o->data + (row + r) * o->stride + column, (size_t)columns * 4);
    } else if (columns == step) {
      for (int64_t c = 0; c < columns; c += LANES) {
        store(block + r * step + c, load_weight(o->weight, row + r, column + c));
      }
    } else {
      samara_weight_row(o->weight, row + r, column, column + columns, block + r * step);
    }
  }
}

/// 16 rows of `columns` (16 or 32) floats turned: to[column][16].
INLINE void turn_block(const float *from, int64_t stride, int64_t columns, float *to) {
  for (int64_t c = 0; c < columns; c += LANES) {
    vec square[LANES];
#pragma clang loop unroll(full)
    for (int i = 0; i < LANES; i++) square[i] = load(from + i * stride + c);
    transpose(square);
#pragma clang loop unroll(full)
    for (int i = 0; i < LANES; i++) store(to + (c + i) * LANES, square[i]);
  }
}

/// One block of a narrow weight of `type`, a right operand, to its one part.
INLINE void pack_narrow(
    const parts_operand *o, int32_t type, int64_t index, int64_t indices, int64_t term,
    int64_t terms, uint16_t *packed) {
  uint16_t block[SIDE * STEP] __attribute__((aligned(64)));
  const char *from = o->weight->data;
  int64_t stride = o->stride, size = type == SAMARA_I8 ? 1 : 2;
  from += (o->turned ? term * stride + index : index * stride + term) * size;
  if (indices < SIDE || terms < STEP) {
    memset(block, 0, sizeof block);
    int64_t rows = o->turned ? terms : indices, columns = o->turned ? indices : terms;
    int64_t step = o->turned ? SIDE : STEP;
    for (int64_t r = 0; r < rows; r++) {
      memcpy((char *)block + r * step * size, from + r * stride * size, (size_t)(columns * size));
    }
    from = (const char *)block;
    stride = step;
  }
  vec pairs[SIDE];
#pragma clang loop unroll(full)
  for (int i = 0; i < SIDE; i++) {
    ivec low = (ivec)load_stored(from, type, i * stride);
    ivec high = (ivec)load_stored(from, type, i * stride + (o->turned ? SIDE * stride : SIDE));
    pairs[i] = (vec)((ivec)((uvec)low >> 16) | (high & isplat((int32_t)0xFFFF0000u)));
  }
  if (!o->turned) transpose(pairs);
#pragma clang loop unroll(full)
  for (int i = 0; i < SIDE; i++) memcpy(packed + i * STEP, &pairs[i], sizeof pairs[i]);
}

/// Up to 32 scales; zeros past `terms`.
INLINE void load_scales(const float *scales, int64_t terms, vec *low, vec *high) {
  *low = terms < SIDE ? load_some(scales, terms) : load(scales);
  *high = terms < SIDE ? splat(0) : terms < STEP ? load_some(scales + SIDE, terms - SIDE)
                                                 : load(scales + SIDE);
}

/// One block to its three parts, PART elements apart, terms paired with those SIDE further: as the left
/// operand of the tile unit wants it, [index][pair][2], or as the right one, [pair][index][2].
INLINE void pack_block(
    const parts_operand *o, int64_t index, int64_t indices, int64_t term, int64_t terms, int is_right,
    uint16_t *packed) {
  if (o->narrow) {
    if (o->weight->element_type == SAMARA_I8) {
      pack_narrow(o, SAMARA_I8, index, indices, term, terms, packed);
    } else {
      pack_narrow(o, SAMARA_BF16, index, indices, term, terms, packed);
    }
    return;
  }
  float block[SIDE * STEP] __attribute__((aligned(64)));
  float turned[SIDE * STEP] __attribute__((aligned(64)));
  const float *from = o->data + (o->turned ? term * o->stride + index : index * o->stride + term);
  int64_t stride = o->stride;
  if (o->weight || indices < SIDE || terms < STEP) {
    gather_block(o, index, indices, term, terms, block);
    from = block;
    stride = o->turned ? SIDE : STEP;
  }
  if (is_right && !o->turned) {
    turn_block(from, stride, STEP, turned);
    from = turned;
    stride = SIDE;
  } else if (!is_right && o->turned) {
    turn_block(from, stride, SIDE, turned);
    turn_block(from + SIDE * stride, stride, SIDE, turned + SIDE * SIDE);
    from = turned;
    stride = SIDE;
  }
  // From here the vectors of a pair of terms, or of an index, lie `step` apart.
  int64_t step = is_right || o->turned ? SIDE * stride : SIDE;
  vec low_scales = splat(0), high_scales = splat(0);
  if (o->scales) load_scales(o->scales + term, terms, &low_scales, &high_scales);
#pragma clang loop unroll_count(4)
  for (int i = 0; i < SIDE; i++) {
    vec low = load(from + i * stride), high = load(from + i * stride + step);
    if (o->scales) low *= low_scales, high *= high_scales;
    ivec parts[PARTS];
    parts_of(low, high, parts);
#pragma clang loop unroll(full)
    for (int p = 0; p < PARTS; p++) {
      memcpy(packed + p * PART + i * STEP, &parts[p], sizeof parts[p]);
    }
  }
}

/// Indices [i, i_end), terms [r, r + depth) as panels of 2·SIDE indices.
INLINE void pack_parts(
    const parts_operand *o, int64_t i, int64_t i_end, int64_t r, int64_t depth, int is_right,
    uint16_t *packed) {
  int64_t steps = round_up(depth, STEP) / STEP, blocks = round_up(i_end - i, SIDE) / SIDE;
  // Along the rows of the matrix, since the next one may lie in another page.
  int64_t across = o->turned ? blocks : steps, along = o->turned ? steps : blocks;
  for (int64_t line = 0; line < along; line++) {
    for (int64_t place = 0; place < across; place++) {
      int64_t step = o->turned ? line : place, block = o->turned ? place : line;
      int64_t index = i + block * SIDE, term = step * STEP;
      pack_block(
          o, index, smaller(SIDE, i_end - index), r + term, smaller(STEP, depth - term), is_right,
          packed + (block / 2 * steps + step) * panel_step(o) + block % 2 * (PART / 2));
    }
  }
}
