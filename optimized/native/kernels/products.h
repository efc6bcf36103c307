/* Linear maps of rows of floats by bytes: each row gets a scale and a least value of its own, each output a scale.

     x = least + scale * q        q in 0..ACTIVATION_MAX, by row
     w = unit * b                 b in -WEIGHT_MAX..WEIGHT_MAX, by output
     x . w = scale * unit * (q . b) + least * (unit * sum of b)

   so that an answer does not depend on what else is in a batch. The last factor of each output is made beforehand.

   Weights lie as they are read: outputs in panels of at most VECTORS vectors, in a panel `steps` steps of the inputs,
   in a step GROUPS vectors of each vector of outputs, in it four inputs of each output.

   While a panel is multiplied, the next one is fetched into the second cache, evenly: weights of a layer are read once a block,
   from memory too far away for the processor's own prefetching to hide. */

#pragma once
#include "vectors.h"

#define ROWS (BYTES == 64 ? 6 : 4) /* of a tile: with VECTORS, what fits into the registers */
#define VECTORS (BYTES == 64 ? 4 : 2)
#define STEP (4 * GROUPS)  /* inputs of a step */
#define BLOCK (BYTES == 64 ? 192 : 24) /* rows that go through the layer together at most, a multiple of ROWS and TOKENS */

enum { PLAIN, GELU, GELU_TANH, RELU, RESIDUAL };

typedef struct {
  int32_t inputs, outputs;
  const int8_t *weights;
  const float *units, *sums, *bias; /* padded to whole vectors of outputs */
} Linear;

typedef struct {
  uint8_t *bytes; /* [rows][stride] */
  long stride;
  float scales[BLOCK], leasts[BLOCK];
} Rounded;

INLINE long padded(long count, long to) { return (count + to - 1) / to * to; }

/* Round a row of `count` floats, behind which LANES more can be read */
INLINE void round_row(const float *row, long count, Rounded *to, long at) {
  floats low = all(row[0]), high = low;
  for (long i = 0; i < count; i += LANES) {
    floats x = first(count - i, load(row + i), all(row[0]));
    low = smaller(low, x), high = larger(high, x);
  }
  float least = min_of(low), span = max_of(high) - least, finer = span > 0 ? ACTIVATION_MAX / span : 0;
  for (long i = 0; i < count; i += LANES) {
    floats x = (load(row + i) - least) * finer + 0.5f; /* behind the last input there may be anything: its weights are 0 */
    ((unaligned_bytes *)(to->bytes + at * to->stride + i))->in = __builtin_convertvector(__builtin_convertvector(x, ints), bytes);
  }
  to->scales[at] = span / ACTIVATION_MAX, to->leasts[at] = least;
}

/* Weights to fetch while others are multiplied: a vector in so many steps */
typedef struct {
  const int8_t *weights;
  long every;
} Ahead;

INLINE void multiply(int rows, int vectors, const uint8_t *a, long stride, const int8_t *w, long steps, Ahead ahead, ints (*sums)[VECTORS]) {
  ints sum[ROWS][VECTORS];
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = all_ints(0);
  for (long step = 0; step < steps;) {
    UNROLL for (int line = 0; line < GROUPS * BYTES; line += 64) __builtin_prefetch(ahead.weights + line, 0, 2);
    ahead.weights += GROUPS * BYTES;
    long stop = steps - step < ahead.every ? steps : step + ahead.every;
    for (; step < stop; step++, a += STEP, w += vectors * GROUPS * BYTES) {
      ints column[VECTORS][GROUPS];
      UNROLL for (int v = 0; v < vectors; v++) UNROLL for (int g = 0; g < GROUPS; g++)
        column[v][g] = load_ints(w + (v * GROUPS + g) * BYTES);
      UNROLL for (int r = 0; r < rows; r++) {
        ints token[GROUPS];
        UNROLL for (int g = 0; g < GROUPS; g++) token[g] = four_bytes(a + r * stride + 4 * g);
        UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = dot(sum[r][v], token, column[v]);
      }
    }
  }
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++) sums[r][v] = sum[r][v];
}

typedef void Tile(const uint8_t *, long, const int8_t *, long, Ahead, ints (*)[VECTORS]);
#define TILE(R, V)                                                                                            \
  static void tile_##R##_##V(const uint8_t *a, long stride, const int8_t *w, long steps, Ahead ahead, ints (*sums)[VECTORS]) { \
    multiply(R, V, a, stride, w, steps, ahead, sums);                                                                \
  }
