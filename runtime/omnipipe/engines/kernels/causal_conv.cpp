// Causal convolutions of vocoders on a CPU, in f32, each with the snake before it, x + depth * sin(pitch * x)^2: some
// channels, thousands of columns, far from what matrix libraries are made for. A call goes through its columns in strips
// that stay in the cache; what a convolution reaches back to comes in as `past` and goes out as `left`.
//
// Columns are [batch, channels, columns]; of `past` and `left` only the batch's stride may be any. Weights are
// [block, input, tap, BLOCK]: so many output channels are worked out together, the last block filled up with zeros.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "vectors.h"

namespace {

// Registers as they are, not `omnipipe::vec`: with AVX2 that would be two of them for each sum, and they would not fit.
using vec = omnipipe::part;
using vec_anywhere = omnipipe::part_anywhere;
constexpr int WIDTH = omnipipe::PART;
constexpr int BLOCK = 6;                   // output channels and
constexpr int VECTORS = WIDTH == 8 ? 2 : 4; // vectors of columns of a tile: its sums fit into the registers, with one more
constexpr int64_t PAD = WIDTH * VECTORS;
constexpr int64_t STRIP = 8192; // numbers of a strip, all channels together: 32 KiB

inline vec load(const float* from) { return *(const vec_anywhere*)from; }
inline void store(float* to, vec x) { *(vec_anywhere*)to = x; }
inline vec splat(float x) { return vec{} + x; }

// sin(y)^2 has the period pi and is even. Within 1e-6 as long as y is below some ten thousand, beyond that bounded.
inline vec sine_squared(vec y) {
  const vec half_even = splat(12582912.f); // 1.5 * 2^23: adding it leaves no places behind the point
  const vec turns = (y * 0.318309886f + half_even) - half_even;
  vec r = y - turns * 3.14159274f;
  r = r + turns * 8.74227766e-8f;
  vec s = r * r;
  const vec most = splat(2.5f);
  s = s > most ? most : s;
  vec u = splat(2.6083159809786593541503e-06f);
  u = u * s - 0.0001981069071916863322258f;
  u = u * s + 0.00833307858556509017944336f;
  u = u * s - 0.166666597127914428710938f;
  const vec q = s * u + 1.f; // sin(r) / r
  return s * q * q;
}

inline vec snake(vec x, float pitch, float depth) { return x + sine_squared(x * pitch) * depth; }

struct Snake {
  const float* pitch; // null: none
  const float* depth;
};

struct Weights {
  const float* values;
  const float* bias; // as long as the blocks are
  int64_t inputs, outputs, taps, dilation, block;
  int64_t reach() const { return (taps - 1) * dilation; }
  int64_t blocks() const { return (outputs + block - 1) / block; }
};

// CHANNELS outputs at COUNT * WIDTH columns.
template <int CHANNELS, int COUNT>
inline void convolve(const float* in, int64_t row, const Weights& w, int64_t block, vec (&sums)[CHANNELS][COUNT]) {
  for (int o = 0; o < CHANNELS; o++)
    for (int v = 0; v < COUNT; v++) sums[o][v] = splat(w.bias[block * CHANNELS + o]);
  const float* values = w.values + block * w.inputs * w.taps * CHANNELS;
  for (int64_t c = 0; c < w.inputs; c++) {
    const float* from = in + c * row;
    for (int64_t k = 0; k < w.taps; k++, from += w.dilation, values += CHANNELS) {
      vec x[COUNT];
      for (int v = 0; v < COUNT; v++) x[v] = load(from + v * WIDTH);
      for (int o = 0; o < CHANNELS; o++)
        for (int v = 0; v < COUNT; v++) sums[o][v] += x[v] * values[o];
    }
  }
}

// All outputs at `columns` columns: `emit(channel, column, vector)`, whose last lanes may be behind the end. Rows of `in`
// are readable PAD further.
template <int CHANNELS, class Emit>
void convolve_blocks(const float* in, int64_t row, const Weights& w, int64_t columns, const Emit& emit) {
  for (int64_t block = 0; block < w.blocks(); block++) {
    const int64_t first = block * CHANNELS;
    const int some = (int)std::min<int64_t>(CHANNELS, w.outputs - first);
    auto run = [&](int64_t column, auto count) {
      constexpr int COUNT = decltype(count)::value;
      vec sums[CHANNELS][COUNT];
      convolve<CHANNELS, COUNT>(in + column, row, w, block, sums);
      for (int o = 0; o < some; o++)
        for (int v = 0; v < COUNT; v++) emit(first + o, column + v * WIDTH, sums[o][v]);
    };
    int64_t column = 0;
    for (; columns - column > (VECTORS - 1) * WIDTH; column += PAD) run(column, std::integral_constant<int, VECTORS>{});
    for (; columns - column > WIDTH; column += 2 * WIDTH) run(column, std::integral_constant<int, 2>{});
    for (; columns - column > 0; column += WIDTH) run(column, std::integral_constant<int, 1>{});
  }
}

template <class Emit>
void convolve_all(const float* in, int64_t row, const Weights& w, int64_t columns, const Emit& emit) {
  switch (w.block) {
  case 1: return convolve_blocks<1>(in, row, w, columns, emit);
  case 2: return convolve_blocks<2>(in, row, w, columns, emit);
  case 3: return convolve_blocks<3>(in, row, w, columns, emit);
  case 4: return convolve_blocks<4>(in, row, w, columns, emit);
  case 5: return convolve_blocks<5>(in, row, w, columns, emit);
  default: return convolve_blocks<BLOCK>(in, row, w, columns, emit);
  }
}

// Writes as many lanes as there are columns.
inline void put(float* to, int64_t lanes, vec x) {
  if (lanes >= WIDTH) return store(to, x);
  std::memcpy(to, &x, lanes * sizeof(float));
}

inline vec get(const float* from, int64_t lanes) {
  if (lanes >= WIDTH) return load(from);
  vec x{};
  std::memcpy(&x, from, lanes * sizeof(float));
  return x;
}

// One waveform's columns on their way through a convolution, past the snake, strip by strip: `[channels, before + strip]`.
class Strips {
public:
  // `x`: rows `stride` apart; `past`: the columns ahead of it, null: zeros.
  Strips(const float* x, int64_t stride, int64_t channels, int64_t columns, const float* past, int64_t before, Snake snake)
      : x_(x), stride_(stride), channels_(channels), columns_(columns), before_(before), snake_(snake),
        size_(std::max<int64_t>(PAD, STRIP / channels / PAD * PAD)), row_(before + size_ + PAD) {
    thread_local std::vector<float> memory;
    if ((int64_t)memory.size() < channels * row_) memory.resize(channels * row_);
    rows_ = memory.data();
    for (int64_t c = 0; c < channels && before; c++) {
      if (past) std::memcpy(rows_ + c * row_, past + c * before, before * sizeof(float));
      else std::memset(rows_ + c * row_, 0, before * sizeof(float));
    }
  }

