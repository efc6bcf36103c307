/* An encoder and its head, in int8, without padding; model.h describes what a layer may consist of.

   Rows (tokens) go through a layer in blocks that stay in the cache: attention, its output, both halves of the feed-forward part, and
   the next layer's queries, keys and values, before the next block begins.

   If a call has fewer sequences than there are threads, the threads share the rows of each sequence and wait at a barrier once a layer.
   Otherwise each thread takes packs of entire sequences, the longest first, and waits for no other. Sequences are packed because short
   ones alone would read all weights for a few rows. Where the head reads only the first token, the last layer computes only that token.

   The linear maps of the layers are int8 and the products of attention int16; the rest (embeddings, softmax, normalisation, the head)
   is float32. */

#include "threads.h"
#include "head.h"
#include "model.h"
#include <sys/mman.h>

#define LARGE_PAGE (1L << 21) /* for arrays of a quarter of it or more */

/* What the threads that work on one pack share. Keys and values have two slots: one layer's are read while the next one's are written. */
typedef struct {
  float *hidden, *pooled;
  int32_t *positions; /* of each row in its sequence */
  Int16Rows queries, keys[2], values[2];
} PackBuffers;

enum { LINEARS, ATTENTION, NORMALISATION, ROUNDING, REST, CLASSES };

/* What each thread has for itself: `ticks` by class of work, counted up to `last_tick` */
typedef struct {
  QuantisedRows quantised;
  float *activations, *scores, *products, *normalised;
  uint64_t ticks[CLASSES], last_tick;
} ThreadState;

typedef struct {
  const Model *model;
  long hidden_stride, pair_stride, inner_stride, key_stride, activation_stride, longest;
  ThreadPool *pool;
  PackBuffers *pack_buffers;
  ThreadState *thread_states;
} Engine;

typedef struct {
  Engine *engine;
  long count;
  const int32_t *ids, *segments, *spans;
  const int64_t *offsets;
  float *logits;
  int64_t *order, *pack_starts; /* order: the longest first; pack i holds the sequences order[pack_starts[i]..pack_starts[i + 1]] */
  long packs;
  Barrier barrier;
  atomic_long next;
} Call;

/* Sequences that go through the layers together. Each begins at an even row, because two rows of values make one row of pairs: a sequence
   with an odd number of tokens is followed by an empty row, except the last one. */
typedef struct {
  const Call *call;
  const int64_t *sequences;
  long count;
} Pack;

/* Add the ticks since the last call to this class. A call takes some ten nanoseconds, the work of a block microseconds. */
static void add_ticks(ThreadState *thread, int class) {
  uint64_t now = read_ticks();
  thread->ticks[class] += now - thread->last_tick, thread->last_tick = now;
}

static void quantise_rows(const float *rows, long stride, long count, long inputs, ThreadState *thread) {
  for (long r = 0; r < count; r++) quantise_row(rows + r * stride, inputs, &thread->quantised, r);
  add_ticks(thread, ROUNDING);
}

static void normalise_rows(float *rows, long stride, long count, const Model *model, const float *gain, const float *shift,
                           ThreadState *thread) {
  for (long r = 0; r < count; r++)
    normalise(rows + r * stride, rows + r * stride, model->hidden, gain, shift, model->epsilon, model->root_norm);
  add_ticks(thread, NORMALISATION);
}

/* Quantise the rows' normalisation, and leave the rows as they are: the residual */
static void quantise_normalised(const float *rows, long stride, long count, const Model *model, const float *gain, const float *shift,
                                ThreadState *thread) {
  for (long r = 0; r < count; r++) {
    normalise(rows + r * stride, thread->normalised, model->hidden, gain, shift, model->epsilon, model->root_norm);
    quantise_row(thread->normalised, model->hidden, &thread->quantised, r);
  }
  add_ticks(thread, NORMALISATION);
}

/* Quantise the inputs of half a layer: `half` 0 is attention, 1 the feed-forward part */
static void quantise_inputs(const float *rows, long stride, long count, const Model *model, const Layer *layer, int half,
                            ThreadState *thread) {
  if (layer->pre_norm && layer->gain[half])
    quantise_normalised(rows, stride, count, model, layer->gain[half], layer->shift[half], thread);
  else quantise_rows(rows, stride, count, model->hidden, thread);
}

