// Apache-2.0. The linear layers that `fedbench gemm` measures, by OpenBLAS: x [M, K] times the
// transpose of W [N, K]; one row by the better of sgemm and sgemv.
//
//   cc -O2 Benchmarks/gemm_openblas.c -lopenblas -o gemm_openblas
//   OPENBLAS_NUM_THREADS=4 ./gemm_openblas M N K      prints GFLOP/s, the median of seven
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int m, n, k;
static float *x, *w, *y;

static void by_matrix(void) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, x, k, w, k, 0, y, n);
}

static void by_vector(void) {
  cblas_sgemv(CblasRowMajor, CblasNoTrans, n, k, 1, w, k, x, 1, 0, y, 1);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b) {
  double d = *(const double *)a - *(const double *)b;
  return (d > 0) - (d < 0);
}

/// Median seconds of one call; short calls are repeated for 20 ms a measurement.
static double median(void (*call)(void)) {
  call();
  double start = seconds();
  call();
  double once = seconds() - start;
  int repeats = once >= 0.02 ? 1 : (int)(0.02 / once) + 1;
  double taken[7];
  for (int i = 0; i < 7; i++) {
    start = seconds();
    for (int r = 0; r < repeats; r++) call();
    taken[i] = (seconds() - start) / repeats;
  }
  qsort(taken, 7, sizeof *taken, ascending);
  return taken[3];
}

int main(int count, char **words) {
  if (count != 4) {
    fprintf(stderr, "usage: gemm_openblas M N K\n");
    return 4;
  }
  m = atoi(words[1]), n = atoi(words[2]), k = atoi(words[3]);
  if (m < 1 || n < 1 || k < 1) {
    fprintf(stderr, "gemm_openblas: M, N and K must be at least 1\n");
    return 4;
  }
  x = malloc((size_t)m * (size_t)k * sizeof *x);
  w = malloc((size_t)n * (size_t)k * sizeof *w);
  y = malloc((size_t)m * (size_t)n * sizeof *y);
  if (!x || !w || !y) return 1;
  for (size_t i = 0; i < (size_t)m * (size_t)k; i++) x[i] = (float)(i % 1009) * 1e-3f - 0.5f;
  for (size_t i = 0; i < (size_t)n * (size_t)k; i++) w[i] = (float)(i % 1013) * 1e-3f - 0.5f;
  double best = median(by_matrix);
  if (m == 1) {
    double vector = median(by_vector);
    if (vector < best) best = vector;
  }
  printf("%.2f\n", 2.0 * m * n * k / best * 1e-9);
  return 0;
}
