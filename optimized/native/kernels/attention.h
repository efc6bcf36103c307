/* Attention of a few tokens to all tokens of their sequence, one head after the other.

   Queries, keys, values and attention weights are int16. One instruction multiplies two of them and sums the products in a lane of 32
   bits: twice as many products as in float32. Each token has its own scale for its query, its key and its value, so that an answer
   does not depend on the other sequences of a batch. Softmax is float32; queries are multiplied by log2(e) beforehand, so that 2^x
   takes the place of e^x.

   Keys are stored transposed, [pairs of components][stride], so that one vector holds the scores of neighbouring tokens; values are
   stored as [pairs of tokens][stride]. A head's last vector may reach into the next head's columns, or behind the last head: what it
   writes there is overwritten, or not read.

   Some models add terms to the scores that depend on how far key j is from query i (`ScoreTerms`). Their tables have a column for each
   distance j - i, so that neighbouring keys read neighbouring columns. */

#pragma once
#include "pairs.h"

#define QUERY_TILE (VECTOR_BYTES == 64 ? 12 : 4) /* rows of queries in a tile */
#define QUERY_ROWS 4 /* in a tile of the rows that are left over, some of which may not exist; and in a call of softmax */
#define TILE_VECTORS 2 /* vectors side by side: a tile has QUERY_TILE x TILE_VECTORS sums */

/* What is added to the score of key j for query i. Column `centre` + j - i of a table is for that distance. */
typedef struct {
  long window;                    /* the largest distance of a key that a query attends to */
  const float *bias;              /* [heads][stride], times log2(e) */
  Int16Rows keys, queries;        /* of distances, [pairs of components][stride]: query i times keys, key j times queries; NULL where none */
  long stride, centre;
} ScoreTerms;

typedef struct {
  long tokens, head_size, heads;
  Int16Rows queries, keys, values;
  long query_stride, key_stride, value_stride; /* in pairs */
  const ScoreTerms *terms;                     /* NULL where there are none */
  long first, begin; /* the token of the first query, and the token of the first key */
  float *products;   /* room for QUERY_TILE rows of (tokens + QUERY_TILE, rounded up to full vectors) where terms have keys */
} AttentionInput;

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

/* The largest columns that compute_scores writes at once, for `width` columns */
INLINE void compute_all_scores(int rows, const AttentionInput *input, const int32_t *query, long head, float *scores, long width) {
  long at = 0;
  for (; at + LANES < width; at += TILE_VECTORS * LANES) compute_scores(rows, TILE_VECTORS, input, query, head, at, scores, width);
  if (at < width) compute_scores(rows, 1, input, query, head, at, scores, width);
}

/* Add the terms to scores of a tile of queries, of which token `first` is the first, and scale them: they are complete then.

   Queries are multiplied by the keys of all distances in the tile beforehand (`products`): one column more for each row. Keys are
   multiplied by the queries of distances here, lane by lane: in each lane is another key and its distance. */
INLINE void add_terms(int rows, const AttentionInput *input, const int32_t *query, const float *query_scales, long head, long first,
                      float *scores, long width) {
  const ScoreTerms *terms = input->terms;
  long pairs = input->head_size / 2, products_width = (width + rows - 1 + LANES - 1) / LANES * LANES;
  long nearest = terms->centre + input->begin - first; /* the column of the first key and the first query */
  const float *bias = terms->bias ? terms->bias + head * terms->stride + nearest : NULL;
  const int32_t *position_queries = terms->queries.pairs ? terms->queries.pairs + head * pairs * terms->stride + nearest : NULL;
  if (terms->keys.pairs) {
    AttentionInput positions = *input;
    positions.keys = (Int16Rows){terms->keys.pairs + nearest - (rows - 1), terms->keys.scales + nearest - (rows - 1)};
    positions.key_stride = terms->stride;
    compute_all_scores(rows, &positions, query, head, input->products, products_width);
  }
  for (long at = 0; at < width; at += LANES) {
    ints sum[QUERY_TILE];
    if (position_queries) {
      const int32_t *keys = input->keys.pairs + head * pairs * input->key_stride + at, *distances = position_queries + at;
      UNROLL for (int r = 0; r < rows; r++) sum[r] = broadcast_int(0);
      for (long d = 0; d < pairs; d++, keys += input->key_stride, distances += terms->stride) {
        ints key = load_ints(keys);
        UNROLL for (int r = 0; r < rows; r++) sum[r] = dot_pairs(sum[r], key, load_ints(distances - r));
      }
    }
    long distance = input->begin + at - first;
    int inside = distance - (rows - 1) >= -terms->window && distance + LANES - 1 <= terms->window;
    UNROLL for (int r = 0; r < rows; r++) {
      floats x = load(scores + r * width + at);
      if (terms->keys.pairs) x += load(input->products + r * products_width + at + rows - 1 - r);
      x *= query_scales[r];
      if (position_queries)
        x += __builtin_convertvector(sum[r], floats) *
             (load(input->keys.scales + at) * load(terms->queries.scales + nearest + at - r));
      if (bias) x += load(bias + at - r);
      if (!inside) {
        ints lanes = lane_indices() + (int32_t)(distance - r);
        x = select_lanes((lanes >= (int32_t)-terms->window) & (lanes <= (int32_t)terms->window), x, broadcast(-1e30f));
      }
      store(scores + r * width + at, x);
    }
  }
}

