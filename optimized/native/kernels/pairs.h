/* Rows of floats as rows of int16, in pairs: two int16 are one int32_t, whose products one instruction sums. */

#pragma once
#include "vectors.h"

#define VALUE_MAX 4095 /* the largest value; the rest of 32 bits is for the weights of their sum */

/* Rows of int16, two of which are one int32_t of `pairs`; each row has a scale */
typedef struct {
  int32_t *pairs;
  float *scales;
} Int16Rows;

/* The largest query or key: the sum of head_size products has to fit into 32 bits */
INLINE float query_limit(long head_size) { return floorf(fminf(32767, sqrtf(2147483647.0f / head_size) * 0.9999f)); }

INLINE float scale_of(const float *row, long count, float limit) {
  floats highest = broadcast(0);
  for (long i = 0; i < count; i += LANES) {
    floats x = first_lanes(count - i, load(row + i), broadcast(0));
    highest = maximum(highest, maximum(x, -x));
  }
  return reduce_max(highest) / limit;
}

INLINE float inverse_of(float scale) { return scale > 0 ? 1 / scale : 0; }

/* Rotate each head of a row by the angles of a token's position: the first half of a head's components holds one coordinate of each
   point, the second half the other (Su et al. 2021, RoFormer, arXiv 2104.09864). `angles` holds their cosines, then their sines. */
INLINE void rotate_heads(float *row, long count, long head_size, const float *angles) {
  long half = head_size / 2, i = 0;
  for (float *head = row; head < row + count; head += head_size, i = 0) {
    for (; i + LANES <= half; i += LANES) {
      floats x = load(head + i), y = load(head + half + i), cosine = load(angles + i), sine = load(angles + half + i);
      store(head + i, FIRST_PRODUCT_MINUS(x, cosine, y * sine)), store(head + half + i, FIRST_PRODUCT_PLUS(y, cosine, x * sine));
    }
    for (; i < half; i++) {
      float x = head[i], y = head[half + i], cosine = angles[i], sine = angles[half + i];
      head[i] = FIRST_PRODUCT_MINUS(x, cosine, y * sine), head[half + i] = FIRST_PRODUCT_PLUS(y, cosine, x * sine);
    }
  }
}

/* The angles of all positions, [positions][head size]; NULL for a layer that rotates nothing */
typedef struct {
  const float *angles;
  const int32_t *positions; /* of the rows */
  long head_size;
} Rotation;

/* Rotate rows of floats, and quantise them to pairs of neighbouring columns, in place or not; rows begin at multiples of the strides */
static void pair_columns(float *row, long stride, long rows, long count, float limit, Rotation rotation, int32_t *out, long out_stride,
                         float *scales) {
  for (long r = 0; r < rows; r++, row += stride, out += out_stride) {
    if (rotation.angles)
      rotate_heads(row, count, rotation.head_size, rotation.angles + rotation.positions[r] * rotation.head_size);
    float inverse = inverse_of(scales[r] = scale_of(row, count, limit));
    for (long i = 0; i < count; i += LANES) store_int16((int16_t *)out + i, round_to_int(load(row + i) * inverse));
  }
}

/* Quantise rows of floats to pairs of neighbouring rows. If `rows` is odd, the last one's partner is what lies behind it, times 0. */
static void pair_rows(const float *row, long stride, long rows, long count, int32_t *out, long out_stride, float *scales) {
  for (long r = 0; r < rows; r += 2, row += 2 * stride, out += out_stride) {
    float even = inverse_of(scales[r] = scale_of(row, count, VALUE_MAX)), odd = 0;
    if (r + 1 < rows) odd = inverse_of(scales[r + 1] = scale_of(row + stride, count, VALUE_MAX));
    for (long i = 0; i < count; i += LANES)
      store_ints(out + i, (round_to_int(load(row + i) * even) & 65535) | round_to_int(load(row + stride + i) * odd) << 16);
  }
}

/* out[columns][out_stride] = in[rows][stride], by blocks of LANES x LANES, whose cache lines stay in the cache */
static void transpose(const int32_t *in, long stride, long rows, long columns, int32_t *out, long out_stride) {
  for (long row = 0; row < rows; row += LANES)
    for (long column = 0; column < columns; column += LANES) {
      long block_rows = rows - row < LANES ? rows - row : LANES, block_columns = columns - column < LANES ? columns - column : LANES;
      const int32_t *from = in + row * stride + column;
      int32_t *to = out + column * out_stride + row;
      if (block_rows < LANES) { /* the rows behind the last may be another thread's */
        for (long c = 0; c < block_columns; c++)
          for (long r = 0; r < block_rows; r++) to[c * out_stride + r] = from[r * stride + c];
        continue;
      }
      for (long c = 0; c < block_columns; c++) {
        ints vector;
        UNROLL for (int r = 0; r < LANES; r++) vector[r] = from[r * stride + c];
        store_ints(to + c * out_stride, vector);
      }
    }
}
