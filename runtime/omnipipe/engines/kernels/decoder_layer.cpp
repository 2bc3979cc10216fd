// One decoder layer of the kind that most models are made of, in one call: RMSNorm, rotary positions, attention over
// paged KV, a gated MLP or a mixture of them, and the sums around them. And what else has weights laid out as its are: a
// linear layer alone, and experts whose rows somebody else has routed.
//
// A team of threads goes through the phases together. Between two of them lies a barrier of a microsecond, where calls
// of a library for each would cost ten times that, and read what they share from memory again.
#include "experts.h"
#include "layer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#ifdef _OPENMP
#include <omp.h>
#endif
#include <sys/mman.h>

#include <array>

namespace omnipipe {

namespace {

thread_local Workspace workspace;

// One of a team, in a parallel region.
struct Member {
#ifdef _OPENMP
  int number = omp_get_thread_num(), team = omp_get_num_threads();
#else
  int number = 0, team = 1;
#endif
};

// For the rest of the team.
void wait() {
#pragma omp barrier
}

// A layer, the rows of one call and where its phases put them.
class Call {
public:
  Call(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, at::Tensor keys, at::Tensor values,
       const at::Tensor& places, const at::Tensor& tables, const std::vector<at::Tensor>& parts, at::IntArrayRef sizes,
       at::ArrayRef<double> numbers)
      : layer_{parts, (int)sizes[HEADS], (int)sizes[KV_HEADS], (int)sizes[DIM], (int)sizes[INNER],
               sizes[ACTIVATION] != 0, (float)numbers[EPSILON], (float)numbers[HEAD_EPSILON], (float)numbers[FACTOR]},
        hidden_(x.size(2)), rows_(x.numel() / hidden_), top_((int)sizes[TOP]), normalised_(sizes[NORMALISED] != 0),
        shared_gate_(sizes[SHARED_GATE] != 0),
        shape_{layer_.dim, keys.stride(0), (float)numbers[SCALE], (int)sizes[WINDOW], (float)numbers[CAP]},
        pages_{places.data_ptr<int>(), tables.data_ptr<int>(), places.size(0), tables.size(1)},
        routed_(parts[ROUTER].numel() > 0),
        experts_(ExpertWeights::of(parts[EXPERTS_GATED], parts[EXPERTS_DOWN], hidden_)),
        mixture_(experts_, ExpertWeights::of(parts[SHARED_GATED], parts[SHARED_DOWN], hidden_), layer_.tanh,
                 routed_ ? rows_ : 0, top_),
        answer_(at::empty_like(x)), given_{x.data_ptr<float>(), hidden_}, found_{answer_.data_ptr<float>(), hidden_},
        place_{layer_, pages_, shape_, data_of(cos), data_of(sin), cos.numel() ? (int)cos.size(-1) : 0, {},
               keys.data_ptr<float>(), values.data_ptr<float>()},
        pieces_(pieces_of(pages_)) {
    const int64_t attended = layer_.heads * layer_.dim, row_size = attended + 2 * layer_.kv_heads * layer_.dim;
    const bool behind = routed_ || layer_.part(NORM_BEHIND) || layer_.part(MLP_NORM_BEHIND);
    TORCH_CHECK(!routed_ || (top_ > 0 && top_ <= experts_.count), "experts that are not for this kernel");
    qkv_ = matrix_of(parts[QKV], parts[QKV_BIAS], row_size);
    out_ = matrix_of(parts[OUT], parts[OUT_BIAS], hidden_);
    if (parts[GATED].numel()) {
      gated_ = matrix_of(parts[GATED], parts[GATED_BIAS], 2 * layer_.inner);
      down_ = matrix_of(parts[DOWN], parts[DOWN_BIAS], hidden_);
    }
    normed_ = workspace.buffer(0, rows_, hidden_);
    place_.qkv = workspace.buffer(1, rows_, row_size);
    wide_ = workspace.buffer(2, rows_, std::max<int64_t>(attended, layer_.inner));
    behind_ = workspace.buffer(3, behind ? rows_ : 0, hidden_);
    if (!routed_) return;
    router_ = {layer_.part(ROUTER), nullptr, hidden_, experts_.count + shared_gate_};
    logits_ = workspace.buffer(4, rows_, router_.columns);
    opened_ = workspace.buffer(5, mixture_.places(), mixture_.inner());
  }