static long tokens_of(const Call *call, long sequence) { return call->offsets[sequence + 1] - call->offsets[sequence]; }

static long rows_of(const Pack *pack) {
  long rows = 0;
  for (long i = 0; i < pack->count; i++) rows = round_up(rows, 2) + tokens_of(pack->call, pack->sequences[i]);
  return rows;
}

/* Rows of a sequence, counted from its first */
typedef struct {
  long begin, end;
} RowRange;

/* The rows of the sequence that begins at row `start` which are among rows from..to of the pack */
static RowRange overlap(long start, long tokens, long from, long to) {
  return (RowRange){(from > start ? from : start) - start, (to < start + tokens ? to : start + tokens) - start};
}

static void embed(const Engine *engine, const int32_t *ids, const int32_t *segments, PackBuffers *buffers, long start, long from, long to) {
  const Model *model = engine->model;
  long width = model->embedding;
  for (long row = from; row < to; row++) {
    float *out = buffers->hidden + (start + row) * engine->hidden_stride;
    const float *word = model->words + ids[row] * width, *position = model->positions ? model->positions + row * width : NULL;
    const float *type = model->types + (segments[row] < model->segments ? segments[row] : 0) * width;
    if (position) for (long i = 0; i < width; i++) out[i] = word[i] + position[i] + type[i];
    else for (long i = 0; i < width; i++) out[i] = word[i] + type[i];
    if (model->gain) normalise(out, out, width, model->gain, model->shift, model->epsilon, model->root_norm);
    buffers->positions[start + row] = row;
  }
}

static void embed_rows(const Engine *engine, const Pack *pack, PackBuffers *buffers, long from, long to) {
  long start = 0;
  for (long i = 0; i < pack->count; i++) {
    long at = pack->call->offsets[pack->sequences[i]], tokens = tokens_of(pack->call, pack->sequences[i]);
    RowRange range = overlap(start, tokens, from, to);
    embed(engine, pack->call->ids + at, pack->call->segments + at, buffers, start, range.begin, range.end);
    start += round_up(tokens, 2);
    if (tokens & 1 && start <= to) {
      memset(buffers->hidden + (start - 1) * engine->hidden_stride, 0, engine->hidden_stride * sizeof *buffers->hidden);
      buffers->positions[start - 1] = 0;
    }
  }
}

/* Project embeddings to the width of the layers, in place */
static void project_rows(const Engine *engine, PackBuffers *buffers, ThreadState *thread, long from, long to) {
  float *rows = buffers->hidden + from * engine->hidden_stride;
  quantise_rows(rows, engine->hidden_stride, to - from, engine->model->embedding, thread);
  product(PLAIN, &engine->model->project, &thread->quantised, to - from, rows, engine->hidden_stride);
  add_ticks(thread, LINEARS);
}

/* Whether only the first row of each sequence goes through the layer: it is the last one, and the head reads no other row */
static int computes_first_rows(const Model *model, const Layer *layer) {
  return model->pooling == POOL_FIRST && layer == model->layer + model->layers - 1;
}

/* Compute the queries of `rows` rows, whose quantised inputs are at hand, from row `from` on */
static void project_queries(const Engine *engine, const Layer *layer, PackBuffers *buffers, ThreadState *thread, long from, long rows) {
  Rotation rotation = {layer->angles, buffers->positions + from, layer->head_size};
  product(PLAIN, &layer->query, &thread->quantised, rows, thread->activations, engine->activation_stride);
  add_ticks(thread, LINEARS);
  pair_columns(thread->activations, engine->activation_stride, rows, layer->heads * layer->head_size, query_limit(layer->head_size),
      rotation, buffers->queries.pairs + from * engine->pair_stride, engine->pair_stride, buffers->queries.scales + from);
  add_ticks(thread, ROUNDING);
}

/* Compute this layer's queries, keys and values of rows from..to from `hidden`; `from` is even. Where the layer computes only first
   rows, their queries are left to it. */
