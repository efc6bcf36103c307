/* An encoder of BERT's kind and its head, in int8, for one sequence at a time, without padding.

   Rows (tokens) go through a layer in blocks that stay in the cache: attention, its output, both halves of the
   feed-forward part, and the next layer's queries, keys and values, before the next block begins. Threads share the rows
   of a sequence and wait for one another once a layer; where there are as many sequences as threads, each thread takes a
   whole one at a time, the longest first, and nobody waits. Where the head reads only the first token, the last layer
   computes that token alone: the others' results would be read by nobody.

   What is not a linear map of a layer (embeddings, softmax, normalisation, the head) is float32; attention's own products are of 16 bits. */

#include "crew.h"
#include "attention.h"
#include "products.h"
#include <sys/mman.h>

#define LARGE_PAGE (1L << 21) /* for what is a quarter of one, or more */

typedef struct {
  int32_t heads, head_size, activation;
  Linear query, key, value, out, up, down; /* queries are scaled by log2(e) / sqrt(head size) */
  const float *gain[2], *shift[2];         /* of the normalisation after attention, and after the feed-forward part */
} Layer;

typedef struct {
  int32_t layers, hidden, labels, dense_outputs, dense_activation, spans, segments;
  float epsilon;
  const float *words, *positions, *types, *gain, *shift; /* embeddings [..][hidden], and their normalisation */
  const float *dense, *dense_bias, *label, *label_bias;  /* [outputs][inputs]; dense is NULL where there is none */
  const Layer *layer;
} Model;

/* What the threads of one sequence share: this layer's keys and values are read while the next one's are written */
typedef struct {
  float *hidden, *pooled;
  Whole queries, keys[2], values[2];
} Table;

enum { LINEARS, ATTENTION, NORMALISATION, ROUNDING, REST, CLASSES };

/* What each thread has for itself; `spent` counts ticks by class of work, `last` is when it was last looked at */
typedef struct {
  Rounded rounded;
  float *wide, *scores;
  uint64_t spent[CLASSES], last;
} Desk;

typedef struct {
  const Model *model;
  long hidden_stride, pair_stride, inner_stride, key_stride, wide_stride;
  Crew *crew;
  Table *tables;
  Desk *desks;
} Engine;

typedef struct {
  Engine *engine;
  long count;
  const int32_t *ids, *segments, *order, *spans;
  const int64_t *offsets;
  float *logits;
  Meeting meeting;
  atomic_long next;
} Call;

enum { NO_DENSE, DENSE_TANH, DENSE_RELU, DENSE_GELU };

/* What was done since the last look was of this class: a look costs some ten nanoseconds, a block microseconds */
static void done(Desk *desk, int class) {
  uint64_t now = __builtin_ia32_rdtsc();
  desk->spent[class] += now - desk->last, desk->last = now;
}

static void round_rows(const float *rows, long stride, long count, long inputs, Desk *desk) {
  for (long r = 0; r < count; r++) round_row(rows + r * stride, inputs, &desk->rounded, r);
  done(desk, ROUNDING);
}

static void normalise_rows(float *rows, long stride, long count, long width, const float *gain, const float *shift, float epsilon, Desk *desk) {
  for (long r = 0; r < count; r++) normalise(rows + r * stride, width, gain, shift, epsilon);
  done(desk, NORMALISATION);
}

static void embed(const Engine *engine, const int32_t *ids, const int32_t *segments, float *hidden, long from, long to) {
  const Model *model = engine->model;
  long width = model->hidden;
  for (long row = from; row < to; row++) {
    float *out = hidden + row * engine->hidden_stride;
    const float *word = model->words + ids[row] * width, *position = model->positions + row * width;
    const float *type = model->types + (segments[row] < model->segments ? segments[row] : 0) * width;
    for (long i = 0; i < width; i++) out[i] = word[i] + position[i] + type[i];
    normalise(out, width, model->gain, model->shift, model->epsilon);
  }
}

/* out[columns][out_stride] = in[rows][stride], by blocks of LANES x LANES whose lines stay in the cache */
static void transpose(const int32_t *in, long stride, long rows, long columns, int32_t *out, long out_stride) {
  for (long row = 0; row < rows; row += LANES)
    for (long column = 0; column < columns; column += LANES) {
      long high = rows - row < LANES ? rows - row : LANES, wide = columns - column < LANES ? columns - column : LANES;
      const int32_t *from = in + row * stride + column;
      int32_t *to = out + column * out_stride + row;
      if (high < LANES) { /* what lies behind the last row may be another thread's */
        for (long c = 0; c < wide; c++)
          for (long r = 0; r < high; r++) to[c * out_stride + r] = from[r * stride + c];
        continue;
      }
      for (long c = 0; c < wide; c++) {
        ints column_of;
        UNROLL for (int r = 0; r < LANES; r++) column_of[r] = from[r * stride + c];
        store_ints(to + c * out_stride, column_of);
      }
    }
}

