// The likeliest token of each row of logits among those that its grammar allows: a bit for each token, looked at while
// the row is read for its largest number, which has to be done anyway. A free row has no bits, and costs what it did.
#include "vectors.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>

namespace omnipipe {

namespace {

constexpr int64_t CHUNK = 1024; // numbers of which the largest is known by itself, so that it is found again soon

// Bit i of `bits`, for lane i.
OMNIPIPE_INLINE mask lanes_of(int bits) {
  mask found;
  OMNIPIPE_EACH {
    ipart lane;
    for (int k = 0; k < PART; k++) lane[k] = 1 << (i * PART + k);
    found.of[i] = ((ipart{} + bits) & lane) != 0;
  }
  return found;
}

struct Found {
  float most = -INFINITY;
  int64_t where = 0;
};

struct Row {
  float* numbers;
  const uint16_t* bits; // null: all are allowed
  bool clears;          // what is not allowed becomes -infinity

  bool allows(int64_t i) const { return !bits || bits[i / 16] >> (i % 16) & 1; }

  // Not a number where one of the row is none, or infinite, allowed or not.
  Found find(int64_t size) const {
    const int64_t whole = size / 16 * 16;
    float odd = 0.0f;
    Found found;
    for (int64_t i = 0; i < whole; i += CHUNK) {
      vec top = splat(-INFINITY), strange = splat(0.0f);
      for (int64_t j = i; j < std::min(whole, i + CHUNK); j += 16) {
        const vec y = load(numbers + j);
        strange += choose(y < INFINITY, splat(0.0f), y);
        top = larger(bits ? allowed(j, y) : y, top);
      }
      odd += sum_of(strange);
      const float most = largest_of(top);
      if (most > found.most) found = {most, i};
    }
    for (int64_t i = whole; i < size; i++) {
      if (!(numbers[i] < INFINITY)) odd += numbers[i];
      if (!allows(i)) {
        if (clears) numbers[i] = -INFINITY;
      } else if (numbers[i] > found.most)
        found = {numbers[i], i};
    }
    while (found.where + 1 < size && !(numbers[found.where] == found.most && allows(found.where))) found.where++;
    if (odd != 0.0f) found.most = NAN;
    return found;
  }

private:
  OMNIPIPE_INLINE vec allowed(int64_t at, vec y) const {
    const int here = bits[at / 16];
    if (here == 0xFFFF) return y;
    const vec left = here ? choose(lanes_of(here), y, splat(-INFINITY)) : splat(-INFINITY);
    if (clears) store(numbers + at, left);
    return left;
  }
};

// Of each row the largest number that is allowed and where it is first. places: the row of `bits` that says what is
// allowed in it, -1 for a row that is free. clears: of which rows what is not allowed becomes -infinity.
std::tuple<at::Tensor, at::Tensor> largest_allowed(at::Tensor x, const at::Tensor& bits, at::IntArrayRef places,
                                                   c10::List<bool> clears) {
  TORCH_CHECK(x.dim() == 2 && x.is_contiguous() && x.scalar_type() == at::kFloat && x.size(1) > 0, "not rows of floats");
  TORCH_CHECK(bits.dim() == 2 && bits.is_contiguous() && bits.scalar_type() == at::kInt && bits.size(1) * 32 >= x.size(1),
              "not a bit for each column");
  const int64_t rows = x.size(0), size = x.size(1), words = bits.size(1);
  TORCH_CHECK((int64_t)places.size() == rows && (int64_t)clears.size() == rows, "not a place for each row");
  std::vector<Row> of;
  for (int64_t row = 0; row < rows; row++) {
    TORCH_CHECK(places[row] >= -1 && places[row] < bits.size(0), "a place that is not there");
    const int* own = places[row] < 0 ? nullptr : bits.data_ptr<int>() + places[row] * words;
    of.push_back({x.data_ptr<float>() + row * size, (const uint16_t*)own, clears[row]});
  }
  at::Tensor values = at::empty({rows}, x.options()), indices = at::empty({rows}, x.options().dtype(at::kLong));
  float* best = values.data_ptr<float>();
  int64_t* where = indices.data_ptr<int64_t>();
  at::parallel_for(0, rows, 1, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      const Found found = of[row].find(size);
      best[row] = found.most;
      where[row] = found.where;
    }
  });
  return {values, indices};
}

// Of each row the largest number and where it is first; not a number where one of the row is none.
std::tuple<at::Tensor, at::Tensor> largest(const at::Tensor& x) {
  TORCH_CHECK(x.dim() == 2 && x.is_contiguous() && x.scalar_type() == at::kFloat && x.size(1) > 0, "not rows of floats");
  const int64_t rows = x.size(0), size = x.size(1), whole = size / 16 * 16, chunk = 1024;
  at::Tensor values = at::empty({rows}, x.options()), indices = at::empty({rows}, x.options().dtype(at::kLong));
  const float* data = x.data_ptr<float>();
  float* best = values.data_ptr<float>();
  int64_t* where = indices.data_ptr<int64_t>();
  at::parallel_for(0, rows, 1, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      const float* from = data + row * size;
      float most = -INFINITY, odd = 0.0f; // odd: of what is no number, or infinite
      int64_t begin = 0;                  // of the chunk that has it
      for (int64_t i = 0; i < whole; i += chunk) {
        vec top = splat(-INFINITY), strange = splat(0.0f);
        for (int64_t j = i; j < std::min(whole, i + chunk); j += 16) {
          const vec y = load(from + j);
          top = larger(y, top);
          strange += choose(y < INFINITY, splat(0.0f), y);
        }
        odd += sum_of(strange);
        const float found = largest_of(top);
        if (found > most) most = found, begin = i;
      }
      for (int64_t i = whole; i < size; i++) {
        if (!(from[i] < INFINITY)) odd += from[i];
        if (from[i] > most) most = from[i], begin = i;
      }
      best[row] = odd == 0.0f ? most : NAN;
      while (begin + 1 < size && from[begin] != most) begin++;
      where[row] = begin;
    }
  });
  return {values, indices};
}

} // namespace

} // namespace omnipipe

TORCH_LIBRARY_FRAGMENT(omnipipe, library) {
  library.def("largest(Tensor x) -> (Tensor values, Tensor indices)");
  library.def(
      "largest_allowed(Tensor(a!) x, Tensor bits, int[] places, bool[] clears) -> (Tensor values, Tensor indices)");
}
TORCH_LIBRARY_IMPL(omnipipe, CPU, library) {
  library.impl("largest", &omnipipe::largest);
  library.impl("largest_allowed", &omnipipe::largest_allowed);
}
