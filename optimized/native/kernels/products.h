/* Linear maps in int8: each row of activations has a scale and a minimum, each output of the weights a scale.

     x = minimum + x_scale * q        q in 0..ACTIVATION_MAX, for each row
     w = w_scale * b                  b in -WEIGHT_MAX..WEIGHT_MAX, for each output
     x . w = x_scale * w_scale * (q . b) + minimum * (w_scale * sum of b)

   Since each row has its own scale, an answer does not depend on the other sequences of a batch. The last factor of each output is
   computed beforehand (`scaled_sums`).

   Weights are stored in the order in which they are read: panels of at most PANEL_VECTORS vectors of outputs; in a panel, `steps`
   steps of STEP_INPUTS inputs; in a step, DOT_GROUPS vectors for each vector of outputs; in such a vector, LANE_INPUTS inputs of each output.

   While a panel is multiplied, the next one is prefetched into the second-level cache, evenly: the weights of a layer are read once a
   block, from memory whose latency the processor's own prefetching does not hide. */

#pragma once
#include "vectors.h"

#if !defined(TILE_ROWS)
#define TILE_ROWS (VECTOR_BYTES == 64 ? 6 : 4) /* of a tile: TILE_ROWS x PANEL_VECTORS sums fit into the registers */
#define PANEL_VECTORS (VECTOR_BYTES == 64 ? 4 : 2)
/* The most rows that go through a layer together, a multiple of TILE_ROWS and QUERY_TILE */
#define BLOCK_ROWS (VECTOR_BYTES == 64 ? 192 : 24)
#endif
#define STEP_INPUTS (LANE_INPUTS * DOT_GROUPS)
#define STEP_BYTES (STEP_INPUTS * LANES) /* of the weights of a step for a vector of outputs */

enum { PLAIN, GELU, GELU_TANH, RELU, SILU, RESIDUAL };

typedef struct {
  int32_t inputs, outputs;
  const int8_t *weights;
  const float *scales, *scaled_sums, *bias; /* padded to full vectors of outputs */
  const float *factors; /* of the outputs behind an activation (optimized/native/smoothing.py), alike; NULL where all are 1 */
} Linear;

typedef struct {
  uint8_t *bytes; /* [rows][stride] */
  long stride;
  float scales[BLOCK_ROWS], minimums[BLOCK_ROWS];
} QuantisedRows;

INLINE long round_up(long count, long to) { return (count + to - 1) / to * to; }

/* Quantise a row of `count` floats; up to LANES floats behind it are read */
INLINE void quantise_row(const float *row, long count, QuantisedRows *to, long at) {
  floats low = broadcast(row[0]), high = low;
  for (long i = 0; i < count; i += LANES) {
    floats x = first_lanes(count - i, load(row + i), broadcast(row[0]));
    low = minimum(low, x), high = maximum(high, x);
  }
  float lowest = reduce_min(low), span = reduce_max(high) - lowest, inverse = span > 0 ? ACTIVATION_MAX / span : 0;
  for (long i = 0; i < count; i += LANES) {
    floats x = (load(row + i) - lowest) * inverse + 0.5f; /* the columns behind the last input may hold any value: their weights are 0 */
    ((unaligned_bytes *)(to->bytes + at * to->stride + i))->vector = __builtin_convertvector(__builtin_convertvector(x, ints), bytes) ^ ACTIVATION_FLIP;
  }
  to->scales[at] = span / ACTIVATION_MAX, to->minimums[at] = lowest;
}

/* Weights to prefetch while others are multiplied: one step's worth of a vector every `interval` steps */
typedef struct {
  const int8_t *weights;
  long interval;
} Prefetch;

#if defined(__aarch64__) && !defined(PORTABLE)
#include "arm_tiles.h"
#else
INLINE void multiply_tile(int rows, int vectors, const uint8_t *a, long stride, const int8_t *w, long steps, Prefetch prefetch,
                          ints (*sums)[PANEL_VECTORS]) {
  ints sum[TILE_ROWS][PANEL_VECTORS];
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = broadcast_int(0);
  for (long step = 0; step < steps;) {
    UNROLL for (int line = 0; line < STEP_BYTES; line += 64) __builtin_prefetch(prefetch.weights + line, 0, 2);
    prefetch.weights += STEP_BYTES;
    long stop = steps - step < prefetch.interval ? steps : step + prefetch.interval;
    for (; step < stop; step++, a += STEP_INPUTS, w += vectors * STEP_BYTES) {
      ints column[PANEL_VECTORS][DOT_GROUPS];
      UNROLL for (int v = 0; v < vectors; v++) UNROLL for (int g = 0; g < DOT_GROUPS; g++)
        column[v][g] = load_weights(w + (v * DOT_GROUPS + g) * VECTOR_BYTES);
      UNROLL for (int r = 0; r < rows; r++) {
        ints inputs[DOT_GROUPS];
        UNROLL for (int g = 0; g < DOT_GROUPS; g++) inputs[g] = broadcast_4_bytes(a + r * stride + 4 * g);
        UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = dot_bytes(sum[r][v], inputs, column[v]);
      }
    }
  }
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++) sums[r][v] = sum[r][v];
}
#endif