/* Queries, keys and values of rows from..to for this layer, out of `hidden`; `from` is even */
static void project(const Engine *engine, const Layer *layer, Table *table, Desk *desk, int side, long from, long to) {
  long rows = to - from, inner = layer->heads * layer->head_size, stride = engine->wide_stride;
  int32_t *pairs = (int32_t *)desk->wide;
  Whole queries = table->queries, keys = table->keys[side], values = table->values[side];
  round_rows(table->hidden + from * engine->hidden_stride, engine->hidden_stride, rows, engine->model->hidden, desk);
  product(PLAIN, &layer->query, &desk->rounded, rows, desk->wide, stride);
  done(desk, LINEARS);
  pair_columns(desk->wide, stride, rows, inner, asked_max(layer->head_size), queries.pairs + from * engine->pair_stride, engine->pair_stride, queries.units + from);
  done(desk, ROUNDING);
  product(PLAIN, &layer->value, &desk->rounded, rows, desk->wide, stride);
  done(desk, LINEARS);
  pair_rows(desk->wide, stride, rows, inner, values.pairs + from / 2 * engine->inner_stride, engine->inner_stride, values.units + from);
  done(desk, ROUNDING);
  product(PLAIN, &layer->key, &desk->rounded, rows, desk->wide, stride);
  done(desk, LINEARS);
  pair_columns(desk->wide, stride, rows, inner, asked_max(layer->head_size), pairs, stride, keys.units + from);
  done(desk, ROUNDING);
  transpose(pairs, stride, rows, inner / 2, keys.pairs + from, engine->key_stride);
  done(desk, ATTENTION);
}

/* The rest of the layer for rows from..to */
static void advance(const Engine *engine, const Layer *layer, Table *table, Desk *desk, int side, long tokens, long from, long to) {
  const Model *model = engine->model;
  long rows = to - from, stride = engine->hidden_stride;
  float *hidden = table->hidden + from * stride;
  Whole queries = {table->queries.pairs + from * engine->pair_stride, table->queries.units + from};
  Asked asked = {tokens, layer->head_size, layer->heads, queries, table->keys[side], table->values[side],
                 engine->pair_stride, engine->key_stride, engine->inner_stride};
  attend(&asked, rows, desk->scores, desk->wide, engine->wide_stride);
  done(desk, ATTENTION);
  round_rows(desk->wide, engine->wide_stride, rows, layer->out.inputs, desk);
  product(RESIDUAL, &layer->out, &desk->rounded, rows, hidden, stride);
  done(desk, LINEARS);
  normalise_rows(hidden, stride, rows, model->hidden, layer->gain[0], layer->shift[0], model->epsilon, desk);
  round_rows(hidden, stride, rows, model->hidden, desk);
  product(layer->activation, &layer->up, &desk->rounded, rows, desk->wide, engine->wide_stride);
  done(desk, LINEARS);
  round_rows(desk->wide, engine->wide_stride, rows, layer->down.inputs, desk);
  product(RESIDUAL, &layer->down, &desk->rounded, rows, hidden, stride);
  done(desk, LINEARS);
  normalise_rows(hidden, stride, rows, model->hidden, layer->gain[1], layer->shift[1], model->epsilon, desk);
}

static float activated(int kind, float x) {
  switch (kind) {
    case DENSE_TANH: return tanhf(x);
    case DENSE_RELU: return x > 0 ? x : 0;
    case DENSE_GELU: return 0.5f * x * (1 + erff(x * 0.707106781f));
    default: return x;
  }
}

/* Through [outputs][inputs]; `in` and each row of `map` may be read to the end of their last vector's start */
static void dense(const float *map, const float *bias, const float *in, long inputs, long outputs, int kind, float *out) {
  for (long row = 0; row < outputs; row++, map += inputs) {
    floats total = all(0);
    long i = 0;
    for (; i + LANES <= inputs; i += LANES) total += load(map + i) * load(in + i);
    float sum = sum_of(total) + bias[row];
    for (; i < inputs; i++) sum += map[i] * in[i];
    out[row] = activated(kind, sum);
  }
}