  // Goes on to the next columns; false: there are none.
  bool next() {
    if (start_ + strip_ == columns_) return false;
    for (int64_t c = 0; c < channels_ && strip_; c++) // the newest columns of the last strip
      std::memmove(rows_ + c * row_, rows_ + c * row_ + strip_, before_ * sizeof(float));
    start_ += strip_;
    strip_ = std::min(size_, columns_ - start_);
    for (int64_t c = 0; c < channels_; c++) {
      const float* from = x_ + c * stride_ + start_;
      float* to = rows_ + c * row_ + before_;
      for (int64_t at = 0; at < strip_; at += WIDTH) {
        const vec x = get(from + at, strip_ - at);
        store(to + at, snake_.pitch ? snake(x, snake_.pitch[c], snake_.depth[c]) : x);
      }
    }
    return true;
  }

  // After the last strip: as many of the newest columns as there were before the first.
  void leave(float* left) const {
    for (int64_t c = 0; c < channels_; c++)
      std::memcpy(left + c * before_, rows_ + c * row_ + strip_, before_ * sizeof(float));
  }

  const float* rows() const { return rows_; }
  int64_t row() const { return row_; }
  int64_t start() const { return start_; } // of the strip, in `x`
  int64_t columns() const { return strip_; }
  int64_t most() const { return size_; }

private:
  const float* x_;
  int64_t stride_, channels_, columns_, before_;
  Snake snake_;
  int64_t size_, row_;
  float* rows_;
  int64_t start_ = 0, strip_ = 0;
};

using at::Tensor;
using std::optional;

const float* numbers(const optional<Tensor>& x) { return x ? x->const_data_ptr<float>() : nullptr; }
const float* row_of(const optional<Tensor>& x, int64_t row) {
  return x ? x->const_data_ptr<float>() + row * x->stride(0) : nullptr;
}

Weights weights_of(const Tensor& weights, const Tensor& bias, int64_t outputs, int64_t dilation) {
  TORCH_CHECK(weights.dim() == 4 && weights.is_contiguous() && bias.is_contiguous());
  const Weights w{weights.const_data_ptr<float>(), bias.const_data_ptr<float>(), weights.size(1), outputs,
                  weights.size(2), dilation, weights.size(3)};
  TORCH_CHECK(w.block <= BLOCK && weights.size(0) == w.blocks() && bias.numel() == w.blocks() * w.block);
  return w;
}

Snake snake_of(const optional<Tensor>& pitch, const optional<Tensor>& depth, int64_t channels) {
  TORCH_CHECK(pitch.has_value() == depth.has_value());
  if (pitch) TORCH_CHECK(pitch->numel() == channels && depth->numel() == channels);
  return {numbers(pitch), numbers(depth)};
}

void check(const Tensor& x, const Weights& w, const optional<Tensor>& past, const Tensor& left) {
  TORCH_CHECK(x.dim() == 3 && x.is_contiguous() && x.size(1) == w.inputs && x.size(2) > 0);
  const int64_t reach = w.reach();
  for (const Tensor* edge : {past ? &*past : nullptr, &left})
    if (edge)
      TORCH_CHECK(edge->dim() == 3 && edge->size(0) == x.size(0) && edge->size(1) == w.inputs &&
                  edge->size(2) == reach && (!reach || (edge->stride(2) == 1 && edge->stride(1) == reach)));
}

// [batch, inputs, columns] -> [batch, outputs, columns]. Without `past`, zeros were there.
Tensor causal_conv(const Tensor& x, const optional<Tensor>& past, const Tensor& left, const Tensor& weights,
                   const Tensor& bias, int64_t outputs, int64_t dilation, const optional<Tensor>& pitch,
                   const optional<Tensor>& depth) {
  const Weights w = weights_of(weights, bias, outputs, dilation);
  const Snake before = snake_of(pitch, depth, w.inputs);
  check(x, w, past, left);
  const int64_t columns = x.size(2);
  Tensor y = at::empty({x.size(0), outputs, columns}, x.options());
  const float* from = x.const_data_ptr<float>();
  float *to = y.data_ptr<float>(), *leaves = left.data_ptr<float>();
  at::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++) {
      Strips in(from + b * x.stride(0), columns, w.inputs, columns, row_of(past, b), w.reach(), before);
      while (in.next())
        convolve_all(in.rows(), in.row(), w, in.columns(), [&](int64_t channel, int64_t column, vec sum) {
          put(to + b * y.stride(0) + channel * columns + in.start() + column, in.columns() - column, sum);
        });
      in.leave(leaves + b * left.stride(0));
    }
  });
  return y;
}

