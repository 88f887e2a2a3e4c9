// Apache-2.0. Attention of one head. Queries stand side by side in the lanes: scores are [key][query],
// so that the softmax runs down the keys without a sum across lanes, and its result already lies as
// the product with the values wants it. A row's bits do not depend on how many queries are asked for
// beside it.
#pragma once
#include "linear_body.h"
#include "pointwise_body.h"

/// Queries of a tile of the product with the values; they fill NR, or nearly so at the end.
enum { VALUE_ROWS = LANES == 16 ? 8 : MR };

/// Where the parts of the scratch lie, in floats.
typedef struct attention_layout {
  int64_t keys, values, query, scores, tile, total;
} attention_layout;

INLINE attention_layout attention_layout_of(int64_t key_length, int64_t dimension) {
  attention_layout l;
  l.keys = 0;
  l.values = round_up(key_length * dimension + 2 * LANES, 16);
  l.query = l.values + round_up(dimension, NR) * key_length;
  l.scores = l.query + NR * dimension;
  l.tile = l.scores + round_up(NR * key_length, 16);
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
        vec v = some >= LANES ? load(row + g) : some > 0 ? load_some(row + g, some) : splat(0);
        store(packed + g, v);
      }
    }
  }
}

/// Softmax down the keys in place but for the division; its sums in `sums`. `t`: the first query.
INLINE void softmax_columns(
    const samara_attention_args *a, float *scores, int64_t t, int64_t visible, vec sums[NV]) {
  vec most[NV];
  // Keys past `open` are hidden from some of the queries.
  int64_t open = a->causal ? smaller(t + 1, visible) : visible;
#pragma clang loop unroll(full)
  for (int g = 0; g < NV; g++) most[g] = splat(-INFINITY), sums[g] = splat(0);
  for (int64_t u = 0; u < open; u++) {
#pragma clang loop unroll(full)
    for (int g = 0; g < NV; g++) most[g] = max_v(load(scores + u * NR + g * LANES), most[g]);
  }
  for (int64_t u = open; u < visible; u++) {
#pragma clang loop unroll(full)
    for (int g = 0; g < NV; g++) {
      ivec sees = lane_numbers() + isplat(g * LANES) >= isplat((int32_t)(u - t));
      vec seen = select_v(sees, load(scores + u * NR + g * LANES), splat(-INFINITY));
      most[g] = max_v(seen, most[g]);
    }
  }
#pragma clang loop unroll(full)
  for (int g = 0; g < NV; g++) most[g] = select_v(most[g] == splat(-INFINITY), splat(0), most[g]);
  for (int64_t u = 0; u < visible; u++) {
#pragma clang loop unroll(full)
    for (int g = 0; g < NV; g++) {
      vec e = exp_v(load(scores + u * NR + g * LANES) - most[g]);
      if (u >= open) {
        ivec sees = lane_numbers() + isplat(g * LANES) >= isplat((int32_t)(u - t));
        e = select_v(sees, e, splat(0));
      }
      sums[g] += e;
      store(scores + u * NR + g * LANES, e);
    }
  }
}

static void attention(const samara_attention_args *a) {
  int64_t dimension = a->head_dimension, length = a->key_length;
  attention_layout l = attention_layout_of(length, dimension);
  float *scratch = a->scratch;
  float *keys = scratch + l.keys, *values = scratch + l.values, *query = scratch + l.query;
  float *scores = scratch + l.scores, *tile = scratch + l.tile;
  samara_weight queries = {.data = a->query, .rows = a->query_count, .columns = dimension,
                           .row_stride = a->query_stride, .element_type = SAMARA_F32};
  for (int64_t u = 0; u < length; u += MR) {
    pack_rows(
        a->key + u * a->key_stride, a->key_stride, smaller(MR, length - u), dimension,
        keys + u * dimension);
  }
  pack_values(a, values);
  for (int64_t t = 0; t < a->query_count; t += NR) {
    int64_t columns = smaller(NR, a->query_count - t);
    int64_t visible = a->causal ? smaller(t + columns, length) : length;
    pack_panel(&queries, t, a->query_count, 0, dimension, query);
    for (int64_t i = 0; i < NR * dimension; i += LANES) {
      store(query + i, load(query + i) * splat(a->scale));
    }
    for (int64_t u = 0; u < visible; u += MR) {
      int64_t rows = smaller(MR, visible - u), step = smaller(MR, length - u);
      stepped_tiles[rows](keys + u * dimension, step, query, dimension, scores + u * NR);
    }
    vec sums[NV];
    softmax_columns(a, scores, t, visible, sums);
    float scales[NR];
    for (int g = 0; g < NV; g++) {
      store(scales + g * LANES, select_v(sums[g] == splat(0), splat(0), splat(1) / sums[g]));
    }
    for (int64_t i = 0; i < columns; i += VALUE_ROWS) {
      int64_t rows = smaller(VALUE_ROWS, columns - i);
      int64_t seen = a->causal ? smaller(t + i + rows, length) : length;
      for (int64_t j = 0; j < dimension; j += NR) {
        stepped_tiles[rows](scores + i, NR, values + j * length, seen, tile);
        int64_t width = smaller(NR, dimension - j);
        for (int64_t r = 0; r < rows; r++) {
          float *output = a->output + (t + i + r) * a->output_stride + j;
          const float *from = tile + r * NR;
          vec scale = splat(scales[i + r]);
          FOR_VECTORS(width) PUT(output, GET(from) * scale);
        }
      }
    }
  }
}
