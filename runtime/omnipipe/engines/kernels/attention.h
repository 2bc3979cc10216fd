// Attention of a few query rows of one sequence and one KV head over its blocks, in f32.
//
// K is [block, head, dim, SLOTS], V [block, head, SLOTS, dim]. Reads no slot behind a sequence's context.
#pragma once

#include "vectors.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

namespace omnipipe {

constexpr int SLOTS = 16; // positions in a block: one vector of scores
constexpr int MAX_ROWS = VECTORS / 4 > 4 ? 8 : 4; // query rows that share one pass over a sequence's keys

// What all sequences of one call have in common.
struct Shape {
  int dim;
  int64_t block_stride;
  float scale;
  int window; // 0: none
  float cap;  // 0: none
};

// ROWS queries against the keys of BLOCKS blocks: scores[row * stride + slot]. With few rows it is memory that takes the
// time, and the processor itself does not look ahead beyond a page: `next` is what comes after these.
template <int ROWS, int BLOCKS>
void score(const float* const* query, const float* const* keys, const float* next, int dim, float* scores, int stride) {
  constexpr int FIT = VECTORS > 8 ? 8 / (ROWS * BLOCKS) : 4 / (ROWS * BLOCKS); // sums that a register each is left for
  constexpr int UNROLL = FIT > 4 ? 4 : FIT > 1 ? FIT : 1;
  vec sums[UNROLL][BLOCKS][ROWS];
  for (auto& part : sums)
    for (auto& block : part)
      for (auto& sum : block) sum = vec{};
  for (int d = 0; d < dim; d += UNROLL)
    for (int u = 0; u < UNROLL; u++) {
      vec k[BLOCKS];
      for (int b = 0; b < BLOCKS; b++) {
        k[b] = load(keys[b] + (d + u) * SLOTS);
        if constexpr (ROWS <= 4) __builtin_prefetch(next + (d + u) * SLOTS, 0, 3);
      }
      for (int r = 0; r < ROWS; r++)
        for (int b = 0; b < BLOCKS; b++) sums[u][b][r] += query[r][d + u] * k[b];
    }
  for (int r = 0; r < ROWS; r++)
    for (int b = 0; b < BLOCKS; b++) {
      vec sum = sums[0][b][r];
      for (int u = 1; u < UNROLL; u++) sum += sums[u][b][r];
      store(scores + (int64_t)r * stride + b * SLOTS, sum);
    }
}

// Adds `count` values of one block, weighted, to WIDTH vectors of each row's sum.
template <int ROWS, int WIDTH>
void add_columns(const float* weights, int stride, const float* values, int dim, int d, float* out, int count) {
  vec sums[ROWS][WIDTH];
  for (int r = 0; r < ROWS; r++)
    for (int i = 0; i < WIDTH; i++) sums[r][i] = load(out + r * dim + d + 16 * i);
  for (int slot = 0; slot < count; slot++) {
    vec value[WIDTH];
    for (int i = 0; i < WIDTH; i++) value[i] = load(values + slot * dim + d + 16 * i);
    for (int r = 0; r < ROWS; r++) {
      const float weight = weights[(int64_t)r * stride + slot];
      for (int i = 0; i < WIDTH; i++) sums[r][i] += weight * value[i];
    }
  }
  for (int r = 0; r < ROWS; r++)
    for (int i = 0; i < WIDTH; i++) store(out + r * dim + d + 16 * i, sums[r][i]);
}

template <int ROWS>
void add_values(const float* weights, int stride, const float* values, const float* next, int dim, float* out,
                int count) {
  if constexpr (ROWS <= 4)
    for (int i = 0; i < count * dim; i += 16) __builtin_prefetch(next + i, 0, 3);
  int d = 0;
  if constexpr (ROWS * 4 + 4 <= VECTORS)
    for (; dim - d >= 64; d += 64) add_columns<ROWS, 4>(weights, stride, values, dim, d, out, count);
  if constexpr (ROWS * 2 + 2 <= VECTORS)
    for (; dim - d >= 32; d += 32) add_columns<ROWS, 2>(weights, stride, values, dim, d, out, count);
  for (; d < dim; d += 16) add_columns<ROWS, 1>(weights, stride, values, dim, d, out, count);
}

// Scores of one row become weights, all of them times what is answered; `low` to `high` are seen.
inline float softmax(float* x, int size, int low, int high, const Shape& shape) {
  auto at_edge = [&](int j) { return j < low || j + 16 > high; };
  vec most = splat(-INFINITY);
  for (int j = 0; j < size; j += 16) {
    vec y = load(x + j) * shape.scale;
    if (shape.cap > 0)
      for (int i = 0; i < 16; i++) y.set(i, shape.cap * std::tanh(y[i] / shape.cap));
    if (at_edge(j)) // behind the cap, which would make something finite of what is not seen
      for (int i = 0; i < 16; i++)
        if (j + i < low || j + i >= high) y.set(i, -INFINITY);
    store(x + j, y);
    most = larger(y, most);
  }
  const float top = largest_of(most);
  vec sum = vec{};
  for (int j = 0; j < size; j += 16) {
    const vec y = load(x + j);
    vec e = exp_negative(y - top);
    if (at_edge(j)) e = choose(y < -1e37f, vec{}, e);
    store(x + j, e);
    sum += e;
  }
  return sum_of(sum);
}

// ROWS queries, at `positions` in rising order, of one sequence and one KV head.
template <int ROWS>
void attend(const float* const* query, const int* positions, const float* keys, const float* values, const int* table,
            const Shape& shape, float* scores, float* out) {
  const int last = positions[ROWS - 1];
  const int first = shape.window > 0 ? std::max(0, positions[0] - shape.window + 1) : 0;
  const int begin = first / SLOTS, end = last / SLOTS + 1, stride = (end - begin) * SLOTS;
  auto block = [&](const float* memory, int b) { return memory + table[std::min(b, end - 1)] * shape.block_stride; };
  int b = begin;
  if constexpr (ROWS * 2 + 2 <= VECTORS && ROWS > 4)
    for (; b + 2 <= end; b += 2) {
      const float* both[2] = {block(keys, b), block(keys, b + 1)};
      score<ROWS, 2>(query, both, nullptr, shape.dim, scores + (b - begin) * SLOTS, stride);
    }
  for (; b < end; b++) {
    const float* one[1] = {block(keys, b)};
    const float* next = b + 1 < end ? block(keys, b + 1) : block(values, begin);
    score<ROWS, 1>(query, one, next, shape.dim, scores + (b - begin) * SLOTS, stride);
  }
  float totals[ROWS];
  for (int r = 0; r < ROWS; r++) {
    const int low = shape.window > 0 ? std::max(0, positions[r] - shape.window + 1 - begin * SLOTS) : 0;
    totals[r] = softmax(scores + (int64_t)r * stride, stride, low, positions[r] - begin * SLOTS + 1, shape);
  }
  std::memset(out, 0, sizeof(float) * ROWS * shape.dim);
  for (b = begin; b < end; b++)
    add_values<ROWS>(scores + (b - begin) * SLOTS, stride, block(values, b), block(values, b + 1), shape.dim, out,
                     std::min(SLOTS, last + 1 - b * SLOTS));
  for (int r = 0; r < ROWS; r++)
    for (int d = 0; d < shape.dim; d += 16) store(out + r * shape.dim + d, load(out + r * shape.dim + d) / totals[r]);
}

// Where a step's slices lie: `places` is [sequence, 3]: first row, rows, context; `tables` [sequence, blocks].
struct Pages {
  const int* places;
  const int* tables;
  int64_t sequences, width;

