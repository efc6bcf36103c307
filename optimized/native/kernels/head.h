/* The head: pooling, a dense layer where there is one, and the labels, in float32. */

#pragma once
#include "model.h"

enum { NO_DENSE, DENSE_TANH, DENSE_RELU, DENSE_GELU, DENSE_SILU };

static float activate(int kind, float x) {
  switch (kind) {
    case DENSE_TANH: return tanhf(x);
    case DENSE_RELU: return x > 0 ? x : 0;
    case DENSE_GELU: return 0.5f * x * (1 + erff(x * 0.707106781f));
    case DENSE_SILU: return x / (1 + expf(-x));
    default: return x;
  }
}

/* out[outputs] = map[outputs][inputs] times in[inputs], plus bias, through the activation, in float32 */
static void dense(const float *map, const float *bias, const float *in, long inputs, long outputs, int kind, float *out) {
  for (long row = 0; row < outputs; row++, map += inputs) {
    floats total = broadcast(0);
    long i = 0;
    for (; i + LANES <= inputs; i += LANES) total += load(map + i) * load(in + i);
    float sum = reduce_sum(total) + bias[row];
    for (; i < inputs; i++) sum += map[i] * in[i];
    out[row] = activate(kind, sum);
  }
}

/* out[spans][width] = the maximum of each span's rows */
static void pool_spans(const float *rows, long stride, long width, long spans, const int32_t *bounds, float *out) {
  for (long span = 0; span < spans; span++, out += width)
    for (long i = 0; i < width; i++) {
      out[i] = -3.4028235e38f;
      for (long row = bounds[2 * span]; row < bounds[2 * span + 1]; row++) out[i] = MAX_OF(out[i], rows[row * stride + i]);
    }
}

/* out[width] = the mean of all rows */
static void pool_mean(const float *rows, long stride, long width, long count, float *out) {
  memset(out, 0, width * sizeof *out);
  for (long row = 0; row < count; row++)
    for (long i = 0; i < width; i++) out[i] += rows[row * stride + i];
  for (long i = 0; i < width; i++) out[i] /= count;
}

/* Floats that compute_logits overwrites: what was pooled, and the outputs of the dense layer behind it */
static long pooled_size(const Model *model) {
  return round_up(MAX_OF(MAX_OF(model->spans, 1) * model->hidden, model->dense_outputs), LANES) + round_up(model->dense_outputs, LANES) + LANES;
}

static float *dense_room(const Model *model, float *pooled) {
  return pooled + pooled_size(model) - round_up(model->dense_outputs, LANES) - LANES;
}

static void compute_dense(const Model *model, const float *features, long width, float *out) {
  dense(model->dense, model->dense_bias, features, width, model->dense_outputs, model->dense_activation, out);
  if (model->dense_gain)
    normalise(out, out, model->dense_outputs, model->dense_gain, model->dense_shift, model->epsilon, model->root_norm);
}

/* out = the mean of the dense layer over all rows: the mean of the labels' logits is that of their inputs, through the labels' map */
static void pool_dense(const Model *model, const float *rows, long stride, long count, float *out, float *room) {
  memset(out, 0, model->dense_outputs * sizeof *out);
  for (long row = 0; row < count; row++) {
    compute_dense(model, rows + row * stride, model->hidden, room);
    for (long i = 0; i < model->dense_outputs; i++) out[i] += room[i];
  }
  for (long i = 0; i < model->dense_outputs; i++) out[i] /= count;
}

/* Compute the logits of a sequence of `tokens` rows, or of its first row alone where the head reads no other */
static void compute_logits(const Model *model, float *rows, long stride, long tokens, const int32_t *spans, float *pooled, float *logits) {
  const float *features = model->pooling == POOL_FIRST ? rows : pooled;
  float *room = dense_room(model, pooled);
  long width = model->hidden;
  if (model->last_gain)
    for (long r = 0; r < tokens; r++)
      normalise(rows + r * stride, rows + r * stride, width, model->last_gain, model->last_shift, model->epsilon, model->root_norm);
  switch (model->pooling) {
    case POOL_SPANS: pool_spans(rows, stride, width, model->spans, spans, pooled), width *= model->spans; break;
    case POOL_MEAN: pool_mean(rows, stride, width, tokens, pooled); break;
    case POOL_LOGITS: pool_dense(model, rows, stride, tokens, pooled, room), width = model->dense_outputs; break;
  }
  if (model->dense && model->pooling != POOL_LOGITS)
    compute_dense(model, features, width, room), features = room, width = model->dense_outputs;
  dense(model->label, model->label_bias, features, width, model->labels, NO_DENSE, logits);
}