static void head(const Engine *engine, const Table *table, const int32_t *spans, float *logits) {
  const Model *model = engine->model;
  const float *features = table->hidden;
  long width = model->hidden;
  if (model->spans) { /* the largest of each span's tokens, the spans side by side */
    float *out = table->pooled;
    for (long span = 0; span < model->spans; span++, out += model->hidden)
      for (long i = 0; i < model->hidden; i++) {
        out[i] = -3.4028235e38f;
        for (long row = spans[2 * span]; row < spans[2 * span + 1]; row++)
          out[i] = MAX_OF(out[i], table->hidden[row * engine->hidden_stride + i]);
      }
    features = table->pooled, width *= model->spans;
  }
  if (model->dense) {
    dense(model->dense, model->dense_bias, features, width, model->dense_outputs, model->dense_activation, table->pooled);
    features = table->pooled, width = model->dense_outputs;
  }
  dense(model->label, model->label_bias, features, width, model->labels, NO_DENSE, logits);
}

/* How many of `rows` go together: as many as in any other block, for a small last one reads all weights for little */
static long block_of(long rows) {
  long blocks = padded(rows, BLOCK) / BLOCK;
  return blocks < 2 ? BLOCK : padded((rows + blocks - 1) / blocks, TOKENS);
}

/* Where a thread's rows begin: two rows of values are one of pairs, which no two threads may write */
static long share_of(long rows, long number, long size) { return number == size ? rows : rows * number / size & ~1L; }

/* One thread's part of one sequence: rows are shared among `meeting->size` threads */
static void answer(const Engine *engine, const Call *call, Meeting *meeting, Table *table, Desk *desk, long which, int number) {
  const Model *model = engine->model;
  const int32_t *ids = call->ids + call->offsets[which], *segments = call->segments + call->offsets[which];
  long tokens = call->offsets[which + 1] - call->offsets[which];
  long begin = share_of(tokens, number, meeting->size), end = share_of(tokens, number + 1, meeting->size);
  long block = block_of(end - begin);
  desk->last = __builtin_ia32_rdtsc();
  embed(engine, ids, segments, table->hidden, begin, end);
  done(desk, REST);
  for (long from = begin; from < end; from += block)
    project(engine, model->layer, table, desk, 0, from, from + block < end ? from + block : end);
  for (int depth = 0; depth < model->layers; depth++) {
    int last = depth + 1 == model->layers;
    long stop = last && !model->spans ? (number == 0 ? 1 : begin) : end; /* the first token alone, or all */
    meet(meeting);
    done(desk, REST);
    for (long from = begin; from < stop; from += block) {
      long to = from + block < stop ? from + block : stop;
      advance(engine, model->layer + depth, table, desk, depth & 1, tokens, from, to);
      if (!last) project(engine, model->layer + depth + 1, table, desk, ~depth & 1, from, to);
    }
  }
  if (model->spans) meet(meeting);
  if (number == 0) head(engine, table, call->spans ? call->spans + which * 2 * model->spans : NULL, call->logits + which * model->labels);
  meet(meeting); /* the table is free again */
  done(desk, REST);
}

static void share_rows(void *job, int number) {
  Call *call = job;
  for (long at = 0; at < call->count; at++)
    answer(call->engine, call, &call->meeting, call->engine->tables, call->engine->desks + number, call->order[at], number);
}

static void share_sequences(void *job, int number) {
  Call *call = job;
  Meeting alone = {.size = 1};
  for (long at; (at = atomic_fetch_add(&call->next, 1)) < call->count;)
    answer(call->engine, call, &alone, call->engine->tables + number, call->engine->desks + number, call->order[at], 0);
}

#define EXPORT __attribute__((visibility("default")))

/* BYTES of a vector, VECTORS of a panel, GROUPS of a step, and the largest activation and weight: what weights are laid out by */
EXPORT void encoder_layout(int32_t *out) {
  const int32_t layout[] = {BYTES, VECTORS, GROUPS, ACTIVATION_MAX, WEIGHT_MAX, sizeof(Model), sizeof(Layer)};
  memcpy(out, layout, sizeof layout);
}

EXPORT const char *encoder_dot(void) { return DOT; }

/* Ticks of all threads since the engine was opened, by class */
EXPORT void encoder_spent(const Engine *engine, uint64_t *out) {
  for (int class = 0; class < CLASSES; class++) {
    out[class] = 0;
    for (int i = 0; i < engine->crew->size; i++) out[class] += engine->desks[i].spent[class];
  }
}

static void leave(Whole *whole) { free(whole->pairs), free(whole->units); }

