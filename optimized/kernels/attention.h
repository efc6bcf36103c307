/* Attention of a few tokens to all tokens of their sequence, in float32, one head after the other.

   Keys lie transposed, [inner][stride], so that scores come out side by side; values as [tokens][stride]. A head's last
   vector may reach into the next head's columns, or behind the last: what it writes there is overwritten, or not read.
   Queries are scaled by log2(e) too, so that 2^x weighs a score. */

#pragma once
#include "vectors.h"

#define TOKENS (BYTES == 64 ? 12 : 4) /* that ask together */
#define FEW 4                         /* of which the last ones do: some of them may be none */
#define SIDE 2                        /* vectors side by side: TOKENS x SIDE sums at a time */

typedef struct {
  long tokens, head_size, heads;
  const float *keys, *values;
  long key_stride, value_stride;
} Asked;

INLINE void score(int rows, int side, const Asked *asked, const float *query, long stride, long head, long at, float *scores, long width) {
  floats sum[TOKENS][SIDE];
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < side; v++) sum[r][v] = all(0);
  const float *keys = asked->keys + head * asked->head_size * asked->key_stride + at;
  query += head * asked->head_size;
  for (long d = 0; d < asked->head_size; d++, keys += asked->key_stride) {
    floats column[SIDE];
    UNROLL for (int v = 0; v < side; v++) column[v] = load(keys + v * LANES);
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < side; v++) sum[r][v] += query[r * stride + d] * column[v];
  }
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < side; v++) store(scores + r * width + at + v * LANES, sum[r][v]);
}

/* Scores of FEW rows to weights, each row to be multiplied by its share yet; behind the last token there is 0. Rows go side by
   side: each waits for itself alone most of the time. */
INLINE void weigh(float *scores, long tokens, long width, float *shares) {
  floats high[FEW], total[FEW];
  float most[FEW];
  long whole = tokens / LANES * LANES;
  UNROLL for (int r = 0; r < FEW; r++) high[r] = all(-3e38f), total[r] = all(0);
  for (long at = 0; at < whole; at += LANES)
    UNROLL for (int r = 0; r < FEW; r++) high[r] = larger(high[r], load(scores + r * width + at));
  UNROLL for (int r = 0; r < FEW; r++) {
    if (whole < width) high[r] = larger(high[r], first(tokens - whole, load(scores + r * width + whole), high[r]));
    most[r] = max_of(high[r]);
  }
  for (long at = 0; at < width; at += LANES)
    UNROLL for (int r = 0; r < FEW; r++) {
      floats x = power_of_two(load(scores + r * width + at) - most[r]);
      if (at == whole) x = first(tokens - at, x, all(0));
      store(scores + r * width + at, x), total[r] += x;
    }
  UNROLL for (int r = 0; r < FEW; r++) shares[r] = 1.0f / sum_of(total[r]);
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

INLINE void attend_rows(int rows, const Asked *asked, long head, const float *query, long query_stride, float *scores, float *out, long stride) {
  long width = (asked->tokens + LANES - 1) / LANES * LANES, at = 0;
  float shares[TOKENS];
  for (; at + LANES < width; at += SIDE * LANES) score(rows, SIDE, asked, query, query_stride, head, at, scores, width);
  if (at < width) score(rows, 1, asked, query, query_stride, head, at, scores, width);
  for (int r = 0; r < rows; r += FEW) weigh(scores + r * width, asked->tokens, width, shares + r);
  long column = head * asked->head_size, end = column + asked->head_size;
  for (; column + LANES < end; column += SIDE * LANES) gather(rows, SIDE, asked, scores, width, shares, column, out, stride);
  if (column < end) gather(rows, 1, asked, scores, width, shares, column, out, stride);
}

/* `scores` holds TOKENS x (tokens, padded to whole vectors). A head's keys and values stay in the cache for all rows. */
static void attend(const Asked *asked, long rows, const float *query, long query_stride, float *scores, float *out, long stride) {
  for (long head = 0; head < asked->heads; head++) {
    long row = 0;
    for (; row + TOKENS <= rows; row += TOKENS)
      attend_rows(TOKENS, asked, head, query + row * query_stride, query_stride, scores, out + row * stride, stride);
    for (; row < rows; row += FEW) attend_rows(FEW, asked, head, query + row * query_stride, query_stride, scores, out + row * stride, stride);
  }
}
