/* Operations of vectors.h by the instructions of aarch64: NEON with dot products, with or without i8mm. A vector is two registers. */

#pragma once
#include <arm_neon.h>

#define ACTIVATION_MAX 255
#define WEIGHT_MAX 127
#define TILE_ROWS 6 /* TILE_ROWS x PANEL_VECTORS vectors of sums fill 24 of 32 registers */
#define PANEL_VECTORS 2
#define BLOCK_ROWS 96 /* not tuned: nobody measured it */

#if defined(__ARM_FEATURE_MATMUL_INT8)
#define LANE_INPUTS 8
#define DOT_GROUPS 1
#define ACTIVATION_FLIP 0
#define DOT_NAME "usmmla, 128 bits"
#else
/* SDOT multiplies signed bytes: activations are stored less 128, and `complete_sums` adds 128 times an output's sum of weights */
#define LANE_INPUTS 4
#define DOT_GROUPS 4
#define ACTIVATION_FLIP 128
#define DOT_NAME "sdot, 128 bits"
#endif

typedef union { floats whole; float32x4_t half[2]; } FloatHalves;
typedef union { ints whole; int32x4_t half[2]; int16x8_t pairs[2]; } IntHalves;

#if ACTIVATION_FLIP
/* The sums of weights are exact up to 2^22: `scaled_sums` is their product with `scales`, rounded once. Padding has scales of 0. */
INLINE ints complete_sums(ints sums, floats scales, floats scaled_sums) {
  FloatHalves quotients = {scaled_sums / scales};
  IntHalves weights;
  UNROLL for (int i = 0; i < 2; i++) weights.half[i] = vcvtnq_s32_f32(quotients.half[i]); /* NaN becomes 0 */
  return sums + weights.whole * 128;
}
#endif

/* The even and the odd members of pairs are multiplied apart: each instruction sums one product into each lane */
INLINE ints dot_pairs(ints sum, ints a, ints b) {
  IntHalves total = {sum}, x = {a}, y = {b};
  int16x8_t even_x = vuzp1q_s16(x.pairs[0], x.pairs[1]), odd_x = vuzp2q_s16(x.pairs[0], x.pairs[1]);
  int16x8_t even_y = vuzp1q_s16(y.pairs[0], y.pairs[1]), odd_y = vuzp2q_s16(y.pairs[0], y.pairs[1]);
  total.half[0] = vmlal_s16(total.half[0], vget_low_s16(even_x), vget_low_s16(even_y));
  total.half[0] = vmlal_s16(total.half[0], vget_low_s16(odd_x), vget_low_s16(odd_y));
  total.half[1] = vmlal_high_s16(total.half[1], even_x, even_y);
  total.half[1] = vmlal_high_s16(total.half[1], odd_x, odd_y);
  return total.whole;
}

/* Of two products the second is rounded, as compilers for x86 do it; those for ARM do so only where they are told */
INLINE floats multiply_add(floats x, floats y, floats z) {
  FloatHalves left = {x}, right = {y}, sum = {z};
  UNROLL for (int i = 0; i < 2; i++) sum.half[i] = vfmaq_f32(sum.half[i], left.half[i], right.half[i]);
  return sum.whole;
}
#define MULTIPLY_ADD(x, y, z) _Generic((z), floats: multiply_add, float: fmaf)(x, y, z)
#define FIRST_PRODUCT_PLUS(x, y, product) MULTIPLY_ADD(x, y, product)
#define FIRST_PRODUCT_MINUS(x, y, product) MULTIPLY_ADD(x, y, -(product))

#define EACH_HALF(NAME, INSTRUCTION)                                                                                   \
  INLINE floats NAME(floats x, floats y) {                                                                             \
    FloatHalves left = {x}, right = {y};                                                                               \
    UNROLL for (int i = 0; i < 2; i++) left.half[i] = INSTRUCTION(left.half[i], right.half[i]);                        \
    return left.whole;                                                                                                 \
  }
EACH_HALF(maximum, vmaxq_f32)
EACH_HALF(minimum, vminq_f32)

/* Halves are combined until one number is left, as x86 does: float32 sums in another order would differ */
INLINE float reduce_sum(floats x) {
  FloatHalves halves = {x};
  float32x4_t four = vaddq_f32(halves.half[0], halves.half[1]);
  float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(vpadd_f32(two, two), 0);
}
INLINE float reduce_max(floats x) {
  FloatHalves halves = {x};
  return vmaxvq_f32(vmaxq_f32(halves.half[0], halves.half[1]));
}
INLINE float reduce_min(floats x) {
  FloatHalves halves = {x};
  return vminvq_f32(vminq_f32(halves.half[0], halves.half[1]));
}
