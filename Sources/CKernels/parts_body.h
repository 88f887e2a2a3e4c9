// Apache-2.0. Matrix products by parts, on the tile unit of a processor that has one (AMX). A factor
// is the sum of three bf16 numbers, which hold all bits of a binary32 one; of the nine products of
// parts the three smallest, below 2^-26 of the whole, are left out. A right factor of bf16 or int8 is
// one part, and three products are all of them. Sums are binary32 and go through the terms in one order
// that does not depend on ranges.
#pragma once
#include "parts_panels.h"

/// Elements of one operand that are packed together; terms that are taken in one block, and of a block
/// where there are more; indices of the other operand; sums that wait for the next block.
enum {
  PARTS_PACKED = 128 * 1024,
  PARTS_TERMS = 512,
  PARTS_BLOCK = 384,
  PARTS_INNER = 128,
  PARTS_SUMS = 384 * 1024,
};

/// The tile unit set up for whole tiles.
INLINE void start_tiles(void) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } shape __attribute__((aligned(64))) = {.palette = 1};
  for (int i = 0; i < 8; i++) shape.row_bytes[i] = 64, shape.rows[i] = SIDE;
  _tile_loadconfig(&shape);
}

#define LOAD_LEFT(part)                                              \
  do {                                                               \
    _tile_loadd(4, a + (part)*PART, 64);                             \
    if (tall) _tile_loadd(5, a + (part)*PART + PART / 2, 64);        \
  } while (0)
#define LOAD_RIGHT(part)                                             \
  do {                                                               \
    _tile_loadd(6, b + (part)*PART, 64);                             \
    if (wide) _tile_loadd(7, b + (part)*PART + PART / 2, 64);        \
  } while (0)
#define MULTIPLY()                            \
  do {                                        \
    _tile_dpbf16ps(0, 4, 6);                  \
    if (wide) _tile_dpbf16ps(1, 4, 7);        \
    if (tall) _tile_dpbf16ps(2, 5, 6);        \
    if (tall && wide) _tile_dpbf16ps(3, 5, 7); \
  } while (0)

/// Sums of 32 × 32 elements, or of half as many rows (not tall) or columns (not wide), over whole
/// steps, small products first; of a narrow right operand's one part.
INLINE void parts_tile(
    int narrow, int tall, int wide, const uint16_t *a, const uint16_t *b, int64_t steps, float *tile,
    int64_t stride, int fresh) {
  _tile_zero(0), _tile_zero(1), _tile_zero(2), _tile_zero(3);
  if (!fresh) {
    _tile_loadd(0, tile, stride * 4);
    if (wide) _tile_loadd(1, tile + SIDE, stride * 4);
    if (tall) _tile_loadd(2, tile + SIDE * stride, stride * 4);
    if (tall && wide) _tile_loadd(3, tile + SIDE * stride + SIDE, stride * 4);
  }
  for (int64_t s = 0; s < steps; s++, a += PANEL_STEP, b += narrow ? PART : PANEL_STEP) {
    LOAD_LEFT(2);
    LOAD_RIGHT(0);
    MULTIPLY();
    LOAD_LEFT(1);
    MULTIPLY();
    if (narrow) {
      LOAD_LEFT(0);
      MULTIPLY();
      continue;
    }
    LOAD_RIGHT(1);
    MULTIPLY();
    LOAD_LEFT(0);
    MULTIPLY();
    LOAD_RIGHT(2);
    MULTIPLY();
    LOAD_RIGHT(0);
    MULTIPLY();
  }
  _tile_stored(0, tile, stride * 4);
  if (wide) _tile_stored(1, tile + SIDE, stride * 4);
  if (tall) _tile_stored(2, tile + SIDE * stride, stride * 4);
  if (tall && wide) _tile_stored(3, tile + SIDE * stride + SIDE, stride * 4);
}

#define PARTS_TILE(name, narrow, tall, wide)                                             \
  static void name(                                                                      \
      const uint16_t *a, const uint16_t *b, int64_t steps, float *tile, int64_t stride,  \
      int fresh) {                                                                       \
    parts_tile(narrow, tall, wide, a, b, steps, tile, stride, fresh);                    \
  }
