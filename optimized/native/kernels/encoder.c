/* An encoder of BERT's kind and its head, in int8, without padding.

   Rows (tokens) go through a layer in blocks that stay in the cache: attention, its output, both halves of the
   feed-forward part, and the next layer's queries, keys and values, before the next block begins. Threads share the rows
   of a sequence and wait for one another once a layer; where there are as many sequences as threads, each thread takes
   whole ones, the longest first, and nobody waits. It takes a pack of them, one behind the other: short ones alone would
   read all weights for a few rows. Where the head reads only the first token, the last layer computes that token alone:
   the others' results would be read by nobody.

   What is not a linear map of a layer (embeddings, softmax, normalisation, the head) is float32; attention's own products are of 16 bits. */

#include "threads.h"
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
  int32_t layers, hidden, labels, dense_outputs, dense_activation, spans, segments, vocabulary;
  float epsilon;
  const float *words, *positions, *types, *gain, *shift; /* embeddings [..][hidden], and their normalisation */
  const float *dense, *dense_bias, *label, *label_bias;  /* [outputs][inputs]; dense is NULL where there is none */
  const Layer *layer;
} Model;

/* What the threads of one pack share: this layer's keys and values are read while the next one's are written */
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
  long hidden_stride, pair_stride, inner_stride, key_stride, wide_stride, longest;
  Crew *crew;
  Table *tables;
  Desk *desks;
} Engine;

typedef struct {
  Engine *engine;
  long count;
  const int32_t *ids, *segments, *spans;
  const int64_t *offsets;
  float *logits;
  int64_t *order, *edges; /* the longest first; pack i holds the sequences order[edges[i]..edges[i + 1]] */
  long packs;
  Meeting meeting;
  atomic_long next;
} Call;

/* Sequences that go through the layers together. Each begins at an even row, for two rows of values are one of pairs: behind an odd
   number of tokens lies a row that no other reads, and that the last one lacks. */
typedef struct {
  const Call *call;
  const int64_t *which;
  long count;
} Pack;

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

static long tokens_of(const Call *call, long which) { return call->offsets[which + 1] - call->offsets[which]; }

static long rows_of(const Pack *pack) {
  long rows = 0;
  for (long i = 0; i < pack->count; i++) rows = padded(rows, 2) + tokens_of(pack->call, pack->which[i]);
  return rows;
}

/* The part of rows from..to that is a sequence's, counted from its `start` */
typedef struct {
  long low, high;
} Part;

