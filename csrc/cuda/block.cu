// A diffusion transformer block's adaptive layer norm and gate on CUDA. What they compute: reference.py.
//
// A warp takes a token, and reads it from the cache again rather than hold it in registers, so that any width goes. The
// gradients of tables are added up by atomic operations, in any order; for fixed sums, the torch versions run when
// deterministic algorithms are asked for (library.py).

#include <torch/csrc/stable/library.h>

#include <tuple>

#include "block.h"
#include "device.cuh"

namespace millivid {
namespace {

constexpr int kTokensPerBlock = kThreads / 32;
constexpr int kTokensPerSum = 32;

// The rows of a table (batch, cell, d), counted over the whole batch.
struct Table {
  Memory numbers;
  int64_t cells, rows, batch_stride, cell_stride;

  __device__ Memory operator[](int64_t row) const {
    if (row < 0 || row >= rows) {
      printf("millivid: row %lld is not in the tables' %lld rows\n", static_cast<long long>(row), static_cast<long long>(rows));
      __trap();
    }
    const int64_t batch = divide(row, cells);
    return numbers + (batch * batch_stride + (row - batch * cells) * cell_stride);
  }
};

Table table_of(const Tensor& table) {
  return {memory(table), table.size(1), table.size(0) * table.size(1), table.stride(0), table.stride(1)};
}

dim3 blocks_for_tokens(int64_t tokens) {
  return dim3(static_cast<unsigned int>((tokens + kTokensPerBlock - 1) / kTokensPerBlock));
}

// (1) Adaptive layer norm ---------------------------------------------------------------------------------------------

template <bool kWide, typename A>
__global__ void normalize(
    Memory x, Table shift, Table scale, const int64_t* row, Memory out, A* means, A* rstds, int64_t tokens, int64_t d,
    A eps) {
  const int lane = threadIdx.x % 32;
  const int64_t n = static_cast<int64_t>(blockIdx.x) * kTokensPerBlock + threadIdx.x / 32;
  if (n >= tokens) return;
  constexpr int kCount = kWide ? 4 : 1;
  const Memory from = x + n * d;
  A sum = 0;
  by_lanes<kWide, 32>(d, lane, [&](int64_t i) {
    A value[kCount];
    load<kWide>(from, i, value);
    for (int k = 0; k < kCount; ++k) sum += value[k];
  });
  const A mean = sum_over_lanes<32>(sum) / d;
  A squares = 0;
  by_lanes<kWide, 32>(d, lane, [&](int64_t i) {
    A value[kCount];
    load<kWide>(from, i, value);
    for (int k = 0; k < kCount; ++k) squares += (value[k] - mean) * (value[k] - mean);
  });
  const A rstd = 1 / sqrt(sum_over_lanes<32>(squares) / d + eps);
  const Memory shifts = shift[row[n]], scales = scale[row[n]], to = out + n * d;
  by_lanes<kWide, 32>(d, lane, [&](int64_t i) {
    A value[kCount], s[kCount], t[kCount];
    load<kWide>(from, i, value);
    load<kWide>(scales, i, s);
    load<kWide>(shifts, i, t);
    for (int k = 0; k < kCount; ++k) value[k] = (value[k] - mean) * rstd * (1 + s[k]) + t[k];
    store<kWide>(to, i, value);
  });
  if (lane == 0) {
    means[n] = mean;
    rstds[n] = rstd;
  }
}

template <bool kWide, typename A>
__global__ void normalize_backward(
    Memory g, Memory x, Table scale, const int64_t* row, const A* means, const A* rstds, Memory g_x, int64_t tokens,
    int64_t d) {
  const int lane = threadIdx.x % 32;
  const int64_t n = static_cast<int64_t>(blockIdx.x) * kTokensPerBlock + threadIdx.x / 32;
  if (n >= tokens) return;
  constexpr int kCount = kWide ? 4 : 1;
  const A mean = means[n], rstd = rstds[n];
  const Memory gs = g + n * d, xs = x + n * d, scales = scale[row[n]], to = g_x + n * d;
  A sum = 0, dot = 0;
  by_lanes<kWide, 32>(d, lane, [&](int64_t i) {
    A gi[kCount], xi[kCount], s[kCount];
    load<kWide>(gs, i, gi);
    load<kWide>(xs, i, xi);
    load<kWide>(scales, i, s);
    for (int k = 0; k < kCount; ++k) {
      const A h = gi[k] * (1 + s[k]);
      sum += h;
      dot += h * (xi[k] - mean);
    }
  });
  const A offset = sum_over_lanes<32>(sum) / d, slope = sum_over_lanes<32>(dot) * rstd * rstd / d;
  by_lanes<kWide, 32>(d, lane, [&](int64_t i) {
    A gi[kCount], xi[kCount], s[kCount];
    load<kWide>(gs, i, gi);
    load<kWide>(xs, i, xi);
    load<kWide>(scales, i, s);
    for (int k = 0; k < kCount; ++k) gi[k] = rstd * (gi[k] * (1 + s[k]) - offset - (xi[k] - mean) * slope);
    store<kWide>(to, i, gi);
  });
}

// Sums over tokens that follow one another and read one row, for one channel a thread.
template <typename A, typename Add, typename Flush>
__device__ void sum_runs(const int64_t* row, int64_t tokens, int64_t rows, const Add& add, const Flush& flush) {
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kTokensPerSum;
  const int64_t end = begin + kTokensPerSum < tokens ? begin + kTokensPerSum : tokens;
  int64_t last = row[begin];
  for (int64_t n = begin; n < end; ++n) {
    if (row[n] < 0 || row[n] >= rows) __trap();
    if (row[n] != last) flush(last);
    last = row[n];
    add(n);
  }
  flush(last);
}

template <typename A>
__global__ void sum_modulation_gradient(
    Memory g, Memory x, const int64_t* row, const A* means, const A* rstds, A* g_shift, A* g_scale, int64_t tokens,
    int64_t d, int64_t rows) {
  const int64_t i = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  if (i >= d) return;
  A shift = 0, scale = 0;
  sum_runs<A>(
      row, tokens, rows,
      [&](int64_t n) {
        const A gi = g.load<A>(n * d + i);
        shift += gi;
        scale += gi * (x.load<A>(n * d + i) - means[n]) * rstds[n];
      },
      [&](int64_t at) {
        atomicAdd(g_shift + at * d + i, shift);
        atomicAdd(g_scale + at * d + i, scale);
        shift = scale = 0;
      });
}

dim3 blocks_for_sums(int64_t tokens, int64_t d) {
  return dim3(static_cast<unsigned int>((tokens + kTokensPerSum - 1) / kTokensPerSum), blocks_for(d));
}

std::tuple<Tensor, Tensor, Tensor> modulated_layer_norm(
    const Tensor& x, const Tensor& shift, const Tensor& scale, const Tensor& row, double eps) {
  check(x, shift, row, "modulated_layer_norm");
  check(x, scale, row, "modulated_layer_norm");
  STD_TORCH_CHECK(shift.size(1) == scale.size(1), "modulated_layer_norm: shift and scale differ in their cells");
  const ScalarType computed = wide(x.scalar_type());
  const int64_t tokens = x.size(0) * x.size(1), d = x.size(2);
  Tensor out = torch::stable::empty_like(x);
  Tensor mean = new_empty(x, {tokens}, computed), rstd = new_empty(x, {tokens}, computed);
  const bool wide_rows =
      wide_access(x, d) && wide_access(out, d) && wide_access(shift, d) && wide_access(scale, d);
  specialize(wide_rows, computed, [&](auto is_wide, auto number) {
    using A = decltype(number);
    launch(
        normalize<decltype(is_wide)::value, A>, blocks_for_tokens(tokens), x, memory(x), table_of(shift),
        table_of(scale), data<int64_t>(row), memory(out), mutable_data<A>(mean), mutable_data<A>(rstd), tokens, d,
        static_cast<A>(eps));
  });
  return {out, mean, rstd};
}

std::tuple<Tensor, Tensor, Tensor> modulated_layer_norm_backward(
    const Tensor& g, const Tensor& x, const Tensor& scale, const Tensor& row, const Tensor& mean, const Tensor& rstd) {
  check(x, scale, row, "modulated_layer_norm_backward");
  check_like(g, x, "modulated_layer_norm_backward");
  check_statistics(mean, x, "modulated_layer_norm_backward");
  check_statistics(rstd, x, "modulated_layer_norm_backward");
  const ScalarType computed = wide(x.scalar_type());
  const int64_t tokens = x.size(0) * x.size(1), d = x.size(2), cells = scale.size(1);
  Tensor g_x = torch::stable::empty_like(x);
  Tensor g_shift = new_zeros(x, {scale.size(0), cells, d}, computed);
  Tensor g_scale = new_zeros(x, {scale.size(0), cells, d}, computed);
  const bool wide_rows = wide_access(x, d) && wide_access(g, d) && wide_access(g_x, d) && wide_access(scale, d);
  specialize(wide_rows, computed, [&](auto is_wide, auto number) {
    using A = decltype(number);
    launch(
        normalize_backward<decltype(is_wide)::value, A>, blocks_for_tokens(tokens), x, memory(g), memory(x),
        table_of(scale), data<int64_t>(row), data<A>(mean), data<A>(rstd), memory(g_x), tokens, d);
    launch(
        sum_modulation_gradient<A>, blocks_for_sums(tokens, d), x, memory(g), memory(x), data<int64_t>(row),
        data<A>(mean), data<A>(rstd), mutable_data<A>(g_shift), mutable_data<A>(g_scale), tokens, d,
        scale.size(0) * cells);
  });
  return {g_x, g_shift, g_scale};
}

// (2) Gate ------------------------------------------------------------------------------------------------------------

template <bool kWide, typename A>
__global__ void add_gated(Memory x, Memory y, Table gate, const int64_t* row, Memory out, int64_t tokens, int64_t d) {
  const int64_t n = static_cast<int64_t>(blockIdx.x) * kTokensPerBlock + threadIdx.x / 32;
  if (n >= tokens) return;
  constexpr int kCount = kWide ? 4 : 1;
  const Memory xs = x + n * d, ys = y + n * d, gates = gate[row[n]], to = out + n * d;
  by_lanes<kWide, 32>(d, threadIdx.x % 32, [&](int64_t i) {
    A xi[kCount], yi[kCount], s[kCount];
    load<kWide>(xs, i, xi);
    load<kWide>(ys, i, yi);
    load<kWide>(gates, i, s);
    for (int k = 0; k < kCount; ++k) xi[k] += s[k] * yi[k];
    store<kWide>(to, i, xi);
  });
}

template <bool kWide, typename A>
__global__ void multiply_by_gate(Memory g, Table gate, const int64_t* row, Memory g_y, int64_t tokens, int64_t d) {
  const int64_t n = static_cast<int64_t>(blockIdx.x) * kTokensPerBlock + threadIdx.x / 32;
  if (n >= tokens) return;
  constexpr int kCount = kWide ? 4 : 1;
  const Memory gs = g + n * d, gates = gate[row[n]], to = g_y + n * d;
  by_lanes<kWide, 32>(d, threadIdx.x % 32, [&](int64_t i) {
    A gi[kCount], s[kCount];
    load<kWide>(gs, i, gi);
    load<kWide>(gates, i, s);
    for (int k = 0; k < kCount; ++k) gi[k] *= s[k];
    store<kWide>(to, i, gi);
  });
}

template <typename A>
__global__ void sum_gate_gradient(
    Memory g, Memory y, const int64_t* row, A* g_gate, int64_t tokens, int64_t d, int64_t rows) {
  const int64_t i = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  if (i >= d) return;
  A sum = 0;
  sum_runs<A>(
      row, tokens, rows, [&](int64_t n) { sum += g.load<A>(n * d + i) * y.load<A>(n * d + i); },
      [&](int64_t at) {
        atomicAdd(g_gate + at * d + i, sum);
        sum = 0;
      });
}

Tensor gated_residual(const Tensor& x, const Tensor& y, const Tensor& gate, const Tensor& row) {
  check(x, gate, row, "gated_residual");
  check_like(y, x, "gated_residual");
  const int64_t tokens = x.size(0) * x.size(1), d = x.size(2);
  Tensor out = torch::stable::empty_like(x);
  const bool wide_rows = wide_access(x, d) && wide_access(y, d) && wide_access(out, d) && wide_access(gate, d);
  specialize(wide_rows, x.scalar_type(), [&](auto is_wide, auto number) {
    using A = decltype(number);
    launch(
        add_gated<decltype(is_wide)::value, A>, blocks_for_tokens(tokens), x, memory(x), memory(y), table_of(gate),
        data<int64_t>(row), memory(out), tokens, d);
  });
  return out;
}

std::tuple<Tensor, Tensor> gated_residual_backward(
    const Tensor& g, const Tensor& y, const Tensor& gate, const Tensor& row) {
  check(g, gate, row, "gated_residual_backward");
  check_like(y, g, "gated_residual_backward");
  const int64_t tokens = g.size(0) * g.size(1), d = g.size(2), cells = gate.size(1);
  Tensor g_y = torch::stable::empty_like(y);
  Tensor g_gate = new_zeros(g, {gate.size(0), cells, d}, wide(g.scalar_type()));
  const bool wide_rows = wide_access(g, d) && wide_access(g_y, d) && wide_access(gate, d);
  specialize(wide_rows, g.scalar_type(), [&](auto is_wide, auto number) {
    using A = decltype(number);
    launch(
        multiply_by_gate<decltype(is_wide)::value, A>, blocks_for_tokens(tokens), g, memory(g), table_of(gate),
        data<int64_t>(row), memory(g_y), tokens, d);
    launch(
        sum_gate_gradient<A>, blocks_for_sums(tokens, d), g, memory(g), memory(y), data<int64_t>(row),
        mutable_data<A>(g_gate), tokens, d, gate.size(0) * cells);
  });
  return {g_y, g_gate};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(millivid, MILLIVID_DEVICE, m) {
  m.impl("modulated_layer_norm", TORCH_BOX(&modulated_layer_norm));
  m.impl("modulated_layer_norm_backward", TORCH_BOX(&modulated_layer_norm_backward));
  m.impl("gated_residual", TORCH_BOX(&gated_residual));
  m.impl("gated_residual_backward", TORCH_BOX(&gated_residual_backward));
}

}  // namespace millivid
