// A mixture of experts: gated MLPs of which each row is sent to a few, and what they say of it added up by weight.
//
// Rows are sorted by their expert, so that an expert's weights are read once and its rows are a product of their own. A
// team computes it in two phases: `open`, the gates of all experts, and `close`, in which a task has some columns of the
// answer to itself, so that sums are written where they belong and in one order, however many the team is.
#pragma once

#include "rows.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

namespace omnipipe {

// The weights of `count` experts of one shape.
struct ExpertWeights {
  const float *gated = nullptr, *down = nullptr;
  int64_t count = 0, hidden = 0, inner = 0;

  // gated: [count * inner / 16, hidden, PANEL]; down: [count * panels of hidden columns, inner, PANEL].
  static ExpertWeights of(const at::Tensor& gated, const at::Tensor& down, int64_t hidden) {
    if (!gated.numel()) return {};
    const int64_t inner = down.size(1), count = gated.size(0) * 16 / inner;
    const Matrix one{nullptr, nullptr, inner, hidden};
    TORCH_CHECK(hidden % 16 == 0 && inner % 16 == 0 && gated.size(1) == hidden && gated.size(0) * 16 == count * inner &&
                    down.size(0) == count * one.count() && gated.size(2) == PANEL && down.size(2) == PANEL,
                "experts that are not for this kernel");
    return {data_of(gated), data_of(down), count, hidden, inner};
  }

  Matrix gated_of(int64_t expert) const { return {gated + expert * 2 * inner * hidden, nullptr, hidden, 2 * inner}; }
  Matrix down_of(int64_t expert) const {
    const Matrix first{down, nullptr, inner, hidden};
    return {down + expert * first.count() * PANEL * inner, nullptr, inner, hidden};
  }
};

// The `top` likeliest experts of a row, by the softmax of all its logits. A row that is no numbers gets experts that there
// are, and weights that are no numbers.
inline void route(const float* logits, int experts, int top, bool normalised, int* chosen, float* weights) {
  for (int e = 0; e < experts; e++) {
    int at = std::min(e, top);
    if (e >= top && !(logits[e] > logits[chosen[top - 1]])) continue;
    if (at == top) at = top - 1;
    for (; at > 0 && logits[e] > logits[chosen[at - 1]]; at--) chosen[at] = chosen[at - 1];
    chosen[at] = e;
  }
  const float most = logits[chosen[0]];
  float total = 0.0f, taken = 0.0f;
  for (int e = 0; e < experts; e++) total += std::exp(logits[e] - most);
  for (int k = 0; k < top; k++) taken += weights[k] = std::exp(logits[chosen[k]] - most) / total;
  if (normalised)
    for (int k = 0; k < top; k++) weights[k] /= taken;
}

// Which row goes to which expert, and what is to be done for that.
class Mixture {
public:
  // `shared`: experts that every row goes to, one at most. `top`: experts of each row besides.
  Mixture(ExpertWeights experts, ExpertWeights shared, bool tanh, int64_t rows, int top)
      : chosen(rows * top), weights(rows * top), shared_weights(shared.count ? rows : 0, 1.0f), experts_(experts),
        shared_(shared), tanh_(tanh), rows_(rows), top_(top) {}

  std::vector<int> chosen;    // [rows, top]
  std::vector<float> weights; // [rows, top]
  std::vector<float> shared_weights;

  // Rows and columns of what lies between the phases.
  int64_t places() const { return rows_ * top_ + (shared_.count ? rows_ : 0); }
  int64_t inner() const { return std::max(experts_.inner, shared_.inner); }

