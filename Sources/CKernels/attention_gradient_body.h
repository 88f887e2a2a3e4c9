// Apache-2.0. Gradient of attention: per head of keys, blocks of queries whose probabilities are
// computed again and kept in panels [position of key / NR][query][NR], which is how a product over
// queries reads them.
#pragma once
#include "pointwise_body.h"
#include "product_body.h"

/// Queries of a block.
enum { QUERY_BLOCK = 56 / MR * MR };

/// Where the parts of the scratch lie, in floats.
typedef struct attention_gradient_layout {
  int64_t padded;  // key positions in whole panels
  int64_t keys, values, key_rows, key_sums, value_sums, queries, gradients, query_columns;
  int64_t gradient_columns, probabilities, scores, weights, tile, total;
} attention_gradient_layout;

INLINE attention_gradient_layout attention_gradient_layout_of(int64_t length, int64_t dimension) {
  attention_gradient_layout l;
  int64_t padded = l.padded = round_up(length, NR);
  int64_t block = round_up(QUERY_BLOCK * dimension + 2 * LANES, 16);
  l.keys = 0;
  l.values = l.keys + padded * dimension;
  l.key_rows = l.values + padded * dimension;
  l.key_sums = l.key_rows + round_up(dimension, NR) * round_up(length, 16);
  l.value_sums = l.key_sums + round_up(dimension, MR) * padded;
  l.queries = l.value_sums + round_up(dimension, MR) * padded;
  l.queries = round_up(l.queries, 16);
  l.gradients = l.queries + block;
  l.query_columns = l.gradients + block;
  l.gradient_columns = l.query_columns + block;
  l.probabilities = l.gradient_columns + block;
  l.scores = l.probabilities + QUERY_BLOCK * padded;
  l.weights = l.scores + QUERY_BLOCK * padded;
  l.tile = l.weights + round_up(MR * padded + 2 * LANES, 16);
  l.total = l.tile + MR * NR;
  return l;
}

static size_t attention_gradient_scratch_bytes(int64_t queries, int64_t keys, int64_t dimension) {
  (void)queries;
  return (size_t)round_up(attention_gradient_layout_of(keys, dimension).total, 16) * sizeof(float);
}

/// One call: its arguments and its scratch.
typedef struct attention_gradient_run {
  const samara_attention_gradient_args *a;
  attention_gradient_layout l;
  float *scratch;
  int64_t head, first, count, visible;  // of the block: queries, and keys that any of them sees
} attention_gradient_run;

/// Keys and values as panels, keys as rows, sums at zero.
INLINE void start_attention_gradient(const attention_gradient_run *s) {
  const samara_attention_gradient_args *a = s->a;
  int64_t length = a->key_length, dimension = a->head_dimension;
  samara_weight key = {.data = a->key, .rows = length, .columns = dimension,
                       .row_stride = a->key_stride, .element_type = SAMARA_F32};
  samara_weight value = key;
  value.data = a->value;
  value.row_stride = a->value_stride;
  for (int64_t u = 0; u < length; u += NR) {
    pack_panel(&key, u, length, 0, dimension, s->scratch + s->l.keys + u * dimension);
    pack_panel(&value, u, length, 0, dimension, s->scratch + s->l.values + u * dimension);
  }
  float *rows = s->scratch + s->l.key_rows;
  for (int64_t j = 0; j < dimension; j += NR) {
    for (int64_t u = 0; u < length; u++, rows += NR) {
      const float *row = a->key + u * a->key_stride + j;
      for (int64_t g = 0; g < NR; g += LANES) {
        int64_t some = dimension - j - g;
        store(rows + g, some >= LANES ? load(row + g) : some > 0 ? load_some(row + g, some) : splat(0));
      }
    }
  }
  size_t sums = (size_t)(round_up(dimension, MR) * s->l.padded) * 4;
  memset(s->scratch + s->l.key_sums, 0, sums);
  memset(s->scratch + s->l.value_sums, 0, sums);
}