static void project_qkv(const Engine *engine, const Layer *layer, PackBuffers *buffers, ThreadState *thread, int slot, long from, long to) {
  long rows = to - from, inner = layer->heads * layer->head_size, stride = engine->activation_stride;
  int32_t *pairs = (int32_t *)thread->activations;
  Int16Rows keys = buffers->keys[slot], values = buffers->values[slot];
  Rotation rotation = {layer->angles, buffers->positions + from, layer->head_size};
  quantise_inputs(buffers->hidden + from * engine->hidden_stride, engine->hidden_stride, rows, engine->model, layer, 0, thread);
  if (!computes_first_rows(engine->model, layer)) project_queries(engine, layer, buffers, thread, from, rows);
  product(PLAIN, &layer->value, &thread->quantised, rows, thread->activations, stride);
  add_ticks(thread, LINEARS);
  pair_rows(thread->activations, stride, rows, inner, values.pairs + from / 2 * engine->inner_stride, engine->inner_stride,
      values.scales + from);
  add_ticks(thread, ROUNDING);
  product(PLAIN, &layer->key, &thread->quantised, rows, thread->activations, stride);
  add_ticks(thread, LINEARS);
  pair_columns(thread->activations, stride, rows, inner, query_limit(layer->head_size), rotation, pairs, stride, keys.scales + from);
  add_ticks(thread, ROUNDING);
  transpose(pairs, stride, rows, inner / 2, keys.pairs + from, engine->key_stride);
  add_ticks(thread, ATTENTION);
}

/* Attend with the rows `range` of the sequence that begins at row `start`; their queries begin at row `query` */
static void attend_sequence(const Engine *engine, const Layer *layer, const PackBuffers *buffers, ThreadState *thread, int slot,
                            long query, long start, long tokens, RowRange range, float *out) {
  Int16Rows queries = {buffers->queries.pairs + query * engine->pair_stride, buffers->queries.scales + query};
  Int16Rows keys = {buffers->keys[slot].pairs + start, buffers->keys[slot].scales + start};
  Int16Rows values = {buffers->values[slot].pairs + start / 2 * engine->inner_stride, buffers->values[slot].scales + start};
  ScoreTerms terms = {layer->window, layer->bias, layer->distance_keys, layer->distance_queries, engine->model->distances,
      engine->model->no_distance};
  int plain = layer->window >= tokens - 1 && !layer->bias && !layer->distance_keys.pairs && !layer->distance_queries.pairs;
  AttentionInput input = {tokens, layer->head_size, layer->heads, queries, keys, values, engine->pair_stride, engine->key_stride,
      engine->inner_stride, plain ? NULL : &terms, range.begin, 0, thread->products};
  attend(&input, range.end - range.begin, thread->scores, out, engine->activation_stride);
}

/* Attend with rows from..to of a pack. A sequence may write a few rows of the next one, which are overwritten then. */
static void attend_rows_of_pack(const Engine *engine, const Layer *layer, const Pack *pack, const PackBuffers *buffers,
                                ThreadState *thread, int slot, long from, long to) {
  long start = 0;
  for (long i = 0; i < pack->count && start < to; i++) {
    long tokens = tokens_of(pack->call, pack->sequences[i]);
    RowRange range = overlap(start, tokens, from, to);
    if (range.begin < range.end)
      attend_sequence(engine, layer, buffers, thread, slot, start + range.begin, start, tokens, range,
          thread->activations + (start + range.begin - from) * engine->activation_stride);
    start += round_up(tokens, 2);
  }
  add_ticks(thread, ATTENTION);
}

