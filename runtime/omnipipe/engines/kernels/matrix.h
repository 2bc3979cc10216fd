// Products with a matrix whose weights were laid out beforehand, in f32: panels of PANEL columns, [panel][depth][PANEL],
// so that a product reads them once and in order, however few rows it has.
//
// A team computes a product together: each member takes the next task until there is none. What is done with the sums
// (bias, activation, what is added to them) is done while they are in the cache: `finish`.
#pragma once

#include "vectors.h"

#include <algorithm>
#include <atomic>

namespace omnipipe {

constexpr int PANEL = 32;
constexpr int WIDTH = VECTORS > 8 ? 2 : 1; // of a tile, in vectors: sums and weights fill the registers
constexpr int MOST_ROWS = VECTORS > 8 ? 14 : 6;
constexpr int64_t NEAR = 96 * 1024; // floats of the rows that a task goes through for each panel: they stay in L2
constexpr int AHEAD = 24;           // rows of a panel that are fetched before they are needed

struct Matrix {
  const float* panels = nullptr;
  const float* bias = nullptr; // of all panels' columns
  int64_t depth = 0, columns = 0;

  int64_t count() const { return (columns + PANEL - 1) / PANEL; }
};

// ROWS x (WIDTH vectors) of sums over the depth. `ahead`: floats from a weight to the one that is fetched with it.
template <int ROWS>
inline void sums_of(const float* x, int64_t stride, const float* weights, int64_t depth, int64_t ahead, float* out) {
  constexpr int ENOUGH = VECTORS > 8 ? 8 : 4; // sums at a time hide how long one takes
  constexpr int UNROLL = (ENOUGH + ROWS * WIDTH - 1) / (ROWS * WIDTH);
  vec sums[UNROLL][ROWS][WIDTH];
  for (auto& part : sums)
    for (auto& row : part)
      for (auto& sum : row) sum = vec{};
  int64_t k = 0;
  auto add = [&](int u) {
    const float* from = weights + (k + u) * PANEL;
    vec w[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
      __builtin_prefetch(from + ahead + 16 * i, 0, 3);
      w[i] = load(from + 16 * i);
    }
    for (int r = 0; r < ROWS; r++)
      for (int i = 0; i < WIDTH; i++) sums[u][r][i] += x[r * stride + k + u] * w[i];
  };
  for (; k + UNROLL <= depth; k += UNROLL)
    for (int u = 0; u < UNROLL; u++) add(u);
  for (; k < depth; k++) add(0);
  for (int r = 0; r < ROWS; r++)
    for (int i = 0; i < WIDTH; i++) {
      vec sum = sums[0][r][i];
      for (int u = 1; u < UNROLL; u++) sum += sums[u][r][i];
      store(out + r * PANEL + 16 * i, sum);
    }
}

template <int ROWS = MOST_ROWS>
inline void tile(int rows, const float* x, int64_t stride, const float* weights, int64_t depth, int64_t ahead,
                 float* out) {
  if constexpr (ROWS > 1)
    if (rows < ROWS) return tile<ROWS - 1>(rows, x, stride, weights, depth, ahead, out);
  for (int i = 0; i < PANEL; i += 16 * WIDTH) sums_of<ROWS>(x, stride, weights + i, depth, ahead, out + i);
}

// Rows of a product that a task goes through for each of its panels.
inline int64_t chunks_of(int64_t rows, int64_t depth) {
  const int64_t most = std::max<int64_t>(MOST_ROWS, NEAR / depth / MOST_ROWS * MOST_ROWS);
  return (rows + most - 1) / most;
}

// Panels of a task, where there are `panels` to share: enough tasks for a team to end together.
inline int64_t together_of(int64_t panels, int team) { return std::clamp<int64_t>(panels / (team * 6), 1, 8); }

// Rows `begin` to `end` of x and panels `first` to `last`. `finish(row, panel, sums)` for each row and panel.
template <class Finish>
void multiply_part(const Matrix& matrix, const float* x, int64_t stride, int64_t begin, int64_t end, int64_t first,
                   int64_t last, const Finish& finish) {
  const int64_t depth = matrix.depth, tiles = (end - begin + MOST_ROWS - 1) / MOST_ROWS;
  alignas(64) float sums[MOST_ROWS * PANEL];
  for (int64_t panel = first; panel < last; panel++)
    for (int64_t i = 0; i < tiles; i++) {
      const int64_t row = begin + (end - begin) * i / tiles, until = begin + (end - begin) * (i + 1) / tiles;
      // The first tile of a panel waits for memory, so the second brings the next panel near meanwhile.
      const int64_t ahead = PANEL * (i == 1 ? depth : AHEAD);
      tile(until - row, x + row * stride, stride, matrix.panels + panel * depth * PANEL, depth, ahead, sums);
      for (int64_t r = row; r < until; r++) finish(r, panel, sums + (r - row) * PANEL);
    }
}

// What each member of a team runs. `next` starts at 0.
template <class Finish>
void multiply(const Matrix& matrix, const float* x, int64_t stride, int64_t rows, int team, std::atomic<int64_t>& next,
              const Finish& finish) {
  const int64_t panels = matrix.count(), chunks = chunks_of(rows, matrix.depth);
  const int64_t together = together_of(panels * chunks, team), groups = (panels + together - 1) / together;
  for (int64_t task = next++; task < chunks * groups; task = next++) {
    const int64_t chunk = task / groups, first = task % groups * together;
    multiply_part(matrix, x, stride, rows * chunk / chunks, rows * (chunk + 1) / chunks, first,
                  std::min(panels, first + together), finish);
  }
}

} // namespace omnipipe
