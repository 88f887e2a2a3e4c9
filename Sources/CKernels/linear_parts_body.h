// Apache-2.0. Linear layers and their gradients by parts, where the caller asks for it.
#pragma once
#include "linear_gradient_body.h"
#include "parts_body.h"

static void linear_parts_finish(
    const void *context, const float *tile, int64_t stride, int64_t m, int64_t rows, int64_t n,
    int64_t columns) {
  finish_tile(context, tile, stride, m, rows, n, columns);
}

/// Sums of integers times the scales of their rows.
static void linear_scaled_finish(
    const void *context, const float *tile, int64_t stride, int64_t m, int64_t rows, int64_t n,
    int64_t columns) {
  const samara_linear_args *a = context;
  float scaled[4 * SIDE * SIDE] __attribute__((aligned(64)));
  for (int64_t j = 0; j < columns; j += LANES) {
    const float *scales = a->weight.row_scales + n + j;
    int64_t some = smaller(columns - j, LANES);
    vec scale = some == LANES ? load(scales) : load_some(scales, some);
    for (int64_t i = 0; i < rows; i++) {
      store(scaled + i * 2 * SIDE + j, load(tile + i * stride + j) * scale);
    }
  }
  finish_tile(a, scaled, 2 * SIDE, m, rows, n, columns);
}

static void linear_parts_fetch(const void *context, int64_t m, int64_t rows, int64_t n) {
  const samara_linear_args *a = context;
  for (int64_t r = m; r < m + rows; r++) fetch_columns(a->residual + r * a->residual_stride + n);
}

INLINE parts_operand weight_operand(const samara_weight *w, int turned) {
  parts_operand o = {.data = w->data, .stride = w->row_stride, .turned = turned};
  if (w->element_type != SAMARA_F32) o.weight = w;
  o.narrow = w->element_type == SAMARA_BF16 || w->element_type == SAMARA_I8;
  return o;
}

/// Terms of which fewer are not worth a step of the tile unit, since half of it is padding.
enum { LEAST_TERMS = 17 };

static void linear_by_parts(const samara_linear_args *a) {
  if (!a->by_parts) {
    linear(a);
    return;
  }
  if (a->weight.signs || a->weight.columns < LEAST_TERMS) {
    samara_linear_args plain = *a;
    plain.packed = NULL;
    linear(&plain);
    return;
  }
  product p = {.row_begin = a->m_begin, .row_end = a->m_end, .column_begin = a->n_begin,
               .column_end = a->n_end, .terms = a->weight.columns, .context = a,
               .scratch = a->scratch, .finish = linear_parts_finish};
  if (a->weight.element_type == SAMARA_I8) p.finish = linear_scaled_finish;
  if (a->residual) p.fetch = linear_parts_fetch;
  p.packed = a->packed, p.packed_columns = a->weight.rows;
  parts_operand left = {.data = a->input, .stride = a->input_stride};
  parts_operand right = weight_operand(&a->weight, 0);
  run_parts(&p, &left, &right, 1);
}

static void linear_input_gradient_by_parts(const samara_linear_input_gradient_args *a) {
  if (!a->by_parts || a->weight.signs) {
    samara_linear_input_gradient_args plain = *a;
    plain.packed = NULL;
    linear_input_gradient(&plain);
    return;
  }
  product p = {.row_begin = a->m_begin, .row_end = a->m_end, .column_begin = a->k_begin,
               .column_end = a->k_end, .terms = a->weight.rows, .context = a,
               .scratch = a->scratch, .finish = input_gradient_finish};
  if (a->saved || a->residual) p.fetch = input_gradient_fetch;
  parts_operand left = {.data = a->output_gradient, .stride = a->output_gradient_stride};
  if (a->weight.element_type == SAMARA_I8) left.scales = a->weight.row_scales;
  p.packed = a->packed, p.packed_columns = a->weight.columns;
  parts_operand right = weight_operand(&a->weight, 1);
  run_parts(&p, &left, &right, 0);
}

static void linear_weight_gradient_by_parts(const samara_linear_weight_gradient_args *a) {
  if (!a->by_parts || a->input_activation) {
    linear_weight_gradient(a);
    return;
  }
  product p = {.row_begin = a->n_begin, .row_end = a->n_end, .column_begin = a->k_begin,
               .column_end = a->k_end, .terms = a->rows, .context = a, .scratch = a->scratch,
               .start = a->accumulate ? weight_gradient_start : 0,
               .finish = weight_gradient_finish};
  parts_operand left = {.data = a->output_gradient, .stride = a->output_gradient_stride,
                        .turned = 1};
  parts_operand right = {.data = a->input, .stride = a->input_stride, .turned = 1};
  run_parts(&p, &left, &right, 0);
}

static size_t panel_bytes_by_parts(int32_t panels, int64_t outputs, int64_t inputs) {
  switch (panels) {
    case SAMARA_PARTS_PANELS: return packed_parts_bytes(outputs, inputs);
    case SAMARA_INPUT_GRADIENT_PANELS: return packed_parts_bytes(inputs, outputs);
    default: return packed_bytes(outputs, inputs);
  }
}

static void pack_panels_by_parts(int32_t panels, const samara_weight *w, void *packed) {
  samara_weight plain = *w;
  plain.signs = NULL;
  if (panels == SAMARA_LINEAR_PANELS) {
    pack_weight(w, 0, w->rows, packed);
    return;
  }
  int turned = panels == SAMARA_INPUT_GRADIENT_PANELS;
  parts_operand o = weight_operand(&plain, turned);
  pack_whole_parts(&o, turned ? w->columns : w->rows, turned ? w->rows : w->columns, packed);
}

static size_t larger_bytes(size_t a, size_t b) { return a > b ? a : b; }

static size_t linear_by_parts_scratch_bytes(int64_t rows, int64_t outputs, int64_t inputs) {
  return larger_bytes(
      linear_scratch_bytes(rows, outputs, inputs), parts_scratch_bytes(rows, outputs, inputs, 1));
}

static size_t linear_input_gradient_by_parts_scratch_bytes(
    int64_t rows, int64_t outputs, int64_t inputs) {
  return larger_bytes(
      linear_input_gradient_scratch_bytes(rows, outputs, inputs),
      parts_scratch_bytes(rows, inputs, outputs, 0));
}

static size_t linear_weight_gradient_by_parts_scratch_bytes(
    int64_t rows, int64_t outputs, int64_t inputs) {
  return larger_bytes(
      linear_weight_gradient_scratch_bytes(rows, outputs, inputs),
      parts_scratch_bytes(outputs, inputs, rows, 0));
}

static void install_parts(samara_kernel_table *table) {
  table->linear = linear_by_parts;
  table->panel_bytes = panel_bytes_by_parts;
  table->pack_panels = pack_panels_by_parts;
  table->linear_scratch_bytes = linear_by_parts_scratch_bytes;
  table->linear_input_gradient = linear_input_gradient_by_parts;
  table->linear_input_gradient_scratch_bytes = linear_input_gradient_by_parts_scratch_bytes;
  table->linear_weight_gradient = linear_weight_gradient_by_parts;
  table->linear_weight_gradient_scratch_bytes = linear_weight_gradient_by_parts_scratch_bytes;
}
