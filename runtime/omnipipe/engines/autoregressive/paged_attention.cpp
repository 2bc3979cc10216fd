// Attention over paged KV on a CPU, in f32: writes the step's keys and values into their blocks, then attends. One
// parallel loop over sequence x KV head, for one such pair touches memory that no other does.
//
// K is [block, head, dim, SLOTS], V [block, head, SLOTS, dim]; `places` is [sequence, 3]: first row, rows, context;
// `tables` [sequence, blocks]. Reads no slot behind a sequence's context.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <vector>

namespace {

constexpr int SLOTS = 16;   // positions in a block: one vector of scores
constexpr int MAX_ROWS = 8; // query rows that share one pass over a sequence's keys

typedef float vec __attribute__((vector_size(64), aligned(64)));
typedef float vec_anywhere __attribute__((vector_size(64), aligned(4)));
typedef int ivec __attribute__((vector_size(64), aligned(64)));

inline vec load(const float* from) { return *(const vec_anywhere*)from; }
inline void store(float* to, vec x) { *(vec_anywhere*)to = x; }
inline vec splat(float x) { return vec{} + x; }

// e^x for x <= 0, to about one unit in the last place.
inline vec exp_negative(vec x) {
  const vec lowest = splat(-87.f);
  x = x < lowest ? lowest : x;
  const ivec n = __builtin_convertvector(x * 1.44269504f - 0.5f, ivec);
  const vec whole = __builtin_convertvector(n, vec);
  const vec f = x - whole * 0.693359375f + whole * 2.12194440e-4f;
  vec y = splat(1.9875691500e-4f);
  y = y * f + 1.3981999507e-3f;
  y = y * f + 8.3334519073e-3f;
  y = y * f + 4.1665795894e-2f;
  y = y * f + 1.6666665459e-1f;
  y = y * f + 5.0000001201e-1f;
  y = y * f * f + f + 1.0f;
  return y * (vec)((n + 127) << 23);
}

// What all sequences of one call have in common.
struct Shape {
  int dim;
  int64_t block_stride;
  float scale;
  int window; // 0: none
  float cap;  // 0: none
};

// ROWS queries against the keys of one block: scores[row * stride + slot].
template <int ROWS>
void score(const float* const* query, const float* keys, int dim, float* scores, int stride) {
  constexpr int UNROLL = ROWS <= 2 ? 4 : ROWS <= 4 ? 2 : 1;
  vec sums[UNROLL][ROWS];
  for (auto& part : sums)
    for (auto& sum : part) sum = vec{};
  for (int d = 0; d < dim; d += UNROLL)
    for (int u = 0; u < UNROLL; u++) {
      const vec k = load(keys + (d + u) * SLOTS);
      for (int r = 0; r < ROWS; r++) sums[u][r] += query[r][d + u] * k;
    }
  for (int r = 0; r < ROWS; r++) {
    vec sum = sums[0][r];
    for (int u = 1; u < UNROLL; u++) sum += sums[u][r];
    store(scores + (int64_t)r * stride, sum);
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
void add_values(const float* weights, int stride, const float* values, int dim, float* out, int count) {
  int d = 0;
  if constexpr (ROWS <= 4)
    for (; dim - d >= 64; d += 64) add_columns<ROWS, 4>(weights, stride, values, dim, d, out, count);
  for (; dim - d >= 32; d += 32) add_columns<ROWS, 2>(weights, stride, values, dim, d, out, count);
  for (; d < dim; d += 16) add_columns<ROWS, 1>(weights, stride, values, dim, d, out, count);
}

// Scores of one row become weights; `low` to `high` are seen.
void softmax(float* x, int size, int low, int high, const Shape& shape) {
  std::fill(x, x + low, -INFINITY);
  std::fill(x + high, x + size, -INFINITY);
  vec most = splat(-INFINITY);
  for (int j = 0; j < size; j += 16) {
    vec y = load(x + j) * shape.scale;
    if (shape.cap > 0)
      for (int i = 0; i < 16; i++) y[i] = shape.cap * std::tanh(y[i] / shape.cap);
    if (j < low || j + 16 > high) // the cap would make something finite of what is not seen
      for (int i = 0; i < 16; i++)
        if (j + i < low || j + i >= high) y[i] = -INFINITY;
    store(x + j, y);
    most = y > most ? y : most;
  }
  float top = -INFINITY;
  for (int i = 0; i < 16; i++) top = std::max(top, most[i]);
  vec sum = vec{};
  for (int j = 0; j < size; j += 16) {
    const vec y = load(x + j);
    vec e = exp_negative(y - top);
    e = y < splat(-1e37f) ? vec{} : e;
    store(x + j, e);
    sum += e;
  }
  float total = 0;
  for (int i = 0; i < 16; i++) total += sum[i];
  for (int j = 0; j < size; j += 16) store(x + j, load(x + j) / total);
}

// ROWS queries, at `positions` in rising order, of one sequence and one KV head.
template <int ROWS>
void attend(const float* const* query, const int* positions, const float* keys, const float* values, const int* table,
            const Shape& shape, float* scores, float* out) {
  const int last = positions[ROWS - 1];
  const int first = shape.window > 0 ? std::max(0, positions[0] - shape.window + 1) : 0;
  const int begin = first / SLOTS, end = last / SLOTS + 1, stride = (end - begin) * SLOTS;
  for (int b = begin; b < end; b++)
    score<ROWS>(query, keys + table[b] * shape.block_stride, shape.dim, scores + (b - begin) * SLOTS, stride);
  for (int r = 0; r < ROWS; r++) {
    const int low = shape.window > 0 ? std::max(0, positions[r] - shape.window + 1 - begin * SLOTS) : 0;
    softmax(scores + (int64_t)r * stride, stride, low, positions[r] - begin * SLOTS + 1, shape);
  }
  std::memset(out, 0, sizeof(float) * ROWS * shape.dim);
  for (int b = begin; b < end; b++)
    add_values<ROWS>(scores + (b - begin) * SLOTS, stride, values + table[b] * shape.block_stride, shape.dim, out,
                     std::min(SLOTS, last + 1 - b * SLOTS));
}

at::Tensor rows_in_order(const at::Tensor& x) { return x.stride(3) == 1 ? x : x.contiguous(); }

// query, key, value: [1, heads, T, dim]; the answer: [1, T, heads, dim].
at::Tensor paged_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, at::Tensor keys,
                           at::Tensor values, const at::Tensor& places, const at::Tensor& tables, double scale,
                           int64_t window, double cap) {
  const at::Tensor q = rows_in_order(query), k = rows_in_order(key), v = rows_in_order(value);
  const int heads = q.size(1), rows = q.size(2), dim = q.size(3), kv_heads = k.size(1), group = heads / kv_heads;
  TORCH_CHECK(keys.size(3) == SLOTS && dim % 16 == 0 && values.size(3) == dim, "shapes that are not for this kernel");
  const int sequences = places.size(0), width = tables.size(1), tasks = sequences * kv_heads;
  at::Tensor answer = at::empty({1, rows, heads, dim}, q.options());
  const Shape shape{dim, keys.stride(0), (float)scale, (int)window, (float)cap};
  const int *place_data = places.data_ptr<int>(), *table_data = tables.data_ptr<int>();
  const float *Q = q.data_ptr<float>(), *K = k.data_ptr<float>(), *V = v.data_ptr<float>();
  float *key_memory = keys.data_ptr<float>(), *value_memory = values.data_ptr<float>(), *out = answer.data_ptr<float>();
  std::atomic<int> next{0};

  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) {
    std::vector<float> scratch;
    for (int task = next++; task < tasks; task = next++) {
      const int sequence = task / kv_heads, head = task % kv_heads;
      const int row = place_data[sequence * 3], count = place_data[sequence * 3 + 1];
      const int context = place_data[sequence * 3 + 2], start = context - count;
      const int* table = table_data + (int64_t)sequence * width;
      float* head_keys = key_memory + (int64_t)head * dim * SLOTS;
      float* head_values = value_memory + (int64_t)head * SLOTS * dim;
      for (int i = 0; i < count; i++) {
        const int64_t block = table[(start + i) / SLOTS] * shape.block_stride;
        const int slot = (start + i) % SLOTS;
        const float* from = K + head * k.stride(1) + (row + i) * k.stride(2);
        for (int d = 0; d < dim; d++) head_keys[block + d * SLOTS + slot] = from[d];
        std::memcpy(head_values + block + (int64_t)slot * dim, V + head * v.stride(1) + (row + i) * v.stride(2),
                    sizeof(float) * dim);
      }
      scratch.resize((size_t)MAX_ROWS * (dim + context + 2 * SLOTS));
      float *sums = scratch.data(), *scores = sums + MAX_ROWS * dim;
      const int total = count * group;
      int done = 0;
      auto run = [&](auto size) {
        constexpr int ROWS = decltype(size)::value;
        const float* queries[ROWS];
        int positions[ROWS];
        for (int r = 0; r < ROWS; r++) {
          const int token = (done + r) / group, member = (done + r) % group;
          queries[r] = Q + (int64_t)(head * group + member) * q.stride(1) + (int64_t)(row + token) * q.stride(2);
          positions[r] = start + token;
        }
        attend<ROWS>(queries, positions, head_keys, head_values, table, shape, scores, sums);
        for (int r = 0; r < ROWS; r++) {
          const int token = (done + r) / group, member = (done + r) % group;
          std::memcpy(out + ((int64_t)(row + token) * heads + head * group + member) * dim, sums + r * dim,
                      sizeof(float) * dim);
        }
        done += ROWS;
      };
      while (total - done >= 8) run(std::integral_constant<int, 8>{});
      while (total - done >= 4) run(std::integral_constant<int, 4>{});
      while (total - done >= 2) run(std::integral_constant<int, 2>{});
      while (total - done >= 1) run(std::integral_constant<int, 1>{});
    }
  });
  return answer;
}

} // namespace

TORCH_LIBRARY(omnipipe, library) {
  library.def(
      "paged_attention(Tensor query, Tensor key, Tensor value, Tensor(a!) keys, Tensor(b!) values, Tensor places, "
      "Tensor tables, float scale, int window, float cap) -> Tensor");
}
TORCH_LIBRARY_IMPL(omnipipe, CPU, library) { library.impl("paged_attention", &paged_attention); }