#if BYTES == 64
#define TILES(R) TILE(R, 1) TILE(R, 2) TILE(R, 3) TILE(R, 4)
#define NAMES(R) {tile_##R##_1, tile_##R##_2, tile_##R##_3, tile_##R##_4}
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
static Tile *const tiles[ROWS][VECTORS] = {NAMES(1), NAMES(2), NAMES(3), NAMES(4), NAMES(5), NAMES(6)};
#else
#define TILES(R) TILE(R, 1) TILE(R, 2)
#define NAMES(R) {tile_##R##_1, tile_##R##_2}
TILES(1) TILES(2) TILES(3) TILES(4)
static Tile *const tiles[ROWS][VECTORS] = {NAMES(1), NAMES(2), NAMES(3), NAMES(4)};
#endif

INLINE floats finished(int finish, floats y, const float *residual) {
  switch (finish) {
    case GELU: return gelu(y);
    case GELU_TANH: return gelu_tanh(y);
    case RELU: return relu(y);
    case RESIDUAL: return y + load(residual);
    default: return y;
  }
}

INLINE void finish_tile(int finish, const Linear *map, const Rounded *in, long row, long rows, long column, long vectors,
                        ints (*sums)[VECTORS], float *out, long stride) {
  for (long v = 0; v < vectors; v++) {
    long at = column + v * LANES;
    floats units = load(map->units + at), totals = load(map->sums + at), bias = load(map->bias + at);
    for (long r = 0; r < rows; r++) {
      float *to = out + (row + r) * stride + at;
      floats y = __builtin_convertvector(sums[r][v], floats) * (units * in->scales[row + r]);
      store(to, finished(finish, y + (totals * in->leasts[row + r] + bias), to));
    }
  }
}

/* out[rows][outputs] = in[rows][inputs] through the map; RESIDUAL adds what `out` holds. Whole vectors are written:
   up to LANES - 1 floats behind each row's outputs. */
INLINE void product_of(int finish, const Linear *map, const Rounded *in, long rows, float *out, long stride) {
  long steps = padded(map->inputs, STEP) / STEP, vectors = padded(map->outputs, LANES) / LANES;
  long panels = padded(vectors, VECTORS) / VECTORS, column = 0;
  const int8_t *weights = map->weights;
  for (long panel = 0; panel < panels; panel++) {
    long wide = vectors / panels + (panel < vectors % panels);
    long tiles_high = padded(rows, ROWS) / ROWS;
    Ahead ahead = {weights + steps * wide * GROUPS * BYTES, tiles_high > wide ? tiles_high / wide : 1};
    for (long row = 0; row < rows; row += ROWS) {
      long high = rows - row < ROWS ? rows - row : ROWS;
      ints sums[ROWS][VECTORS];
      tiles[high - 1][wide - 1](in->bytes + row * in->stride, in->stride, weights, steps, ahead, sums);
      finish_tile(finish, map, in, row, high, column, wide, sums, out, stride);
      ahead.weights += padded(steps, ahead.every) / ahead.every * GROUPS * BYTES;
    }
    column += wide * LANES, weights += steps * wide * GROUPS * BYTES;
  }
}

static void product(int finish, const Linear *map, const Rounded *in, long rows, float *out, long stride) {
  switch (finish) { /* each with a loop of its own */
    case GELU: product_of(GELU, map, in, rows, out, stride); break;
    case GELU_TANH: product_of(GELU_TANH, map, in, rows, out, stride); break;
    case RELU: product_of(RELU, map, in, rows, out, stride); break;
    case RESIDUAL: product_of(RESIDUAL, map, in, rows, out, stride); break;
    default: product_of(PLAIN, map, in, rows, out, stride);
  }
}

/* A row of `count` floats to mean 0 and spread 1, times gain, plus shift, in place */
INLINE void normalise(float *row, long count, const float *gain, const float *shift, float epsilon) {
  floats total = all(0), squares = all(0);
  for (long i = 0; i < count; i += LANES) total += first(count - i, load(row + i), all(0));
  float mean = sum_of(total) / count;
  for (long i = 0; i < count; i += LANES) {
    floats x = first(count - i, load(row + i) - mean, all(0));
    squares += x * x;
  }
  float scale = 1.0f / sqrtf(sum_of(squares) / count + epsilon);
  for (long i = 0; i < count; i += LANES) store(row + i, (load(row + i) - mean) * scale * load(gain + i) + load(shift + i));
}
