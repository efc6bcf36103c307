/* Attention of a few tokens to all tokens of their sequence, one head after the other.

   Queries, keys, values and attention weights are int16. One instruction multiplies two of them and sums the products in a lane of 32
   bits: twice as many products as in float32. Each token has its own scale for its query, its key and its value, so that an answer
   does not depend on the other sequences of a batch. Softmax is float32; queries are multiplied by log2(e) beforehand, so that 2^x
   takes the place of e^x.

   Keys are stored transposed, [pairs of components][stride], so that one vector holds the scores of neighbouring tokens; values are
   stored as [pairs of tokens][stride]. A head's last vector may reach into the next head's columns, or behind the last head: what it
   writes there is overwritten, or not read. */

#pragma once
#include "vectors.h"

#define QUERY_TILE (VECTOR_BYTES == 64 ? 12 : 4) /* rows of queries in a tile */
#define QUERY_ROWS 4 /* in a tile of the rows that are left over, some of which may not exist; and in a call of softmax */
#define TILE_VECTORS 2 /* vectors side by side: a tile has QUERY_TILE x TILE_VECTORS sums */
#define VALUE_MAX 4095 /* the largest value; the rest of 32 bits is for the weights of their sum */

/* Rows of int16, two of which are one int32_t of `pairs`; each row has a scale */
typedef struct {
  int32_t *pairs;
  float *scales;
} Int16Rows;

typedef struct {
  long tokens, head_size, heads;
  Int16Rows queries, keys, values;
  long query_stride, key_stride, value_stride; /* in pairs */
} AttentionInput;

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

