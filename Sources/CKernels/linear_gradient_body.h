// Apache-2.0. Gradients of a linear layer: with respect to its input, where the weight is read row
// by row as it lies, and with respect to its weight, where neither operand is turned.
#pragma once
#include "derivative_body.h"
#include "pointwise_body.h"
#include "product_body.h"
#include "update_body.h"

static void input_gradient_left(
    const void *context, int64_t m, int64_t m_end, int64_t n, int64_t depth, float *packed) {
  const samara_linear_input_gradient_args *a = context;
  for (int64_t row = m; row < m_end; row += MR) {
    const float *from = a->output_gradient + row * a->output_gradient_stride + n;
    float *to = packed + (row - m) * depth;
    pack_rows(from, a->output_gradient_stride, smaller(MR, m_end - row), depth, to);
  }
}

static void input_gradient_right(
    const void *context, int64_t n, int64_t depth, int64_t k, int64_t k_end, float *packed) {
  const samara_linear_input_gradient_args *a = context;
  const samara_weight *w = &a->weight;
  int64_t whole = k + (k_end - k) / LANES * LANES;
#define ROWS(type, has_signs)                                                              \
  for (int64_t r = 0; r < depth; r++) {                                                    \
    int64_t element = (n + r) * w->row_stride, bit = w->sign_offset + (n + r) * w->columns; \
    float *row = packed + r * NR;                                                          \
    for (int64_t c = k; c < whole; c += LANES) {                                           \
      vec v = load_stored(w->data, type, element + c);                                     \
      if (type == SAMARA_I8) v *= splat(w->row_scales[n + r]);                             \
      if (has_signs) v = perturbed(v, sign_bits(w->signs, bit + c), w->epsilon);           \
      store(row + (c - k) / NR * (depth * NR) + (c - k) % NR, v);                          \
    }                                                                                      \
  }
  BY_KIND(w, ROWS)
#undef ROWS
  float *rest = packed + (whole - k) / NR * (depth * NR) + (whole - k) % NR;
  for (int64_t r = 0; whole < k_end && r < depth; r++) {
    store(rest + r * NR, load_weight_some(w, n + r, whole, k_end - whole));
  }
}

static void input_gradient_fetch(const void *context, int64_t m, int64_t rows, int64_t k) {
  const samara_linear_input_gradient_args *a = context;
  for (int64_t r = m; r < m + rows; r++) {
    fetch_columns(a->input_gradient + r * a->input_gradient_stride + k);
    if (a->saved) fetch_columns(a->saved + r * a->saved_stride + k);
    if (a->residual) fetch_columns(a->residual + r * a->residual_stride + k);
  }
}

static float *input_gradient_place(
    const void *context, int64_t m, int64_t k, int64_t *stride) {
  const samara_linear_input_gradient_args *a = context;
  *stride = a->input_gradient_stride;
  return a->input_gradient + m * *stride + k;
}

static void input_gradient_finish(
    const void *context, const float *tile, int64_t stride, int64_t m, int64_t rows, int64_t k,
    int64_t columns) {
  const samara_linear_input_gradient_args *a = context;
  for (int64_t r = 0; r < rows; r++, tile += stride) {
    float *output = a->input_gradient + (m + r) * a->input_gradient_stride + k;
    const float *saved = a->saved ? a->saved + (m + r) * a->saved_stride + k : 0;
    const float *residual = a->residual ? a->residual + (m + r) * a->residual_stride + k : 0;
    FOR_VECTORS(columns) {
      vec v = GET(tile);
      if (saved) v *= derivative_v(a->activation, a->saved_output, GET(saved));
      if (residual) v += GET(residual);
      PUT(output, v);
    }
  }
}

static size_t linear_input_gradient_scratch_bytes(int64_t rows, int64_t outputs, int64_t inputs) {
  return product_scratch_bytes(rows, inputs, outputs);
}

static void linear_input_gradient(const samara_linear_input_gradient_args *a) {
  product p = {.row_begin = a->m_begin, .row_end = a->m_end, .column_begin = a->k_begin,
               .column_end = a->k_end, .terms = a->weight.rows, .context = a,
               .scratch = a->scratch, .pack_left = input_gradient_left,
               .pack_right = input_gradient_right, .fetch = input_gradient_fetch, .finish = input_gradient_finish};
  if (!a->saved && !a->residual) p.place = input_gradient_place;
  if (!a->weight.signs) p.packed = a->packed, p.packed_columns = a->weight.columns;
  run_product(&p);
}

