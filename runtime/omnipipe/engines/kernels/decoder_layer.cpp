// One decoder layer of the kind that most models are made of, in one call: RMSNorm, rotary positions, attention over
// paged KV, a gated MLP, and the sums around them. And what comes behind the last: a linear layer alone, and the
// likeliest of its logits.
//
// A team of threads goes through the phases together. Between two of them lies a barrier of a microsecond, where calls
// of a library for each would cost ten times that, and read what they share from memory again.
#include "attention.h"
#include "matrix.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#ifdef _OPENMP
#include <omp.h>
#endif
#include <sys/mman.h>

#include <array>
#include <tuple>

namespace omnipipe {

namespace {

constexpr int POSITIONS = 32; // of a prompt that one task attends for

// Places in the list of a layer's tensors; an empty tensor: it has none. `layers.py` has the same list.
enum Which { NORM, QKV, QKV_BIAS, QUERY_NORM, KEY_NORM, OUT, OUT_BIAS, NORM_BEHIND, MLP_NORM, GATED, GATED_BIAS, DOWN,
            DOWN_BIAS, MLP_NORM_BEHIND, LAYER_PARTS };

// Reads and writes rows; a row of a buffer is a little longer than it need be, so that the rows of a tile do not fall
// into the same few lines of the cache.
struct Buffer {
  float* data;
  int64_t stride;

  float* row(int64_t i) const { return data + i * stride; }
};

int64_t padded(int64_t columns) { return (columns + 15) / 16 * 16 + 16; }

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
  std::array<at::Tensor, 4> kept_;
};

thread_local Workspace workspace;

const float* data_of(const at::Tensor& x) { return x.numel() ? x.data_ptr<float>() : nullptr; }

Matrix matrix_of(const at::Tensor& panels, const at::Tensor& bias, int64_t columns) {
  return {data_of(panels), data_of(bias), panels.size(1), columns};
}

// The share of one member of a team of `size`.
struct Share {
  int64_t begin, end;

