// Apache-2.0. What the server does with a sum of dense updates.
#pragma once
#include <stdint.h>

/// Server optimisers (Reddi et al., Adaptive Federated Optimization, 2021).
enum samara_server_rule {
  SAMARA_SERVER_AVERAGE = 0,
  SAMARA_SERVER_MOMENTUM = 1,
  SAMARA_SERVER_ADAM = 2,
  SAMARA_SERVER_YOGI = 3
};

/// g = sums · unit is the mean update. With `rule`
///   average   s = g
///   momentum  m ← β1·m + g                  s = m
///   adam      m ← β1·m + (1−β1)·g           s = m / (√v + τ),  v ← β2·v + (1−β2)·g²
///   yogi      m as adam                      v ← v − (1−β2)·g²·sign(v − g²)
/// and integers ← clamp(integers + rint(rate · s · scale), ±bound). All in binary64, one operation
/// after another: the bits depend on nothing but the operands.
typedef struct samara_server_step {
  int32_t rule;
  int32_t bound;
  double unit, scale, rate, beta1, beta2, tau;
} samara_server_step;
