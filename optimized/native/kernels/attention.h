/* Attention of a few tokens to all tokens of their sequence, one head after the other.

   Queries, keys, values and weights are whole numbers of 16 bits, two of which are multiplied and summed in a lane of 32: twice as many at
   a time as in float32. Each token has a unit of its own for each of the three, so that an answer does not depend on company.
   Softmax is float32; queries are scaled by log2(e) too, so that 2^x weighs a score.

   Keys lie transposed, [pairs of inner][stride], so that scores come out side by side; values as [pairs of tokens][stride]. A
   head's last vector may reach into the next head's columns, or behind the last: what it writes there is overwritten, or not read. */

#pragma once
#include "vectors.h"

#define TOKENS (BYTES == 64 ? 12 : 4) /* that ask together */
#define FEW 4                         /* of which the last ones do: some of them may be none */
#define SIDE 2                        /* vectors side by side: TOKENS x SIDE sums at a time */
#define VALUE_MAX 4095                /* of values; what is left of 32 bits is for the weights of their sum */

/* Whole numbers of a token, in units; a pair of them is one int32_t */
typedef struct {
  int32_t *pairs;
  float *units;
} Whole;

typedef struct {
  long tokens, head_size, heads;
  Whole queries, keys, values;
  long query_stride, key_stride, value_stride; /* in pairs */
} Asked;

/* The largest query or key: head_size products of two are to fit into 32 bits */
INLINE float asked_max(long head_size) { return floorf(fminf(32767, sqrtf(2147483647.0f / head_size) * 0.9999f)); }

INLINE float unit_of(const float *row, long count, float most) {
  floats high = all(0);
  for (long i = 0; i < count; i += LANES) {
    floats x = first(count - i, load(row + i), all(0));
    high = larger(high, larger(x, -x));
  }
  return max_of(high) / most;
}

INLINE float finer_of(float unit) { return unit > 0 ? 1 / unit : 0; }

/* `rows` rows of floats to pairs of neighbours, in place or not; rows begin at multiples of the strides */
static void pair_columns(const float *row, long stride, long rows, long count, float most, int32_t *out, long out_stride, float *units) {
  for (long r = 0; r < rows; r++, row += stride, out += out_stride) {
    float finer = finer_of(units[r] = unit_of(row, count, most));
    for (long i = 0; i < count; i += LANES) store_short((int16_t *)out + i, nearest(load(row + i) * finer));
  }
}

/* `rows` rows of floats to pairs of rows: where `rows` is odd, what lies behind them is the last one's partner, and weighs nothing */
static void pair_rows(const float *row, long stride, long rows, long count, int32_t *out, long out_stride, float *units) {
  for (long r = 0; r < rows; r += 2, row += 2 * stride, out += out_stride) {
    float even = finer_of(units[r] = unit_of(row, count, VALUE_MAX)), odd = 0;
    if (r + 1 < rows) odd = finer_of(units[r + 1] = unit_of(row + stride, count, VALUE_MAX));
    for (long i = 0; i < count; i += LANES)
      store_ints(out + i, (nearest(load(row + i) * even) & 65535) | nearest(load(row + stride + i) * odd) << 16);
  }
}

INLINE void score(int rows, int side, const Asked *asked, const int32_t *query, long head, long at, float *scores, long width) {
  ints sum[TOKENS][SIDE];
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < side; v++) sum[r][v] = all_ints(0);
  long pairs = asked->head_size / 2;
  const int32_t *keys = asked->keys.pairs + head * pairs * asked->key_stride + at;
  query += head * pairs;
  for (long d = 0; d < pairs; d++, keys += asked->key_stride) {
    ints column[SIDE];
    UNROLL for (int v = 0; v < side; v++) column[v] = load_pairs(keys + v * LANES);
    UNROLL for (int r = 0; r < rows; r++) {
      ints asks = all_ints(query[r * asked->query_stride + d]);
      UNROLL for (int v = 0; v < side; v++) sum[r][v] = dot_pairs(sum[r][v], asks, column[v]);
    }
  }
  UNROLL for (int v = 0; v < side; v++) {
    floats units = load(asked->keys.units + at + v * LANES);
    UNROLL for (int r = 0; r < rows; r++) store(scores + r * width + at + v * LANES, __builtin_convertvector(sum[r][v], floats) * units);
  }
}

/* Scores of FEW rows to weights of values, in place; their sum in float32 goes to `totals`. Behind the last token there is 0. Rows go
   side by side: each waits for itself alone most of the time. */
