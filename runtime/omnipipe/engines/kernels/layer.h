// What one decoder layer is made of, as it comes from `layers.py`, and the positions that it computes: where their keys
// and values go, and who attends to them.
#pragma once

#include "attention.h"
#include "rows.h"

#include <vector>

namespace omnipipe {

constexpr int POSITIONS = 32; // of a prompt that one task attends for

// Places in the list of a layer's tensors; an empty tensor: it has none. `layers.py` has the same list. ROUTER has a
// column for each expert, and one more for the gate of the shared expert where that has one.
enum Which { NORM, QKV, QKV_BIAS, QUERY_NORM, KEY_NORM, OUT, OUT_BIAS, NORM_BEHIND, MLP_NORM, GATED, GATED_BIAS, DOWN,
            DOWN_BIAS, MLP_NORM_BEHIND, ROUTER, EXPERTS_GATED, EXPERTS_DOWN, SHARED_GATED, SHARED_DOWN, LAYER_PARTS };
// And in those of its sizes and numbers.
enum Size { HEADS, KV_HEADS, DIM, INNER, WINDOW, ACTIVATION, TOP, NORMALISED, SHARED_GATE, LAYER_SIZES };
enum Number { EPSILON, HEAD_EPSILON, SCALE, CAP, FACTOR, LAYER_NUMBERS };

// Turns pairs of x, half of `size` apart, in place; `cos` and `sin` have `size` columns.
inline void rotate(float* x, const float* cos, const float* sin, int size) {
  const int half = size / 2;
  for (int d = 0; d < half; d++) {
    const float first = x[d], second = x[d + half];
    x[d] = first * cos[d] - second * sin[d];
    x[d + half] = second * cos[d + half] + first * sin[d + half];
  }
}

// A layer's weights and what is needed at each of its positions.
struct Layer {
  const std::vector<at::Tensor>& parts;
  int heads, kv_heads, dim, inner;
  bool tanh;
  float epsilon, head_epsilon, factor;

  const float* part(Which which) const { return data_of(parts[which]); }
};

// Query, key and value of a row: norms and positions; key and value go to their block.
struct Placer {
  const Layer& layer;
  const Pages& pages;
  const Shape& shape;
  const float *cos, *sin;
  int turned; // columns of a head that have a position
  Buffer qkv;
  float *keys, *values;

  void operator()(int64_t sequence, int row, int position) const {
    float* x = qkv.row(row);
    const float *query_norm = layer.part(QUERY_NORM), *key_norm = layer.part(KEY_NORM);
    for (int head = 0; head < layer.heads + layer.kv_heads; head++) {
      float* y = x + (int64_t)head * layer.dim;
      const float* weight = head < layer.heads ? query_norm : key_norm;
      if (weight) normalise(y, weight, layer.head_epsilon, layer.dim, y);
      if (turned) rotate(y, cos + (int64_t)row * turned, sin + (int64_t)row * turned, turned);
    }
    const float *key = x + (int64_t)layer.heads * layer.dim, *value = key + (int64_t)layer.kv_heads * layer.dim;
    for (int head = 0; head < layer.kv_heads; head++) {
      const int64_t offset = (int64_t)head * layer.dim * SLOTS;
      write(key + (int64_t)head * layer.dim, value + (int64_t)head * layer.dim, {keys + offset, values + offset},
            pages.table(sequence), position, shape);
    }
  }
};

struct Piece {
  int64_t sequence;
  int row, start, count;
};

// Tasks of attention, for one head: what is long is cut, so that the team is done together.
inline std::vector<Piece> pieces_of(const Pages& pages) {
  std::vector<Piece> pieces;
  for (int64_t s = 0; s < pages.sequences; s++)
    for (int done = 0; done < pages.count(s); done += POSITIONS)
      pieces.push_back({s, pages.row(s) + done, pages.start(s) + done, std::min(POSITIONS, pages.count(s) - done)});
  return pieces;
}

} // namespace omnipipe