  // By one of the team, once all rows are routed.
  void sort(int team) {
    std::vector<int64_t> next(experts_.count + 1);
    for (const int expert : chosen) next[expert + 1]++;
    for (int64_t e = 0; e < experts_.count; e++) next[e + 1] += next[e];
    places_.resize(places());
    for (int64_t e = 0; e < experts_.count; e++)
      if (next[e] < next[e + 1]) groups_.push_back({experts_.gated_of(e), experts_.down_of(e), next[e], next[e + 1]});
    for (int64_t i = 0; i < (int64_t)chosen.size(); i++) places_[next[chosen[i]]++] = {i / top_, weights[i]};
    if (shared_.count) {
      const int64_t begin = rows_ * top_;
      groups_.push_back({shared_.gated_of(0), shared_.down_of(0), begin, begin + rows_});
      for (int64_t row = 0; row < rows_; row++) places_[begin + row] = {row, shared_weights[row]};
    }
    int64_t panels = 0;
    for (const Group& group : groups_) panels += group.gated.count() * group.chunks();
    together_ = together_of(panels, team);
    for (Group& group : groups_) {
      group.first = tasks_;
      group.parts = (group.gated.count() + together_ - 1) / together_;
      tasks_ += group.parts * group.chunks();
    }
  }

  // What the gates of each place let through of its row in x goes to that place in `wide`.
  void open(const float* x, int64_t stride, Buffer wide, std::atomic<int64_t>& next) const {
    std::vector<float> apart;
    int64_t at = -1; // the chunk whose rows lie in `apart`
    for (int64_t task = next++; task < tasks_; task = next++) {
      const Group& group = *--std::upper_bound(groups_.begin(), groups_.end(), task,
                                               [](int64_t task, const Group& group) { return task < group.first; });
      const int64_t chunk = (task - group.first) / group.parts, part = (task - group.first) % group.parts;
      const int64_t begin = group.begin + group.size() * chunk / group.chunks();
      const int64_t end = group.begin + group.size() * (chunk + 1) / group.chunks();
      const int64_t depth = group.gated.depth, apart_stride = padded(depth), first = part * together_;
      if (begin != at) {
        apart.resize((end - begin) * apart_stride);
        for (int64_t i = begin; i < end; i++)
          std::memcpy(apart.data() + (i - begin) * apart_stride, x + places_[i].row * stride, sizeof(float) * depth);
        at = begin;
      }
      multiply_part(group.gated, apart.data(), apart_stride, 0, end - begin, first,
                    std::min(group.gated.count(), first + together_),
                    Gated{group.gated, {wide.row(begin), wide.stride}, tanh_});
    }
  }

  // The answer of each row goes to `sums`; then `done(first, last)`, its columns.
  template <class Done>
  void close(Buffer wide, Buffer sums, int team, std::atomic<int64_t>& next, const Done& done) const {
    const int64_t hidden = experts_.hidden, panels = experts_.down_of(0).count(), together = together_of(panels, team);
    for (int64_t first = together * next++; first < panels; first = together * next++) {
      const int64_t last = std::min(panels, first + together), from = first * PANEL;
      const int64_t to = std::min(last * PANEL, hidden);
      for (int64_t row = 0; row < rows_; row++) std::memset(sums.row(row) + from, 0, sizeof(float) * (to - from));
      for (const Group& group : groups_) {
        const int64_t chunks = chunks_of(group.size(), group.down.depth);
        for (int64_t chunk = 0; chunk < chunks; chunk++)
          multiply_part(group.down, wide.data, wide.stride, group.begin + group.size() * chunk / chunks,
                        group.begin + group.size() * (chunk + 1) / chunks, first, last,
                        [&](int64_t i, int64_t panel, const float* found) {
                          float* sum = sums.row(places_[i].row) + panel * PANEL;
                          const float weight = places_[i].weight;
                          store(sum, load(sum) + weight * load(found));
                          if (panel * PANEL + 16 < hidden) store(sum + 16, load(sum + 16) + weight * load(found + 16));
                        });
      }
      done(from, to);
    }
  }

private:
  struct Place {
    int64_t row;
    float weight;
  };

  // One expert, and its rows' places.
  struct Group {
    Matrix gated, down;
    int64_t begin, end;
    int64_t first = 0, parts = 0; // of its tasks in `open`

    int64_t size() const { return end - begin; }
    int64_t chunks() const { return chunks_of(size(), gated.depth); }
  };

  ExpertWeights experts_, shared_;
  bool tanh_;
  int64_t rows_;
  int top_;
  std::vector<Place> places_;
  std::vector<Group> groups_;
  int64_t together_ = 1, tasks_ = 0;
};

} // namespace omnipipe
