// A diffusion transformer block's norms and gate on CUDA. What they compute: reference.py.
//
// A warp takes a token, and reads it from the cache again rather than hold it in registers, so that any width goes. The
// gradients of tables are added up by atomic operations, in any order; for fixed sums, the torch versions run when
// deterministic algorithms are asked for (library.py).

#include "device.cuh"
#include "operations.h"

namespace millivid {
namespace {

constexpr int kTokensPerBlock = kThreads / kWarp;
constexpr int kTokensPerSum = 32;

dim3 blocks_for_tokens(int64_t tokens) { return dim3(blocks_for(tokens, kTokensPerBlock)); }
dim3 blocks_for_sums(int64_t tokens, int64_t d) { return dim3(blocks_for(tokens, kTokensPerSum), blocks_for(d)); }

// The token that this thread's warp takes.
__device__ int64_t token_index() { return static_cast<int64_t>(blockIdx.x) * kTokensPerBlock + threadIdx.x / kWarp; }

__device__ void check_row(int64_t row, int64_t rows) {
  if (row >= 0 && row < rows) return;
  printf(
      "millivid: row %lld is not in the tables' %lld rows\n", static_cast<long long>(row), static_cast<long long>(rows));
  __trap();
}

// A token's row of a table.
__device__ Memory row_of(const Rows& table, int64_t row) {
  check_row(row, table.count);
  return at(table, row);
}

// Sums over tokens that follow one another and read one row, for one channel a thread.
template <typename Add, typename Flush>
__device__ void sum_runs(const int64_t* row, int64_t tokens, int64_t rows, const Add& add, const Flush& flush) {
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kTokensPerSum;
  const int64_t end = begin + kTokensPerSum < tokens ? begin + kTokensPerSum : tokens;
  int64_t last = row[begin];
  for (int64_t n = begin; n < end; ++n) {
    check_row(row[n], rows);
    if (row[n] != last) flush(last);
    last = row[n];
    add(n);
  }
  flush(last);
}

template <typename N, typename A>
__device__ Statistics<A> statistics_of(const Memory& x, int64_t d, A eps) {
  A sum = 0;
  by_lanes<N>(d, [&](int64_t i) { sum += x.load<N>(i).sum(); });
  const A mean = sum_over_lanes(sum) / d;
  A squares = 0;
  by_lanes<N>(d, [&](int64_t i) {
    const N centred = x.load<N>(i) - mean;
    squares += (centred * centred).sum();
  });
  return {mean, 1 / sqrt(sum_over_lanes(squares) / d + eps)};
}

// (1) Adaptive layer norm ---------------------------------------------------------------------------------------------

template <typename N, typename A>
__global__ void normalize_tokens(Rows x, Rows shift, Rows scale, const int64_t* row, Rows out, A eps) {
  const int64_t n = token_index();
  if (n >= x.count) return;
  const Memory from = at(x, n), to = at(out, n), shifts = row_of(shift, row[n]), scales = row_of(scale, row[n]);
  const auto [mean, rstd] = statistics_of<N, A>(from, x.d, eps);
  by_lanes<N>(x.d, [&](int64_t i) {
    to.store(i, (from.load<N>(i) - mean) * rstd * (A(1) + scales.load<N>(i)) + shifts.load<N>(i));
  });
}

template <typename N, typename A>
__global__ void normalize_tokens_backward(
    Rows g, Rows x, Rows scale, const int64_t* row, Rows g_x, Statistics<A>* statistics, A eps) {
  const int64_t n = token_index(), d = x.d;
  if (n >= x.count) return;
  const Memory gs = at(g, n), xs = at(x, n), to = at(g_x, n), scales = row_of(scale, row[n]);
  const auto [mean, rstd] = statistics_of<N, A>(xs, d, eps);
  A sum = 0, dot = 0;
  by_lanes<N>(d, [&](int64_t i) {
    const N h = gs.load<N>(i) * (A(1) + scales.load<N>(i));
    sum += h.sum();
    dot += (h * (xs.load<N>(i) - mean)).sum();
  });
  const A offset = sum_over_lanes(sum) / d, slope = sum_over_lanes(dot) * rstd * rstd / d;
  by_lanes<N>(d, [&](int64_t i) {
    const N h = gs.load<N>(i) * (A(1) + scales.load<N>(i));
    to.store(i, rstd * (h - offset - (xs.load<N>(i) - mean) * slope));
  });
  if (lane_index() == 0) statistics[n] = {mean, rstd};
}

template <typename A>
__global__ void sum_modulation_gradient(
    Rows g, Rows x, const int64_t* row, const Statistics<A>* statistics, A* g_shift, A* g_scale, int64_t rows) {
  const int64_t i = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  if (i >= x.d) return;
  A shift = 0, scale = 0;
  sum_runs(
      row, x.count, rows,
      [&](int64_t n) {
        const A gi = at(g, n).one<A>(i);
        shift += gi;
        scale += gi * (at(x, n).one<A>(i) - statistics[n].mean) * statistics[n].rstd;
      },
      [&](int64_t r) {
        atomicAdd(g_shift + r * x.d + i, shift);
        atomicAdd(g_scale + r * x.d + i, scale);
        shift = scale = 0;
      });
}

// (2) Gate ------------------------------------------------------------------------------------------------------------

template <typename N>
__global__ void add_gated_tokens(Rows x, Rows y, Rows gate, const int64_t* row, Rows out) {
  const int64_t n = token_index();
  if (n >= x.count) return;
  const Memory xs = at(x, n), ys = at(y, n), to = at(out, n), gates = row_of(gate, row[n]);
  by_lanes<N>(x.d, [&](int64_t i) {
    to.store(i, xs.load<N>(i) + gates.load<N>(i) * ys.load<N>(i));
  });
}

template <typename N>
__global__ void multiply_by_gate(Rows g, Rows gate, const int64_t* row, Rows g_y) {
  const int64_t n = token_index();
  if (n >= g.count) return;
  const Memory gs = at(g, n), to = at(g_y, n), gates = row_of(gate, row[n]);
  by_lanes<N>(g.d, [&](int64_t i) { to.store(i, gs.load<N>(i) * gates.load<N>(i)); });
}

template <typename A>
__global__ void sum_gate_gradient(Rows g, Rows y, const int64_t* row, A* g_gate, int64_t rows) {
  const int64_t i = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  if (i >= g.d) return;
  A sum = 0;
  sum_runs(
      row, g.count, rows, [&](int64_t n) { sum += at(g, n).one<A>(i) * at(y, n).one<A>(i); },
      [&](int64_t r) {
        atomicAdd(g_gate + r * g.d + i, sum);
        sum = 0;
      });
}

}  // namespace

void normalize(
    const Tensor& x, const Tensor& shift, const Tensor& scale, const Tensor& row, double eps, const Tensor& out) {
  specialize({x, out, shift, scale}, x, [&]<typename N, typename A>() {
    launch(normalize_tokens<N, A>, blocks_for_tokens(row.numel()), x, x, shift, scale, data<int64_t>(row), out, eps);
  });
}

void normalize_backward(
    const Tensor& g, const Tensor& x, const Tensor& scale, const Tensor& row, double eps, const Tensor& g_x,
    const Tensor& g_shift, const Tensor& g_scale) {
  const int64_t tokens = row.numel();
  const Tensor kept = new_empty(x, {tokens, 2}, wide(x.scalar_type()));
  specialize({x, g, g_x, scale}, x, [&]<typename N, typename A>() {
    auto* statistics = mutable_data<Statistics<A>>(kept);
    launch(
        normalize_tokens_backward<N, A>, blocks_for_tokens(tokens), x, g, x, scale, data<int64_t>(row), g_x,
        statistics, eps);
    launch(
        sum_modulation_gradient<A>, blocks_for_sums(tokens, x.size(2)), x, g, x, data<int64_t>(row), statistics,
        mutable_data<A>(g_shift), mutable_data<A>(g_scale), scale.size(0) * scale.size(1));
  });
}

void add_gated(const Tensor& x, const Tensor& y, const Tensor& gate, const Tensor& row, const Tensor& out) {
  specialize({x, y, out, gate}, x, [&]<typename N, typename A>() {
    launch(
        add_gated_tokens<N>, blocks_for_tokens(row.numel()), x, x, y, gate, data<int64_t>(row), out);
  });
}

void add_gated_backward(
    const Tensor& g, const Tensor& y, const Tensor& gate, const Tensor& row, const Tensor& g_y, const Tensor& g_gate) {
  const int64_t tokens = row.numel();
  specialize({g, g_y, gate}, g, [&]<typename N, typename A>() {
    launch(multiply_by_gate<N>, blocks_for_tokens(tokens), g, g, gate, data<int64_t>(row), g_y);
    launch(
        sum_gate_gradient<A>, blocks_for_sums(tokens, g.size(2)), g, g, y, data<int64_t>(row), mutable_data<A>(g_gate),
        gate.size(0) * gate.size(1));
  });
}

}  // namespace millivid
