/* What the cores of this machine can do at most, measured: arithmetic from registers, and reading memory.

   peak SECONDS THREADS...   prints one JSON object: for each number of threads, operations per second of
   each kind (a multiply-add counts as two), and bytes per second read from working sets of several sizes,
   each thread its own. Threads inherit the process's CPUs.

   Arithmetic runs on 12 or 20 independent accumulators, enough to hide any latency here on two ports, and
   never touches memory: no library can be faster. */

#define _GNU_SOURCE
#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INNER 8192
#define FOURS "4 vpmaddubsw + 3 vpaddw + vpmaddwd + vpaddd"

typedef struct { double seconds; size_t bytes; double (*work)(double, size_t); double rate; pthread_barrier_t *gate; } Job;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* what others take of the core is not its limit */
  return t.tv_sec + t.tv_nsec * 1e-9;
}

/* Chains are variables with names: an array of them would live in memory, and its stores would be the limit. */
#define EIGHT(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define TWELVE(DO) EIGHT(DO) DO(8) DO(9) DO(10) DO(11)
#define TWENTY(DO) TWELVE(DO) DO(12) DO(13) DO(14) DO(15) DO(16) DO(17) DO(18) DO(19)

#define BEGIN(i) chain c##i = x;
#define ADVANCE(i) c##i = STEP(c##i); __asm__ volatile("" : "+v"(c##i));
#define END(i) __asm__ volatile("" : "+v"(x) : "v"(c##i));

/* one arithmetic kernel: CHAINS independent accumulators, INNER steps of each between two looks at the clock */
#define KERNEL(NAME, TARGET, COUNT, CHAINS, VECTOR, ONE, OPERATIONS)                    \
  __attribute__((target(TARGET))) static double NAME(double seconds, size_t unused) {   \
    typedef VECTOR chain;                                                               \
    (void)unused;                                                                       \
    chain x = ONE;                                                                      \
    __asm__ volatile("" : "+v"(x));                                                     \
    CHAINS(BEGIN)                                                                       \
    double begin = now(), end = begin, steps = 0;                                       \
    do {                                                                                \
      for (int n = 0; n < INNER; n++) { CHAINS(ADVANCE) }                               \
      steps += (double)INNER * COUNT;                                                   \
      end = now();                                                                      \
    } while (end - begin < seconds);                                                    \
    CHAINS(END)                                                                         \
    return steps * OPERATIONS / (end - begin);                                          \
  }

#define STEP(c) _mm512_fmadd_ps(x, x, c)
KERNEL(fp32_512, "avx512f", 20, TWENTY, __m512, _mm512_set1_ps(0.5f), 32)
#undef STEP
#define STEP(c) _mm512_dpbf16_ps(c, (__m512bh)x, (__m512bh)x)
KERNEL(bf16_512, "avx512f,avx512bf16", 20, TWENTY, __m512, _mm512_set1_ps(0.5f), 64)
#undef STEP
#define STEP(c) _mm512_dpbusd_epi32(c, x, x)
KERNEL(int8_512, "avx512f,avx512vnni", 20, TWENTY, __m512i, _mm512_set1_epi32(1), 128)
#undef STEP
#define STEP(c) _mm256_fmadd_ps(x, x, c)
KERNEL(fp32_256, "avx2,fma", 12, TWELVE, __m256, _mm256_set1_ps(0.5f), 16)
#undef STEP
#define STEP(c) _mm256_dpbusd_avx_epi32(c, x, x)
KERNEL(int8_256, "avx2,avxvnni", 12, TWELVE, __m256i, _mm256_set1_epi32(1), 64)

/* Without VNNI: products of bytes are added in pairs in 16 bits, four such sums to one another (small enough bytes do not
   overflow), these in pairs in 32 bits, then to the sum. The chain is an operand of each product, and no two products
   are alike, else the compiler would take some out of the loop. */
#define FOURS_OF(BITS, c)                                                                              \
  _mm##BITS##_add_epi32(c, _mm##BITS##_madd_epi16(                                                     \
    _mm##BITS##_add_epi16(                                                                             \
      _mm##BITS##_add_epi16(_mm##BITS##_maddubs_epi16(c, x), _mm##BITS##_maddubs_epi16(x, c)),         \
      _mm##BITS##_add_epi16(_mm##BITS##_maddubs_epi16(c, c), _mm##BITS##_maddubs_epi16(c, _mm##BITS##_set1_epi16(1)))), \
    _mm##BITS##_set1_epi16(1)))
