/* Vectors of the widest kind that this CPU has, and the few operations on them that C has no operator for.

   Code above this file is written once, for any width: BYTES of a vector, LANES of 32 bits. What differs from CPU
   to CPU is the dot product of bytes, `dot`: GROUPS vectors of unsigned activations with as many of signed weights,
   four neighbouring bytes summed into each lane. ACTIVATION_MAX and WEIGHT_MAX are the largest bytes that it takes
   without overflow. -DPORTABLE=64 (or 32) does without any instruction of its own, at that width. */

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
#define BYTES PORTABLE
#elif defined(__AVX512BW__)
#define BYTES 64
#elif defined(__AVX2__) && defined(__FMA__)
#define BYTES 32
#else
#error "needs AVX2 and FMA"
#endif
#define LANES (BYTES / 4)

typedef float floats __attribute__((vector_size(BYTES)));
typedef int32_t ints __attribute__((vector_size(BYTES)));
typedef uint8_t bytes __attribute__((vector_size(LANES)));
typedef int16_t shorts __attribute__((vector_size(2 * LANES)));
typedef struct { floats in; } __attribute__((packed, aligned(4), may_alias)) unaligned_floats;
typedef struct { ints in; } __attribute__((packed, aligned(4), may_alias)) unaligned_ints;
typedef struct { shorts in; } __attribute__((packed, aligned(2), may_alias)) unaligned_shorts;
typedef struct { bytes in; } __attribute__((packed, aligned(1), may_alias)) unaligned_bytes;

INLINE floats load(const float *from) { return ((const unaligned_floats *)from)->in; }
INLINE void store(float *to, floats x) { ((unaligned_floats *)to)->in = x; }
INLINE floats all(float x) { return x - (floats){0}; }
INLINE ints all_ints(int32_t x) { return x - (ints){0}; }
INLINE ints load_ints(const int8_t *from) { return *(const ints *)from; }
INLINE ints load_pairs(const int32_t *from) { return ((const unaligned_ints *)from)->in; }
INLINE void store_ints(int32_t *to, ints x) { ((unaligned_ints *)to)->in = x; }
INLINE void store_short(int16_t *to, ints x) { ((unaligned_shorts *)to)->in = __builtin_convertvector(x, shorts); }
INLINE ints four_bytes(const uint8_t *from) {
  int32_t word;
  memcpy(&word, from, 4);
  return all_ints(word);
}

#if defined(PORTABLE)
#define GROUPS 1
#define ACTIVATION_MAX 255
#define WEIGHT_MAX 127
#define DOT "portable"
INLINE ints dot(ints sum, const ints *a, const ints *w) {
  UNROLL for (int at = 0; at < 32; at += 8) sum += ((*a >> at) & 255) * ((*w << (24 - at)) >> 24);
  return sum;
}
#elif defined(__AVX512VNNI__) && BYTES == 64
#define GROUPS 1
#define ACTIVATION_MAX 255
#define WEIGHT_MAX 127
#define DOT "vpdpbusd, 512 bits"
INLINE ints dot(ints sum, const ints *a, const ints *w) {
  return (ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)*a, (__m512i)*w);
}
#elif defined(__AVXVNNI__) && BYTES == 32
#define GROUPS 1
#define ACTIVATION_MAX 255
#define WEIGHT_MAX 127
#define DOT "vpdpbusd, 256 bits"
INLINE ints dot(ints sum, const ints *a, const ints *w) {
  return (ints)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)*a, (__m256i)*w);
}
#else
/* Products are summed in 16 bits, eight of them, before they are widened: fewer instructions than widening each pair.
   Whoever lays the weights out sees to it that no such sum leaves 16 bits (optimized/native/weights.py). */
#define GROUPS 4
#define ACTIVATION_MAX 127
#define WEIGHT_MAX 64
#if BYTES == 64
#define DOT "vpmaddubsw, 512 bits, four at a time"
#define WIDE(name) _mm512_##name
typedef __m512i wide;
#else
#define DOT "vpmaddubsw, 256 bits, four at a time"
#define WIDE(name) _mm256_##name
typedef __m256i wide;
#endif
INLINE ints dot(ints sum, const ints *a, const ints *w) {
  wide pairs = WIDE(maddubs_epi16)((wide)a[0], (wide)w[0]);
  UNROLL for (int g = 1; g < GROUPS; g++) pairs = WIDE(add_epi16)(pairs, WIDE(maddubs_epi16)((wide)a[g], (wide)w[g]));
  return sum + (ints)WIDE(madd_epi16)(pairs, WIDE(set1_epi16)(1));
}
#endif

/* Two neighbouring products of 16 bits summed into each lane */
#if defined(PORTABLE)
INLINE ints dot_pairs(ints sum, ints a, ints b) { return sum + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16); }
#elif defined(__AVX512VNNI__) && BYTES == 64
INLINE ints dot_pairs(ints sum, ints a, ints b) { return (ints)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b); }
#elif defined(__AVXVNNI__) && BYTES == 32
INLINE ints dot_pairs(ints sum, ints a, ints b) { return (ints)_mm256_dpwssd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b); }
#else
INLINE ints dot_pairs(ints sum, ints a, ints b) { return sum + (ints)WIDE(madd_epi16)((wide)a, (wide)b); }
#endif

