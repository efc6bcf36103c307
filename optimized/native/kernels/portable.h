/* Operations of vectors.h in plain C, for vectors of any width: what the instructions of each processor are tested against. */

#pragma once

#define LANE_INPUTS 4
#define ACTIVATION_FLIP 0
#define DOT_GROUPS 1
#define ACTIVATION_MAX 255
#define WEIGHT_MAX 127
#define DOT_NAME "portable"
INLINE ints dot_bytes(ints sum, const ints *a, const ints *w) {
  UNROLL for (int at = 0; at < 32; at += 8) sum += ((*a >> at) & 255) * ((*w << (24 - at)) >> 24);
  return sum;
}

INLINE ints dot_pairs(ints sum, ints a, ints b) { return sum + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16); }

INLINE floats maximum(floats x, floats y) { return select_lanes(x > y, x, y); }
INLINE floats minimum(floats x, floats y) { return select_lanes(x < y, x, y); }

/* Halves are combined until one number is left, as the instructions do: float32 sums in another order would differ */
#define SUM_OF(x, y) ((x) + (y))
#define MIN_OF(x, y) ((x) < (y) ? (x) : (y))
#define REDUCE(NAME, COMBINE)                                                      \
  INLINE float NAME(floats x) {                                                    \
    for (int half = LANES / 2; half; half /= 2)                                    \
      for (int i = 0; i < half; i++) x[i] = COMBINE(x[i], x[i + half]);            \
    return x[0];                                                                   \
  }
REDUCE(reduce_sum, SUM_OF)
REDUCE(reduce_max, MAX_OF)
REDUCE(reduce_min, MIN_OF)
