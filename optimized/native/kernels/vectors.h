/* Vectors of the widest kind that the CPU has, and the few operations on them for which C has no operator.

   The files that include this one are written once, for any width: VECTOR_BYTES, or LANES of 32 bits. CPUs differ in the dot
   product of bytes, `dot_bytes`: it multiplies DOT_GROUPS vectors of unsigned activations with as many of signed weights, and
   sums four neighbouring products into each lane. ACTIVATION_MAX and WEIGHT_MAX are the largest bytes that cannot overflow it.
   -DPORTABLE=64 (or 32) is plain C with vectors of that width. */

#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>
#if !defined(PORTABLE)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

#if defined(PORTABLE)
#define VECTOR_BYTES PORTABLE
#elif defined(__AVX512BW__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__) && defined(__FMA__)
#define VECTOR_BYTES 32
#else
#error "needs AVX2 and FMA"
#endif
#define LANES (VECTOR_BYTES / 4)

typedef float floats __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t ints __attribute__((vector_size(VECTOR_BYTES)));
typedef uint8_t bytes __attribute__((vector_size(LANES)));
typedef int16_t int16s __attribute__((vector_size(2 * LANES)));
typedef struct { floats vector; } __attribute__((packed, aligned(4), may_alias)) unaligned_floats;
typedef struct { ints vector; } __attribute__((packed, aligned(4), may_alias)) unaligned_ints;
typedef struct { int16s vector; } __attribute__((packed, aligned(2), may_alias)) unaligned_int16s;
typedef struct { bytes vector; } __attribute__((packed, aligned(1), may_alias)) unaligned_bytes;

INLINE floats load(const float *from) { return ((const unaligned_floats *)from)->vector; }
INLINE void store(float *to, floats x) { ((unaligned_floats *)to)->vector = x; }
INLINE floats broadcast(float x) { return x - (floats){0}; }
INLINE ints broadcast_int(int32_t x) { return x - (ints){0}; }
INLINE ints load_weights(const int8_t *from) { return *(const ints *)from; }
INLINE ints load_ints(const int32_t *from) { return ((const unaligned_ints *)from)->vector; }
INLINE void store_ints(int32_t *to, ints x) { ((unaligned_ints *)to)->vector = x; }
INLINE void store_int16(int16_t *to, ints x) { ((unaligned_int16s *)to)->vector = __builtin_convertvector(x, int16s); }
INLINE ints broadcast_4_bytes(const uint8_t *from) {
  int32_t word;
  memcpy(&word, from, 4);
  return broadcast_int(word);
}

#if defined(PORTABLE)
#define DOT_GROUPS 1
#define ACTIVATION_MAX 255
#define WEIGHT_MAX 127
#define DOT_NAME "portable"
INLINE ints dot_bytes(ints sum, const ints *a, const ints *w) {
  UNROLL for (int at = 0; at < 32; at += 8) sum += ((*a >> at) & 255) * ((*w << (24 - at)) >> 24);
  return sum;
}
#elif defined(__AVX512VNNI__) && VECTOR_BYTES == 64
#define DOT_GROUPS 1
#define ACTIVATION_MAX 255
#define WEIGHT_MAX 127
#define DOT_NAME "vpdpbusd, 512 bits"
INLINE ints dot_bytes(ints sum, const ints *a, const ints *w) {
  return (ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)*a, (__m512i)*w);
}
#elif defined(__AVXVNNI__) && VECTOR_BYTES == 32
#define DOT_GROUPS 1
#define ACTIVATION_MAX 255
#define WEIGHT_MAX 127
#define DOT_NAME "vpdpbusd, 256 bits"
INLINE ints dot_bytes(ints sum, const ints *a, const ints *w) {
  return (ints)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)*a, (__m256i)*w);
}
#else
/* Eight products are summed in 16 bits before they are widened: fewer instructions than widening each pair.
   optimized/native/weights.py rounds the weights so that no such sum overflows. */
#define DOT_GROUPS 4
#define ACTIVATION_MAX 127
#define WEIGHT_MAX 64
#if VECTOR_BYTES == 64
#define DOT_NAME "vpmaddubsw, 512 bits, four at a time"
#define INTRINSIC(name) _mm512_##name
typedef __m512i register_bits;
#else
#define DOT_NAME "vpmaddubsw, 256 bits, four at a time"
#define INTRINSIC(name) _mm256_##name
typedef __m256i register_bits;
#endif
INLINE ints dot_bytes(ints sum, const ints *a, const ints *w) {
  register_bits pairs = INTRINSIC(maddubs_epi16)((register_bits)a[0], (register_bits)w[0]);
  UNROLL for (int g = 1; g < DOT_GROUPS; g++) pairs = INTRINSIC(add_epi16)(pairs, INTRINSIC(maddubs_epi16)((register_bits)a[g],
      (register_bits)w[g]));
  return sum + (ints)INTRINSIC(madd_epi16)(pairs, INTRINSIC(set1_epi16)(1));
}
#endif

/* Sum two neighbouring products of 16 bits into each lane */
#if defined(PORTABLE)
INLINE ints dot_pairs(ints sum, ints a, ints b) { return sum + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16); }
#elif defined(__AVX512VNNI__) && VECTOR_BYTES == 64
INLINE ints dot_pairs(ints sum, ints a, ints b) { return (ints)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b); }
#elif defined(__AVXVNNI__) && VECTOR_BYTES == 32
INLINE ints dot_pairs(ints sum, ints a, ints b) { return (ints)_mm256_dpwssd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b); }
#else
INLINE ints dot_pairs(ints sum, ints a, ints b) { return sum + (ints)INTRINSIC(madd_epi16)((register_bits)a, (register_bits)b); }
#endif