static size_t panel_bytes(int32_t panels, int64_t outputs, int64_t inputs) {
  if (panels != SAMARA_INPUT_GRADIENT_PANELS) return packed_bytes(outputs, inputs);
  return (size_t)(round_up(inputs, NR) * outputs) * sizeof(float);
}

static void pack_panels(int32_t panels, const samara_weight *w, void *packed) {
  if (panels != SAMARA_INPUT_GRADIENT_PANELS) {
    pack_weight(w, 0, w->rows, packed);
    return;
  }
  samara_linear_input_gradient_args a = {.weight = *w};
  a.weight.signs = NULL;
  int64_t depth = product_depth(w->rows), width = round_up(w->columns, NR);
  for (int64_t r = 0; r < w->rows; r += depth) {
    int64_t some = smaller(depth, w->rows - r);
    input_gradient_right(&a, r, some, 0, w->columns, (float *)packed + r * width);
  }
}

static void weight_gradient_left(
    const void *context, int64_t n, int64_t n_end, int64_t m, int64_t depth, float *packed) {
  const samara_linear_weight_gradient_args *a = context;
  pack_blocks_of_columns(
      a->output_gradient, a->output_gradient_stride, n, n_end, m, depth, packed);
}

static void weight_gradient_right(
    const void *context, int64_t m, int64_t depth, int64_t k, int64_t k_end, float *packed) {
  const samara_linear_weight_gradient_args *a = context;
  int64_t columns = k_end - k;
  for (int64_t r = 0; r < depth; r++) {
    const float *row = a->input + (m + r) * a->input_stride + k;
    float *to = packed + r * NR;
    FOR_VECTORS(columns) {
      vec v = GET(row);
      if (a->input_activation) v = activation_v(a->input_activation, v);
      store(to + i / NR * (depth * NR) + i % NR, v);
    }
  }
}

static void weight_gradient_start(
    const void *context, float *tile, int64_t stride, int64_t n, int64_t rows, int64_t k,
    int64_t columns) {
  const samara_linear_weight_gradient_args *a = context;
  for (int64_t r = 0; r < rows; r++) {
    const float *from = a->gradient + (n + r) * a->gradient_stride + k;
    memcpy(tile + r * stride, from, (size_t)columns * 4);
  }
}

static void weight_gradient_finish(
    const void *context, const float *tile, int64_t stride, int64_t n, int64_t rows, int64_t k,
    int64_t columns) {
  const samara_linear_weight_gradient_args *a = context;
  for (int64_t r = 0; r < rows; r++, tile += stride) {
    if (!a->update) {
      float *gradient = a->gradient + (n + r) * a->gradient_stride + k;
      FOR_VECTORS(columns) PUT(gradient, GET(tile));
      continue;
    }
    int64_t place = (n + r) * a->weight_stride + k;
    optimizer_update(
        a->update, a->weights + place, tile, a->first ? a->first + place : 0,
        a->second ? a->second + place : 0, columns);
  }
}

static float *weight_gradient_place(
    const void *context, int64_t n, int64_t k, int64_t *stride) {
  const samara_linear_weight_gradient_args *a = context;
  *stride = a->gradient_stride;
  return a->gradient + n * *stride + k;
}

static size_t linear_weight_gradient_scratch_bytes(int64_t rows, int64_t outputs, int64_t inputs) {
  return product_scratch_bytes(outputs, inputs, rows);
}

static void linear_weight_gradient(const samara_linear_weight_gradient_args *a) {
  product p = {.row_begin = a->n_begin, .row_end = a->n_end, .column_begin = a->k_begin,
               .column_end = a->k_end, .terms = a->rows, .context = a, .scratch = a->scratch,
               .pack_left = weight_gradient_left, .pack_right = weight_gradient_right,
               .start = a->accumulate ? weight_gradient_start : 0,
               .finish = weight_gradient_finish};
  if (!a->update) p.place = weight_gradient_place;
  run_product(&p);
}