  int row(int64_t sequence) const { return places[sequence * 3]; }
  int count(int64_t sequence) const { return places[sequence * 3 + 1]; }
  int start(int64_t sequence) const { return places[sequence * 3 + 2] - places[sequence * 3 + 1]; }
  const int* table(int64_t sequence) const { return tables + sequence * width; }
};

// One layer's memory for keys and values, at one KV head.
struct HeadMemory {
  float* keys;
  float* values;
};

// Query rows and the rows of the answer: of one KV head's group of heads, at a row of the step.
struct Rows {
  const float* query;
  int64_t query_row, query_head; // strides
  float* out;
  int64_t out_row, out_head;
};

inline void write(const float* key, const float* value, const HeadMemory& memory, const int* table, int position,
                  const Shape& shape) {
  const int64_t block = table[position / SLOTS] * shape.block_stride;
  const int slot = position % SLOTS;
  float* keys = memory.keys + block + slot;
  for (int d = 0; d < shape.dim; d++) keys[d * SLOTS] = key[d];
  std::memcpy(memory.values + block + (int64_t)slot * shape.dim, value, sizeof(float) * shape.dim);
}

// `count` positions from `start` on, whose first is at `row` of the step; `group` heads share the KV head.
inline void attend_positions(const Rows& rows, const HeadMemory& memory, const int* table, int row, int start,
                             int count, int group, const Shape& shape, std::vector<float>& scratch) {
  scratch.resize((size_t)MAX_ROWS * (shape.dim + start + count + 2 * SLOTS));
  float *sums = scratch.data(), *scores = sums + MAX_ROWS * shape.dim;
  const int total = count * group;
  int done = 0;
  auto run = [&](auto size) {
    constexpr int ROWS = decltype(size)::value;
    const float* queries[ROWS];
    int positions[ROWS];
    for (int r = 0; r < ROWS; r++) {
      const int token = (done + r) / group, member = (done + r) % group;
      queries[r] = rows.query + member * rows.query_head + (row + token) * rows.query_row;
      positions[r] = start + token;
    }
    attend<ROWS>(queries, positions, memory.keys, memory.values, table, shape, scores, sums);
    for (int r = 0; r < ROWS; r++) {
      const int token = (done + r) / group, member = (done + r) % group;
      std::memcpy(rows.out + member * rows.out_head + (row + token) * rows.out_row, sums + r * shape.dim,
                  sizeof(float) * shape.dim);
    }
    done += ROWS;
  };
  if constexpr (MAX_ROWS >= 8)
    while (total - done >= 8) run(std::integral_constant<int, 8>{});
  while (total - done >= 4) run(std::integral_constant<int, 4>{});
  while (total - done >= 2) run(std::integral_constant<int, 2>{});
  while (total - done >= 1) run(std::integral_constant<int, 1>{});
}

} // namespace omnipipe