INLINE floats select_lanes(ints mask, floats yes, floats no) { return (floats)(((ints)yes & mask) | ((ints)no & ~mask)); }
#if defined(PORTABLE)
INLINE floats maximum(floats x, floats y) { return select_lanes(x > y, x, y); }
INLINE floats minimum(floats x, floats y) { return select_lanes(x < y, x, y); }
#elif VECTOR_BYTES == 64
INLINE floats maximum(floats x, floats y) { return (floats)_mm512_max_ps((__m512)x, (__m512)y); }
INLINE floats minimum(floats x, floats y) { return (floats)_mm512_min_ps((__m512)x, (__m512)y); }
#else
INLINE floats maximum(floats x, floats y) { return (floats)_mm256_max_ps((__m256)x, (__m256)y); }
INLINE floats minimum(floats x, floats y) { return (floats)_mm256_min_ps((__m256)x, (__m256)y); }
#endif
INLINE ints lane_indices(void) {
  ints lanes;
  for (int i = 0; i < LANES; i++) lanes[i] = i;
  return lanes;
}
/* The first `count` lanes of x, and the others of `rest` */
INLINE floats first_lanes(long count, floats x, floats rest) { return select_lanes(lane_indices() < broadcast_int((int32_t)count), x,
                          rest); }

#define MAX_OF(x, y) ((x) > (y) ? (x) : (y))
#if defined(PORTABLE)
#define SUM_OF(x, y) ((x) + (y))
#define MIN_OF(x, y) ((x) < (y) ? (x) : (y))
#define REDUCE(NAME, COMBINE, _)                                  \
  INLINE float NAME(floats x) {                                   \
    float total = x[0];                                           \
    for (int i = 1; i < LANES; i++) total = COMBINE(total, x[i]); \
    return total;                                                 \
  }
REDUCE(reduce_sum, SUM_OF, )
REDUCE(reduce_max, MAX_OF, )
REDUCE(reduce_min, MIN_OF, )
#else
#if VECTOR_BYTES == 64
#define REDUCE(NAME, SHORT) INLINE float NAME(floats x) { return _mm512_reduce_##SHORT##_ps((__m512)x); }
#else
#define REDUCE(NAME, SHORT)                                                                            \
  INLINE float NAME(floats x) {                                                                        \
    __m128 four = _mm_##SHORT##_ps(_mm256_castps256_ps128((__m256)x), _mm256_extractf128_ps((__m256)x, 1)); \
    four = _mm_##SHORT##_ps(four, _mm_movehl_ps(four, four));                                          \
    return _mm_cvtss_f32(_mm_##SHORT##_ss(four, _mm_movehdup_ps(four)));                               \
  }
#endif
REDUCE(reduce_sum, add)
REDUCE(reduce_max, max)
REDUCE(reduce_min, min)
#endif

/* x rounded to an integer, in the low 16 bits of each lane; for x between -2^15 and 2^15 */
INLINE ints round_to_int(floats x) { return (ints)(x + 12582912.0f); /* 1.5 * 2^23 */ }

/* 2^x with a relative error of 4e-6, for x up to 127, and 2^-126 for x below -126. The integer part of x goes to the exponent's
   bits; a polynomial approximates the rest. */
INLINE floats exp2_approximation(floats x) {
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, which is then in the low bits */
  floats power = maximum(x, broadcast(-126.0f)), whole = power + magic, part = power - (whole - magic);
  floats value = broadcast(0.00133335581f);
  value = value * part + 0.00961812911f;
  value = value * part + 0.0555041087f;
  value = value * part + 0.240226507f;
  value = value * part + 0.693147181f;
  value = value * part + 1.0f;
  return (floats)((ints)value + ((ints)whole << 23));
}

INLINE floats exponential(floats x) { return exp2_approximation(minimum(x, broadcast(88.0f)) * 1.44269504f); }

INLINE floats relu(floats x) { return maximum(x, broadcast(0)); }

/* x * Phi(x) with an absolute error of 6e-5 for x below 12 (a test checks it). An odd polynomial was fitted to Phi. */
INLINE floats gelu(floats x) {
  static const float odd[] = {0.39880208f, -0.0661555959f, 0.00969514903f, -0.0010713865f, 8.71176793e-05f,
                              -5.00616982e-06f, 1.90223982e-07f, -4.24899587e-09f, 4.19744155e-11f};
  floats square = minimum(x * x, broadcast(18.49f));
  floats value = broadcast(odd[sizeof odd / sizeof *odd - 1]);
  UNROLL for (int i = sizeof odd / sizeof *odd - 2; i >= 0; i--) value = value * square + odd[i];
  /* beyond 4.3 the approximation of Phi is a straight line, which soon reaches 0 or 1 */
  return x * minimum(maximum(value * x + 0.5f, broadcast(0)), broadcast(1));
}

INLINE floats silu(floats x) { return x / (1.0f + exponential(-x)); }

/* The approximation of GELU with tanh, with which some models were trained: x * sigmoid(2 * u) */
INLINE floats gelu_tanh(floats x) {
  floats twice = x * (1.59576912f + 0.0713548163f * x * x);
  return x / (1.0f + exponential(-twice));
}