// A transposed convolution whose kernel is twice its stride: each two columns next to each other make `stride` new ones.
// To `weights` these are `outputs * stride` channels of one column. Without `past`, the first pair begins with x.
Tensor causal_upsample(const Tensor& x, const optional<Tensor>& past, const Tensor& left, const Tensor& weights,
                       const Tensor& bias, int64_t outputs, int64_t stride, const Tensor& pitch, const Tensor& depth) {
  const Weights w = weights_of(weights, bias, outputs * stride, 1);
  const Snake before = snake_of(pitch, depth, w.inputs);
  TORCH_CHECK(w.taps == 2);
  check(x, w, past, left);
  const int64_t columns = x.size(2), skipped = past ? 0 : 1, pairs = columns - skipped;
  Tensor y = at::empty({x.size(0), outputs, pairs * stride}, x.options());
  const float* from = x.const_data_ptr<float>();
  float *to = y.data_ptr<float>(), *leaves = left.data_ptr<float>();
  at::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> first(w.inputs);
    for (int64_t b = begin; b < end; b++) {
      const float* row = from + b * x.stride(0);
      for (int64_t c = 0; c < w.inputs && skipped; c++)
        first[c] = snake(splat(row[c * columns]), before.pitch[c], before.depth[c])[0];
      Strips in(row + skipped, columns, w.inputs, pairs, past ? row_of(past, b) : first.data(), 1, before);
      while (in.next())
        convolve_all(in.rows(), in.row(), w, in.columns(), [&](int64_t channel, int64_t column, vec sum) {
          float* at = to + b * y.stride(0) + channel / stride * pairs * stride + channel % stride +
                      (in.start() + column) * stride;
          const int lanes = (int)std::min<int64_t>(WIDTH, in.columns() - column);
          for (int lane = 0; lane < lanes; lane++) at[lane * stride] = sum[lane];
        });
      in.leave(leaves + b * left.stride(0));
    }
  });
  return y;
}

