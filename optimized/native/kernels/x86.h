/* Operations of vectors.h by the instructions of x86: AVX2 or AVX-512, with or without VNNI. */

#pragma once
#include <immintrin.h>

#define LANE_INPUTS 4
#define ACTIVATION_FLIP 0

#if defined(__AVX512VNNI__) && VECTOR_BYTES == 64
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

#if defined(__AVX512VNNI__) && VECTOR_BYTES == 64
INLINE ints dot_pairs(ints sum, ints a, ints b) { return (ints)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b); }
#elif defined(__AVXVNNI__) && VECTOR_BYTES == 32
INLINE ints dot_pairs(ints sum, ints a, ints b) { return (ints)_mm256_dpwssd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b); }
#else
INLINE ints dot_pairs(ints sum, ints a, ints b) { return sum + (ints)INTRINSIC(madd_epi16)((register_bits)a, (register_bits)b); }
#endif

#if VECTOR_BYTES == 64
INLINE floats maximum(floats x, floats y) { return (floats)_mm512_max_ps((__m512)x, (__m512)y); }
INLINE floats minimum(floats x, floats y) { return (floats)_mm512_min_ps((__m512)x, (__m512)y); }
#define REDUCE(NAME, SHORT) INLINE float NAME(floats x) { return _mm512_reduce_##SHORT##_ps((__m512)x); }
#else
INLINE floats maximum(floats x, floats y) { return (floats)_mm256_max_ps((__m256)x, (__m256)y); }
INLINE floats minimum(floats x, floats y) { return (floats)_mm256_min_ps((__m256)x, (__m256)y); }
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
