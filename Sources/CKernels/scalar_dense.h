// Apache-2.0. What the scalar dense files share.
#pragma once
#include "elements.h"

/// One activation, by libm.
float samara_scalar_activation(int32_t activation, float x);

/// Its derivative where `saved` is what went in, or what came out where `saved_output`.
float samara_scalar_derivative(int32_t activation, int32_t saved_output, float saved);

/// Σ a[k]·b[k] in sixteen lanes (lane = k mod 16), lanes then added pairwise by halves.
float samara_scalar_dot(const float *a, const float *b, int64_t count);

void samara_install_scalar_linear(samara_kernel_table *table);
void samara_install_scalar_attention(samara_kernel_table *table);
void samara_install_scalar_pointwise(samara_kernel_table *table);
void samara_install_scalar_linear_gradient(samara_kernel_table *table);
void samara_install_scalar_gradient(samara_kernel_table *table);
void samara_install_scalar_attention_gradient(samara_kernel_table *table);
void samara_install_scalar_convolution(samara_kernel_table *table);
