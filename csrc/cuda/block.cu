// A diffusion transformer block's adaptive layer norm and gate on CUDA. What they compute: reference.py.
//
// A warp takes a token, and reads it from the cache again rather than hold it in registers, so that any width goes. The
// gradients of tables are added up by atomic operations, in any order; for fixed sums, the torch versions run when
// deterministic algorithms are asked for (library.py).

#include "device.cuh"
#include "operations.h"

namespace millivid {
namespace {

constexpr int kTokensPerBlock = kThreads / 32;
constexpr int kTokensPerSum = 32;

dim3 blocks_for_tokens(int64_t tokens) { return dim3(blocks_for(tokens, kTokensPerBlock)); }
dim3 blocks_for_sums(int64_t tokens, int64_t d) { return dim3(blocks_for(tokens, kTokensPerSum), blocks_for(d)); }

// The token that this thread's warp takes.
__device__ int64_t token_index() { return static_cast<int64_t>(blockIdx.x) * kTokensPerBlock + threadIdx.x / 32; }

__device__ Memory row_of(const Table& table, int64_t row) {
  if (row < 0 || row >= table.rows) {
    printf(
        "millivid: row %lld is not in the tables' %lld rows\n", static_cast<long long>(row),
        static_cast<long long>(table.rows));
    __trap();
  }
  return {table[row], table.type, table.element};
}

// Sums over tokens that follow one another and read one row, for one channel a thread.
template <typename Add, typename Flush>
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

// (1) Adaptive layer norm ---------------------------------------------------------------------------------------------

template <typename N, typename A>
__global__ void normalize_tokens(
    Memory x, Table shift, Table scale, const int64_t* row, Memory out, A* means, A* rstds, int64_t tokens, int64_t d,
    A eps) {
  const int lane = threadIdx.x % 32;
  const int64_t n = token_index();
  if (n >= tokens) return;
  const Memory from = x + n * d, to = out + n * d;
  A sum = 0;
  by_lanes<N, 32>(d, lane, [&](int64_t i) { sum += from.load<N>(i).sum(); });
  const A mean = sum_over_lanes<32>(sum) / d;
  A squares = 0;
  by_lanes<N, 32>(d, lane, [&](int64_t i) {
    const N centred = from.load<N>(i) - mean;
    squares += (centred * centred).sum();
  });
  const A rstd = 1 / sqrt(sum_over_lanes<32>(squares) / d + eps);
  const Memory shifts = row_of(shift, row[n]), scales = row_of(scale, row[n]);
  by_lanes<N, 32>(d, lane, [&](int64_t i) {
    to.store(i, (from.load<N>(i) - mean) * rstd * (A(1) + scales.load<N>(i)) + shifts.load<N>(i));
  });
  if (lane == 0) {
    means[n] = mean;
    rstds[n] = rstd;
  }
}

template <typename N, typename A>
__global__ void normalize_tokens_backward(
    Memory g, Memory x, Table scale, const int64_t* row, const A* means, const A* rstds, Memory g_x, int64_t tokens,
    int64_t d) {
  const int lane = threadIdx.x % 32;
  const int64_t n = token_index();
  if (n >= tokens) return;
  const A mean = means[n], rstd = rstds[n];
  const Memory gs = g + n * d, xs = x + n * d, scales = row_of(scale, row[n]), to = g_x + n * d;
  A sum = 0, dot = 0;
  by_lanes<N, 32>(d, lane, [&](int64_t i) {
    const N h = gs.load<N>(i) * (A(1) + scales.load<N>(i));
    sum += h.sum();
    dot += (h * (xs.load<N>(i) - mean)).sum();
  });
  const A offset = sum_over_lanes<32>(sum) / d, slope = sum_over_lanes<32>(dot) * rstd * rstd / d;
  by_lanes<N, 32>(d, lane, [&](int64_t i) {
    const N h = gs.load<N>(i) * (A(1) + scales.load<N>(i));
    to.store(i, rstd * (h - offset - (xs.load<N>(i) - mean) * slope));
  });
}

template <typename A>
__global__ void sum_modulation_gradient(
    Memory g, Memory x, const int64_t* row, const A* means, const A* rstds, A* g_shift, A* g_scale, int64_t tokens,
    int64_t d, int64_t rows) {
  const int64_t i = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  if (i >= d) return;
  A shift = 0, scale = 0;
  sum_runs(
      row, tokens, rows,
      [&](int64_t n) {
        const A gi = g.one<A>(n * d + i);
        shift += gi;
        scale += gi * (x.one<A>(n * d + i) - means[n]) * rstds[n];
      },
      [&](int64_t at) {
        atomicAdd(g_shift + at * d + i, shift);
        atomicAdd(g_scale + at * d + i, scale);
        shift = scale = 0;
      });
}

// (2) Gate ------------------------------------------------------------------------------------------------------------

template <typename N>
__global__ void add_gated_tokens(
    Memory x, Memory y, Table gate, const int64_t* row, Memory out, int64_t tokens, int64_t d) {
  const int64_t n = token_index();
  if (n >= tokens) return;
  const Memory xs = x + n * d, ys = y + n * d, gates = row_of(gate, row[n]), to = out + n * d;
  by_lanes<N, 32>(d, threadIdx.x % 32, [&](int64_t i) {
    to.store(i, xs.load<N>(i) + gates.load<N>(i) * ys.load<N>(i));
  });
}

template <typename N>
__global__ void multiply_by_gate(Memory g, Table gate, const int64_t* row, Memory g_y, int64_t tokens, int64_t d) {
  const int64_t n = token_index();
  if (n >= tokens) return;
  const Memory gs = g + n * d, gates = row_of(gate, row[n]), to = g_y + n * d;
  by_lanes<N, 32>(d, threadIdx.x % 32, [&](int64_t i) { to.store(i, gs.load<N>(i) * gates.load<N>(i)); });
}

template <typename A>
__global__ void sum_gate_gradient(
    Memory g, Memory y, const int64_t* row, A* g_gate, int64_t tokens, int64_t d, int64_t rows) {
  const int64_t i = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  if (i >= d) return;
  A sum = 0;
  sum_runs(
      row, tokens, rows, [&](int64_t n) { sum += g.one<A>(n * d + i) * y.one<A>(n * d + i); },
      [&](int64_t at) {
        atomicAdd(g_gate + at * d + i, sum);
        sum = 0;
      });
}

}  // namespace

void normalize(
    const Tensor& x, const Tensor& shift, const Tensor& scale, const Tensor& row, double eps, const Tensor& out,
    const Tensor& mean, const Tensor& rstd) {
  const int64_t tokens = row.numel(), d = x.size(2);
  specialize({x, out, shift, scale}, d, x.scalar_type(), [&](auto numbers) {
    using N = decltype(numbers);
    using A = typename N::Number;
    launch(
        normalize_tokens<N, A>, blocks_for_tokens(tokens), x, memory(x), Table(shift), Table(scale), data<int64_t>(row),
        memory(out), mutable_data<A>(mean), mutable_data<A>(rstd), tokens, d, static_cast<A>(eps));
  });
}

void normalize_backward(
    const Tensor& g, const Tensor& x, const Tensor& scale, const Tensor& row, const Tensor& mean, const Tensor& rstd,
    const Tensor& g_x, const Tensor& g_shift, const Tensor& g_scale) {
  const int64_t tokens = row.numel(), d = x.size(2);
  specialize({x, g, g_x, scale}, d, x.scalar_type(), [&](auto numbers) {
    using N = decltype(numbers);
    using A = typename N::Number;
    launch(
        normalize_tokens_backward<N, A>, blocks_for_tokens(tokens), x, memory(g), memory(x), Table(scale),
        data<int64_t>(row), data<A>(mean), data<A>(rstd), memory(g_x), tokens, d);
    launch(
        sum_modulation_gradient<A>, blocks_for_sums(tokens, d), x, memory(g), memory(x), data<int64_t>(row),
        data<A>(mean), data<A>(rstd), mutable_data<A>(g_shift), mutable_data<A>(g_scale), tokens, d,
        scale.size(0) * scale.size(1));
  });
}

void add_gated(const Tensor& x, const Tensor& y, const Tensor& gate, const Tensor& row, const Tensor& out) {
  const int64_t tokens = row.numel(), d = x.size(2);
  specialize({x, y, out, gate}, d, x.scalar_type(), [&](auto numbers) {
    launch(
        add_gated_tokens<decltype(numbers)>, blocks_for_tokens(tokens), x, memory(x), memory(y), Table(gate),
        data<int64_t>(row), memory(out), tokens, d);
  });
}

void add_gated_backward(
    const Tensor& g, const Tensor& y, const Tensor& gate, const Tensor& row, const Tensor& g_y, const Tensor& g_gate) {
  const int64_t tokens = row.numel(), d = g.size(2);
  specialize({g, g_y, gate}, d, g.scalar_type(), [&](auto numbers) {
    using N = decltype(numbers);
    using A = typename N::Number;
    launch(
        multiply_by_gate<N>, blocks_for_tokens(tokens), g, memory(g), Table(gate), data<int64_t>(row), memory(g_y),
        tokens, d);
    launch(
        sum_gate_gradient<A>, blocks_for_sums(tokens, d), g, memory(g), memory(y), data<int64_t>(row),
        mutable_data<A>(g_gate), tokens, d, gate.size(0) * gate.size(1));
  });
}

}  // namespace millivid