typedef void Tile(const uint8_t *, long, const int8_t *, long, Prefetch, ints (*)[PANEL_VECTORS]);
#define TILE(R, V)                                                                                            \
  static void tile_##R##_##V(const uint8_t *a, long stride, const int8_t *w, long steps, Prefetch prefetch, ints (*sums)[PANEL_VECTORS]) { \
    multiply_tile(R, V, a, stride, w, steps, prefetch, sums);                                                                \
  }
#if PANEL_VECTORS == 4
#define TILES(R) TILE(R, 1) TILE(R, 2) TILE(R, 3) TILE(R, 4)
#define NAMES(R) {tile_##R##_1, tile_##R##_2, tile_##R##_3, tile_##R##_4}
#else
#define TILES(R) TILE(R, 1) TILE(R, 2)
#define NAMES(R) {tile_##R##_1, tile_##R##_2}
#endif
#if TILE_ROWS == 6
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
static Tile *const tiles[TILE_ROWS][PANEL_VECTORS] = {NAMES(1), NAMES(2), NAMES(3), NAMES(4), NAMES(5), NAMES(6)};
#else
TILES(1) TILES(2) TILES(3) TILES(4)
static Tile *const tiles[TILE_ROWS][PANEL_VECTORS] = {NAMES(1), NAMES(2), NAMES(3), NAMES(4)};
#endif

INLINE floats apply_epilogue(int epilogue, floats y, const float *residual) {
  switch (epilogue) {
    case GELU: return gelu(y);
    case GELU_TANH: return gelu_tanh(y);
    case RELU: return relu(y);
    case SILU: return silu(y);
    case RESIDUAL: return y + load(residual);
    default: return y;
  }
}

#if !ACTIVATION_FLIP
/* Add what sums lack because of how activations are stored: nothing */
INLINE ints complete_sums(ints sums, floats scales, floats scaled_sums) { return sums; }
#endif

INLINE void write_tile(int epilogue, const Linear *map, const QuantisedRows *in, long row, long rows, long column, long vectors,
                        ints (*sums)[PANEL_VECTORS], float *out, long stride) {
  for (long v = 0; v < vectors; v++) {
    long at = column + v * LANES;
    floats scales = load(map->scales + at), scaled_sums = load(map->scaled_sums + at), bias = load(map->bias + at);
    floats factors = map->factors ? load(map->factors + at) : broadcast(1);
    for (long r = 0; r < rows; r++) {
      float *to = out + (row + r) * stride + at;
      floats y = __builtin_convertvector(complete_sums(sums[r][v], scales, scaled_sums), floats) * (scales * in->scales[row + r]);
      y = apply_epilogue(epilogue, y + (scaled_sums * in->minimums[row + r] + bias), to);
      store(to, epilogue == PLAIN || epilogue == RESIDUAL ? y : y * factors);
    }
  }
}

/* The same where every second vector of outputs is a factor: out = activation(first of two) * second of two, half as many outputs */
INLINE void write_gated_tile(int activation, const Linear *map, const QuantisedRows *in, long row, long rows, long column, long vectors,
                             ints (*sums)[PANEL_VECTORS], float *out, long stride) {
  for (long v = 0; v < vectors; v += 2) {
    long at = column + v * LANES;
    floats scales[2], scaled_sums[2], bias[2], y[2];
    for (int i = 0; i < 2; i++)
      scales[i] = load(map->scales + at + i * LANES), scaled_sums[i] = load(map->scaled_sums + at + i * LANES),
      bias[i] = load(map->bias + at + i * LANES);
    for (long r = 0; r < rows; r++) {
      for (int i = 0; i < 2; i++)
        y[i] = __builtin_convertvector(complete_sums(sums[r][v + i], scales[i], scaled_sums[i]), floats) * (scales[i] * in->scales[row + r]) +
               (scaled_sums[i] * in->minimums[row + r] + bias[i]);
      store(out + (row + r) * stride + at / 2, apply_epilogue(activation, y[0], NULL) * y[1]);
    }
  }
}