/* Move the first row of each sequence to the first rows of `hidden`, and attend with these */
static void attend_first_rows(const Engine *engine, const Layer *layer, const Pack *pack, PackBuffers *buffers, ThreadState *thread,
                              int slot) {
  long start = 0, stride = engine->hidden_stride;
  for (long i = 0; i < pack->count; i++) {
    if (i) memcpy(buffers->hidden + i * stride, buffers->hidden + start * stride, stride * sizeof *buffers->hidden);
    buffers->positions[i] = 0;
    start += round_up(tokens_of(pack->call, pack->sequences[i]), 2);
  }
  quantise_inputs(buffers->hidden, stride, pack->count, engine->model, layer, 0, thread);
  project_queries(engine, layer, buffers, thread, 0, pack->count);
  start = 0;
  for (long i = 0; i < pack->count; i++) {
    long tokens = tokens_of(pack->call, pack->sequences[i]);
    attend_sequence(engine, layer, buffers, thread, slot, i, start, tokens, (RowRange){0, 1},
        thread->activations + i * engine->activation_stride);
    start += round_up(tokens, 2);
  }
  add_ticks(thread, ATTENTION);
}

/* Compute the rest of the layer for `rows` rows, whose results of attention are in `activations` */
static void finish_layer(const Engine *engine, const Layer *layer, ThreadState *thread, float *hidden, long rows) {
  const Model *model = engine->model;
  long stride = engine->hidden_stride;
  quantise_rows(thread->activations, engine->activation_stride, rows, layer->out.inputs, thread);
  product(RESIDUAL, &layer->out, &thread->quantised, rows, hidden, stride);
  add_ticks(thread, LINEARS);
  if (!layer->pre_norm) normalise_rows(hidden, stride, rows, model, layer->gain[0], layer->shift[0], thread);
  quantise_inputs(hidden, stride, rows, model, layer, 1, thread);
  if (layer->gated) gated_product(layer->activation, &layer->up, &thread->quantised, rows, thread->activations, engine->activation_stride);
  else product(layer->activation, &layer->up, &thread->quantised, rows, thread->activations, engine->activation_stride);
  add_ticks(thread, LINEARS);
  quantise_rows(thread->activations, engine->activation_stride, rows, layer->down.inputs, thread);
  product(RESIDUAL, &layer->down, &thread->quantised, rows, hidden, stride);
  add_ticks(thread, LINEARS);
  if (!layer->pre_norm) normalise_rows(hidden, stride, rows, model, layer->gain[1], layer->shift[1], thread);
}

static void compute_all_logits(const Engine *engine, const Pack *pack, const PackBuffers *buffers) {
  const Model *model = engine->model;
  const Call *call = pack->call;
  long row = 0;
  for (long i = 0; i < pack->count; i++) {
    long sequence = pack->sequences[i], tokens = model->pooling == POOL_FIRST ? 1 : tokens_of(call, sequence);
    const int32_t *spans = model->spans ? call->spans + sequence * 2 * model->spans : NULL;
    compute_logits(model, buffers->hidden + row * engine->hidden_stride, engine->hidden_stride, tokens, spans, buffers->pooled,
        call->logits + sequence * model->labels);
    row += model->pooling == POOL_FIRST ? 1 : round_up(tokens, 2);
  }
}

/* Rows of a block: blocks are of one size, because a small last one would read all weights for few rows */
static long rows_per_block(long rows) {
  long blocks = round_up(rows, BLOCK_ROWS) / BLOCK_ROWS;
  return blocks < 2 ? BLOCK_ROWS : round_up((rows + blocks - 1) / blocks, QUERY_TILE);
}

/* The first row of a thread's share, the multiple of QUERY_ROWS nearest to an equal share: two rows of values make one row of pairs, which
   only one thread may write, and attention reads the queries of QUERY_ROWS rows, while another thread may write its own */
static long first_row_of(long rows, long index, long size) {
  long row = (rows * index / size + QUERY_ROWS / 2) / QUERY_ROWS * QUERY_ROWS;
  return index == size || row > rows ? rows : row;
}

