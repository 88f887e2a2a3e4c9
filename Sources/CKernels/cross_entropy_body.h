// Apache-2.0. Loss over a vocabulary: rows that count are gathered, and tiles of logits are folded
// into a running maximum and sum as soon as they exist.
#pragma once
#include "linear_body.h"
#include "pointwise_body.h"

/// Rows folded together: the weight is packed once for so many.
enum { LOSS_ROWS = 252 / MR * MR };

/// Where the parts of the scratch lie, in floats.
typedef struct loss_layout {
  int64_t depth, gathered, right, logits, state, total;
} loss_layout;

INLINE loss_layout loss_layout_of(int64_t inputs) {
  loss_layout l;
  l.depth = block_depth(inputs);
  l.gathered = 0;
  l.right = l.gathered + round_up(LOSS_ROWS * inputs, 16);
  l.logits = l.right + round_up(NR * l.depth, 16);
  l.state = l.logits + LOSS_ROWS * NR;
  l.total = l.state + (3 + LANES) * round_up(LOSS_ROWS, 16);
  return l;
}

static size_t cross_entropy_scratch_bytes(int64_t rows, int64_t outputs, int64_t inputs) {
  (void)rows, (void)outputs;
  return (size_t)round_up(loss_layout_of(inputs).total, 16) * sizeof(float);
}

/// What has been seen of each row; its sum lane by lane.
typedef struct loss_state {
  float *maximum, *target, *sums;
  int32_t *best;
} loss_state;

/// A new largest logit, `most` by lanes: what was summed is brought to it.
INLINE void raise_maximum(
    const loss_state *state, int64_t row, const vec logits[NV], vec most, int64_t n) {
  float old = state->maximum[row], new = max_lanes(most);
  int64_t best = NR;
#pragma clang loop unroll(full)
  for (int g = NV - 1; g >= 0; g--) {
    int lane = find_lane(logits[g], new);
    if (lane < LANES) best = g * LANES + lane;
  }
  float *sums = state->sums + row * LANES;
  store(sums, load(sums) * exp_v(splat(old - new)));
  state->maximum[row] = new;
  state->best[row] = (int32_t)(n + best);
}

/// Folds the logits of columns [n, n + columns) of one row.
INLINE void fold_logits(
    const samara_cross_entropy_args *a, const float *row_logits, const loss_state *state,
    int64_t row, int64_t label, int64_t n, int64_t columns) {
  vec logits[NV], most = splat(-INFINITY);
#pragma clang loop unroll(full)
  for (int g = 0; g < NV; g++) {
    int64_t some = columns - g * LANES;
    logits[g] = load(row_logits + g * LANES);
    if (a->bias) {
      const float *bias = a->bias + n + g * LANES;
      if (some > 0) logits[g] += some < LANES ? load_some(bias, some) : load(bias);
    }
    if (some < LANES) {
      logits[g] = select_v(lane_numbers() < isplat((int32_t)some), logits[g], splat(-INFINITY));
    }
    most = max_v(logits[g], most);
  }
  if (label >= n && label < n + columns) {
    state->target[row] = row_logits[label - n];
    if (a->bias) state->target[row] += a->bias[label];
  }
  if (__builtin_reduce_or(most > splat(state->maximum[row]))) {
    raise_maximum(state, row, logits, most, n);
  }
  float maximum = state->maximum[row];
  vec sum = load(state->sums + row * LANES), base = splat(maximum == -INFINITY ? 0 : maximum);
#pragma clang loop unroll(full)
  for (int g = 0; g < NV; g++) sum += exp_v(logits[g] - base);
  store(state->sums + row * LANES, sum);
}

/// The losses of `count` gathered rows.
INLINE void gathered_losses(
    const samara_cross_entropy_args *a, const loss_layout *l, const int64_t *places,
    int64_t count) {
  float *scratch = a->scratch;
  float *gathered = scratch + l->gathered, *right = scratch + l->right;
  float *logits = scratch + l->logits;
  int64_t inputs = a->weight.columns, slot = round_up(LOSS_ROWS, 16);
  loss_state state = {scratch + l->state, scratch + l->state + slot, scratch + l->state + 3 * slot,
                      (int32_t *)(scratch + l->state + 2 * slot)};
  for (int64_t i = 0; i < count; i++) {
    memcpy(gathered + i * inputs, a->hidden + places[i] * a->hidden_stride, (size_t)inputs * 4);
    state.maximum[i] = -INFINITY;
    state.target[i] = 0;
    state.best[i] = 0;
    store(state.sums + i * LANES, splat(0));
  }
  for (int64_t n = 0; n < a->weight.rows; n += NR) {
    int64_t columns = smaller(NR, a->weight.rows - n);
    for (int64_t k = 0; k < inputs; k += l->depth) {
      int64_t depth = smaller(l->depth, inputs - k);
      const float *panel = (const float *)a->packed + n * inputs + k * NR;
      if (!a->packed) {
        pack_panel(&a->weight, n, a->weight.rows, k, k + depth, right);
        panel = right;
      }
      for (int64_t m = 0; m < count; m += MR) {
        int64_t rows = smaller(MR, count - m);
        row_tiles[rows](
            gathered + m * inputs + k, inputs, panel, depth, logits + m * NR, NR, k == 0);
        // Folded while they are near.
        for (int64_t i = m; k + depth == inputs && i < m + rows; i++) {
          fold_logits(a, logits + i * NR, &state, i, a->labels[places[i]], n, columns);
        }
      }
    }
  }
  for (int64_t i = 0; i < count; i++) {
    a->losses[places[i]] = logf(sum_lanes(load(state.sums + i * LANES))) + state.maximum[i] - state.target[i];
    if (a->predictions) a->predictions[places[i]] = state.best[i];
  }
}

static void cross_entropy(const samara_cross_entropy_args *a) {
  loss_layout l = loss_layout_of(a->weight.columns);
  int64_t places[LOSS_ROWS], count = 0;
  for (int64_t m = a->m_begin; m < a->m_end; m++) {
    a->losses[m] = 0;
    if (a->predictions) a->predictions[m] = -1;
    if (a->labels[m] >= 0) places[count++] = m;
    if (count == LOSS_ROWS || (m + 1 == a->m_end && count)) {
      gathered_losses(a, &l, places, count);
      count = 0;
    }
  }
}
