// Apache-2.0. Makes every clock of a program the processor time of its process, so that benchmarks
// of one thread can be compared on a machine that others use as well.
//
//   cc -O2 -shared -fPIC Benchmarks/processor_time.c -o processor_time.so
//   LD_PRELOAD=$PWD/processor_time.so python Benchmarks/gemm.py --fedbench FEDBENCH --threads 1
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
  (void)clock;
  return (int)syscall(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, time);
}