  Share(int64_t count, int member, int size) : begin(count * member / size), end(count * (member + 1) / size) {}
};

// y = x / |x| * weight; y may be x. `size` is a multiple of 16.
void normalise(const float* x, const float* weight, float epsilon, int64_t size, float* y) {
  vec squares = vec{};
  for (int64_t i = 0; i < size; i += 16) squares += load(x + i) * load(x + i);
  const float scale = 1.0f / std::sqrt(sum_of(squares) / size + epsilon);
  for (int64_t i = 0; i < size; i += 16) store(y + i, load(x + i) * scale * load(weight + i));
}

// Turns pairs of x, half of `size` apart, in place; `cos` and `sin` have `size` columns.
void rotate(float* x, const float* cos, const float* sin, int size) {
  const int half = size / 2;
  for (int d = 0; d < half; d++) {
    const float first = x[d], second = x[d + half];
    x[d] = first * cos[d] - second * sin[d];
    x[d + half] = second * cos[d + half] + first * sin[d + half];
  }
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

// Shapes and numbers of a layer, in the order of `layers.py`.
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
std::vector<Piece> pieces_of(const Pages& pages) {
  std::vector<Piece> pieces;
  for (int64_t s = 0; s < pages.sequences; s++)
    for (int done = 0; done < pages.count(s); done += POSITIONS)
      pieces.push_back({s, pages.row(s) + done, pages.start(s) + done, std::min(POSITIONS, pages.count(s) - done)});
  return pieces;
}

// x: [1, T, hidden]; cos, sin: [.., T, columns], or empty. The answer is x behind the layer; without a GATED part,
// behind its attention.
at::Tensor decoder_layer(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, at::Tensor keys,
                         at::Tensor values, const at::Tensor& places, const at::Tensor& tables, at::TensorList tensors,
                         at::IntArrayRef sizes, at::ArrayRef<double> numbers) {
  const std::vector<at::Tensor> parts = tensors.vec();
  TORCH_CHECK(parts.size() == LAYER_PARTS && sizes.size() == 6 && numbers.size() == 5, "not a layer");
  const Layer layer{parts, (int)sizes[0], (int)sizes[1], (int)sizes[2], (int)sizes[3], sizes[5] != 0,
                    (float)numbers[0], (float)numbers[1], (float)numbers[4]};
  const int64_t hidden = x.size(2), rows = x.numel() / hidden, dim = layer.dim;
  const int64_t attended = layer.heads * dim, row_size = attended + 2 * layer.kv_heads * dim;
  TORCH_CHECK(x.is_contiguous() && x.scalar_type() == at::kFloat && hidden % 16 == 0 && dim % 16 == 0 &&
                  keys.size(3) == SLOTS && keys.size(2) == dim && values.size(3) == dim,
              "shapes that are not for this kernel");
  const at::Tensor cosines = cos.contiguous(), sines = sin.contiguous();
  const int turned = cosines.numel() ? cosines.size(-1) : 0;
  TORCH_CHECK(cosines.numel() == rows * turned && sines.numel() == rows * turned && turned <= dim && turned % 2 == 0,
              "positions that are not for this kernel");

  const Shape shape{(int)dim, keys.stride(0), (float)numbers[2], (int)sizes[4], (float)numbers[3]};
  const Pages pages{places.data_ptr<int>(), tables.data_ptr<int>(), places.size(0), tables.size(1)};
  const Matrix qkv = matrix_of(parts[QKV], parts[QKV_BIAS], row_size);
  const Matrix out = matrix_of(parts[OUT], parts[OUT_BIAS], hidden);
  const bool has_mlp = parts[GATED].numel() > 0;
  at::Tensor answer = at::empty_like(x);
  const Buffer given{x.data_ptr<float>(), hidden}, found{answer.data_ptr<float>(), hidden};
  const Buffer normed = workspace.buffer(0, rows, std::max<int64_t>(hidden, 1));
  const Buffer mixed = workspace.buffer(1, rows, row_size);
  const Buffer wide = workspace.buffer(2, rows, std::max<int64_t>(attended, has_mlp ? layer.inner : 0));
  const Buffer behind = workspace.buffer(3, parts[NORM_BEHIND].numel() || parts[MLP_NORM_BEHIND].numel() ? rows : 0,
                                         hidden);
  const Matrix gated = has_mlp ? matrix_of(parts[GATED], parts[GATED_BIAS], 2 * layer.inner) : Matrix{};
  const Matrix down = has_mlp ? matrix_of(parts[DOWN], parts[DOWN_BIAS], hidden) : Matrix{};
  const Placer place{layer, pages, shape, data_of(cosines), data_of(sines), turned, mixed, keys.data_ptr<float>(),
                     values.data_ptr<float>()};
  const std::vector<Piece> pieces = pieces_of(pages);
  const int64_t group = layer.heads / layer.kv_heads, tasks = (int64_t)pieces.size() * layer.kv_heads;
  std::array<std::atomic<int64_t>, 5> next{};
  const int size = at::get_num_threads();

  // RMSNorm of all rows, from `from`.
  auto norm = [&](Which which, Buffer from, const Share& share) {
    for (int64_t i = share.begin; i < share.end; i++)
      normalise(from.row(i), layer.part(which), layer.epsilon, hidden, normed.row(i));
  };
  // found = added + norm(behind), for layers that norm what a part of theirs gives.
  auto add_normed = [&](Which which, Buffer added, const Share& share) {
    for (int64_t i = share.begin; i < share.end; i++) {
      normalise(behind.row(i), layer.part(which), layer.epsilon, hidden, behind.row(i));
      for (int64_t k = 0; k < hidden; k++) found.row(i)[k] = added.row(i)[k] + layer.factor * behind.row(i)[k];
    }
  };
  // found = added + matrix x from
  auto project = [&](const Matrix& matrix, Buffer from, Buffer added, bool later, std::atomic<int64_t>& counter) {
    if (later)
      multiply(matrix, from.data, from.stride, rows, size, counter, Plain{matrix, behind});
    else
      multiply(matrix, from.data, from.stride, rows, size, counter,
               Plain{matrix, found, added.data, added.stride, layer.factor});
  };

#pragma omp parallel num_threads(size)
  {
#ifdef _OPENMP
    const int member = omp_get_thread_num(), team = omp_get_num_threads();
#else
    const int member = 0, team = 1;
#endif
    const Share share(rows, member, team);
    const bool pre = layer.part(NORM) != nullptr;
    if (pre) {
      norm(NORM, given, share);
#pragma omp barrier
    }
    const Buffer& entering = pre ? normed : given;
    multiply(qkv, entering.data, entering.stride, rows, team, next[0], Plain{qkv, mixed});
#pragma omp barrier
    for (int64_t s = 0; s < pages.sequences; s++) {
      const int64_t first = std::max<int64_t>(share.begin, pages.row(s));
      const int64_t last = std::min<int64_t>(share.end, pages.row(s) + pages.count(s));
      for (int64_t row = first; row < last; row++) place(s, row, pages.start(s) + row - pages.row(s));
    }
#pragma omp barrier
    std::vector<float> scratch;
    for (int64_t task = next[1]++; task < tasks; task = next[1]++) {
      const Piece& piece = pieces[task / layer.kv_heads];
      const int64_t head = task % layer.kv_heads, offset = head * dim * SLOTS;
      const Rows rows_of{mixed.data + head * group * dim, mixed.stride, dim, wide.data + head * group * dim,
                         wide.stride, dim};
      attend_positions(rows_of, {place.keys + offset, place.values + offset}, pages.table(piece.sequence), piece.row,
                       piece.start, piece.count, group, shape, scratch);
    }
#pragma omp barrier
    const bool post = layer.part(NORM_BEHIND) != nullptr;
    project(out, wide, given, post, next[2]);
#pragma omp barrier
    if (post) {
      add_normed(NORM_BEHIND, given, share);
#pragma omp barrier
    }
    if (has_mlp) {
      const bool pre_mlp = layer.part(MLP_NORM) != nullptr, post_mlp = layer.part(MLP_NORM_BEHIND) != nullptr;
      if (pre_mlp) {
        norm(MLP_NORM, found, share);
#pragma omp barrier
      }
      const Buffer& middle = pre_mlp ? normed : found;
      multiply(gated, middle.data, middle.stride, rows, team, next[3], Gated{gated, wide, layer.tanh});
#pragma omp barrier
      project(down, wide, found, post_mlp, next[4]);
      if (post_mlp) {
#pragma omp barrier
        add_normed(MLP_NORM_BEHIND, found, share);
      }
    }
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

// [columns, depth] to [panels, depth, PANEL], in large pages where the system has them: weights are read from one end
// to the other for each token.
at::Tensor panels(const at::Tensor& weight) {
  const at::Tensor from = weight.detach().contiguous();
  const int64_t columns = from.size(0), depth = from.size(1), count = (columns + PANEL - 1) / PANEL;
  at::Tensor answer = at::empty({count, depth, PANEL}, from.options());
  float *to = answer.data_ptr<float>(), *end = to + answer.numel();
#ifdef MADV_HUGEPAGE
  const uintptr_t page = 4096, begin = ((uintptr_t)to + page - 1) / page * page, stop = (uintptr_t)end / page * page;
  if (stop > begin) madvise((void*)begin, stop - begin, MADV_HUGEPAGE);
#endif
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

} // namespace

} // namespace omnipipe

TORCH_LIBRARY_FRAGMENT(omnipipe, library) {
  library.def("panels(Tensor weight) -> Tensor");
  library.def("largest(Tensor x) -> (Tensor values, Tensor indices)");
  library.def("linear(Tensor x, Tensor panels, Tensor bias, int columns) -> Tensor");
  library.def(
      "decoder_layer(Tensor x, Tensor cos, Tensor sin, Tensor(a!) keys, Tensor(b!) values, Tensor places, "
      "Tensor tables, Tensor[] parts, int[] sizes, float[] numbers) -> Tensor");
}
TORCH_LIBRARY_IMPL(omnipipe, CPU, library) {
  library.impl("panels", &omnipipe::panels);
  library.impl("largest", &omnipipe::largest);
  library.impl("linear", &omnipipe::linear);
  library.impl("decoder_layer", &omnipipe::decoder_layer);
}