/* Compute one thread's share of a pack, whose rows are divided among `barrier->size` threads */
static void process_pack(const Engine *engine, const Pack *pack, Barrier *barrier, PackBuffers *buffers, ThreadState *thread, int index) {
  const Model *model = engine->model;
  long rows = rows_of(pack), begin = first_row_of(rows, index, barrier->size), end = first_row_of(rows, index + 1, barrier->size);
  long block = rows_per_block(end - begin);
  /* where the head reads the first row of each sequence, the last layer computes no other */
  int full_layers = model->layers - (model->pooling == POOL_FIRST), depth = 0;
  thread->last_tick = read_ticks();
  embed_rows(engine, pack, buffers, begin, end);
  add_ticks(thread, REST);
  for (long from = begin; from < end && model->project.inputs; from += block)
    project_rows(engine, buffers, thread, from, from + block < end ? from + block : end);
  for (long from = begin; from < end; from += block)
    project_qkv(engine, model->layer, buffers, thread, 0, from, from + block < end ? from + block : end);
  for (; depth < full_layers; depth++) {
    const Layer *layer = model->layer + depth;
    wait_at(barrier);
    add_ticks(thread, REST);
    for (long from = begin; from < end; from += block) {
      long to = from + block < end ? from + block : end;
      attend_rows_of_pack(engine, layer, pack, buffers, thread, depth & 1, from, to);
      finish_layer(engine, layer, thread, buffers->hidden + from * engine->hidden_stride, to - from);
      if (depth + 1 < model->layers) project_qkv(engine, layer + 1, buffers, thread, ~depth & 1, from, to);
    }
  }
  wait_at(barrier);
  add_ticks(thread, REST);
  if (index == 0) {
    if (depth < model->layers) {
      attend_first_rows(engine, model->layer + depth, pack, buffers, thread, depth & 1);
      finish_layer(engine, model->layer + depth, thread, buffers->hidden, pack->count);
    }
    compute_all_logits(engine, pack, buffers);
  }
  wait_at(barrier); /* from here on the next pack may use the buffers */
  add_ticks(thread, REST);
}

static void run_by_rows(void *job, int index) {
  Call *call = job;
  for (long at = 0; at < call->count; at++) {
    Pack pack = {call, call->order + at, 1};
    process_pack(call->engine, &pack, &call->barrier, call->engine->pack_buffers, call->engine->thread_states + index, index);
  }
}

static void run_by_packs(void *job, int index) {
  Call *call = job;
  Barrier alone = {.size = 1};
  for (long at; (at = atomic_fetch_add(&call->next, 1)) < call->packs;) {
    Pack pack = {call, call->order + call->pack_starts[at], call->pack_starts[at + 1] - call->pack_starts[at]};
    process_pack(call->engine, &pack, &alone, call->engine->pack_buffers + index, call->engine->thread_states + index, 0);
  }
}

/* Whether no array will be read beyond its end: sequences have 1 to `longest` tokens, whose ids and segments exist, and spans within */
static int is_valid(const Call *call) {
  const Model *model = call->engine->model;
  int32_t segment_count = MAX_OF(2, model->segments), highest_id = 0, lowest_id = 0, highest_segment = 0, lowest_segment = 0;
  for (long i = 0; i < call->count; i++) {
    long tokens = tokens_of(call, i);
    if (tokens < 1 || tokens > call->engine->longest) return 0;
    for (long span = 0; span < 2 * model->spans; span++) {
      int32_t bound = call->spans[i * 2 * model->spans + span];
      if (bound < 0 || bound > tokens) return 0;
    }
  }
  for (long i = 0; i < call->offsets[call->count]; i++) {
    highest_id = MAX_OF(highest_id, call->ids[i]), lowest_id = call->ids[i] < lowest_id ? call->ids[i] : lowest_id;
    highest_segment = MAX_OF(highest_segment, call->segments[i]),
        lowest_segment = call->segments[i] < lowest_segment ? call->segments[i] : lowest_segment;
  }
  return highest_id < model->vocabulary && highest_segment < segment_count && lowest_id == 0 && lowest_segment == 0;
}

static int compare_int64(const void *left, const void *right) {
  int64_t x = *(const int64_t *)left, y = *(const int64_t *)right;
  return x < y ? -1 : x > y;
}

/* Order sequences: the longest first, those of equal length as in the call */
static void sort_by_length(Call *call) {
  for (long i = 0; i < call->count; i++) call->order[i] = (call->engine->longest - tokens_of(call, i)) << 32 | i;
  if (call->count > 1) qsort(call->order, call->count, sizeof *call->order, compare_int64);
  for (long i = 0; i < call->count; i++) call->order[i] &= 0xffffffff;
}