EXPORT void encoder_close(Engine *engine) {
  if (!engine) return;
  long threads = engine->crew ? engine->crew->size : 0;
  if (engine->crew) disband(engine->crew);
  for (long i = 0; i < threads && engine->tables && engine->desks; i++) {
    Table *table = engine->tables + i;
    Desk *desk = engine->desks + i;
    free(table->hidden), free(table->pooled), free(desk->rounded.bytes), free(desk->wide), free(desk->scores);
    leave(&table->queries);
    for (int side = 0; side < 2; side++) leave(table->keys + side), leave(table->values + side);
  }
  free(engine->tables), free(engine->desks), free(engine);
}

/* Zeroed, so that what is read behind a row's end is a number */
static int room(void *out, long count, long size) {
  long page = count * size >= LARGE_PAGE / 4 ? LARGE_PAGE : 64;
  void *found = aligned_alloc(page, padded(count * size, page));
#ifdef MADV_HUGEPAGE
  if (found && page == LARGE_PAGE) madvise(found, padded(count * size, page), MADV_HUGEPAGE);
#endif
  if (found) memset(found, 0, count * size);
  return (*(void **)out = found) != NULL;
}

static int seats(Whole *whole, long pairs, long tokens) {
  return room(&whole->pairs, pairs, 4) && room(&whole->units, tokens + LANES, 4);
}

static long widest(const Model *model) {
  long most = model->hidden;
  for (int i = 0; i < model->layers; i++) {
    long inner = model->layer[i].heads * model->layer[i].head_size;
    most = MAX_OF(most, MAX_OF(inner, model->layer[i].up.outputs));
  }
  return most;
}

/* An engine for sequences of at most `most` tokens; NULL where memory or threads are lacking. It reads `model` until closed. */
EXPORT Engine *encoder_open(const Model *model, int threads, long most) {
  Engine *engine = calloc(1, sizeof *engine);
  if (!engine) return NULL;
  long inner = 0, behind = SIDE * LANES;
  for (int i = 0; i < model->layers; i++) inner = MAX_OF(inner, (long)model->layer[i].heads * model->layer[i].head_size);
  engine->model = model, engine->hidden_stride = padded(model->hidden, LANES) + behind;
  engine->inner_stride = padded(inner, LANES) + behind, engine->pair_stride = padded(inner / 2, LANES) + behind;
  engine->wide_stride = padded(widest(model), LANES) + behind;
  engine->key_stride = (padded(most, behind) / 16 | 1) * 16; /* an odd number of cache lines: a column of them fills all sets */
  engine->crew = assemble(threads);
  engine->tables = calloc(threads, sizeof *engine->tables), engine->desks = calloc(threads, sizeof *engine->desks);
  int whole = engine->crew && engine->tables && engine->desks;
  for (int i = 0; i < threads && whole; i++) {
    Table *table = engine->tables + i;
    Desk *desk = engine->desks + i;
    desk->rounded.stride = engine->wide_stride;
    whole = room(&table->hidden, most * engine->hidden_stride, 4) && seats(&table->queries, (most + FEW) * engine->pair_stride, most) &&
            room(&table->pooled, MAX_OF(MAX_OF(model->spans, 1) * model->hidden, model->dense_outputs) + behind, 4) &&
            room(&desk->rounded.bytes, BLOCK * engine->wide_stride, 1) && room(&desk->wide, BLOCK * engine->wide_stride, 4) &&
            room(&desk->scores, (TOKENS + 1) * engine->key_stride, 4);
    for (int side = 0; side < 2 && whole; side++)
      whole = seats(table->keys + side, (inner / 2 + 1) * engine->key_stride, most) &&
              seats(table->values + side, (most / 2 + 1) * engine->inner_stride, most);
  }
  if (whole) return engine;
  encoder_close(engine);
  return NULL;
}

/* Answer `count` sequences, whose ids lie one behind the other: sequence i at offsets[i]..offsets[i + 1]. `order` says which
   comes first; `spans` holds [count][spans][start, end]; logits are [count][labels]. */
EXPORT void encoder_answer(Engine *engine, long count, const int32_t *ids, const int32_t *segments, const int64_t *offsets,
                           const int32_t *order, const int32_t *spans, float *logits) {
  int threads = engine->crew->size;
  Call call = {.engine = engine, .count = count, .ids = ids, .segments = segments, .order = order, .spans = spans,
               .offsets = offsets, .logits = logits, .meeting = {.size = threads}};
  if (count < threads || threads == 1) together(engine->crew, share_rows, &call);
  else together(engine->crew, share_sequences, &call);
}
