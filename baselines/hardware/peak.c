/* The peak rates of the machine's cores: arithmetic in registers, and reading memory.

     peak SECONDS THREADS...      prints one JSON object

   For each number of threads, the object has operations per second by precision (a multiply-add counts as two),
   and bytes per second read from working sets of several sizes; each thread has its own. Threads inherit the
   process's CPUs.

   Arithmetic has 8 to 20 independent accumulators, enough to hide the latency of these instructions on two ports, and
   does not access memory: no library can be faster. */

#define _GNU_SOURCE
#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_THREADS 1024
#define STEPS 8192 /* of each accumulator between two readings of the clock */
#define FOUR_PRODUCTS "4 vpmaddubsw + 3 vpaddw + vpmaddwd + vpaddd"

typedef double Measurement(double seconds, size_t bytes);

typedef struct {
  double seconds;
  size_t bytes;
  Measurement *measure;
  double rate;
  pthread_barrier_t *start;
} Job;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time); /* without the time that other processes use the core */
  return time.tv_sec + time.tv_nsec * 1e-9;
}

/* Accumulators are single variables: an array of them would be in memory, and its stores would be the limit. */
#define EIGHT(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define TWELVE(DO) EIGHT(DO) DO(8) DO(9) DO(10) DO(11)
#define TWENTY(DO) TWELVE(DO) DO(12) DO(13) DO(14) DO(15) DO(16) DO(17) DO(18) DO(19)

#define BEGIN(i) vector c##i = x;
#define ADVANCE(i) c##i = STEP(c##i); __asm__ volatile("" : "+v"(c##i));
#define END(i) __asm__ volatile("" : "+v"(x) : "v"(c##i));

/* Define a function that returns operations per second. ACCUMULATORS is EIGHT, TWELVE or TWENTY, and COUNT that number. */
#define KERNEL(NAME, TARGET, COUNT, ACCUMULATORS, VECTOR, ONE, OPERATIONS)              \
  __attribute__((target(TARGET))) static double NAME(double seconds, size_t unused) {   \
    typedef VECTOR vector;                                                              \
    (void)unused;                                                                       \
    vector x = ONE;                                                                     \
    __asm__ volatile("" : "+v"(x));                                                     \
    ACCUMULATORS(BEGIN)                                                                 \
    double begin = now(), end = begin, steps = 0;                                       \
    do {                                                                                \
      for (int n = 0; n < STEPS; n++) { ACCUMULATORS(ADVANCE) }                         \
      steps += (double)STEPS * COUNT;                                                   \
      end = now();                                                                      \
    } while (end - begin < seconds);                                                    \
    ACCUMULATORS(END)                                                                   \
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

/* Without VNNI: vpmaddubsw sums pairs of products of bytes in 16 bits, four such sums are added (small bytes do not overflow), and
   vpmaddwd sums pairs of these in 32 bits. The accumulator is an operand of each product, and no two products are equal: otherwise
   the compiler would move some out of the loop. */
#define FOUR_PRODUCTS_OF(BITS, c)                                                                              \
  _mm##BITS##_add_epi32(c, _mm##BITS##_madd_epi16(                                                     \
    _mm##BITS##_add_epi16(                                                                             \
      _mm##BITS##_add_epi16(_mm##BITS##_maddubs_epi16(c, x), _mm##BITS##_maddubs_epi16(x, c)),         \
      _mm##BITS##_add_epi16(_mm##BITS##_maddubs_epi16(c, c), _mm##BITS##_maddubs_epi16(c, _mm##BITS##_set1_epi16(1)))), \
    _mm##BITS##_set1_epi16(1)))
#undef STEP
#define STEP(c) FOUR_PRODUCTS_OF(256, c)
KERNEL(int8_256_four_products, "avx2", 8, EIGHT, __m256i, _mm256_set1_epi32(1), 256)
#undef STEP
#define STEP(c) FOUR_PRODUCTS_OF(512, c)
KERNEL(int8_512_four_products, "avx512f,avx512bw", 12, TWELVE, __m512i, _mm512_set1_epi32(1), 512)

/* Read a buffer repeatedly, and return bytes per second. Each thread has its own, so that threads compete for shared caches. */
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
  pthread_barrier_wait(job->start);
  job->rate = job->measure(job->seconds, job->bytes);
  return NULL;
}

/* Measure in that many threads at once; return the sum of their rates */
static double total_rate(int threads, Measurement *measure, double seconds, size_t bytes) {
  pthread_t thread[MAX_THREADS];
  Job job[MAX_THREADS];
  pthread_barrier_t start;
  pthread_barrier_init(&start, NULL, threads);
  for (int i = 0; i < threads; i++) {
    job[i] = (Job){seconds, bytes, measure, 0, &start};
    pthread_create(&thread[i], NULL, run, &job[i]);
  }
  double sum = 0;
  for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL), sum += job[i].rate;
  pthread_barrier_destroy(&start);
  return sum;
}

static void print_rate(const char *precision, const char *instruction, int threads, Measurement *measure, double seconds) {
  double rate = total_rate(threads, measure, seconds, 0);
  printf("\"%s\": {\"instruction\": \"%s\", \"per_second\": %.6g}, ", precision, instruction, rate);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  double seconds = atof(argv[1]);
  size_t sizes[] = {128 << 10, 512 << 10, 4 << 20, 64 << 20};
  __builtin_cpu_init();
  int avx512 = __builtin_cpu_supports("avx512f");
  printf("{");
  for (int n = 2; n < argc; n++) {
    int threads = atoi(argv[n]);
    if (threads < 1 || threads > MAX_THREADS) return 2;
    printf("%s\"%d\": {\"arithmetic\": {", n > 2 ? ", " : "", threads);
    if (avx512 && __builtin_cpu_supports("avx512vnni")) print_rate("int8", "vpdpbusd, 512 bits", threads, int8_512, seconds);
    else if (__builtin_cpu_supports("avxvnni")) print_rate("int8", "vpdpbusd, 256 bits", threads, int8_256, seconds);
    else if (avx512 && __builtin_cpu_supports("avx512bw"))
      print_rate("int8", FOUR_PRODUCTS ", 512 bits", threads, int8_512_four_products, seconds);
    else if (__builtin_cpu_supports("avx2")) print_rate("int8", FOUR_PRODUCTS ", 256 bits", threads, int8_256_four_products, seconds);
    if (avx512 && __builtin_cpu_supports("avx512bf16")) print_rate("bf16", "vdpbf16ps, 512 bits", threads, bf16_512, seconds);
    if (avx512) print_rate("fp32", "vfmadd, 512 bits", threads, fp32_512, seconds);
    else if (__builtin_cpu_supports("fma")) print_rate("fp32", "vfmadd, 256 bits", threads, fp32_256, seconds);
    printf("\"\": null}, \"bytes_per_second\": {");
    for (int i = 0; i < 4; i++)
      printf("%s\"%zu\": %.6g", i ? ", " : "", sizes[i], total_rate(threads, bandwidth, seconds, sizes[i]));
    printf("}}");
  }
  printf("}\n");
  return 0;
}