#define PARTS_TILES(name, narrow)           \
  PARTS_TILE(name##_small, narrow, 0, 0)    \
  PARTS_TILE(name##_wide, narrow, 0, 1)     \
  PARTS_TILE(name##_tall, narrow, 1, 0)     \
  PARTS_TILE(name##_whole, narrow, 1, 1)
PARTS_TILES(parts_tile, 0)
PARTS_TILES(narrow_tile, 1)
#undef PARTS_TILES
#undef PARTS_TILE

typedef void parts_tile_function(
    const uint16_t *, const uint16_t *, int64_t, float *, int64_t, int);
static parts_tile_function *const parts_tiles[2][2][2] = {
    {{parts_tile_small, parts_tile_wide}, {parts_tile_tall, parts_tile_whole}},
    {{narrow_tile_small, narrow_tile_wide}, {narrow_tile_tall, narrow_tile_whole}}};

/// Where the parts of the scratch lie, in floats. `outer`: indices of the operand that stays packed while
/// the other passes by, `inner` of those at a time.
typedef struct parts_layout {
  int64_t outer, inner, depth, second, sums, total;
} parts_layout;

INLINE int64_t whole_panels(int64_t count) { return count / (2 * SIDE) * (2 * SIDE); }

/// Terms of a block, by the number of all of them alone.
INLINE int64_t parts_depth(int64_t terms) {
  int64_t padded = round_up(terms > 0 ? terms : 1, STEP);
  int64_t blocks = padded <= PARTS_TERMS ? 1 : (padded + PARTS_BLOCK - 1) / PARTS_BLOCK;
  return round_up((padded + blocks - 1) / blocks, STEP);
}

/// `total` grows with each extent but for terms, so that it is enough for every range.
INLINE parts_layout parts_layout_of(int64_t outers, int64_t inners, int64_t terms) {
  parts_layout l;
  l.depth = parts_depth(terms);
  int single = l.depth >= terms;
  int64_t across = round_up(inners, 2 * SIDE);
  int64_t most = smaller(round_up(outers, 2 * SIDE), whole_panels(PARTS_PACKED / l.depth));
  int64_t few = 4 * SIDE, fit = whole_panels(PARTS_SUMS / across);
  l.outer = single ? most : smaller(most, fit > few ? fit : few);
  l.inner = smaller(across, PARTS_INNER);
  l.second = l.outer * l.depth * PARTS / 2;
  l.sums = l.second + l.inner * l.depth * PARTS / 2;
  // A narrower range keeps more indices, though never more than `most`.
  int64_t sums = PARTS_SUMS > few * across ? PARTS_SUMS : few * across;
  sums = single ? few * SIDE : smaller(most * across, sums);
  l.total = (most + l.inner) * l.depth * PARTS / 2 + sums;
  return l;
}

/// Of the calls that keep rows and of those that keep columns.
INLINE size_t parts_scratch_bytes(int64_t rows, int64_t columns, int64_t terms, int keeps_columns) {
  int64_t outers = keeps_columns ? columns : rows, inners = keeps_columns ? rows : columns;
  return (size_t)parts_layout_of(outers, inners, terms).total * sizeof(float);
}

INLINE int64_t panel_count(int64_t indices) { return round_up(indices, 2 * SIDE) / (2 * SIDE); }

static size_t packed_parts_bytes(int64_t indices, int64_t terms) {
  int64_t steps = round_up(terms, STEP) / STEP;
  return (size_t)(panel_count(indices) * steps * PANEL_STEP) * sizeof(uint16_t);
}

/// A whole right operand: the panels of each block of terms.
static void pack_whole_parts(
    const parts_operand *o, int64_t indices, int64_t terms, uint16_t *packed) {
  int64_t depth = parts_depth(terms);
  for (int64_t r = 0; r < terms; r += depth) {
    uint16_t *block = packed + r / STEP * panel_count(indices) * panel_step(o);
    pack_parts(o, 0, indices, r, smaller(depth, terms - r), 1, block);
  }
}

/// One call: what it multiplies and where.
typedef struct parts_run {
  const product *p;
  parts_layout l;
  uint16_t *outer, *inner;
  float *sums;
  int narrow;      // the right operand
  int64_t stride;  // of the sums; 0: tiles are finished one by one
} parts_run;

/// The tile of rows from i and columns from j, for terms [r, r + depth).
INLINE void run_parts_tile(
    const parts_run *s, const uint16_t *a, const uint16_t *b, int64_t i, int64_t j, int64_t r,
    int64_t depth, float *tile) {
  const product *p = s->p;
  int first = r == 0, last = r + depth >= p->terms;
  int64_t rows = smaller(2 * SIDE, p->row_end - i), columns = smaller(2 * SIDE, p->column_end - j);
  int64_t steps = round_up(depth, STEP) / STEP, stride = s->stride;
  if (last && p->fetch) p->fetch(p->context, i, rows, j);
  if (first && p->start) p->start(p->context, tile, stride, i, rows, j, columns);
  parts_tiles[s->narrow][rows > SIDE][columns > SIDE](a, b, steps, tile, stride, first && !p->start);
  if (last) p->finish(p->context, tile, stride, i, rows, j, columns);
}

/// `p` by parts: its extents, `start`, `fetch` and `finish`. Columns are kept packed while rows pass by
/// where `keeps_columns`, else the other way round: the operand that is dearer to pack should stay.
static void run_parts(
    const product *p, const parts_operand *left, const parts_operand *right, int keeps_columns) {
  int64_t rows = p->row_end - p->row_begin, columns = p->column_end - p->column_begin;
  int64_t outers = keeps_columns ? columns : rows, inners = keeps_columns ? rows : columns;
  int64_t first_outer = keeps_columns ? p->column_begin : p->row_begin;
  int64_t first_inner = keeps_columns ? p->row_begin : p->column_begin;
  const parts_operand *outer = keeps_columns ? right : left, *inner = keeps_columns ? left : right;
  parts_run s = {
      .p = p, .l = parts_layout_of(outers, inners, p->terms), .narrow = right->narrow};
  s.outer = (uint16_t *)p->scratch;
  s.inner = (uint16_t *)(p->scratch + s.l.second);
  s.sums = p->scratch + s.l.sums;
  int whole = s.l.depth >= p->terms;
  s.stride = whole ? 2 * SIDE : round_up(keeps_columns ? s.l.outer : columns, 2 * SIDE);
  const uint16_t *packed = p->column_begin % (2 * SIDE) == 0 ? p->packed : NULL;
  start_tiles();
  for (int64_t o = 0; o < outers; o += s.l.outer) {
    int64_t o_end = smaller(outers, o + s.l.outer), r = 0;
    do {
      int64_t depth = smaller(s.l.depth, p->terms - r);
      int64_t steps = round_up(depth, STEP) / STEP;
      int64_t outer_panel = steps * panel_step(outer), inner_panel = steps * panel_step(inner);
      const uint16_t *outer_panels = s.outer, *inner_panels = s.inner, *block = NULL;
      if (packed) {
        block = packed + r / STEP * panel_count(p->packed_columns) * panel_step(right);
        block += p->column_begin / (2 * SIDE) * steps * panel_step(right);
      }
      if (block && keeps_columns) {
        outer_panels = block + o / (2 * SIDE) * outer_panel;
      } else {
        pack_parts(outer, first_outer + o, first_outer + o_end, r, depth, keeps_columns, s.outer);
      }
      for (int64_t n = 0; n < inners; n += s.l.inner) {
        int64_t n_end = smaller(inners, n + s.l.inner);
        if (block && !keeps_columns) {
          inner_panels = block + n / (2 * SIDE) * inner_panel;
        } else {
          pack_parts(
              inner, first_inner + n, first_inner + n_end, r, depth, !keeps_columns, s.inner);
        }
        for (int64_t x = n; x < n_end; x += 2 * SIDE) {
          const uint16_t *passing = inner_panels + (x - n) / (2 * SIDE) * inner_panel;
          for (int64_t y = o; y < o_end; y += 2 * SIDE) {
            const uint16_t *kept = outer_panels + (y - o) / (2 * SIDE) * outer_panel;
            if (keeps_columns) {
              float *tile = whole ? s.sums : s.sums + x * s.stride + y - o;
              run_parts_tile(
                  &s, passing, kept, p->row_begin + x, p->column_begin + y, r, depth, tile);
            } else {
              float *tile = whole ? s.sums : s.sums + (y - o) * s.stride + x;
              run_parts_tile(
                  &s, kept, passing, p->row_begin + y, p->column_begin + x, r, depth, tile);
            }
          }
        }
      }
      r += s.l.depth;
    } while (r < p->terms);
  }
  _tile_release();
}
