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

/// Sums of one register tile over `steps` steps, small products first; of a narrow right operand's one
/// part.
///
/// Three registers are alive beside the sum. With all eight, on a core that is shared, each instruction
/// waits for the one before it, as if none were left to rename to. Sums follow one another without
/// waiting, so one of them is enough.
INLINE void parts_square(int narrow, const uint16_t *a, const uint16_t *b, int64_t steps) {
  for (int64_t s = 0; s < steps; s++, a += PANEL_STEP, b += narrow ? PART : PANEL_STEP) {
    _tile_loadd(1, a + 2 * PART, 64);
    _tile_loadd(2, b, 64);
    _tile_dpbf16ps(0, 1, 2);
    _tile_loadd(1, a + PART, 64);
    _tile_dpbf16ps(0, 1, 2);
    if (narrow) {
      _tile_loadd(1, a, 64);
      _tile_dpbf16ps(0, 1, 2);
      continue;
    }
    _tile_loadd(3, b + PART, 64);
    _tile_dpbf16ps(0, 1, 3);
    _tile_loadd(1, a, 64);
    _tile_dpbf16ps(0, 1, 3);
    _tile_loadd(3, b + 2 * PART, 64);
    _tile_dpbf16ps(0, 1, 3);
    _tile_dpbf16ps(0, 1, 2);
  }
}

/// Steps of two panels that fit the first cache together.
enum { NEAR_STEPS = 3 };

/// Sums of up to 32 × 32 elements over whole steps, a few steps at a time: what those take of both
/// panels is read twice.
INLINE void parts_tile_of(
    int narrow, int64_t rows, int64_t columns, const uint16_t *a, const uint16_t *b, int64_t steps,
    float *tile, int fresh) {
  for (int64_t s = 0; s < steps; s += NEAR_STEPS) {
    int64_t some = smaller(NEAR_STEPS, steps - s);
    const uint16_t *left = a + s * PANEL_STEP, *right = b + s * (narrow ? PART : PANEL_STEP);
    for (int64_t j = 0; j < columns; j += SIDE) {
      for (int64_t i = 0; i < rows; i += SIDE) {
        float *sums = tile + i * 2 * SIDE + j;
        if (s == 0 && fresh) {
          _tile_zero(0);
        } else {
          _tile_loadd(0, sums, 2 * SIDE * 4);
        }
        parts_square(narrow, left + i / SIDE * (PART / 2), right + j / SIDE * (PART / 2), some);
        _tile_stored(0, sums, 2 * SIDE * 4);
      }
    }
  }
}

static void parts_tile(
    int narrow, int64_t rows, int64_t columns, const uint16_t *a, const uint16_t *b, int64_t steps,
    float *tile, int fresh) {
  if (narrow) {
    parts_tile_of(1, rows, columns, a, b, steps, tile, fresh);
  } else {
    parts_tile_of(0, rows, columns, a, b, steps, tile, fresh);
  }
}

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
  float *sums;  // tiles of 32 × 32, one after another; where there is one block of terms, one
  int narrow;   // the right operand
} parts_run;

/// The tile of rows from i and columns from j, for terms [r, r + depth).
INLINE void run_parts_tile(
    const parts_run *s, const uint16_t *a, const uint16_t *b, int64_t i, int64_t j, int64_t r,
    int64_t depth, float *tile) {
  const product *p = s->p;
  int first = r == 0, last = r + depth >= p->terms;
  int64_t rows = smaller(2 * SIDE, p->row_end - i), columns = smaller(2 * SIDE, p->column_end - j);
  int64_t steps = round_up(depth, STEP) / STEP;
  if (last && p->fetch) p->fetch(p->context, i, rows, j);
  if (first && p->start) p->start(p->context, tile, 2 * SIDE, i, rows, j, columns);
  parts_tile(s->narrow, rows, columns, a, b, steps, tile, first && !p->start);
  if (last) p->finish(p->context, tile, 2 * SIDE, i, rows, j, columns);
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
            float *tile = s.sums + (whole ? 0 : x * s.l.outer + (y - o) * 2 * SIDE);
            if (keeps_columns) {
              run_parts_tile(
                  &s, passing, kept, p->row_begin + x, p->column_begin + y, r, depth, tile);
            } else {
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