#undef STEP
#define STEP(c) FOURS_OF(256, c)
KERNEL(int8_256_fours, "avx2", 8, EIGHT, __m256i, _mm256_set1_epi32(1), 256)
#undef STEP
#define STEP(c) FOURS_OF(512, c)
KERNEL(int8_512_fours, "avx512f,avx512bw", 12, TWELVE, __m512i, _mm512_set1_epi32(1), 512)

/* read a buffer again and again; each thread its own, so that shared caches are shared */
static double bandwidth(double seconds, size_t bytes) {
  size_t words = bytes / sizeof(uint64_t);
  uint64_t *buffer = aligned_alloc(64, bytes);
  if (!buffer) return 0;
  memset(buffer, 1, bytes);
  double begin = now(), end = begin, read = 0;
  uint64_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
  do {
    for (size_t i = 0; i + 8 <= words; i += 8) {
      a ^= buffer[i], b ^= buffer[i + 1], c ^= buffer[i + 2], d ^= buffer[i + 3];
      e ^= buffer[i + 4], f ^= buffer[i + 5], g ^= buffer[i + 6], h ^= buffer[i + 7];
    }
    __asm__ volatile("" ::"r"(a), "r"(b), "r"(c), "r"(d), "r"(e), "r"(f), "r"(g), "r"(h));
    read += (double)bytes;
    end = now();
  } while (end - begin < seconds);
  free(buffer);
  return read / (end - begin);
}

static void *run(void *argument) {
  Job *job = argument;
  pthread_barrier_wait(job->gate);
  job->rate = job->work(job->seconds, job->bytes);
  return NULL;
}

static double together(int threads, double (*work)(double, size_t), double seconds, size_t bytes) {
  pthread_t thread[1024];
  Job job[1024];
  pthread_barrier_t gate;
  pthread_barrier_init(&gate, NULL, threads);
  for (int i = 0; i < threads; i++) {
    job[i] = (Job){seconds, bytes, work, 0, &gate};
    pthread_create(&thread[i], NULL, run, &job[i]);
  }
  double sum = 0;
  for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL), sum += job[i].rate;
  pthread_barrier_destroy(&gate);
  return sum;
}

static void kind(const char *name, const char *instruction, int threads, double (*work)(double, size_t), double seconds) {
  printf("\"%s\": {\"instruction\": \"%s\", \"per_second\": %.6g}, ", name, instruction, together(threads, work, seconds, 0));
}

int main(int count, char **word) {
  if (count < 3) return 2;
  double seconds = atof(word[1]);
  size_t sizes[] = {128 << 10, 512 << 10, 4 << 20, 64 << 20};
  __builtin_cpu_init();
  int wide = __builtin_cpu_supports("avx512f");
  printf("{");
  for (int n = 2; n < count; n++) {
    int threads = atoi(word[n]);
    if (threads < 1 || threads > 1024) return 2;
    printf("%s\"%d\": {\"arithmetic\": {", n > 2 ? ", " : "", threads);
    if (wide && __builtin_cpu_supports("avx512vnni")) kind("int8", "vpdpbusd, 512 bits", threads, int8_512, seconds);
    else if (__builtin_cpu_supports("avxvnni")) kind("int8", "vpdpbusd, 256 bits", threads, int8_256, seconds);
    else if (wide && __builtin_cpu_supports("avx512bw")) kind("int8", FOURS ", 512 bits", threads, int8_512_fours, seconds);
    else if (__builtin_cpu_supports("avx2")) kind("int8", FOURS ", 256 bits", threads, int8_256_fours, seconds);
    if (wide && __builtin_cpu_supports("avx512bf16")) kind("bf16", "vdpbf16ps, 512 bits", threads, bf16_512, seconds);
    if (wide) kind("fp32", "vfmadd, 512 bits", threads, fp32_512, seconds);
    else if (__builtin_cpu_supports("fma")) kind("fp32", "vfmadd, 256 bits", threads, fp32_256, seconds);
    printf("\"\": null}, \"bytes_per_second\": {");
    for (int i = 0; i < 4; i++)
      printf("%s\"%zu\": %.6g", i ? ", " : "", sizes[i], together(threads, bandwidth, seconds, sizes[i]));
    printf("}}");
  }
  printf("}\n");
  return 0;
}