/* Pack sequences in their order, up to a block: more rows would not be faster. Packs get smaller towards the end, so that threads
   finish at about the same time. */
static void make_packs(Call *call, int threads) {
  long left = call->offsets[call->count], at = 0;
  while (at < call->count) {
    long room = threads > 1 && left / (2 * threads) < BLOCK_ROWS ? left / (2 * threads) : BLOCK_ROWS, rows = 0;
    call->pack_starts[call->packs++] = at;
    do {
      long tokens = tokens_of(call, call->order[at++]);
      rows = round_up(rows, 2) + tokens, left -= tokens;
    } while (at < call->count && round_up(rows, 2) + tokens_of(call, call->order[at]) <= room);
  }
  call->pack_starts[call->packs] = at;
}

/* A library may hold several levels of instructions: the names of its functions end with the level (optimized/native/levels.py) */
#if !defined(LEVEL)
#define LEVEL portable
#endif
#define EXPORT __attribute__((visibility("default")))
#define JOINED(name, level) name##_##level
#define AT_LEVEL(name, level) JOINED(name, level)
#define ENTRY(name) AT_LEVEL(name, LEVEL)

/* What the layout of weights depends on (optimized/native/layout.py), and the sizes of both structures, for a check */
EXPORT void ENTRY(encoder_layout)(int32_t *out) {
  const int32_t layout[] = {VECTOR_BYTES, PANEL_VECTORS, DOT_GROUPS, ACTIVATION_MAX, WEIGHT_MAX, LANE_INPUTS, sizeof(Model), sizeof(Layer)};
  memcpy(out, layout, sizeof layout);
}

EXPORT const char *ENTRY(encoder_dot)(void) { return DOT_NAME; }

/* Store the ticks of all threads since the engine was opened, by class */
EXPORT void ENTRY(encoder_ticks)(const Engine *engine, uint64_t *out) {
  for (int class = 0; class < CLASSES; class++) {
    out[class] = 0;
    for (int i = 0; i < engine->pool->size; i++) out[class] += engine->thread_states[i].ticks[class];
  }
}

static void free_rows(Int16Rows *rows) { free(rows->pairs), free(rows->scales); }

EXPORT void ENTRY(encoder_close)(Engine *engine) {
  if (!engine) return;
  long threads = engine->pool ? engine->pool->size : 0;
  if (engine->pool) close_pool(engine->pool);
  for (long i = 0; i < threads && engine->pack_buffers && engine->thread_states; i++) {
    PackBuffers *buffers = engine->pack_buffers + i;
    ThreadState *thread = engine->thread_states + i;
    free(buffers->hidden), free(buffers->pooled), free(buffers->positions), free(thread->quantised.bytes), free(thread->activations);
    free(thread->scores), free(thread->products), free(thread->normalised);
    free_rows(&buffers->queries);
    for (int slot = 0; slot < 2; slot++) free_rows(buffers->keys + slot), free_rows(buffers->values + slot);
  }
  free(engine->pack_buffers), free(engine->thread_states), free(engine);
}

/* Allocate zeros: what is read behind a row's end has to be a number */
static int allocate(void *out, long count, long size) {
  long page = count * size >= LARGE_PAGE / 4 ? LARGE_PAGE : 64;
  void *memory = aligned_alloc(page, round_up(count * size, page));
#ifdef MADV_HUGEPAGE
  if (memory && page == LARGE_PAGE) madvise(memory, round_up(count * size, page), MADV_HUGEPAGE);
#endif
  if (memory) memset(memory, 0, count * size);
  return (*(void **)out = memory) != NULL;
}

static int allocate_rows(Int16Rows *rows, long pairs, long tokens) {
  return allocate(&rows->pairs, pairs, 4) && allocate(&rows->scales, tokens + LANES, 4);
}

static long widest_row(const Model *model) {
  long widest = MAX_OF(model->hidden, model->embedding);
  for (int i = 0; i < model->layers; i++) {
    long inner = model->layer[i].heads * model->layer[i].head_size;
    widest = MAX_OF(widest, MAX_OF(inner, model->layer[i].down.inputs));
  }
  return widest;
}

