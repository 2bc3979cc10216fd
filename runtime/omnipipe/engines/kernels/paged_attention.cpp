// Attention over paged KV on a CPU, in f32: writes the step's keys and values into their blocks, then attends. One
// parallel loop over sequence x KV head, for one such pair touches memory that no other does.
#include "attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <atomic>

namespace omnipipe {

namespace {

at::Tensor rows_in_order(const at::Tensor& x) { return x.stride(3) == 1 ? x : x.contiguous(); }

// query, key, value: [1, heads, T, dim]; the answer: [1, T, heads, dim].
at::Tensor paged_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, at::Tensor keys,
                           at::Tensor values, const at::Tensor& places, const at::Tensor& tables, double scale,
                           int64_t window, double cap) {
  const at::Tensor q = rows_in_order(query), k = rows_in_order(key), v = rows_in_order(value);
  const int heads = q.size(1), rows = q.size(2), dim = q.size(3), kv_heads = k.size(1), group = heads / kv_heads;
  TORCH_CHECK(keys.size(3) == SLOTS && dim % 16 == 0 && values.size(3) == dim, "shapes that are not for this kernel");
  at::Tensor answer = at::empty({1, rows, heads, dim}, q.options());
  const Shape shape{dim, keys.stride(0), (float)scale, (int)window, (float)cap};
  const Pages pages{places.data_ptr<int>(), tables.data_ptr<int>(), places.size(0), tables.size(1)};
  const float *Q = q.data_ptr<float>(), *K = k.data_ptr<float>(), *V = v.data_ptr<float>();
  float *key_memory = keys.data_ptr<float>(), *value_memory = values.data_ptr<float>(), *out = answer.data_ptr<float>();
  const int64_t tasks = pages.sequences * kv_heads;
  std::atomic<int64_t> next{0};

  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) {
    std::vector<float> scratch;
    for (int64_t task = next++; task < tasks; task = next++) {
      const int64_t sequence = task / kv_heads, head = task % kv_heads;
      const int row = pages.row(sequence), count = pages.count(sequence), start = pages.start(sequence);
      const int64_t offset = head * dim * SLOTS;
      const HeadMemory memory{key_memory + offset, value_memory + offset};
      for (int i = 0; i < count; i++)
        write(K + head * k.stride(1) + (row + i) * k.stride(2), V + head * v.stride(1) + (row + i) * v.stride(2),
              memory, pages.table(sequence), start + i, shape);
      const Rows rows_of{Q + head * group * q.stride(1), q.stride(2), q.stride(1), out + head * group * dim,
                         (int64_t)heads * dim, dim};
      attend_positions(rows_of, memory, pages.table(sequence), row, start, count, group, shape, scratch);
    }
  });
  return answer;
}

} // namespace

} // namespace omnipipe

TORCH_LIBRARY(omnipipe, library) {
  library.def(
      "paged_attention(Tensor query, Tensor key, Tensor value, Tensor(a!) keys, Tensor(b!) values, Tensor places, "
      "Tensor tables, float scale, int window, float cap) -> Tensor");
}
TORCH_LIBRARY_IMPL(omnipipe, CPU, library) { library.impl("paged_attention", &omnipipe::paged_attention); }
