// Apache-2.0. Elementary functions over vectors: Cephes-style polynomials, at most 3 ulp where the
// result is not subnormal.
#pragma once
#include "vector.h"

#include <math.h>

/// p · 2^n for whole n in −151 … 129, rounded once where the result is subnormal.
INLINE vec scaled(vec p, vec n) {
#if LANES == 16
  return (vec)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  // In two factors, so that both ends are met; what is not a number has no whole part.
  ivec whole = __builtin_convertvector(select_v(n == n, n, splat(0)), ivec);
  ivec half = whole >> 1;
  return p * (vec)((half + isplat(127)) << 23) * (vec)((whole - half + isplat(127)) << 23);
#endif
}

/// e^x: x = n·ln 2 + r, polynomial on |r| ≤ ln 2 / 2. What is not a number stays so: it passes the
/// bounds and is in p.
INLINE vec exp_v(vec x) {
  x = max_v(splat(-104.0f), min_v(splat(89.0f), x));
  vec n = __builtin_elementwise_roundeven(x * splat(1.44269504088896341f));
  vec r = fma_v(n, splat(-0.693359375f), x);
  r = fma_v(n, splat(2.12194440e-4f), r);
  vec p = splat(1.9875691500e-4f);
  p = fma_v(p, r, splat(1.3981999507e-3f));
  p = fma_v(p, r, splat(8.3334519073e-3f));
  p = fma_v(p, r, splat(4.1665795894e-2f));
  p = fma_v(p, r, splat(1.6666665459e-1f));
  p = fma_v(p, r, splat(5.0000001201e-1f));
  p = fma_v(p, r * r, r) + splat(1);
  return scaled(p, n);
}

/// tanh: odd polynomial below 0.625, 1 − 2/(e^2|x| + 1) above.
INLINE vec tanh_v(vec x) {
  vec magnitude = (vec)((ivec)x & isplat(0x7FFFFFFF));
  ivec sign = (ivec)x & isplat((int32_t)0x80000000u);
  vec z = x * x;
  vec p = splat(-5.70498872745e-3f);
  p = fma_v(p, z, splat(2.06390887954e-2f));
  p = fma_v(p, z, splat(-5.37397155531e-2f));
  p = fma_v(p, z, splat(1.33314422036e-1f));
  p = fma_v(p, z, splat(-3.33332819422e-1f));
  vec small = fma_v(p * z, x, x);
  vec large = splat(1) - splat(2) / (exp_v(magnitude + magnitude) + splat(1));
  large = (vec)((ivec)large | sign);
  return select_v(magnitude < splat(0.625f), small, large);
}

/// erf: odd polynomial below 1 (Abramowitz–Stegun form of fdlibm's ranges refitted), 1 − e^−x²·q
/// above. N. Juffa's minimax coefficients.
INLINE vec erf_v(vec x) {
  vec a = (vec)((ivec)x & isplat(0x7FFFFFFF));
  ivec sign = (ivec)x & isplat((int32_t)0x80000000u);
  vec s = x * x;
  vec r = fma_v(splat(-1.72853470e-5f), a, splat(3.83197126e-4f));
  vec u = fma_v(splat(-3.88396438e-3f), a, splat(2.42546219e-2f));
  r = fma_v(r, s, u);
  r = fma_v(r, a, splat(-1.06777877e-1f));
  r = fma_v(r, a, splat(-6.34846687e-1f));
  r = fma_v(r, a, splat(-1.28717512e-1f));
  r = fma_v(r, a, -a);
  vec large = splat(1) - exp_v(r);
  large = (vec)((ivec)large | sign);
  vec p = splat(-5.96761703e-4f);
  p = fma_v(p, s, splat(4.99119423e-3f));
  p = fma_v(p, s, splat(-2.67681349e-2f));
  p = fma_v(p, s, splat(1.12819925e-1f));
  p = fma_v(p, s, splat(-3.76125336e-1f));
  p = fma_v(p, s, splat(1.28379166e-1f));
  vec small = fma_v(p, x, x);
  return select_v(a > splat(0.921875f), large, small);
}

INLINE vec sigmoid_times(vec x) { return x / (splat(1) + exp_v(-x)); }

/// One activation of every lane.
INLINE vec activation_v(int32_t activation, vec x) {
  switch (activation) {
    case SAMARA_GELU:
      return splat(0.5f) * x * (splat(1) + erf_v(x * splat(0.70710678118654752f)));
    case SAMARA_GELU_TANH: {
      vec inner = splat(0.7978845608028654f) * fma_v(splat(0.044715f) * x * x, x, x);
      return splat(0.5f) * x * (splat(1) + tanh_v(inner));
    }
    case SAMARA_SILU: return sigmoid_times(x);
    case SAMARA_TANH: return tanh_v(x);
    case SAMARA_RELU: return select_v(x < splat(0), splat(0), x);
    case SAMARA_RELU6:
      return select_v(x < splat(0), splat(0), select_v(x > splat(6), splat(6), x));
    default: return x;
  }
}
