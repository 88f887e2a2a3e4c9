// Apache-2.0. One weight following its gradient: the definition that every vectorised update equals
// bit for bit. Multiplications and additions are never contracted (see houseC in the manifest).
#pragma once
#include "elements.h"

#include <math.h>

static inline void samara_update_element(
    const samara_update *u, float *weight, float gradient, float *first, float *second) {
  float w = *weight, g = gradient * u->scale;
  if (u->rule == SAMARA_ADAMW) {
    float m = u->momentum * *first + (1 - u->momentum) * g;
    float v = u->second_momentum * *second + (1 - u->second_momentum) * (g * g);
    w = w - u->rate * u->decay * w;
    w = w - u->rate * u->first_correction * m / (sqrtf(v) * u->second_correction + u->epsilon);
    *first = m;
    *second = v;
  } else {
    g = g + u->decay * w;
    if (u->rule == SAMARA_MOMENTUM) *first = g = u->momentum * *first + g;
    w = w - u->rate * g;
  }
  *weight = w;
}
