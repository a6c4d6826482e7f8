// The norm of queries and keys on CUDA. What it computes: reference.py.
//
// Sixteen lanes take a row, which is short. The gradient of the weight is summed in a fixed order.

#include "device.cuh"
#include "operations.h"

namespace millivid {
namespace {

constexpr int kLanes = 16;
constexpr int kRowsPerBlock = kThreads / kLanes;

// A tensor's rows on the device.
struct RowsOf {
  RowsOf(const Tensor& tensor, const Tensor& like) : rows(tensor, like), numbers(memory(tensor)) {}

  __device__ Memory operator[](int64_t n) const { return {rows[n], numbers.type, numbers.element}; }

  Rows rows;
  Memory numbers;
};

template <typename N, typename A>
__global__ void normalize_rows(
    const __grid_constant__ RowsOf x, Memory weight, const __grid_constant__ RowsOf out,
    const __grid_constant__ RowsOf rstds, int64_t rows, int64_t d, A eps) {
  const int lane = threadIdx.x % kLanes;
  const int64_t own = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kLanes;
  const int64_t n = own < rows ? own : rows - 1;  // all lanes of a warp take part in its sums
  const Memory from = x[n], to = out[n];
  A squares = 0;
  by_lanes<N, kLanes>(d, lane, [&](int64_t i) {
    const N value = from.load<N>(i);
    squares += (value * value).sum();
  });
  const A rstd = 1 / sqrt(sum_over_lanes<kLanes>(squares) / d + eps);
  if (own >= rows) return;
  by_lanes<N, kLanes>(d, lane, [&](int64_t i) { to.store(i, from.load<N>(i) * rstd * weight.load<N>(i)); });
  if (lane == 0) rstds[n].store(0, Numbers<A, 1>(rstd));
}

template <typename N, typename A>
__global__ void normalize_rows_backward(
    const __grid_constant__ RowsOf g, const __grid_constant__ RowsOf x, Memory weight,
    const __grid_constant__ RowsOf rstds, const __grid_constant__ RowsOf g_x, int64_t rows, int64_t d) {
  const int lane = threadIdx.x % kLanes;
  const int64_t own = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kLanes;
  const int64_t n = own < rows ? own : rows - 1;
  const Memory gs = g[n], xs = x[n], to = g_x[n];
  const A rstd = rstds[n].one<A>(0);
  A dot = 0;
  by_lanes<N, kLanes>(
      d, lane, [&](int64_t i) { dot += (gs.load<N>(i) * weight.load<N>(i) * xs.load<N>(i)).sum(); });
  const A slope = sum_over_lanes<kLanes>(dot) * rstd * rstd / d;
  if (own >= rows) return;
  by_lanes<N, kLanes>(d, lane, [&](int64_t i) {
    to.store(i, rstd * (gs.load<N>(i) * weight.load<N>(i) - xs.load<N>(i) * slope));
  });
}

// The sum of g x rstd over kRowsPerSum rows, one channel a thread.
template <typename A>
__global__ void sum_weight_gradient(
    const __grid_constant__ RowsOf g, const __grid_constant__ RowsOf x, const __grid_constant__ RowsOf rstds, A* sums,
    int64_t rows, int64_t d) {
  const int64_t i = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  if (i >= d) return;
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kRowsPerSum;
  const int64_t end = begin + kRowsPerSum < rows ? begin + kRowsPerSum : rows;
  A sum = 0;
  for (int64_t n = begin; n < end; ++n) sum += g[n].one<A>(i) * x[n].one<A>(i) * rstds[n].one<A>(0);
  sums[static_cast<int64_t>(blockIdx.x) * d + i] = sum;
}

}  // namespace

void rms_normalize(const Tensor& x, const Tensor& weight, double eps, const Tensor& out, const Tensor& rstd) {
  const int64_t d = x.size(-1), rows = rstd.numel();
  specialize({x, out, weight}, d, x.scalar_type(), [&](auto numbers) {
    using N = decltype(numbers);
    using A = typename N::Number;
    launch(
        normalize_rows<N, A>, dim3(blocks_for(rows, kRowsPerBlock)), x, RowsOf(x, x), memory(weight), RowsOf(out, x),
        RowsOf(rstd, x), rows, d, static_cast<A>(eps));
  });
}

void rms_normalize_backward(
    const Tensor& g, const Tensor& x, const Tensor& weight, const Tensor& rstd, const Tensor& g_x, const Tensor& sums) {
  const int64_t d = x.size(-1), rows = rstd.numel();
  specialize({x, g, g_x, weight}, d, x.scalar_type(), [&](auto numbers) {
    using N = decltype(numbers);
    using A = typename N::Number;
    launch(
        normalize_rows_backward<N, A>, dim3(blocks_for(rows, kRowsPerBlock)), x, RowsOf(g, x), RowsOf(x, x),
        memory(weight), RowsOf(rstd, x), RowsOf(g_x, x), rows, d);
    launch(
        sum_weight_gradient<A>, dim3(static_cast<unsigned int>(sums.size(0)), blocks_for(d)), x, RowsOf(g, x),
        RowsOf(x, x), RowsOf(rstd, x), mutable_data<A>(sums), rows, d);
  });
}

}  // namespace millivid
