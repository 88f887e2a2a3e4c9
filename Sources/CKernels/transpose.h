// Apache-2.0. A square of LANES × LANES floats transposed in registers.
#pragma once
#include "vector.h"

#if LANES == 16
#define EXCHANGE(d, r, i)                                                                        \
  do {                                                                                           \
    vec low = (r)[i], high = (r)[(i) + d];                                                       \
    (r)[i] = __builtin_shufflevector(                                                            \
        low, high, KEEP(0, d), KEEP(1, d), KEEP(2, d), KEEP(3, d), KEEP(4, d), KEEP(5, d),       \
        KEEP(6, d), KEEP(7, d), KEEP(8, d), KEEP(9, d), KEEP(10, d), KEEP(11, d), KEEP(12, d),   \
        KEEP(13, d), KEEP(14, d), KEEP(15, d));                                                  \
    (r)[(i) + d] = __builtin_shufflevector(                                                      \
        low, high, TAKE(0, d), TAKE(1, d), TAKE(2, d), TAKE(3, d), TAKE(4, d), TAKE(5, d),       \
        TAKE(6, d), TAKE(7, d), TAKE(8, d), TAKE(9, d), TAKE(10, d), TAKE(11, d), TAKE(12, d),   \
        TAKE(13, d), TAKE(14, d), TAKE(15, d));                                                  \
  } while (0)
#elif LANES == 8
#define EXCHANGE(d, r, i)                                                                        \
  do {                                                                                           \
    vec low = (r)[i], high = (r)[(i) + d];                                                       \
    (r)[i] = __builtin_shufflevector(                                                            \
        low, high, KEEP(0, d), KEEP(1, d), KEEP(2, d), KEEP(3, d), KEEP(4, d), KEEP(5, d),       \
        KEEP(6, d), KEEP(7, d));                                                                 \
    (r)[(i) + d] = __builtin_shufflevector(                                                      \
        low, high, TAKE(0, d), TAKE(1, d), TAKE(2, d), TAKE(3, d), TAKE(4, d), TAKE(5, d),       \
        TAKE(6, d), TAKE(7, d));                                                                 \
  } while (0)
#else
#define EXCHANGE(d, r, i)                                                                        \
  do {                                                                                           \
    vec low = (r)[i], high = (r)[(i) + d];                                                       \
    (r)[i] = __builtin_shufflevector(low, high, KEEP(0, d), KEEP(1, d), KEEP(2, d), KEEP(3, d)); \
    (r)[(i) + d] =                                                                               \
        __builtin_shufflevector(low, high, TAKE(0, d), TAKE(1, d), TAKE(2, d), TAKE(3, d));      \
  } while (0)
#endif
#define KEEP(lane, d) ((lane) & (d) ? LANES + (lane) - (d) : (lane))
#define TAKE(lane, d) ((lane) & (d) ? LANES + (lane) : (lane) + (d))

/// Exchanges blocks off the diagonal, of 1, 2, 4 … lanes.
INLINE void transpose(vec r[LANES]) {
#pragma clang loop unroll(full)
  for (int i = 0; i < LANES; i++) {
    if (!(i & 1)) EXCHANGE(1, r, i);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < LANES; i++) {
    if (!(i & 2)) EXCHANGE(2, r, i);
  }
#if LANES >= 8
#pragma clang loop unroll(full)
  for (int i = 0; i < LANES; i++) {
    if (!(i & 4)) EXCHANGE(4, r, i);
  }
#endif
#if LANES >= 16
#pragma clang loop unroll(full)
  for (int i = 0; i < LANES; i++) {
    if (!(i & 8)) EXCHANGE(8, r, i);
  }
#endif
}