/// Scores q·k and products of gradients do·v of a block, as panels.
INLINE void block_scores(const attention_gradient_run *s) {
  const samara_attention_gradient_args *a = s->a;
  int64_t dimension = a->head_dimension;
  const float *query = a->query + s->first * a->query_stride + s->head * a->head_stride;
  const float *gradient =
      a->output_gradient + s->first * a->output_gradient_stride + s->head * a->head_stride;
  for (int64_t t = 0; t < s->count; t += MR) {
    int64_t rows = smaller(MR, s->count - t);
    float *q = s->scratch + s->l.queries + t * dimension;
    float *g = s->scratch + s->l.gradients + t * dimension;
    pack_rows(query + t * a->query_stride, a->query_stride, rows, dimension, q);
    pack_rows(gradient + t * a->output_gradient_stride, a->output_gradient_stride, rows, dimension, g);
    for (int64_t u = 0; u < s->visible; u += NR) {
      int64_t place = u * QUERY_BLOCK + t * NR;
      tiles[rows](q, s->scratch + s->l.keys + u * dimension, dimension,
                  s->scratch + s->l.probabilities + place, NR, 1);
      tiles[rows](g, s->scratch + s->l.values + u * dimension, dimension,
                  s->scratch + s->l.scores + place, NR, 1);
    }
  }
  for (int64_t i = 0; i < dimension; i += MR) {
    int64_t rows = smaller(MR, dimension - i);
    pack_columns_of(query, a->query_stride, i, rows, 0, s->count,
                    s->scratch + s->l.query_columns + i * s->count);
    pack_columns_of(gradient, a->output_gradient_stride, i, rows, 0, s->count,
                    s->scratch + s->l.gradient_columns + i * s->count);
  }
}

/// One query: p = softmax(scale · scores), ds = p·(dp − Σ p·dp)·scale, zeros where it does not see.
INLINE void query_row(const attention_gradient_run *s, int64_t t) {
  float *p = s->scratch + s->l.probabilities + t * NR, *ds = s->scratch + s->l.scores + t * NR;
  int64_t keys = s->a->key_length, whole = round_up(s->visible, NR);
  if (s->a->causal) keys = smaller(keys, s->first + t + 1);
  vec factor = splat(s->a->scale), most = splat(-INFINITY), sum = splat(0), along = splat(0);
#define AT(u) ((u) / NR * (QUERY_BLOCK * NR) + (u) % NR)
#define SEEN(u) (lane_numbers() < isplat((int32_t)(keys - (u))))
  for (int64_t u = 0; u < keys; u += LANES) {
    vec v = select_v(SEEN(u), load(p + AT(u)) * factor, splat(-INFINITY));
    store(p + AT(u), v);
    most = max_v(v, most);
  }
  float maximum = max_lanes(most);
  most = splat(maximum == -INFINITY ? 0 : maximum);
  for (int64_t u = 0; u < keys; u += LANES) {
    vec e = select_v(SEEN(u), exp_v(load(p + AT(u)) - most), splat(0));
    sum += e;
    along = fma_v(e, select_v(SEEN(u), load(ds + AT(u)), splat(0)), along);
    store(p + AT(u), e);
  }
  float total = sum_lanes(sum), share = total == 0 ? 0 : 1 / total;
  vec shares = splat(share), middle = splat(sum_lanes(along) * share);
  for (int64_t u = 0; u < whole; u += LANES) {
    if (u >= keys) {
      store(p + AT(u), splat(0));
      store(ds + AT(u), splat(0));
      continue;
    }
    vec probability = load(p + AT(u)) * shares;
    store(p + AT(u), probability);
    vec d = probability * (load(ds + AT(u)) - middle) * factor;
    store(ds + AT(u), select_v(SEEN(u), d, splat(0)));
  }
#undef SEEN
#undef AT
}

