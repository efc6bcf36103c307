/* The tile of a linear map on aarch64, in place of that of products.h.

   SDOT multiplies four inputs of each of four outputs with four inputs of one row, which are one lane of a register. USMMLA (i8mm)
   multiplies eight inputs of two outputs with eight inputs of two rows: its four sums are those of both rows and both outputs. */

#pragma once
#include "vectors.h"

#define REGISTERS (VECTOR_BYTES / 16) /* of a vector */

#if defined(__ARM_FEATURE_MATMUL_INT8)
#define SUM_ROWS ((TILE_ROWS + 1) / 2)
#define SUM_COLUMNS (LANES / 2)

INLINE void multiply_step(int rows, int vectors, const uint8_t *a, long stride, const int8_t *w,
                          int32x4_t (*sum)[SUM_COLUMNS * PANEL_VECTORS]) {
  uint8x16_t inputs[SUM_ROWS];
  UNROLL for (int p = 0; p < (rows + 1) / 2; p++) {
    const uint8_t *first = a + 2 * p * stride, *second = 2 * p + 1 < rows ? first + stride : first;
    inputs[p] = vcombine_u8(vld1_u8(first), vld1_u8(second));
  }
  UNROLL for (int c = 0; c < SUM_COLUMNS * vectors; c++) {
    int8x16_t column = vld1q_s8(w + 16 * c);
    UNROLL for (int p = 0; p < (rows + 1) / 2; p++) sum[p][c] = vusmmlaq_s32(sum[p][c], inputs[p], column);
  }
}

/* Sums of a row lie in one half of each register */
INLINE int32x4_t sums_of(int32x4_t (*sum)[SUM_COLUMNS * PANEL_VECTORS], int row, int part) {
  int32x4_t left = sum[row / 2][2 * part], right = sum[row / 2][2 * part + 1];
  if (row % 2) return vcombine_s32(vget_high_s32(left), vget_high_s32(right));
  return vcombine_s32(vget_low_s32(left), vget_low_s32(right));
}
#else
#define SUM_ROWS TILE_ROWS
#define SUM_COLUMNS REGISTERS

#define ADD_GROUP(LANE)                                                                                                \
  UNROLL for (int c = 0; c < REGISTERS * vectors; c++) {                                                               \
    int8x16_t column = vld1q_s8(w + c / REGISTERS * STEP_BYTES + LANE * VECTOR_BYTES + c % REGISTERS * 16);            \
    UNROLL for (int r = 0; r < rows; r++) sum[r][c] = vdotq_laneq_s32(sum[r][c], column, inputs[r], LANE);             \
  }

INLINE void multiply_step(int rows, int vectors, const uint8_t *a, long stride, const int8_t *w,
                          int32x4_t (*sum)[SUM_COLUMNS * PANEL_VECTORS]) {
  int8x16_t inputs[TILE_ROWS];
  UNROLL for (int r = 0; r < rows; r++) inputs[r] = vreinterpretq_s8_u8(vld1q_u8(a + r * stride));
  ADD_GROUP(0) ADD_GROUP(1) ADD_GROUP(2) ADD_GROUP(3)
}

INLINE int32x4_t sums_of(int32x4_t (*sum)[SUM_COLUMNS * PANEL_VECTORS], int row, int part) { return sum[row][part]; }
#endif

INLINE void multiply_tile(int rows, int vectors, const uint8_t *a, long stride, const int8_t *w, long steps, Prefetch prefetch,
                          ints (*sums)[PANEL_VECTORS]) {
  int32x4_t sum[SUM_ROWS][SUM_COLUMNS * PANEL_VECTORS];
  UNROLL for (int r = 0; r < SUM_ROWS; r++) UNROLL for (int c = 0; c < SUM_COLUMNS * vectors; c++) sum[r][c] = vdupq_n_s32(0);
  for (long step = 0; step < steps;) {
    UNROLL for (int line = 0; line < STEP_BYTES; line += 64) __builtin_prefetch(prefetch.weights + line, 0, 2);
    prefetch.weights += STEP_BYTES;
    long stop = steps - step < prefetch.interval ? steps : step + prefetch.interval;
    for (; step < stop; step++, a += STEP_INPUTS, w += vectors * STEP_BYTES) multiply_step(rows, vectors, a, stride, w, sum);
  }
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int c = 0; c < REGISTERS * vectors; c++)
    vst1q_s32((int32_t *)sums[r] + 4 * c, sums_of(sum, r, c));
}