  at::Tensor answer() {
    const int size = at::get_num_threads();
#pragma omp parallel num_threads(size)
    {
      const Member member;
      attend(member);
      if (gated_.panels) feed(member);
      if (routed_) mix(member);
    }
    return answer_;
  }

private:
  // RMSNorm of all rows, where there is one.
  Buffer normed(Which which, Buffer from, const Share& share) const {
    if (!layer_.part(which)) return from;
    for (int64_t i = share.begin; i < share.end; i++)
      normalise(from.row(i), layer_.part(which), layer_.epsilon, hidden_, normed_.row(i));
    wait();
    return normed_;
  }

  // found = added + norm(behind), for layers that norm what a part of theirs gives.
  void add_normed(Which which, Buffer added, const Share& share) const {
    for (int64_t i = share.begin; i < share.end; i++) {
      normalise(behind_.row(i), layer_.part(which), layer_.epsilon, hidden_, behind_.row(i));
      for (int64_t k = 0; k < hidden_; k++) found_.row(i)[k] = added.row(i)[k] + layer_.factor * behind_.row(i)[k];
    }
  }

  // found = added + matrix x from, which may be normed before that.
  void project(const Matrix& matrix, Buffer from, Buffer added, Which norm, const Member& member, int counter) {
    if (!layer_.part(norm)) {
      const Plain finish{matrix, found_, added.data, added.stride, layer_.factor};
      return multiply(matrix, from.data, from.stride, rows_, member.team, next_[counter], finish);
    }
    multiply(matrix, from.data, from.stride, rows_, member.team, next_[counter], Plain{matrix, behind_});
    wait();
    add_normed(norm, added, Share(rows_, member.number, member.team));
  }

  void attend(const Member& member) {
    const Share share(rows_, member.number, member.team);
    const Buffer entering = normed(NORM, given_, share), mixed = place_.qkv;
    multiply(qkv_, entering.data, entering.stride, rows_, member.team, next_[0], Plain{qkv_, mixed});
    wait();
    for (int64_t s = 0; s < pages_.sequences; s++) {
      const int64_t first = std::max<int64_t>(share.begin, pages_.row(s));
      const int64_t last = std::min<int64_t>(share.end, pages_.row(s) + pages_.count(s));
      for (int64_t row = first; row < last; row++) place_(s, row, pages_.start(s) + row - pages_.row(s));
    }
    wait();
    std::vector<float> scratch;
    const int64_t dim = layer_.dim, group = layer_.heads / layer_.kv_heads;
    const int64_t tasks = (int64_t)pieces_.size() * layer_.kv_heads;
    for (int64_t task = next_[1]++; task < tasks; task = next_[1]++) {
      const Piece& piece = pieces_[task / layer_.kv_heads];
      const int64_t head = task % layer_.kv_heads, offset = head * dim * SLOTS;
      const Rows rows_of{mixed.data + head * group * dim, mixed.stride, dim, wide_.data + head * group * dim,
                         wide_.stride, dim};
      attend_positions(rows_of, {place_.keys + offset, place_.values + offset}, pages_.table(piece.sequence), piece.row,
                       piece.start, piece.count, group, shape_, scratch);
    }
    wait();
    project(out_, wide_, given_, NORM_BEHIND, member, 2);
    wait();
  }

  void feed(const Member& member) {
    const Buffer entering = normed(MLP_NORM, found_, Share(rows_, member.number, member.team));
    multiply(gated_, entering.data, entering.stride, rows_, member.team, next_[3], Gated{gated_, wide_, layer_.tanh});
    wait();
    project(down_, wide_, found_, MLP_NORM_BEHIND, member, 4);
  }

  // As `feed`, of experts.
  void mix(const Member& member) {
    const Share share(rows_, member.number, member.team);
    const Buffer entering = normed(MLP_NORM, found_, share);
    multiply(router_, entering.data, entering.stride, rows_, member.team, next_[3], Plain{router_, logits_});
    wait();
    for (int64_t i = share.begin; i < share.end; i++) {
      const float* logits = logits_.row(i);
      route(logits, experts_.count, top_, normalised_, &mixture_.chosen[i * top_], &mixture_.weights[i * top_]);
      if (shared_gate_) mixture_.shared_weights[i] = 1.0f / (1.0f + std::exp(-logits[experts_.count]));
    }
    wait();
    if (member.number == 0) mixture_.sort(member.team);
    wait();
    mixture_.open(entering.data, entering.stride, opened_, next_[4]);
    wait();
    const bool later = layer_.part(MLP_NORM_BEHIND);
    mixture_.close(opened_, behind_, member.team, next_[5], [&](int64_t first, int64_t last) {
      if (later) return;
      for (int64_t i = 0; i < rows_; i++)
        for (int64_t k = first; k < last; k++) found_.row(i)[k] += layer_.factor * behind_.row(i)[k];
    });
    if (!later) return;
    wait();
    add_normed(MLP_NORM_BEHIND, found_, share);
  }