/* Quantise rows of floats to pairs of neighbouring columns, in place or not; rows begin at multiples of the strides */
static void pair_columns(const float *row, long stride, long rows, long count, float limit, int32_t *out, long out_stride, float *scales) {
  for (long r = 0; r < rows; r++, row += stride, out += out_stride) {
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

INLINE void compute_scores(int rows, int vectors, const AttentionInput *input, const int32_t *query, long head, long at, float *scores,
                           long width) {
  ints sum[QUERY_TILE][TILE_VECTORS];
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = broadcast_int(0);
  long pairs = input->head_size / 2;
  const int32_t *keys = input->keys.pairs + head * pairs * input->key_stride + at;
  query += head * pairs;
  for (long d = 0; d < pairs; d++, keys += input->key_stride) {
    ints column[TILE_VECTORS];
    UNROLL for (int v = 0; v < vectors; v++) column[v] = load_ints(keys + v * LANES);
    UNROLL for (int r = 0; r < rows; r++) {
      ints query_pair = broadcast_int(query[r * input->query_stride + d]);
      UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = dot_pairs(sum[r][v], query_pair, column[v]);
    }
  }
  UNROLL for (int v = 0; v < vectors; v++) {
    floats scales = load(input->keys.scales + at + v * LANES);
    UNROLL for (int r = 0; r < rows; r++) store(scores + r * width + at + v * LANES, __builtin_convertvector(sum[r][v], floats) * scales);
  }
}

/* Turn the scores of QUERY_ROWS rows into weights of values (int16), in place, and store the float32 sums of the weights in `totals`.
   Weights behind the last token are 0. Rows are computed side by side, since the operations of one row wait for one another. */
INLINE void softmax(float *scores, long tokens, long width, const float *scales, const float *value_scales, float *totals) {
  floats highest[QUERY_ROWS], total[QUERY_ROWS];
  float maximum_score[QUERY_ROWS];
  long full = tokens / LANES * LANES;
  UNROLL for (int r = 0; r < QUERY_ROWS; r++) highest[r] = broadcast(-3e38f), total[r] = broadcast(0);
  for (long at = 0; at < full; at += LANES)
    UNROLL for (int r = 0; r < QUERY_ROWS; r++) highest[r] = maximum(highest[r], load(scores + r * width + at));
  UNROLL for (int r = 0; r < QUERY_ROWS; r++) {
    if (full < width) highest[r] = maximum(highest[r], first_lanes(tokens - full, load(scores + r * width + full), highest[r]));
    maximum_score[r] = reduce_max(highest[r]) * scales[r];
  }
  for (long at = 0; at < width; at += LANES) {
    floats value_scale = load(value_scales + at);
    UNROLL for (int r = 0; r < QUERY_ROWS; r++) {
      floats x = exp2_approximation(load(scores + r * width + at) * scales[r] - maximum_score[r]);
      if (at == full) x = first_lanes(tokens - at, x, broadcast(0));
      total[r] += x, store_int16((int16_t *)(scores + r * width) + at, round_to_int(x * value_scale));
    }
  }
  UNROLL for (int r = 0; r < QUERY_ROWS; r++) totals[r] = reduce_sum(total[r]);
}

INLINE void sum_values(int rows, int vectors, const AttentionInput *input, const float *scores, long width, const float *row_scales,
                       long column, float *out, long stride) {
  ints sum[QUERY_TILE][TILE_VECTORS];
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = broadcast_int(0);
  const int32_t *values = input->values.pairs + column;
  const uint8_t *weights = (const uint8_t *)scores;
  for (long token = 0; token < input->tokens; token += 2, values += input->value_stride, weights += 4) {
    ints value[TILE_VECTORS];
    UNROLL for (int v = 0; v < vectors; v++) value[v] = load_ints(values + v * LANES);
    UNROLL for (int r = 0; r < rows; r++) {
      ints weight = broadcast_4_bytes(weights + r * width * 4);
      UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = dot_pairs(sum[r][v], weight, value[v]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int v = 0; v < vectors; v++)
      store(out + r * stride + column + v * LANES, __builtin_convertvector(sum[r][v], floats) * row_scales[r]);
}

INLINE void attend_rows(int rows, const AttentionInput *input, long head, long row, float *scores, const float *value_scales,
                        float sum_scale, float *out, long stride) {
  long width = (input->tokens + LANES - 1) / LANES * LANES, at = 0;
  const int32_t *query = input->queries.pairs + row * input->query_stride;
  float row_scales[QUERY_TILE];
  for (; at + LANES < width; at += TILE_VECTORS * LANES) compute_scores(rows, TILE_VECTORS, input, query, head, at, scores, width);
  if (at < width) compute_scores(rows, 1, input, query, head, at, scores, width);
  for (int r = 0; r < rows; r += QUERY_ROWS)
    softmax(scores + r * width, input->tokens, width, input->queries.scales + row + r, value_scales, row_scales + r);
  for (int r = 0; r < rows; r++) row_scales[r] = sum_scale / row_scales[r];
  long column = head * input->head_size, end = column + input->head_size;
  for (; column + LANES < end; column += TILE_VECTORS * LANES)
    sum_values(rows, TILE_VECTORS, input, scores, width, row_scales, column, out, stride);
  if (column < end) sum_values(rows, 1, input, scores, width, row_scales, column, out, stride);
}

/* Fold the scales of values into the attention weights, so that integers can be summed. `value_scales` gets the factor of each token's
   weight; the factors are as large as a sum of weights times VALUE_MAX in 32 bits allows. Returns the scale of such a sum. */
INLINE float fold_scales(const float *scales, long tokens, float *value_scales) {
  floats highest = broadcast(0);
  for (long at = 0; at < tokens; at += LANES) highest = maximum(highest, first_lanes(tokens - at, load(scales + at), broadcast(0)));
  float limit = fminf(32767, floorf(2147483647.0f / VALUE_MAX / tokens - 1)), sum_scale = reduce_max(highest) / limit,
      inverse = inverse_of(sum_scale);
  for (long at = 0; at < tokens; at += LANES) store(value_scales + at, first_lanes(tokens - at, load(scales + at) * inverse, broadcast(0)));
  return sum_scale;
}

/* Attend with the first `rows` queries. `scores` has room for QUERY_TILE + 1 rows of (tokens, rounded up to full vectors). A head's keys
   and values stay in the cache for all rows. */
static void attend(const AttentionInput *input, long rows, float *scores, float *out, long stride) {
  long width = (input->tokens + LANES - 1) / LANES * LANES;
  float *value_scales = scores + QUERY_TILE * width, sum_scale = fold_scales(input->values.scales, input->tokens, value_scales);
  for (long head = 0; head < input->heads; head++) {
    long row = 0;
    for (; row + QUERY_TILE <= rows; row += QUERY_TILE)
      attend_rows(QUERY_TILE, input, head, row, scores, value_scales, sum_scale, out + row * stride, stride);
    for (; row < rows; row += QUERY_ROWS)
      attend_rows(QUERY_ROWS, input, head, row, scores, value_scales, sum_scale, out + row * stride, stride);
  }
}
