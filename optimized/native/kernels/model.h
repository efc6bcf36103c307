/* A model as optimized/native/engine.py fills it in: an encoder's layers, each with the parts that it has, and a head. */

#pragma once
#include "attention.h"
#include "products.h"

typedef struct {
  int32_t heads, head_size, activation;
  int32_t pre_norm; /* normalisations come before attention and before the feed-forward part, not after the sums with the residual */
  int32_t gated;    /* the feed-forward part's activation is multiplied by a second map of the same inputs, which is in `up` too */
  int32_t window;   /* the largest distance of a token that a token attends to */
  Linear query, key, value, out, up, down; /* queries are scaled by log2(e) and the scale of scores */
  const float *gain[2], *shift[2];         /* of both normalisations; NULL where there is none */
  const float *angles;                     /* of rotated queries and keys, [tokens][head size]; NULL where positions are not rotations */
  const float *bias;                       /* of scores, by distance (ScoreTerms); NULL where there is none */
  Int16Rows distance_keys, distance_queries; /* likewise */
} Layer;

/* What the head reads: the first token, all tokens' mean, spans' maxima side by side, or each token, of whose logits it takes the mean */
enum { POOL_FIRST, POOL_MEAN, POOL_SPANS, POOL_LOGITS };

typedef struct {
  int32_t layers, hidden, labels, dense_outputs, dense_activation, pooling, spans, segments, vocabulary;
  int32_t embedding;             /* width of the embeddings */
  int32_t root_norm;             /* normalisations are by the root of the mean square */
  int32_t distances, no_distance; /* columns of tables by distance, and the one of distance 0 */
  float epsilon;
  const float *words, *positions, *types, *gain, *shift; /* embeddings [..][embedding], and their normalisation; NULL where there is none */
  Linear project;                                        /* from embeddings to hidden; no inputs where both have the same width */
  const float *last_gain, *last_shift;                   /* of a normalisation after the last layer; NULL where there is none */
  const float *dense, *dense_bias, *label, *label_bias;  /* [outputs][inputs]; dense is NULL where there is none */
  const float *dense_gain, *dense_shift;                 /* of a normalisation after dense and its activation; NULL where there is none */
  const Layer *layer;
} Model;