/// sums[dimension][key] += Σ over the block's queries columns[query][dimension] · panels[query][key].
INLINE void add_to_keys(
    const attention_gradient_run *s, const float *columns, const float *panels, float *sums) {
  for (int64_t u = 0; u < s->visible; u += NR) {
    for (int64_t i = 0; i < s->a->head_dimension; i += MR) {
      int64_t rows = smaller(MR, s->a->head_dimension - i);
      tiles[rows](columns + i * s->count, panels + u * QUERY_BLOCK, s->count,
                  sums + i * s->l.padded + u, s->l.padded, 0);
    }
  }
}

/// query_gradient of the block: ds · k.
INLINE void block_query_gradient(const attention_gradient_run *s) {
  const samara_attention_gradient_args *a = s->a;
  float *weights = s->scratch + s->l.weights, *tile = s->scratch + s->l.tile;
  for (int64_t t = 0; t < s->count; t += MR) {
    int64_t rows = smaller(MR, s->count - t);
    for (int64_t u = 0; u < s->visible; u += NR) {
      const float *panel = s->scratch + s->l.scores + u * QUERY_BLOCK + t * NR;
      pack_rows(panel, NR, rows, smaller(NR, s->visible - u), weights + u * rows);
    }
    for (int64_t j = 0; j < a->head_dimension; j += NR) {
      tiles[rows](weights, s->scratch + s->l.key_rows + j * a->key_length, s->visible, tile, NR, 1);
      int64_t columns = smaller(NR, a->head_dimension - j);
      for (int64_t i = 0; i < rows; i++) {
        memcpy(a->query_gradient + (s->first + t + i) * a->query_gradient_stride +
                   s->head * a->head_stride + j,
               tile + i * NR, (size_t)columns * 4);
      }
    }
  }
}

/// output[u][i] = sums[i][u].
INLINE void store_turned(
    const float *sums, int64_t padded, int64_t length, int64_t dimension, float *output,
    int64_t stride) {
  for (int64_t u = 0; u < length; u += LANES) {
    for (int64_t i = 0; i < dimension; i += LANES) {
      vec square[LANES];
      int64_t some = smaller(LANES, dimension - i);
#pragma clang loop unroll(full)
      for (int g = 0; g < LANES; g++) {
        square[g] = g < some ? load(sums + (i + g) * padded + u) : splat(0);
      }
      transpose(square);
      for (int64_t g = 0; g < smaller(LANES, length - u); g++) {
        memcpy(output + (u + g) * stride + i, &square[g], (size_t)some * 4);
      }
    }
  }
}

static void attention_gradient(const samara_attention_gradient_args *a) {
  attention_gradient_run s = {.a = a, .scratch = a->scratch};
  int64_t length = a->key_length, dimension = a->head_dimension;
  s.l = attention_gradient_layout_of(length, dimension);
  start_attention_gradient(&s);
  for (s.head = 0; s.head < a->heads; s.head++) {
    for (s.first = 0; s.first < a->query_count; s.first += QUERY_BLOCK) {
      s.count = smaller(QUERY_BLOCK, a->query_count - s.first);
      s.visible = a->causal ? smaller(length, s.first + s.count) : length;
      block_scores(&s);
      for (int64_t t = 0; t < s.count; t++) query_row(&s, t);
      add_to_keys(&s, s.scratch + s.l.gradient_columns, s.scratch + s.l.probabilities,
                  s.scratch + s.l.value_sums);
      add_to_keys(&s, s.scratch + s.l.query_columns, s.scratch + s.l.scores,
                  s.scratch + s.l.key_sums);
      block_query_gradient(&s);
    }
  }
  store_turned(s.scratch + s.l.key_sums, s.l.padded, length, dimension, a->key_gradient,
               a->key_gradient_stride);
  store_turned(s.scratch + s.l.value_sums, s.l.padded, length, dimension, a->value_gradient,
               a->value_gradient_stride);
  for (int64_t u = length; u < a->key_count; u++) {
    memset(a->key_gradient + u * a->key_gradient_stride, 0, (size_t)dimension * 4);
    memset(a->value_gradient + u * a->value_gradient_stride, 0, (size_t)dimension * 4);
  }
}
