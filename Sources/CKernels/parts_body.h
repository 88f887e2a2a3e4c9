// Apache-2.0. Matrix products by parts, on the tile unit of a processor that has one (AMX). A factor
// is the sum of three bf16 numbers, which hold all bits of a binary32 one; of the nine products of
// parts the three smallest, below 2^-26 of the whole, are left out. Sums are binary32 and go through
// the terms in one order that does not depend on ranges.
#pragma once
#include "product_body.h"

/// Sides of a register tile, terms of a step, and what one step of a packed panel of 2·SIDE takes.
enum { SIDE = 16, STEP = 32, PARTS = 3, PART = 2 * SIDE * STEP, PANEL_STEP = PARTS * PART };

/// Elements of one operand that are packed together; terms that are taken in one block, and of a block
/// where there are more; indices of the other operand; sums that wait for the next block.
enum {
  PARTS_PACKED = 128 * 1024,
  PARTS_TERMS = 512,
  PARTS_BLOCK = 384,
  PARTS_INNER = 128,
  PARTS_SUMS = 384 * 1024,
};

/// An operand: element (index, term) lies at data[index·stride + term], or turned at
/// data[term·stride + index]; of `weight` where that is set, index being a row unless turned.
typedef struct parts_operand {
  const float *data;
  int64_t stride;
  const samara_weight *weight;
  int turned;
} parts_operand;

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

/// One block to its three parts, PART elements apart, terms paired with those SIDE further: as the left
/// operand of the tile unit wants it, [index][pair][2], or as the right one, [pair][index][2].
INLINE void pack_block(
    const parts_operand *o, int64_t index, int64_t indices, int64_t term, int64_t terms, int is_right,
    uint16_t *packed) {
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
#pragma clang loop unroll_count(4)
  for (int i = 0; i < SIDE; i++) {
    ivec parts[PARTS];
    parts_of(load(from + i * stride), load(from + i * stride + step), parts);
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
          packed + (block / 2 * steps + step) * PANEL_STEP + block % 2 * (PART / 2));
    }
  }
}

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
/// steps, small products first.
INLINE void parts_tile(
    int tall, int wide, const uint16_t *a, const uint16_t *b, int64_t steps, float *tile,
    int64_t stride, int fresh) {
  _tile_zero(0), _tile_zero(1), _tile_zero(2), _tile_zero(3);
  if (!fresh) {
    _tile_loadd(0, tile, stride * 4);
    if (wide) _tile_loadd(1, tile + SIDE, stride * 4);
    if (tall) _tile_loadd(2, tile + SIDE * stride, stride * 4);
    if (tall && wide) _tile_loadd(3, tile + SIDE * stride + SIDE, stride * 4);
  }
  for (int64_t s = 0; s < steps; s++, a += PANEL_STEP, b += PANEL_STEP) {
    LOAD_LEFT(2);
    LOAD_RIGHT(0);
    MULTIPLY();
    LOAD_LEFT(1);
    MULTIPLY();
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

#define PARTS_TILE(name, tall, wide)                                                     \
  static void name(                                                                      \
      const uint16_t *a, const uint16_t *b, int64_t steps, float *tile, int64_t stride,  \
      int fresh) {                                                                       \
    parts_tile(tall, wide, a, b, steps, tile, stride, fresh);                            \
  }
PARTS_TILE(parts_tile_small, 0, 0)
PARTS_TILE(parts_tile_wide, 0, 1)
PARTS_TILE(parts_tile_tall, 1, 0)
PARTS_TILE(parts_tile_whole, 1, 1)
#undef PARTS_TILE

typedef void parts_tile_function(
    const uint16_t *, const uint16_t *, int64_t, float *, int64_t, int);
static parts_tile_function *const parts_tiles[2][2] = {
    {parts_tile_small, parts_tile_wide}, {parts_tile_tall, parts_tile_whole}};

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
    uint16_t *block = packed + r / STEP * panel_count(indices) * PANEL_STEP;
    pack_parts(o, 0, indices, r, smaller(depth, terms - r), 1, block);
  }
}

/// One call: what it multiplies and where.
typedef struct parts_run {
  const product *p;
  parts_layout l;
  uint16_t *outer, *inner;
  float *sums;
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
  parts_tiles[rows > SIDE][columns > SIDE](a, b, steps, tile, stride, first && !p->start);
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
  parts_run s = {.p = p, .l = parts_layout_of(outers, inners, p->terms)};
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
      int64_t panel = round_up(depth, STEP) / STEP * PANEL_STEP;
      const uint16_t *outer_panels = s.outer, *inner_panels = s.inner, *block = NULL;
      if (packed) {
        block = packed + r / STEP * panel_count(p->packed_columns) * PANEL_STEP;
        block += p->column_begin / (2 * SIDE) * panel;
      }
      if (block && keeps_columns) {
        outer_panels = block + o / (2 * SIDE) * panel;
      } else {
        pack_parts(outer, first_outer + o, first_outer + o_end, r, depth, keeps_columns, s.outer);
      }
      for (int64_t n = 0; n < inners; n += s.l.inner) {
        int64_t n_end = smaller(inners, n + s.l.inner);
        if (block && !keeps_columns) {
          inner_panels = block + n / (2 * SIDE) * panel;
        } else {
          pack_parts(
              inner, first_inner + n, first_inner + n_end, r, depth, !keeps_columns, s.inner);
        }
        for (int64_t x = n; x < n_end; x += 2 * SIDE) {
          const uint16_t *passing = inner_panels + (x - n) / (2 * SIDE) * panel;
          for (int64_t y = o; y < o_end; y += 2 * SIDE) {
            const uint16_t *kept = outer_panels + (y - o) / (2 * SIDE) * panel;
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