/* The keys and values that a tile of queries attends to; they begin at a full vector */
INLINE AttentionInput within_window(const AttentionInput *input, long rows, long first) {
  AttentionInput part = *input;
  long window = input->terms->window, end = first + rows + window;
  long begin = first > window ? (first - window) / LANES * LANES : 0;
  part.begin = begin, part.tokens = (end < input->tokens ? end : input->tokens) - begin;
  part.keys.pairs += begin, part.keys.scales += begin, part.values.pairs += begin / 2 * input->value_stride;
  return part;
}

INLINE void attend_rows(int rows, int with_terms, const AttentionInput *whole, long head, long row, float *scores,
                        const float *value_scales, float sum_scale, float *out, long stride) {
  static const float ones[] = {1, 1, 1, 1};
  AttentionInput part;
  const AttentionInput *input = whole;
  if (with_terms) part = within_window(whole, rows, whole->first + row), input = &part, value_scales += part.begin;
  long width = (input->tokens + LANES - 1) / LANES * LANES;
  const int32_t *query = input->queries.pairs + row * input->query_stride;
  const float *query_scales = input->queries.scales + row;
  float row_scales[QUERY_TILE];
  compute_all_scores(rows, input, query, head, scores, width);
  if (with_terms) add_terms(rows, input, query, query_scales, head, whole->first + row, scores, width);
  for (int r = 0; r < rows; r += QUERY_ROWS)
    softmax(scores + r * width, input->tokens, width, with_terms ? ones : query_scales + r, value_scales, row_scales + r);
  for (int r = 0; r < rows; r++) row_scales[r] = sum_scale / row_scales[r];
  long column = head * input->head_size, end = column + input->head_size;
  for (; column + LANES < end; column += TILE_VECTORS * LANES)
    sum_values(rows, TILE_VECTORS, input, scores, width, row_scales, column, out, stride);
  if (column < end) sum_values(rows, 1, input, scores, width, row_scales, column, out, stride);
}

/* Fold the scales of values into the attention weights, so that integers can be summed. `value_scales` gets the factor of each token's
   weight; the factors are as large as a sum of `terms` weights times VALUE_MAX in 32 bits allows. Returns the scale of such a sum. */
INLINE float fold_scales(const float *scales, long tokens, long terms, float *value_scales) {
  floats highest = broadcast(0);
  for (long at = 0; at < tokens; at += LANES) highest = maximum(highest, first_lanes(tokens - at, load(scales + at), broadcast(0)));
  float limit = fminf(32767, floorf(2147483647.0f / VALUE_MAX / terms - 1)), sum_scale = reduce_max(highest) / limit,
      inverse = inverse_of(sum_scale);
  for (long at = 0; at < tokens; at += LANES) store(value_scales + at, first_lanes(tokens - at, load(scales + at) * inverse, broadcast(0)));
  return sum_scale;
}

INLINE void attend_with(int with_terms, const AttentionInput *input, long rows, float *scores, float *out, long stride) {
  long width = (input->tokens + LANES - 1) / LANES * LANES, values = input->tokens;
  if (with_terms && 2 * input->terms->window + 1 < values) values = 2 * input->terms->window + 1;
  float *value_scales = scores + QUERY_TILE * width, sum_scale = fold_scales(input->values.scales, input->tokens, values, value_scales);
  for (long head = 0; head < input->heads; head++) {
    long row = 0;
    for (; row + QUERY_TILE <= rows; row += QUERY_TILE)
      attend_rows(QUERY_TILE, with_terms, input, head, row, scores, value_scales, sum_scale, out + row * stride, stride);
    for (; row < rows; row += QUERY_ROWS)
      attend_rows(QUERY_ROWS, with_terms, input, head, row, scores, value_scales, sum_scale, out + row * stride, stride);
  }
}

/* Attend with the first `rows` queries. `scores` has room for QUERY_TILE + 1 rows of (tokens, rounded up to full vectors). A head's keys
   and values stay in the cache for all rows. */
static void attend(const AttentionInput *input, long rows, float *scores, float *out, long stride) {
  if (input->terms) attend_with(1, input, rows, scores, out, stride);
  else attend_with(0, input, rows, scores, out, stride);
}
