// Apache-2.0. The oracle of the dense kernels: plain loops.
#include "scalar_dense.h"
#include "tables.h"

float samara_scalar_dot(const float *a, const float *b, int64_t count) {
  float lanes[16] = {0};
  int64_t k = 0;
  for (; k + 16 <= count; k += 16) {
    for (int lane = 0; lane < 16; lane++) lanes[lane] += a[k + lane] * b[k + lane];
  }
  for (int lane = 0; k < count; k++, lane++) lanes[lane] += a[k] * b[k];
  for (int half = 8; half; half >>= 1) {
    for (int lane = 0; lane < half; lane++) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

void samara_install_scalar_dense(samara_kernel_table *table) {
  samara_install_scalar_linear(table);
  samara_install_scalar_attention(table);
  samara_install_scalar_pointwise(table);
  samara_install_scalar_linear_gradient(table);
  samara_install_scalar_gradient(table);
  samara_install_scalar_attention_gradient(table);
  samara_install_scalar_convolution(table);
}