/* Open an engine for sequences of up to `longest` tokens; NULL where memory or threads are lacking. It reads `model` until it is closed. */
EXPORT Engine *ENTRY(encoder_open)(const Model *model, int threads, long longest) {
  Engine *engine = calloc(1, sizeof *engine);
  if (!engine) return NULL;
  long inner = 0, padding = TILE_VECTORS * LANES, rows = BLOCK_ROWS + QUERY_ROWS;
  for (int i = 0; i < model->layers; i++) inner = MAX_OF(inner, (long)model->layer[i].heads * model->layer[i].head_size);
  engine->model = model, engine->longest = longest, longest = MAX_OF(longest, BLOCK_ROWS); /* a pack may have more rows than any sequence */
  engine->hidden_stride = round_up(MAX_OF(model->hidden, model->embedding), LANES) + padding;
  engine->inner_stride = round_up(inner, LANES) + padding, engine->pair_stride = round_up(inner / 2, LANES) + padding;
  engine->activation_stride = round_up(widest_row(model), LANES) + padding;
  /* an odd number of cache lines, so that the lines of a column are spread over all sets of the cache */
  engine->key_stride = (round_up(longest, padding) / 16 | 1) * 16;
  engine->pool = open_pool(threads);
  engine->pack_buffers = calloc(threads, sizeof *engine->pack_buffers);
  engine->thread_states = calloc(threads, sizeof *engine->thread_states);
  int complete = engine->pool && engine->pack_buffers && engine->thread_states;
  for (int i = 0; i < threads && complete; i++) {
    PackBuffers *buffers = engine->pack_buffers + i;
    ThreadState *thread = engine->thread_states + i;
    thread->quantised.stride = engine->activation_stride;
    complete = allocate(&buffers->hidden, longest * engine->hidden_stride, 4) &&
               allocate_rows(&buffers->queries, (longest + QUERY_ROWS) * engine->pair_stride, longest) &&
               allocate(&buffers->pooled, pooled_size(model), 4) && allocate(&buffers->positions, longest + 1, 4) &&
               allocate(&thread->normalised, engine->hidden_stride, 4) &&
               (!model->distances || allocate(&thread->products, QUERY_TILE * (engine->key_stride + 2 * padding), 4)) &&
               allocate(&thread->quantised.bytes, BLOCK_ROWS * engine->activation_stride, 1) &&
               allocate(&thread->activations, rows * engine->activation_stride, 4) &&
               allocate(&thread->scores, (QUERY_TILE + 1) * engine->key_stride, 4);
    for (int slot = 0; slot < 2 && complete; slot++)
      complete = allocate_rows(buffers->keys + slot, (inner / 2 + 1) * engine->key_stride, longest) &&
                 allocate_rows(buffers->values + slot, (longest / 2 + 1) * engine->inner_stride, longest);
  }
  if (complete) return engine;
  ENTRY(encoder_close)(engine);
  return NULL;
}

/* Answer `count` sequences; the ids and segments of sequence i are at offsets[i]..offsets[i + 1]. `spans` is [count][spans][start, end],
   `logits` [count][labels], and `scratch` [2 * count + 1] is overwritten. Returns 0 where a sequence is not valid. */
EXPORT int ENTRY(encoder_answer)(Engine *engine, long count, const int32_t *ids, const int32_t *segments, const int64_t *offsets,
                          const int32_t *spans, float *logits, int64_t *scratch) {
  int threads = engine->pool->size;
  Call call = {.engine = engine, .count = count, .ids = ids, .segments = segments, .spans = spans, .offsets = offsets,
               .logits = logits, .order = scratch, .pack_starts = scratch + count, .barrier = {.size = threads}};
  if (!is_valid(&call)) return 0;
  sort_by_length(&call);
  make_packs(&call, threads);
  if (count < threads) run_on_all(engine->pool, run_by_rows, &call);
  else run_on_all(engine->pool, run_by_packs, &call);
  return 1;
}