INLINE void weigh(float *scores, long tokens, long width, const float *units, const float *folded, float *totals) {
  floats high[FEW], total[FEW];
  float most[FEW];
  long whole = tokens / LANES * LANES;
  UNROLL for (int r = 0; r < FEW; r++) high[r] = all(-3e38f), total[r] = all(0);
  for (long at = 0; at < whole; at += LANES)
    UNROLL for (int r = 0; r < FEW; r++) high[r] = larger(high[r], load(scores + r * width + at));
  UNROLL for (int r = 0; r < FEW; r++) {
    if (whole < width) high[r] = larger(high[r], first(tokens - whole, load(scores + r * width + whole), high[r]));
    most[r] = max_of(high[r]) * units[r];
  }
  for (long at = 0; at < width; at += LANES) {
    floats fold = load(folded + at);
    UNROLL for (int r = 0; r < FEW; r++) {
      floats x = power_of_two(load(scores + r * width + at) * units[r] - most[r]);
      if (at == whole) x = first(tokens - at, x, all(0));
      total[r] += x, store_short((int16_t *)(scores + r * width) + at, nearest(x * fold));
    }
  }
  UNROLL for (int r = 0; r < FEW; r++) totals[r] = sum_of(total[r]);
}

INLINE void gather(int rows, int side, const Asked *asked, const float *scores, long width, const float *shares, long column, float *out, long stride) {
  ints sum[TOKENS][SIDE];
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < side; v++) sum[r][v] = all_ints(0);
  const int32_t *values = asked->values.pairs + column;
  const uint8_t *weights = (const uint8_t *)scores;
  for (long token = 0; token < asked->tokens; token += 2, values += asked->value_stride, weights += 4) {
    ints value[SIDE];
    UNROLL for (int v = 0; v < side; v++) value[v] = load_pairs(values + v * LANES);
    UNROLL for (int r = 0; r < rows; r++) {
      ints weight = four_bytes(weights + r * width * 4);
      UNROLL for (int v = 0; v < side; v++) sum[r][v] = dot_pairs(sum[r][v], weight, value[v]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int v = 0; v < side; v++) store(out + r * stride + column + v * LANES, __builtin_convertvector(sum[r][v], floats) * shares[r]);
}

INLINE void attend_rows(int rows, const Asked *asked, long head, long row, float *scores, const float *folded, float lift, float *out, long stride) {
  long width = (asked->tokens + LANES - 1) / LANES * LANES, at = 0;
  const int32_t *query = asked->queries.pairs + row * asked->query_stride;
  float shares[TOKENS];
  for (; at + LANES < width; at += SIDE * LANES) score(rows, SIDE, asked, query, head, at, scores, width);
  if (at < width) score(rows, 1, asked, query, head, at, scores, width);
  for (int r = 0; r < rows; r += FEW) weigh(scores + r * width, asked->tokens, width, asked->queries.units + row + r, folded, shares + r);
  for (int r = 0; r < rows; r++) shares[r] = lift / shares[r];
  long column = head * asked->head_size, end = column + asked->head_size;
  for (; column + LANES < end; column += SIDE * LANES) gather(rows, SIDE, asked, scores, width, shares, column, out, stride);
  if (column < end) gather(rows, 1, asked, scores, width, shares, column, out, stride);
}

/* What a weight of 1 is multiplied by, token by token, so that whole values are summed: units are folded into weights, and all weights
   are as large as a sum of them times VALUE_MAX in 32 bits allows. Returns what a sum is multiplied by in the end. */
INLINE float fold(const float *units, long tokens, float *folded) {
  floats high = all(0);
  for (long at = 0; at < tokens; at += LANES) high = larger(high, first(tokens - at, load(units + at), all(0)));
  float most = fminf(32767, floorf(2147483647.0f / VALUE_MAX / tokens - 1)), lift = max_of(high) / most, by = finer_of(lift);
  for (long at = 0; at < tokens; at += LANES) store(folded + at, first(tokens - at, load(units + at) * by, all(0)));
  return lift;
}

/* `scores` holds TOKENS x (tokens, padded to whole vectors), and as many as one row behind them. A head's keys and values stay in the
   cache for all rows. Rows are counted from the first of `queries`. */
static void attend(const Asked *asked, long rows, float *scores, float *out, long stride) {
  long width = (asked->tokens + LANES - 1) / LANES * LANES;
  float *folded = scores + TOKENS * width, lift = fold(asked->values.units, asked->tokens, folded);
  for (long head = 0; head < asked->heads; head++) {
    long row = 0;
    for (; row + TOKENS <= rows; row += TOKENS) attend_rows(TOKENS, asked, head, row, scores, folded, lift, out + row * stride, stride);
    for (; row < rows; row += FEW) attend_rows(FEW, asked, head, row, scores, folded, lift, out + row * stride, stride);
  }
}
