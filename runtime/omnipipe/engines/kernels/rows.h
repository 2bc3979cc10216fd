// Rows of floats between the phases of a call: where they lie, whose they are, and what is done with the sums of a product
// that become some of them.
#pragma once

#include "matrix.h"

#include <ATen/ATen.h>

#include <array>
#include <cstring>

namespace omnipipe {

// Reads and writes rows; a row of a buffer is a little longer than it need be, so that the rows of a tile do not fall
// into the same few lines of the cache.
struct Buffer {
  float* data;
  int64_t stride;

  float* row(int64_t i) const { return data + i * stride; }
};

inline int64_t padded(int64_t columns) { return (columns + 15) / 16 * 16 + 16; }

// Memory for what lies between phases, of the thread that calls; it stays.
class Workspace {
public:
  Buffer buffer(int index, int64_t rows, int64_t columns) {
    at::Tensor& kept = kept_[index];
    const int64_t stride = padded(columns), size = rows * stride;
    if (!kept.defined() || kept.numel() < size) kept = at::empty({size}, at::kFloat);
    return {kept.data_ptr<float>(), stride};
  }

private:
  std::array<at::Tensor, 6> kept_;
};

inline const float* data_of(const at::Tensor& x) { return x.numel() ? x.data_ptr<float>() : nullptr; }

inline Matrix matrix_of(const at::Tensor& panels, const at::Tensor& bias, int64_t columns) {
  return {data_of(panels), data_of(bias), panels.size(1), columns};
}

// The share of one member of a team of `size`.
struct Share {
  int64_t begin, end;

  Share(int64_t count, int member, int size) : begin(count * member / size), end(count * (member + 1) / size) {}
};

// y = x / |x| * weight; y may be x. `size` is a multiple of 16.
inline void normalise(const float* x, const float* weight, float epsilon, int64_t size, float* y) {
  vec squares = vec{};
  for (int64_t i = 0; i < size; i += 16) squares += load(x + i) * load(x + i);
  const float scale = 1.0f / std::sqrt(sum_of(squares) / size + epsilon);
  for (int64_t i = 0; i < size; i += 16) store(y + i, load(x + i) * scale * load(weight + i));
}

// What the sums of a panel become in a buffer's row: bias, and what is added.
struct Plain {
  const Matrix& matrix;
  Buffer to;
  const float* added = nullptr;
  int64_t added_stride = 0;
  float factor = 1.0f;

  // `added` may be where the answer goes.
  void operator()(int64_t row, int64_t panel, float* sums) const {
    const int64_t at = panel * PANEL, size = std::min<int64_t>(PANEL, matrix.columns - at);
    if (matrix.bias)
      for (int64_t i = 0; i < size; i++) sums[i] += matrix.bias[at + i];
    if (added)
      for (int64_t i = 0; i < size; i++) sums[i] = added[row * added_stride + at + i] + sums[i] * factor;
    std::memcpy(to.row(row) + at, sums, sizeof(float) * size);
  }
};

// Each panel has 16 columns of the gate and the same 16 of what it lets through.
struct Gated {
  const Matrix& matrix;
  Buffer to;
  bool tanh;

  void operator()(int64_t row, int64_t panel, const float* sums) const {
    vec gate = load(sums), up = load(sums + 16);
    if (matrix.bias) {
      gate += load(matrix.bias + panel * PANEL);
      up += load(matrix.bias + panel * PANEL + 16);
    }
    store(to.row(row) + panel * 16, (tanh ? gelu_tanh(gate) : silu(gate)) * up);
  }
};

} // namespace omnipipe