/* out[rows][outputs] = in[rows][inputs] times the map's weights, plus its bias, through the epilogue; RESIDUAL adds what `out` holds.
   A gated map's panels hold an even number of vectors. Full vectors are written: up to LANES - 1 floats behind each row's outputs. */
INLINE void product_with_epilogue(int epilogue, int gated, const Linear *map, const QuantisedRows *in, long rows, float *out, long stride) {
  long steps = round_up(map->inputs, STEP_INPUTS) / STEP_INPUTS, unit = gated ? 2 : 1;
  long units = round_up(map->outputs, unit * LANES) / (unit * LANES);
  long panels = round_up(units, PANEL_VECTORS / unit) / (PANEL_VECTORS / unit), column = 0;
  const int8_t *weights = map->weights;
  for (long panel = 0; panel < panels; panel++) {
    long panel_vectors = (units / panels + (panel < units % panels)) * unit;
    long row_tiles = round_up(rows, TILE_ROWS) / TILE_ROWS;
    Prefetch prefetch = {weights + steps * panel_vectors * STEP_BYTES,
        row_tiles > panel_vectors ? row_tiles / panel_vectors : 1};
    for (long row = 0; row < rows; row += TILE_ROWS) {
      long tile_rows = rows - row < TILE_ROWS ? rows - row : TILE_ROWS;
      ints sums[TILE_ROWS][PANEL_VECTORS];
      tiles[tile_rows - 1][panel_vectors - 1](in->bytes + row * in->stride, in->stride, weights, steps, prefetch, sums);
      if (gated) write_gated_tile(epilogue, map, in, row, tile_rows, column, panel_vectors, sums, out, stride);
      else write_tile(epilogue, map, in, row, tile_rows, column, panel_vectors, sums, out, stride);
      prefetch.weights += round_up(steps, prefetch.interval) / prefetch.interval * STEP_BYTES;
    }
    column += panel_vectors * LANES, weights += steps * panel_vectors * STEP_BYTES;
  }
}

static void product(int epilogue, const Linear *map, const QuantisedRows *in, long rows, float *out, long stride) {
  switch (epilogue) { /* each case gets its own loop */
    case GELU: product_with_epilogue(GELU, 0, map, in, rows, out, stride); break;
    case GELU_TANH: product_with_epilogue(GELU_TANH, 0, map, in, rows, out, stride); break;
    case RELU: product_with_epilogue(RELU, 0, map, in, rows, out, stride); break;
    case SILU: product_with_epilogue(SILU, 0, map, in, rows, out, stride); break;
    case RESIDUAL: product_with_epilogue(RESIDUAL, 0, map, in, rows, out, stride); break;
    default: product_with_epilogue(PLAIN, 0, map, in, rows, out, stride);
  }
}

/* out = activation(x) * y of a gated feed-forward part: the vectors of both alternate in the map's outputs */
static void gated_product(int activation, const Linear *map, const QuantisedRows *in, long rows, float *out, long stride) {
  switch (activation) {
    case GELU: product_with_epilogue(GELU, 1, map, in, rows, out, stride); break;
    case GELU_TANH: product_with_epilogue(GELU_TANH, 1, map, in, rows, out, stride); break;
    case SILU: product_with_epilogue(SILU, 1, map, in, rows, out, stride); break;
    default: product_with_epilogue(RELU, 1, map, in, rows, out, stride);
  }
}

/* Layer normalisation of a row of `count` floats to `out`, which may be the row: mean 0 and deviation 1, times gain, plus shift.
   With `root` the mean stays as it is, and the root of the mean square takes the deviation's place (RMSNorm). */
INLINE void normalise(const float *row, float *out, long count, const float *gain, const float *shift, float epsilon, int root) {
  floats total = broadcast(0), squares = broadcast(0);
  if (!root) for (long i = 0; i < count; i += LANES) total += first_lanes(count - i, load(row + i), broadcast(0));
  float mean = reduce_sum(total) / count;
  for (long i = 0; i < count; i += LANES) {
    floats x = first_lanes(count - i, load(row + i) - mean, broadcast(0));
    squares += x * x;
  }
  float scale = 1.0f / sqrtf(reduce_sum(squares) / count + epsilon);
  for (long i = 0; i < count; i += LANES) store(out + i, (load(row + i) - mean) * scale * load(gain + i) + load(shift + i));
}
