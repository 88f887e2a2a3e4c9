// Apache-2.0. A product of two matrices that are packed in blocks: what the gradients of a linear
// layer share. result[i,j] = Σ_r left(i,r)·right(r,j), one fused multiply-add per r in the order of
// r, so that no bit depends on blocks or ranges.
#pragma once
#include "linear_body.h"

/// Rows of the result that are packed and summed together, and terms at a time: the second cache holds
/// both beside some columns of the other operand.
enum { PRODUCT_ROWS = 518 / MR * MR, PRODUCT_TERMS = 512 };

/// Equal blocks of terms.
INLINE int64_t product_depth(int64_t terms) {
  int64_t blocks = terms > PRODUCT_TERMS ? (terms + PRODUCT_TERMS - 1) / PRODUCT_TERMS : 1;
  return (terms + blocks - 1) / blocks;
}

/// Where the parts of the scratch lie, in floats.
typedef struct product_layout {
  int64_t depth, columns, left, right, partial, stride, total;
} product_layout;

/// Grows with each extent, so that it is enough for every range.
INLINE product_layout product_layout_of(int64_t rows, int64_t columns, int64_t terms) {
  product_layout l;
  int64_t block = smaller(rows, PRODUCT_ROWS);
  l.depth = product_depth(terms);
  l.columns = smaller(round_up(columns, NR), NC);
  l.left = 0;
  l.right = round_up(block * l.depth + 2 * LANES, 16);
  l.partial = l.right + round_up(l.columns * l.depth, 16);
  l.stride = terms > l.depth ? round_up(columns, NR) : NR;
  l.total = l.partial + (terms > l.depth ? block * l.stride : MR * NR);
  return l;
}

INLINE size_t product_scratch_bytes(int64_t rows, int64_t columns, int64_t terms) {
  return (size_t)round_up(product_layout_of(rows, columns, terms).total, 16) * sizeof(float);
}

/// One product. `context` is what its functions take.
typedef struct product {
  int64_t row_begin, row_end, column_begin, column_end, terms;
  const void *context;
  float *scratch;
  /// Rows [i, i_end), terms [r, r + depth) as blocks of up to MR rows [r][rows]; may write 2·LANES
  /// floats past the end.
  void (*pack_left)(const void *, int64_t i, int64_t i_end, int64_t r, int64_t depth, float *);
  /// Terms [r, r + depth), columns [j, j_end) as panels [r][NR], anything past j_end.
  void (*pack_right)(const void *, int64_t r, int64_t depth, int64_t j, int64_t j_end, float *);
  /// NULL, or sets a tile to what the sums go on top of.
  void (*start)(const void *, float *tile, int64_t stride, int64_t i, int64_t rows, int64_t j,
                int64_t columns);
  /// NULL, or asks for what `finish` will read while the sums are made.
  void (*fetch)(const void *, int64_t i, int64_t rows, int64_t j);
  /// NULL, or where a whole tile may be summed in its place, on top of what is there where `start`
  /// is set, and the distance of its rows.
  float *(*place)(const void *, int64_t i, int64_t j, int64_t *stride);
  /// NULL, or the right operand packed before, of so many columns: panels for each block of terms. Used
  /// where the range begins at a panel.
  const void *packed;
  int64_t packed_columns;
  /// One finished tile to its place.
  void (*finish)(const void *, const float *tile, int64_t stride, int64_t i, int64_t rows,
                 int64_t j, int64_t columns);
} product;

/// All packed rows [i, i_end) times all packed panels [j, j_end) for one block of terms.
INLINE void product_block(
    const product *p, const product_layout *l, int64_t i, int64_t i_end, int64_t j, int64_t j_end,
    int64_t r, int64_t depth, const float *right) {
  float *left = p->scratch + l->left;
  float *partial = p->scratch + l->partial;
  int first = r == 0, last = r + depth >= p->terms;
  for (int64_t column = j; column < j_end; column += NR) {
    int64_t columns = smaller(NR, j_end - column);
    for (int64_t row = i; row < i_end; row += MR) {
      int64_t rows = smaller(MR, i_end - row);
      const float *a = left + (row - i) * depth, *b = right + (column - j) * depth;
      if (p->place && columns == NR) {
        int64_t distance;
        float *place = p->place(p->context, row, column, &distance);
        tiles[rows](a, b, depth, place, distance, first && !p->start);
        continue;
      }
      float *tile = partial;
      if (depth < p->terms) tile += (row - i) * l->stride + column - p->column_begin;
      if (last && p->fetch) p->fetch(p->context, row, rows, column);
      if (first && p->start) p->start(p->context, tile, l->stride, row, rows, column, columns);
      tiles[rows](a, b, depth, tile, l->stride, first && !p->start);
      if (last) p->finish(p->context, tile, l->stride, row, rows, column, columns);
    }
  }
}

static void run_product(const product *p) {
  int64_t width = p->column_end - p->column_begin;
  product_layout l = product_layout_of(p->row_end - p->row_begin, width, p->terms);
  const float *packed = p->column_begin % NR == 0 ? p->packed : NULL;
  for (int64_t i = p->row_begin; i < p->row_end; i += PRODUCT_ROWS) {
    int64_t i_end = smaller(p->row_end, i + PRODUCT_ROWS), r = 0;
    do {
      int64_t depth = smaller(l.depth, p->terms - r);
      p->pack_left(p->context, i, i_end, r, depth, p->scratch + l.left);
      for (int64_t j = p->column_begin; j < p->column_end; j += l.columns) {
        int64_t j_end = smaller(p->column_end, j + l.columns);
        const float *right = p->scratch + l.right;
        if (packed) {
          right = packed + r * round_up(p->packed_columns, NR) + j * depth;
        } else {
          p->pack_right(p->context, r, depth, j, j_end, p->scratch + l.right);
        }
        product_block(p, &l, i, i_end, j, j_end, r, depth, right);
      }
      r += l.depth;
    } while (r < p->terms);
  }
}

/// Asks for NR floats.
INLINE void fetch_columns(const float *p) {
#pragma clang loop unroll(full)
  for (int g = 0; g < NR; g += 16) __builtin_prefetch(p + g);
}

/// Rows [r, r + depth) of a matrix of floats, columns [i, i + rows) as [r][rows].
INLINE void pack_columns_of(
    const float *matrix, int64_t stride, int64_t i, int64_t rows, int64_t r, int64_t depth,
    float *packed) {
  const float *from = matrix + r * stride + i;
  if (rows == MR) {
    for (int64_t t = 0; t < depth; t++) memcpy(packed + t * MR, from + t * stride, MR * 4);
  } else {
    for (int64_t t = 0; t < depth; t++) {
      for (int64_t c = 0; c < rows; c++) packed[t * rows + c] = from[t * stride + c];
    }
  }
}

/// Columns [i, i_end) in blocks of up to MR; some rows of the matrix at a time, so that what is read
/// of a line is read while it is near.
INLINE void pack_blocks_of_columns(
    const float *matrix, int64_t stride, int64_t i, int64_t i_end, int64_t r, int64_t depth,
    float *packed) {
  enum { NEAR = 16 };
  for (int64_t t = 0; t < depth; t += NEAR) {
    int64_t some = smaller(NEAR, depth - t);
    for (int64_t row = i; row < i_end; row += MR) {
      int64_t rows = smaller(MR, i_end - row);
      pack_columns_of(
          matrix, stride, row, rows, r + t, some, packed + (row - i) * depth + t * rows);
    }
  }
}
