// Apache-2.0. Derivatives of the activations over vectors.
#pragma once
#include "math_body.h"

/// The derivative of every lane where `saved` is what went into the activation, or what came out of
/// it where `saved_output`.
INLINE vec derivative_v(int32_t activation, int32_t saved_output, vec saved) {
  vec x = saved, one = splat(1);
  switch (activation) {
    case SAMARA_GELU: {
      // Φ(x) + x·φ(x); both halves share e^(−x²/2). Φ(−|x|) by Abramowitz and Stegun 7.1.26, within
      // 8e-8.
      vec magnitude = (vec)((ivec)x & isplat(0x7FFFFFFF)), bell = exp_v(splat(-0.5f) * x * x);
      vec t = one / fma_v(magnitude, splat(0.3275911f * 0.70710678118654752f), one);
      vec p = fma_v(splat(0.5f * 1.061405429f), t, splat(0.5f * -1.453152027f));
      p = fma_v(p, t, splat(0.5f * 1.421413741f));
      p = fma_v(p, t, splat(0.5f * -0.284496736f));
      p = fma_v(p, t, splat(0.5f * 0.254829592f));
      vec tail = p * t * bell, below = select_v(x < splat(0), tail, one - tail);
      return fma_v(x * splat(0.39894228040143268f), bell, below);
    }
    case SAMARA_GELU_TANH: {
      vec slope = splat(0.7978845608028654f), square = x * x;
      vec t = tanh_v(slope * fma_v(splat(0.044715f) * square, x, x));
      vec inner = slope * fma_v(splat(3 * 0.044715f), square, one);
      return splat(0.5f) * fma_v(x * inner, fma_v(-t, t, one), one + t);
    }
    case SAMARA_SILU: {
      vec s = one / (one + exp_v(-x));
      return s * fma_v(x, one - s, one);
    }
    case SAMARA_TANH: {
      vec t = saved_output ? x : tanh_v(x);
      return fma_v(-t, t, one);
    }
    case SAMARA_RELU: return select_v(x > splat(0), one, splat(0));
    case SAMARA_RELU6: return select_v((x > splat(0)) & (x < splat(6)), one, splat(0));
    default: return one;
  }
}
