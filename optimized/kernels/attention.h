/* Attention of a few tokens to all tokens of their sequence, in float32, one head after the other.

   Keys lie transposed, [inner][stride], so that scores come out side by side; values as [tokens][stride]. A head's last
   vector may reach into the next head's columns, or behind the last: what it writes there is overwritten, or not read. */

#pragma once
#include "vectors.h"

#define TOKENS 4 /* that ask together */
#define SIDE 2   /* vectors side by side: TOKENS x SIDE sums at a time */

typedef struct {
  long tokens, head_size, heads;
  const float *keys, *values;
  long key_stride, value_stride;
} Asked;

INLINE void score(int rows, const Asked *asked, const float *query, long stride, long head, float *scores, long width) {
  for (long at = 0; at < width; at += SIDE * LANES) {
    floats sum[TOKENS][SIDE];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < SIDE; v++) sum[r][v] = all(0);
    const float *keys = asked->keys + head * asked->head_size * asked->key_stride + at;
    for (long d = 0; d < asked->head_size; d++, keys += asked->key_stride) {
      floats column[SIDE];
      UNROLL for (int v = 0; v < SIDE; v++) column[v] = load(keys + v * LANES);
      UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < SIDE; v++)
        sum[r][v] += query[r * stride + head * asked->head_size + d] * column[v];
    }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < SIDE; v++) store(scores + r * width + at + v * LANES, sum[r][v]);
  }
}

/* Scores to weights, not yet divided by their sum, which is returned; behind the last token there is 0 */
INLINE float weigh(float *scores, long tokens, long width) {
  floats high = all(-3e38f), total = all(0);
  for (long at = 0; at < width; at += LANES) {
    floats x = first(tokens - at, load(scores + at), all(-3e38f));
    store(scores + at, x), high = larger(high, x);
  }
  float most = max_of(high);
  for (long at = 0; at < width; at += LANES) {
    floats x = first(tokens - at, exponential(load(scores + at) - most), all(0));
    store(scores + at, x), total += x;
  }
  return sum_of(total);
}

INLINE void gather(int rows, int side, const Asked *asked, const float *scores, long width, const float *shares, long column, float *out, long stride) {
  floats sum[TOKENS][SIDE];
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < side; v++) sum[r][v] = all(0);
  const float *values = asked->values + column;
  for (long token = 0; token < asked->tokens; token++, values += asked->value_stride) {
    floats value[SIDE];
    UNROLL for (int v = 0; v < side; v++) value[v] = load(values + v * LANES);
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < side; v++) sum[r][v] += scores[r * width + token] * value[v];
  }
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < side; v++) store(out + r * stride + column + v * LANES, sum[r][v] * shares[r]);
}

INLINE void attend_rows(int rows, const Asked *asked, const float *query, long query_stride, float *scores, float *out, long stride) {
  long width = (asked->tokens + SIDE * LANES - 1) / (SIDE * LANES) * (SIDE * LANES);
  for (long head = 0; head < asked->heads; head++) {
    float shares[TOKENS];
    score(rows, asked, query, query_stride, head, scores, width);
    UNROLL for (int r = 0; r < rows; r++) shares[r] = 1.0f / weigh(scores + r * width, asked->tokens, width);
    long column = head * asked->head_size, end = column + asked->head_size;
    for (; column + LANES < end; column += SIDE * LANES) gather(rows, SIDE, asked, scores, width, shares, column, out, stride);
    if (column < end) gather(rows, 1, asked, scores, width, shares, column, out, stride);
  }
}

/* `scores` holds TOKENS x (tokens, padded to SIDE vectors) */
static void attend(const Asked *asked, long rows, const float *query, long query_stride, float *scores, float *out, long stride) {
  long row = 0;
  for (; row + TOKENS <= rows; row += TOKENS)
    attend_rows(TOKENS, asked, query + row * query_stride, query_stride, scores, out + row * stride, stride);
  for (; row < rows; row++) attend_rows(1, asked, query + row * query_stride, query_stride, scores, out + row * stride, stride);
}
