// Apache-2.0. Linear layers: blocks over k, columns and rows around the register tile.
#pragma once
#include "math_body.h"
#include "stream_body.h"

/// Blocks: KC × NC floats of the weight stay in the second cache beside MC × KC of the input, a tile's
/// share of either in the first. RESIDENT: floats of input that may stay over all columns.
enum { KC = 1024, NC = 128, MC = 84 / MR * MR, RESIDENT = 192 * 1024 };

INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t round_up(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }

/// Equal blocks over k of at most KC.
INLINE int64_t block_depth(int64_t inputs) {
  int64_t blocks = inputs > KC ? (inputs + KC - 1) / KC : 1;
  return (inputs + blocks - 1) / blocks;
}

/// Whether the input of all k stays; then each panel of the weight is read right after it was packed,
/// and small batches stream the weight through the first cache.
INLINE int is_resident(int64_t rows, int64_t inputs) { return rows * inputs <= RESIDENT; }

INLINE int64_t block_columns(int64_t rows, int64_t outputs, int64_t inputs) {
  // One panel more than the range fills, should it not begin at one.
  return is_resident(rows, inputs) ? NR : smaller(round_up(outputs, NR) + NR, NC);
}

/// Where the parts of the scratch lie, in floats.
typedef struct linear_layout {
  int64_t depth, columns, partial, total;
} linear_layout;

INLINE linear_layout layout_of(int64_t rows, int64_t outputs, int64_t inputs) {
  linear_layout l;
  l.depth = block_depth(inputs);
  l.columns = block_columns(rows, outputs, inputs);
  l.partial = round_up(l.columns * l.depth, 16);
  l.total = l.partial + (inputs > l.depth ? rows * l.columns : MR * NR);
  return l;
}

/// Enough for every range within rows × outputs.
static size_t linear_scratch_bytes(int64_t rows, int64_t outputs, int64_t inputs) {
  int64_t resident_rows = smaller(rows, RESIDENT / (inputs > 0 ? inputs : 1));
  int64_t resident = layout_of(resident_rows, outputs, inputs).total;
  int64_t blocked = layout_of(rows, outputs, inputs).total;
  return (size_t)round_up(blocked > resident ? blocked : resident, 16) * sizeof(float);
}

static size_t packed_bytes(int64_t outputs, int64_t inputs) {
  return (size_t)(round_up(outputs, NR) * inputs) * sizeof(float);
}

static void pack_weight(const samara_weight *w, int64_t n_begin, int64_t n_end, void *packed) {
  samara_weight plain = *w;
  plain.signs = NULL;
  for (int64_t n = n_begin; n < n_end; n += NR) {
    pack_panel(&plain, n, w->rows, 0, w->columns, (float *)packed + n * w->columns);
  }
}

/// One finished tile, `width` columns from n, to its place.
INLINE void finish_tile(
    const samara_linear_args *a, const float *tile, int64_t tile_stride, int64_t m, int64_t rows,
    int64_t n, int64_t width) {
  int64_t columns = smaller(width, a->n_end - n);
  for (int64_t j = n < a->n_begin ? a->n_begin - n : 0; j < columns; j += LANES) {
    int64_t some = smaller(columns - j, LANES);
    vec bias = splat(0);
    if (a->bias) {
      bias = some == LANES ? load(a->bias + n + j) : load_some(a->bias + n + j, some);
    }
    for (int64_t i = 0; i < rows; i++) {
      vec v = load(tile + i * tile_stride + j);
      if (a->bias) v += bias;
      if (a->activation) v = activation_v(a->activation, v);
      float *output = a->output + (m + i) * a->output_stride + n + j;
      if (a->residual) {
        const float *p = a->residual + (m + i) * a->residual_stride + n + j;
        v += some == LANES ? load(p) : load_some(p, some);
      }
      if (some == LANES) {
        store(output, v);
      } else {
        store_some(output, v, some);
      }
    }
  }
}

/// All rows × one panel × one block over k.
INLINE void panel_product(
    const samara_linear_args *a, const linear_layout *l, const float *right, int64_t k,
    int64_t depth, int64_t m_begin, int64_t m_end, int64_t n, int64_t column) {
  int fresh = k == 0, last = k + depth >= a->weight.columns, single = fresh && last;
  float *partial = (float *)a->scratch + l->partial;
  int64_t stride = single ? NR : l->columns;
  for (int64_t m = m_begin; m < m_end; m += MR) {
    int64_t rows = smaller(MR, m_end - m);
    float *tile = single ? partial : partial + (m - a->m_begin) * stride + column;
    const float *left = a->input + m * a->input_stride + k;
    row_tiles[rows](left, a->input_stride, right, depth, tile, stride, fresh);
    if (last) finish_tile(a, tile, stride, m, rows, n, NR);
  }
}

/// The range of few rows.
static void linear_few(const samara_linear_args *a, int64_t rows) {
  float sums[STREAM_ROWS * STREAM_WIDTH], rest[LANES * LANES];
  int size = rows > 4 ? 3 : rows > 2 ? 2 : rows - 1;
  stream_function *stream = streams[size][a->weight.element_type][a->weight.signs != NULL];
  const float *input = a->input + a->m_begin * a->input_stride;
  for (int64_t n = a->n_begin; n < a->n_end; n += STREAM_WIDTH) {
    stream(&a->weight, input, a->input_stride, rows, n, a->n_end, sums, rest);
    finish_tile(a, sums, STREAM_WIDTH, a->m_begin, rows, n, STREAM_WIDTH);
  }
}

static void linear(const samara_linear_args *a) {
  int64_t rows = a->m_end - a->m_begin, outputs = a->n_end - a->n_begin;
  int64_t inputs = a->weight.columns;
  if (rows <= 0 || outputs <= 0) return;
  if (rows <= STREAM_ROWS && !a->packed) {
    linear_few(a, rows);
    return;
  }
  linear_layout l = layout_of(rows, outputs, inputs);
  float *right = a->scratch;
  int64_t block = is_resident(rows, inputs) ? rows : MC;
  // Prepacked panels lie at multiples of NR: start there; what is before the range is dropped.
  int64_t first = a->packed ? a->n_begin / NR * NR : a->n_begin;
  for (int64_t n = first; n < a->n_end; n += l.columns) {
    int64_t n_end = smaller(a->n_end, n + l.columns);
    int64_t k = 0;
    do {
      int64_t depth = smaller(l.depth, inputs - k);
      for (int64_t j = n; !a->packed && j < n_end; j += NR) {
        pack_panel(&a->weight, j, n_end, k, k + depth, right + (j - n) * depth);
      }
      for (int64_t m = a->m_begin; m < a->m_end; m += block) {
        int64_t m_end = smaller(a->m_end, m + block);
        for (int64_t j = n; j < n_end; j += NR) {
          const float *panel = a->packed ? (const float *)a->packed + j * inputs + k * NR
                                         : right + (j - n) * depth;
          panel_product(a, &l, panel, k, depth, m, m_end, j, j - n);
        }
      }
      k += l.depth;
    } while (k < inputs);
  }
}