static Part part_of(long start, long tokens, long from, long to) {
  return (Part){(from > start ? from : start) - start, (to < start + tokens ? to : start + tokens) - start};
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

static void embed_rows(const Engine *engine, const Pack *pack, float *hidden, long from, long to) {
  long start = 0;
  for (long i = 0; i < pack->count; i++) {
    long at = pack->call->offsets[pack->which[i]], tokens = tokens_of(pack->call, pack->which[i]);
    Part part = part_of(start, tokens, from, to);
    embed(engine, pack->call->ids + at, pack->call->segments + at, hidden + start * engine->hidden_stride, part.low, part.high);
    start += padded(tokens, 2);
    if (tokens & 1 && start <= to) memset(hidden + (start - 1) * engine->hidden_stride, 0, engine->hidden_stride * sizeof *hidden);
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

/* What rows low..high of the sequence that begins at row `start` find in it */
static void attend_rows_of(const Engine *engine, const Layer *layer, const Table *table, Desk *desk, int side, long start, long tokens, Part part, float *out) {
  long first = start + part.low;
  Whole queries = {table->queries.pairs + first * engine->pair_stride, table->queries.units + first};
  Whole keys = {table->keys[side].pairs + start, table->keys[side].units + start};
  Whole values = {table->values[side].pairs + start / 2 * engine->inner_stride, table->values[side].units + start};
  Asked asked = {tokens, layer->head_size, layer->heads, queries, keys, values, engine->pair_stride, engine->key_stride, engine->inner_stride};
  attend(&asked, part.high - part.low, desk->scores, out, engine->wide_stride);
}

/* The same for rows from..to of a pack; a sequence may write a few rows of the next one, which then writes its own */
static void attend_pack(const Engine *engine, const Layer *layer, const Pack *pack, const Table *table, Desk *desk, int side, long from, long to) {
  long start = 0;
  for (long i = 0; i < pack->count && start < to; i++) {
    long tokens = tokens_of(pack->call, pack->which[i]);
    Part part = part_of(start, tokens, from, to);
    if (part.low < part.high)
      attend_rows_of(engine, layer, table, desk, side, start, tokens, part, desk->wide + (start + part.low - from) * engine->wide_stride);
    start += padded(tokens, 2);
  }
  done(desk, ATTENTION);
}

/* The same for the first row of each sequence; what these rows held goes to the first rows of `hidden` */
static void attend_firsts(const Engine *engine, const Layer *layer, const Pack *pack, const Table *table, Desk *desk, int side) {
  long start = 0, stride = engine->hidden_stride;
  for (long i = 0; i < pack->count; i++) {
    long tokens = tokens_of(pack->call, pack->which[i]);
    attend_rows_of(engine, layer, table, desk, side, start, tokens, (Part){0, 1}, desk->wide + i * engine->wide_stride);
    if (i) memcpy(table->hidden + i * stride, table->hidden + start * stride, stride * sizeof *table->hidden);
    start += padded(tokens, 2);
  }
  done(desk, ATTENTION);
}

/* The rest of the layer for `rows` rows, of which `wide` holds what attention found */
static void advance(const Engine *engine, const Layer *layer, Desk *desk, float *hidden, long rows) {
  const Model *model = engine->model;
  long stride = engine->hidden_stride;
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

/* Logits of a sequence whose first row, or all of whose rows, begin at `features` */
static void head(const Engine *engine, const Table *table, const float *features, const int32_t *spans, float *logits) {
  const Model *model = engine->model;
  long width = model->hidden;
  if (model->spans) { /* the largest of each span's tokens, the spans side by side */
    float *out = table->pooled;
    for (long span = 0; span < model->spans; span++, out += model->hidden)
      for (long i = 0; i < model->hidden; i++) {
        out[i] = -3.4028235e38f;
        for (long row = spans[2 * span]; row < spans[2 * span + 1]; row++)
          out[i] = MAX_OF(out[i], features[row * engine->hidden_stride + i]);
      }
    features = table->pooled, width *= model->spans;
  }
  if (model->dense) {
    dense(model->dense, model->dense_bias, features, width, model->dense_outputs, model->dense_activation, table->pooled);
    features = table->pooled, width = model->dense_outputs;
  }
  dense(model->label, model->label_bias, features, width, model->labels, NO_DENSE, logits);
}

static void heads(const Engine *engine, const Pack *pack, const Table *table) {
  const Model *model = engine->model;
  const Call *call = pack->call;
  long row = 0;
  for (long i = 0; i < pack->count; i++) {
    long which = pack->which[i];
    const int32_t *spans = model->spans ? call->spans + which * 2 * model->spans : NULL;
    head(engine, table, table->hidden + row * engine->hidden_stride, spans, call->logits + which * model->labels);
    row += model->spans ? padded(tokens_of(call, which), 2) : 1;
  }
}

/* How many of `rows` go together: as many as in any other block, for a small last one reads all weights for little */
static long block_of(long rows) {
  long blocks = padded(rows, BLOCK) / BLOCK;
  return blocks < 2 ? BLOCK : padded((rows + blocks - 1) / blocks, TOKENS);
}

/* Where a thread's rows begin: two rows of values are one of pairs, which no two threads may write */
static long share_of(long rows, long number, long size) { return number == size ? rows : rows * number / size & ~1L; }

/* One thread's part of one pack: rows are shared among `meeting->size` threads */
static void answer(const Engine *engine, const Pack *pack, Meeting *meeting, Table *table, Desk *desk, int number) {
  const Model *model = engine->model;
  long rows = rows_of(pack), begin = share_of(rows, number, meeting->size), end = share_of(rows, number + 1, meeting->size);
  long block = block_of(end - begin);
  int whole = model->layers - !model->spans, depth = 0; /* layers that all rows go through, or all but the first ones */
  desk->last = __builtin_ia32_rdtsc();
  embed_rows(engine, pack, table->hidden, begin, end);
  done(desk, REST);
  for (long from = begin; from < end; from += block)
    project(engine, model->layer, table, desk, 0, from, from + block < end ? from + block : end);
  for (; depth < whole; depth++) {
    const Layer *layer = model->layer + depth;
    meet(meeting);
    done(desk, REST);
    for (long from = begin; from < end; from += block) {
      long to = from + block < end ? from + block : end;
      attend_pack(engine, layer, pack, table, desk, depth & 1, from, to);
      advance(engine, layer, desk, table->hidden + from * engine->hidden_stride, to - from);
      if (depth + 1 < model->layers) project(engine, layer + 1, table, desk, ~depth & 1, from, to);
    }
  }
  meet(meeting);
  done(desk, REST);
  if (number == 0) {
    if (depth < model->layers) {
      attend_firsts(engine, model->layer + depth, pack, table, desk, depth & 1);
      advance(engine, model->layer + depth, desk, table->hidden, pack->count);
    }
    heads(engine, pack, table);
  }
  meet(meeting); /* the table is free again */
  done(desk, REST);
}

static void share_rows(void *job, int number) {
  Call *call = job;
  for (long at = 0; at < call->count; at++) {
    Pack one = {call, call->order + at, 1};
    answer(call->engine, &one, &call->meeting, call->engine->tables, call->engine->desks + number, number);
  }
}

static void share_packs(void *job, int number) {
  Call *call = job;
  Meeting alone = {.size = 1};
  for (long at; (at = atomic_fetch_add(&call->next, 1)) < call->packs;) {
    Pack pack = {call, call->order + call->edges[at], call->edges[at + 1] - call->edges[at]};
    answer(call->engine, &pack, &alone, call->engine->tables + number, call->engine->desks + number, 0);
  }
}

/* Whether nothing will be read beyond its end: sequences have tokens, no more than there is room for, all of them known, and spans within */
static int readable(const Call *call) {
  const Model *model = call->engine->model;
  int32_t kinds = MAX_OF(2, model->segments), most = 0, least = 0, kind = 0, lowest = 0;
  for (long i = 0; i < call->count; i++) {
    long tokens = tokens_of(call, i);
    if (tokens < 1 || tokens > call->engine->longest) return 0;
    for (long span = 0; span < 2 * model->spans; span++) {
      int32_t edge = call->spans[i * 2 * model->spans + span];
      if (edge < 0 || edge > tokens) return 0;
    }
  }
  for (long i = 0; i < call->offsets[call->count]; i++) {
    most = MAX_OF(most, call->ids[i]), least = call->ids[i] < least ? call->ids[i] : least;
    kind = MAX_OF(kind, call->segments[i]), lowest = call->segments[i] < lowest ? call->segments[i] : lowest;
  }
  return most < model->vocabulary && kind < kinds && least == 0 && lowest == 0;
}

static int compare(const void *one, const void *other) {
  int64_t x = *(const int64_t *)one, y = *(const int64_t *)other;
  return x < y ? -1 : x > y;
}

/* The longest first; of equal ones the first of the call */
static void order_all(Call *call) {
  for (long i = 0; i < call->count; i++) call->order[i] = (call->engine->longest - tokens_of(call, i)) << 32 | i;
  if (call->count > 1) qsort(call->order, call->count, sizeof *call->order, compare);
  for (long i = 0; i < call->count; i++) call->order[i] &= 0xffffffff;
}

/* Pack sequences in their order, a block at most: more rows gain nothing. Towards the end packs get smaller, so that no thread is left
   with much while others wait. */
static void pack_all(Call *call, int threads) {
  long left = call->offsets[call->count], at = 0;
  while (at < call->count) {
    long room = threads > 1 && left / (2 * threads) < BLOCK ? left / (2 * threads) : BLOCK, rows = 0;
    call->edges[call->packs++] = at;
    do {
      long tokens = tokens_of(call, call->order[at++]);
      rows = padded(rows, 2) + tokens, left -= tokens;
    } while (at < call->count && padded(rows, 2) + tokens_of(call, call->order[at]) <= room);
  }
  call->edges[call->packs] = at;
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

/* An engine for sequences of `most` tokens at most; NULL where memory or threads are lacking. It reads `model` until closed. */
EXPORT Engine *encoder_open(const Model *model, int threads, long most) {
  Engine *engine = calloc(1, sizeof *engine);
  if (!engine) return NULL;
  long inner = 0, behind = SIDE * LANES, rows = BLOCK + FEW;
  for (int i = 0; i < model->layers; i++) inner = MAX_OF(inner, (long)model->layer[i].heads * model->layer[i].head_size);
  engine->model = model, engine->longest = most, most = MAX_OF(most, BLOCK); /* a pack may have more rows than any sequence */
  engine->hidden_stride = padded(model->hidden, LANES) + behind;
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
            room(&desk->rounded.bytes, BLOCK * engine->wide_stride, 1) && room(&desk->wide, rows * engine->wide_stride, 4) &&
            room(&desk->scores, (TOKENS + 1) * engine->key_stride, 4);
    for (int side = 0; side < 2 && whole; side++)
      whole = seats(table->keys + side, (inner / 2 + 1) * engine->key_stride, most) &&
              seats(table->values + side, (most / 2 + 1) * engine->inner_stride, most);
  }
  if (whole) return engine;
  encoder_close(engine);
  return NULL;
}

/* Answer `count` sequences, whose ids lie one behind the other: sequence i at offsets[i]..offsets[i + 1]. `spans` holds
   [count][spans][start, end]; logits are [count][labels]; `scratch`, [2 * count + 1], is written to. Returns 0 where one is not readable. */
EXPORT int encoder_answer(Engine *engine, long count, const int32_t *ids, const int32_t *segments, const int64_t *offsets,
                          const int32_t *spans, float *logits, int64_t *scratch) {
  int threads = engine->crew->size;
  Call call = {.engine = engine, .count = count, .ids = ids, .segments = segments, .spans = spans, .offsets = offsets,
               .logits = logits, .order = scratch, .edges = scratch + count, .meeting = {.size = threads}};
  if (!readable(&call)) return 0;
  order_all(&call);
  pack_all(&call, threads);
  if (count < threads) together(engine->crew, share_rows, &call);
  else together(engine->crew, share_packs, &call);
  return 1;
}
