// Apache-2.0. Attention of one head: keys and values packed once, then MR queries at a time through
// the register tile. A row's bits do not depend on how many queries are asked for beside it.
#pragma once
#include "linear_body.h"
#include "pointwise_body.h"

/// Where the parts of the scratch lie, in floats.
typedef struct attention_layout {
  int64_t keys, values, query, scores, weights, tile, total;
} attention_layout;

INLINE attention_layout attention_layout_of(int64_t key_length, int64_t dimension) {
  attention_layout l;
  int64_t padded = round_up(key_length, NR);
  l.keys = 0;
  l.values = l.keys + padded * dimension;
  l.query = l.values + round_up(dimension, NR) * round_up(key_length, 16);
  l.scores = l.query + round_up(MR * dimension + 2 * LANES, 16);
  l.weights = l.scores + MR * padded;
  l.tile = l.weights + round_up(MR * key_length + 2 * LANES, 16);
  l.total = l.tile + MR * NR;
  return l;
}

static size_t attention_scratch_bytes(int64_t queries, int64_t keys, int64_t dimension) {
  (void)queries;
  return (size_t)round_up(attention_layout_of(keys, dimension).total, 16) * sizeof(float);
}

/// Values as panels of NR columns, [panel][position][NR], zeros past the dimension.
INLINE void pack_values(const samara_attention_args *a, float *packed) {
  for (int64_t j = 0; j < a->head_dimension; j += NR) {
    for (int64_t u = 0; u < a->key_length; u++, packed += NR) {
      const float *row = a->value + u * a->value_stride + j;
      for (int64_t g = 0; g < NR; g += LANES) {
        int64_t some = a->head_dimension - j - g;
        store(packed + g, some >= LANES ? load(row + g) : some > 0 ? load_some(row + g, some) : splat(0));
      }
    }
  }
}

static void attention(const samara_attention_args *a) {
  int64_t dimension = a->head_dimension, length = a->key_length;
  attention_layout l = attention_layout_of(length, dimension);
  float *scratch = a->scratch;
  float *keys = scratch + l.keys, *values = scratch + l.values, *query = scratch + l.query;
  float *scores = scratch + l.scores, *weights = scratch + l.weights, *tile = scratch + l.tile;
  int64_t padded = round_up(length, NR);
  samara_weight key = {.data = a->key, .rows = length, .columns = dimension,
                       .row_stride = a->key_stride, .element_type = SAMARA_F32};
  for (int64_t u = 0; u < length; u += NR) {
    pack_panel(&key, u, length, 0, dimension, keys + u * dimension);
  }
  pack_values(a, values);
  for (int64_t t = 0; t < a->query_count; t += MR) {
    int64_t rows = smaller(MR, a->query_count - t);
    int64_t visible = a->causal ? smaller(t + rows, length) : length;
    pack_rows(a->query + t * a->query_stride, a->query_stride, rows, dimension, query);
    for (int64_t u = 0; u < visible; u += NR) {
      tiles[rows](query, keys + u * dimension, dimension, scores + u, padded, 1);
    }
    float scales[MR];
    for (int64_t i = 0; i < rows; i++) {
      float *row = scores + i * padded;
      int64_t count = a->causal ? smaller(t + i + 1, length) : length;
      FOR_VECTORS(count) PUT(row, GET(row) * splat(a->scale));
      float maximum = row_maximum(row, count);
      float sum = exponentials(row, count, maximum == -INFINITY ? 0 : maximum);
      scales[i] = sum == 0 ? 0 : 1 / sum;
      for (int64_t u = count; u < visible; u++) row[u] = 0;
    }
    pack_rows(scores, padded, rows, visible, weights);
    for (int64_t j = 0; j < dimension; j += NR) {
      tiles[rows](weights, values + j * length, visible, tile, NR, 1);
      int64_t columns = smaller(NR, dimension - j);
      for (int64_t i = 0; i < rows; i++) {
        float *output = a->output + (t + i) * a->output_stride + j;
        const float *from = tile + i * NR;
        vec scale = splat(scales[i]);
        FOR_VECTORS(columns) PUT(output, GET(from) * scale);
      }
    }
  }
}