  const Layer layer_;
  const int64_t hidden_, rows_;
  const int top_;
  const bool normalised_, shared_gate_;
  const Shape shape_;
  const Pages pages_;
  const bool routed_;
  const ExpertWeights experts_;
  Mixture mixture_;
  at::Tensor answer_;
  const Buffer given_, found_;
  Placer place_;
  const std::vector<Piece> pieces_;
  Matrix qkv_, out_, gated_, down_, router_;
  Buffer normed_, wide_, behind_, logits_, opened_;
  std::array<std::atomic<int64_t>, 6> next_{};
};

// x: [1, T, hidden]; cos, sin: [.., T, columns], or empty. The answer is x behind the layer; without a GATED part and a
// ROUTER, behind its attention.
at::Tensor decoder_layer(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, at::Tensor keys,
                         at::Tensor values, const at::Tensor& places, const at::Tensor& tables, at::TensorList tensors,
                         at::IntArrayRef sizes, at::ArrayRef<double> numbers) {
  const std::vector<at::Tensor> parts = tensors.vec();
  TORCH_CHECK(parts.size() == LAYER_PARTS && sizes.size() == LAYER_SIZES && numbers.size() == LAYER_NUMBERS,
              "not a layer");
  const int64_t hidden = x.size(2), rows = x.numel() / hidden, dim = sizes[DIM];
  TORCH_CHECK(x.is_contiguous() && x.scalar_type() == at::kFloat && hidden % 16 == 0 && dim % 16 == 0 &&
                  keys.size(3) == SLOTS && keys.size(2) == dim && values.size(3) == dim,
              "shapes that are not for this kernel");
  const at::Tensor cosines = cos.contiguous(), sines = sin.contiguous();
  const int64_t turned = cosines.numel() ? cosines.size(-1) : 0;
  TORCH_CHECK(cosines.numel() == rows * turned && sines.numel() == rows * turned && turned <= dim && turned % 2 == 0,
              "positions that are not for this kernel");
  return Call(x, cosines, sines, keys, values, places, tables, parts, sizes, numbers).answer();
}

// x: [T, hidden]; chosen, weights: [T, experts of each row].
at::Tensor experts(const at::Tensor& x, const at::Tensor& chosen, const at::Tensor& weights, const at::Tensor& gated,
                   const at::Tensor& down, bool tanh) {
  TORCH_CHECK(x.dim() == 2 && x.scalar_type() == at::kFloat && chosen.dim() == 2 && chosen.size(0) == x.size(0) &&
                  chosen.sizes() == weights.sizes() && gated.numel() > 0,
              "rows that are not for this kernel");
  const at::Tensor given = x.contiguous(), who = chosen.to(at::kInt).contiguous();
  const at::Tensor how = weights.to(at::kFloat).contiguous();
  at::Tensor answer = at::empty_like(given);
  const int64_t rows = x.size(0), hidden = x.size(1);
  const int size = at::get_num_threads();
  if (rows == 0) return answer;
  const ExpertWeights all = ExpertWeights::of(gated, down, hidden);
  Mixture mixture(all, {}, tanh, rows, chosen.size(1));
  for (int64_t i = 0; i < who.numel(); i++) {
    const int expert = who.data_ptr<int>()[i];
    TORCH_CHECK(expert >= 0 && expert < all.count, "an expert that is not there");
    mixture.chosen[i] = expert;
    mixture.weights[i] = how.data_ptr<float>()[i];
  }
  mixture.sort(size);
  const Buffer opened = workspace.buffer(5, mixture.places(), mixture.inner()), to{answer.data_ptr<float>(), hidden};
  std::atomic<int64_t> next[2] = {};
#pragma omp parallel num_threads(size)
  {
    mixture.open(given.data_ptr<float>(), hidden, opened, next[0]);
    wait();
    mixture.close(opened, to, size, next[1], [](int64_t, int64_t) {});
  }
  return answer;
}

// x: [.., depth], to [.., columns].
at::Tensor linear(const at::Tensor& x, const at::Tensor& panels, const at::Tensor& bias, int64_t columns) {
  TORCH_CHECK(x.scalar_type() == at::kFloat && x.size(-1) == panels.size(1), "shapes that are not for this kernel");
  const at::Tensor given = x.contiguous();
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = columns;
  at::Tensor answer = at::empty(shape, x.options());
  const int64_t depth = x.size(-1), rows = answer.numel() / columns;
  if (rows == 0) return answer;
  const Matrix matrix = matrix_of(panels, bias, columns);
  Buffer from{given.data_ptr<float>(), depth};
  const Buffer to{answer.data_ptr<float>(), columns};
  if (rows > 4 && depth % 256 == 0) { // rows that would fall into the same lines of the cache
    const Buffer apart = workspace.buffer(0, rows, depth);
    for (int64_t i = 0; i < rows; i++) std::memcpy(apart.row(i), from.row(i), sizeof(float) * depth);
    from = apart;
  }
  std::atomic<int64_t> next{0};
  const int size = at::get_num_threads();
#pragma omp parallel num_threads(size)
  multiply(matrix, from.data, from.stride, rows, size, next, Plain{matrix, to});
  return answer;
}

// Room for panels, in large pages where the system has them: weights are read from one end to the other for each token.
at::Tensor room_for_panels(int64_t count, int64_t depth, const at::TensorOptions& options) {
  at::Tensor answer = at::empty({count, depth, PANEL}, options);
#ifdef MADV_HUGEPAGE
  float *to = answer.data_ptr<float>(), *end = to + answer.numel();
  const uintptr_t page = 4096, begin = ((uintptr_t)to + page - 1) / page * page, stop = (uintptr_t)end / page * page;
  if (stop > begin) madvise((void*)begin, stop - begin, MADV_HUGEPAGE);
#endif
  return answer;
}

// [columns, depth] to [panels, depth, PANEL].
at::Tensor panels(const at::Tensor& weight) {
  const at::Tensor from = weight.detach().contiguous();
  const int64_t columns = from.size(0), depth = from.size(1), count = (columns + PANEL - 1) / PANEL;
  at::Tensor answer = room_for_panels(count, depth, from.options());
  float* to = answer.data_ptr<float>();
  const float* data = from.data_ptr<float>();
  at::parallel_for(0, count, 1, [&](int64_t first, int64_t last) {
    for (int64_t panel = first; panel < last; panel++)
      for (int64_t i = 0; i < PANEL; i++) {
        const int64_t column = panel * PANEL + i;
        float* into = to + panel * depth * PANEL + i;
        for (int64_t k = 0; k < depth; k++) into[k * PANEL] = column < columns ? data[column * depth + k] : 0.0f;
      }
  });
  return answer;
}

// The same of [experts, columns, depth], one expert behind the other. gated: the first half of an expert's columns are its
// gate, the second what that lets through; a panel gets 16 of each.
at::Tensor expert_panels(const at::Tensor& weights, bool gated) {
  const at::Tensor from = weights.detach().contiguous();
  const int64_t columns = from.size(1), depth = from.size(2), each = (columns + PANEL - 1) / PANEL;
  TORCH_CHECK(from.scalar_type() == at::kFloat && columns % (gated ? PANEL : 16) == 0, "not experts for this kernel");
  at::Tensor answer = room_for_panels(from.size(0) * each, depth, from.options());
  float* to = answer.data_ptr<float>();
  const float* data = from.data_ptr<float>();
  at::parallel_for(0, from.size(0) * each, 1, [&](int64_t first, int64_t last) {
    for (int64_t panel = first; panel < last; panel++)
      for (int64_t i = 0; i < PANEL; i++) {
        const int64_t at = panel % each, half = i / 16;
        const int64_t column = gated ? half * (columns / 2) + at * 16 + i % 16 : at * PANEL + i;
        const float* row = data + (panel / each * columns + column) * depth;
        float* into = to + panel * depth * PANEL + i;
        for (int64_t k = 0; k < depth; k++) into[k * PANEL] = column < columns ? row[k] : 0.0f;
      }
  });
  return answer;
}

} // namespace

} // namespace omnipipe

TORCH_LIBRARY_FRAGMENT(omnipipe, library) {
  library.def("panels(Tensor weight) -> Tensor");
  library.def("expert_panels(Tensor weights, bool gated) -> Tensor");
  library.def("linear(Tensor x, Tensor panels, Tensor bias, int columns) -> Tensor");
  library.def("experts(Tensor x, Tensor chosen, Tensor weights, Tensor gated, Tensor down, bool tanh) -> Tensor");
  library.def(
      "decoder_layer(Tensor x, Tensor cos, Tensor sin, Tensor(a!) keys, Tensor(b!) values, Tensor places, "
      "Tensor tables, Tensor[] parts, int[] sizes, float[] numbers) -> Tensor");
}
TORCH_LIBRARY_IMPL(omnipipe, CPU, library) {
  library.impl("panels", &omnipipe::panels);
  library.impl("expert_panels", &omnipipe::expert_panels);
  library.impl("linear", &omnipipe::linear);
  library.impl("experts", &omnipipe::experts);
  library.impl("decoder_layer", &omnipipe::decoder_layer);
}