INLINE floats choose(ints mask, floats yes, floats no) { return (floats)(((ints)yes & mask) | ((ints)no & ~mask)); }
#if defined(PORTABLE)
INLINE floats larger(floats x, floats y) { return choose(x > y, x, y); }
INLINE floats smaller(floats x, floats y) { return choose(x < y, x, y); }
#elif BYTES == 64
INLINE floats larger(floats x, floats y) { return (floats)_mm512_max_ps((__m512)x, (__m512)y); }
INLINE floats smaller(floats x, floats y) { return (floats)_mm512_min_ps((__m512)x, (__m512)y); }
#else
INLINE floats larger(floats x, floats y) { return (floats)_mm256_max_ps((__m256)x, (__m256)y); }
INLINE floats smaller(floats x, floats y) { return (floats)_mm256_min_ps((__m256)x, (__m256)y); }
#endif
INLINE ints numbered(void) {
  ints lanes;
  for (int i = 0; i < LANES; i++) lanes[i] = i;
  return lanes;
}
/* the first `count` lanes of x, the others of `rest` */
INLINE floats first(long count, floats x, floats rest) { return choose(numbered() < all_ints((int32_t)count), x, rest); }

#define MAX_OF(x, y) ((x) > (y) ? (x) : (y))
#if defined(PORTABLE)
#define SUM_OF(x, y) ((x) + (y))
#define MIN_OF(x, y) ((x) < (y) ? (x) : (y))
#define REDUCE(NAME, COMBINE, _)                                  \
  INLINE float NAME(floats x) {                                   \
    float found = x[0];                                           \
    for (int i = 1; i < LANES; i++) found = COMBINE(found, x[i]); \
    return found;                                                 \
  }
REDUCE(sum_of, SUM_OF, )
REDUCE(max_of, MAX_OF, )
REDUCE(min_of, MIN_OF, )
#else
#if BYTES == 64
#define REDUCE(NAME, SHORT) INLINE float NAME(floats x) { return _mm512_reduce_##SHORT##_ps((__m512)x); }
#else
#define REDUCE(NAME, SHORT)                                                                            \
  INLINE float NAME(floats x) {                                                                        \
    __m128 four = _mm_##SHORT##_ps(_mm256_castps256_ps128((__m256)x), _mm256_extractf128_ps((__m256)x, 1)); \
    four = _mm_##SHORT##_ps(four, _mm_movehl_ps(four, four));                                          \
    return _mm_cvtss_f32(_mm_##SHORT##_ss(four, _mm_movehdup_ps(four)));                               \
  }
#endif
REDUCE(sum_of, add)
REDUCE(max_of, max)
REDUCE(min_of, min)
#endif

/* The nearest whole numbers in the low 16 bits, for x within 2^15 of 0 */
INLINE ints nearest(floats x) { return (ints)(x + 12582912.0f); /* 1.5 * 2^23 */ }

/* 2^x to 4e-6 of itself, for x up to 127: the whole part by the exponent's bits, the rest by a polynomial; 2^-126 below that */
INLINE floats power_of_two(floats x) {
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number, which is then in the low bits */
  floats power = larger(x, all(-126.0f)), whole = power + magic, part = power - (whole - magic);
  floats value = all(0.00133335581f);
  value = value * part + 0.00961812911f;
  value = value * part + 0.0555041087f;
  value = value * part + 0.240226507f;
  value = value * part + 0.693147181f;
  value = value * part + 1.0f;
  return (floats)((ints)value + ((ints)whole << 23));
}

INLINE floats exponential(floats x) { return power_of_two(smaller(x, all(88.0f)) * 1.44269504f); }

INLINE floats relu(floats x) { return larger(x, all(0)); }

/* x * Phi(x) to 6e-5 where x is below 12: Phi by an odd polynomial that was fitted to it (a test holds it) */
INLINE floats gelu(floats x) {
  static const float odd[] = {0.39880208f, -0.0661555959f, 0.00969514903f, -0.0010713865f, 8.71176793e-05f,
                              -5.00616982e-06f, 1.90223982e-07f, -4.24899587e-09f, 4.19744155e-11f};
  floats square = smaller(x * x, all(18.49f));
  floats value = all(odd[sizeof odd / sizeof *odd - 1]);
  UNROLL for (int i = sizeof odd / sizeof *odd - 2; i >= 0; i--) value = value * square + odd[i];
  return x * smaller(larger(value * x + 0.5f, all(0)), all(1)); /* beyond 4.3 a straight line, which soon is 0 or 1 */
}

/* the form with tanh, which some models were trained with: x * sigmoid(2 * u) */
INLINE floats gelu_tanh(floats x) {
  floats twice = x * (1.59576912f + 0.0713548163f * x * x);
  return x / (1.0f + exponential(-twice));
}