// x += narrow(snake(wide(snake(x)))): a residual unit whose second convolution has one tap.
void causal_residual(Tensor x, const optional<Tensor>& past, const Tensor& left, const Tensor& wide_weights,
                     const Tensor& wide_bias, int64_t dilation, const Tensor& wide_pitch, const Tensor& wide_depth,
                     const Tensor& narrow_weights, const Tensor& narrow_bias, const Tensor& narrow_pitch,
                     const Tensor& narrow_depth) {
  const int64_t channels = x.size(1), columns = x.size(2);
  const Weights wide = weights_of(wide_weights, wide_bias, channels, dilation);
  const Weights narrow = weights_of(narrow_weights, narrow_bias, channels, 1);
  const Snake before = snake_of(wide_pitch, wide_depth, channels);
  const Snake between = snake_of(narrow_pitch, narrow_depth, channels);
  check(x, wide, past, left);
  TORCH_CHECK(narrow.inputs == channels && narrow.taps == 1);
  float *values = x.data_ptr<float>(), *leaves = left.data_ptr<float>();
  at::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> middle;
    for (int64_t b = begin; b < end; b++) {
      float* to = values + b * x.stride(0);
      Strips in(to, columns, channels, columns, row_of(past, b), wide.reach(), before);
      const int64_t row = in.most() + PAD;
      middle.resize(channels * row);
      while (in.next()) {
        convolve_all(in.rows(), in.row(), wide, in.columns(), [&](int64_t channel, int64_t column, vec sum) {
          store(middle.data() + channel * row + column, snake(sum, between.pitch[channel], between.depth[channel]));
        });
        convolve_all(middle.data(), row, narrow, in.columns(), [&](int64_t channel, int64_t column, vec sum) {
          float* at = to + channel * columns + in.start() + column;
          const int64_t lanes = in.columns() - column;
          put(at, lanes, get(at, lanes) + sum);
        });
      }
      in.leave(leaves + b * left.stride(0));
    }
  });
}

} // namespace

TORCH_LIBRARY_FRAGMENT(omnipipe, library) {
  library.def(
      "causal_conv(Tensor x, Tensor? past, Tensor(a!) left, Tensor weights, Tensor bias, int outputs, int dilation, "
      "Tensor? pitch, Tensor? depth) -> Tensor");
  library.def(
      "causal_upsample(Tensor x, Tensor? past, Tensor(a!) left, Tensor weights, Tensor bias, int outputs, int stride, "
      "Tensor pitch, Tensor depth) -> Tensor");
  library.def(
      "causal_residual(Tensor(a!) x, Tensor? past, Tensor(b!) left, Tensor wide_weights, Tensor wide_bias, "
      "int dilation, Tensor wide_pitch, Tensor wide_depth, Tensor narrow_weights, Tensor narrow_bias, "
      "Tensor narrow_pitch, Tensor narrow_depth) -> ()");
}
TORCH_LIBRARY_IMPL(omnipipe, CPU, library) {
  library.impl("causal_conv", &causal_conv);
  library.impl("causal_upsample", &causal_upsample);
  library.impl("causal_residual", &causal_residual);
}
