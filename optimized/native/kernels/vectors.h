/* Vectors of the widest kind that the CPU has, and the few operations on them for which C has no operator.

   The files that include this one are written once, for any width: VECTOR_BYTES, or LANES of 32 bits. Processors differ in what
   x86.h, arm.h and portable.h define: dot products of bytes and of 16 bits, extremes, and sums of all lanes.

     LANE_INPUTS                 neighbouring bytes that are multiplied and summed into a lane
     DOT_GROUPS                  groups of so many bytes in a step
     ACTIVATION_MAX, WEIGHT_MAX  the largest bytes that cannot overflow a sum
     ACTIVATION_FLIP             bits of stored activations that are inverted

   -DPORTABLE=64 (or 32) is plain C with vectors of that width. */

#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

#if defined(PORTABLE)
#define VECTOR_BYTES PORTABLE
#elif defined(__AVX512BW__)
#define VECTOR_BYTES 64
#elif (defined(__AVX2__) && defined(__FMA__)) || defined(__ARM_FEATURE_DOTPROD)
#define VECTOR_BYTES 32
#else
#error "needs AVX2 and FMA, or NEON with dot products"
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

INLINE floats select_lanes(ints mask, floats yes, floats no) { return (floats)(((ints)yes & mask) | ((ints)no & ~mask)); }
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
#include "portable.h"
#elif defined(__x86_64__)
#include "x86.h"
#else
#include "arm.h"
#endif

#if !defined(FIRST_PRODUCT_PLUS)
#define FIRST_PRODUCT_PLUS(x, y, product) ((x) * (y) + (product))
#define FIRST_PRODUCT_MINUS(x, y, product) ((x) * (y) - (product))
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
