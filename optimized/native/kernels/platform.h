/* What differs between processors beside their vectors: a counter of time, and a pause for a thread that spins. */

#pragma once
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
static inline uint64_t read_ticks(void) { return __builtin_ia32_rdtsc(); }
static inline void pause_thread(void) { __builtin_ia32_pause(); }
#elif defined(__aarch64__)
static inline uint64_t read_ticks(void) {
  uint64_t ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks)); /* the generic timer: 24 MHz to 1 GHz */
  return ticks;
}
/* `yield` is no pause on most cores; `isb` takes about as long as x86's `pause` */
static inline void pause_thread(void) { __asm__ volatile("isb" ::: "memory"); }
#else
static inline uint64_t read_ticks(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000ull + now.tv_nsec;
}
static inline void pause_thread(void) {}
#endif
