// The norm of queries and keys on CUDA. What it computes: reference.py.
//
// Sixteen lanes take a row, which is short. The gradient of the weight is summed in a fixed order.

#include <torch/csrc/stable/library.h>

#include <tuple>

#include "device.cuh"
#include "rms_norm.h"

namespace millivid {
namespace {

constexpr int kLanesPerRow = 16;
constexpr int kRowsPerBlock = kThreads / kLanesPerRow;
constexpr int kRowsPerSum = 64;
constexpr int kMaxAxes = 6;

// The sizes of all axes but the last, and how far apart a tensor's rows are along them, in numbers.
struct Axes {
  int count;
  int64_t sizes[kMaxAxes];
};

struct RowsOf {
  Memory numbers;
  int64_t strides[kMaxAxes];
};

Axes axes_of(const Rows& rows) {
  STD_TORCH_CHECK(rows.sizes.size() <= kMaxAxes, "rms_norm: x has more than ", kMaxAxes + 1, " axes");
  Axes axes{static_cast<int>(rows.sizes.size()), {}};
  for (int i = 0; i < axes.count; ++i) axes.sizes[i] = rows.sizes[i];
  return axes;
}

RowsOf rows_of(const Rows& rows, const Tensor& tensor) {
  const Rows::View view = rows.view(tensor);
  RowsOf all{memory(tensor), {}};
  for (size_t i = 0; i < view.strides.size(); ++i) all.strides[i] = view.strides[i] / all.numbers.element;
  return all;
}

__device__ Memory row_at(const Axes& axes, const RowsOf& rows, int64_t n) {
  int64_t offset = 0;
  for (int i = axes.count - 1; i >= 0; --i) {
    const int64_t before = divide(n, axes.sizes[i]);
    offset += (n - before * axes.sizes[i]) * rows.strides[i];
    n = before;
  }
  return rows.numbers + offset;
}

template <bool kWide, typename A>
__global__ void rms_normalize(
    const __grid_constant__ Axes axes, const __grid_constant__ RowsOf x, Memory weight, const __grid_constant__ RowsOf out, const __grid_constant__ RowsOf rstds, int64_t rows, int64_t d, A eps) {
  const int lane = threadIdx.x % kLanesPerRow;
  const int64_t own = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kLanesPerRow;
  const int64_t n = own < rows ? own : rows - 1;  // all lanes of a warp take part in its sums
  constexpr int kCount = kWide ? 4 : 1;
  const Memory from = row_at(axes, x, n), to = row_at(axes, out, n);
  A squares = 0;
  by_lanes<kWide, kLanesPerRow>(d, lane, [&](int64_t i) {
    A value[kCount];
    load<kWide>(from, i, value);
    for (int k = 0; k < kCount; ++k) squares += value[k] * value[k];
  });
  const A rstd = 1 / sqrt(sum_over_lanes<kLanesPerRow>(squares) / d + eps);
  if (own >= rows) return;
  by_lanes<kWide, kLanesPerRow>(d, lane, [&](int64_t i) {
    A value[kCount], w[kCount];
    load<kWide>(from, i, value);
    load<kWide>(weight, i, w);
    for (int k = 0; k < kCount; ++k) value[k] = value[k] * rstd * w[k];
    store<kWide>(to, i, value);
  });
  if (lane == 0) row_at(axes, rstds, n).template store<A>(0, rstd);
}

template <bool kWide, typename A>
__global__ void rms_normalize_backward(
    const __grid_constant__ Axes axes, const __grid_constant__ RowsOf g, const __grid_constant__ RowsOf x, Memory weight, const __grid_constant__ RowsOf rstds, const __grid_constant__ RowsOf g_x, int64_t rows, int64_t d) {
  const int lane = threadIdx.x % kLanesPerRow;
  const int64_t own = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kLanesPerRow;
  const int64_t n = own < rows ? own : rows - 1;
  constexpr int kCount = kWide ? 4 : 1;
  const Memory gs = row_at(axes, g, n), xs = row_at(axes, x, n), to = row_at(axes, g_x, n);
  const A rstd = row_at(axes, rstds, n).template load<A>(0);
  A dot = 0;
  by_lanes<kWide, kLanesPerRow>(d, lane, [&](int64_t i) {
    A gi[kCount], xi[kCount], w[kCount];
    load<kWide>(gs, i, gi);
    load<kWide>(xs, i, xi);
    load<kWide>(weight, i, w);
    for (int k = 0; k < kCount; ++k) dot += gi[k] * w[k] * xi[k];
  });
  const A slope = sum_over_lanes<kLanesPerRow>(dot) * rstd * rstd / d;
  if (own >= rows) return;
  by_lanes<kWide, kLanesPerRow>(d, lane, [&](int64_t i) {
    A gi[kCount], xi[kCount], w[kCount];
    load<kWide>(gs, i, gi);
    load<kWide>(xs, i, xi);
    load<kWide>(weight, i, w);
    for (int k = 0; k < kCount; ++k) gi[k] = rstd * (gi[k] * w[k] - xi[k] * slope);
    store<kWide>(to, i, gi);
  });
}

// The sum of g x rstd over kRowsPerSum rows, one channel a thread.
template <typename A>
__global__ void sum_weight_gradient(
    const __grid_constant__ Axes axes, const __grid_constant__ RowsOf g, const __grid_constant__ RowsOf x, const __grid_constant__ RowsOf rstds, A* sums, int64_t rows, int64_t d) {
  const int64_t i = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  if (i >= d) return;
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kRowsPerSum;
  const int64_t end = begin + kRowsPerSum < rows ? begin + kRowsPerSum : rows;
  A sum = 0;
  for (int64_t n = begin; n < end; ++n)
    sum += row_at(axes, g, n).template load<A>(i) * row_at(axes, x, n).template load<A>(i) *
           row_at(axes, rstds, n).template load<A>(0);
  sums[static_cast<int64_t>(blockIdx.x) * d + i] = sum;
}

dim3 blocks_for_rows(int64_t rows) { return dim3(static_cast<unsigned int>((rows + kRowsPerBlock - 1) / kRowsPerBlock)); }

std::tuple<Tensor, Tensor> rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  check_rms_norm(x, weight);
  const ScalarType computed = wide(x.scalar_type());
  const Rows rows(x);
  Tensor out = torch::stable::empty_like(x);
  std::vector<int64_t> shape(x.sizes().begin(), x.sizes().end());
  shape.back() = 1;
  Tensor rstd = torch::stable::new_empty(
      x, torch::headeronly::IntHeaderOnlyArrayRef(shape.data(), shape.size()), computed);
  const bool wide_rows = wide_access(x, rows.d) && wide_access(out, rows.d) && wide_access(weight, rows.d);
  specialize(wide_rows, computed, [&](auto is_wide, auto number) {
    using A = decltype(number);
    launch(
        rms_normalize<decltype(is_wide)::value, A>, blocks_for_rows(rows.count), x, axes_of(rows), rows_of(rows, x),
        memory(weight), rows_of(rows, out), rows_of(rows, rstd), rows.count, rows.d, static_cast<A>(eps));
  });
  return {out, rstd};
}

std::tuple<Tensor, Tensor> rms_norm_backward(
    const Tensor& g, const Tensor& x, const Tensor& weight, const Tensor& rstd) {
  check_rms_norm_backward(g, x, weight, rstd);
  const ScalarType computed = wide(x.scalar_type());
  const Rows rows(x);
  const int64_t chunks = (rows.count + kRowsPerSum - 1) / kRowsPerSum;
  Tensor g_x = torch::stable::empty_like(x);
  Tensor sums = new_empty(x, {chunks, rows.d}, computed);
  const bool wide_rows = wide_access(x, rows.d) && wide_access(g, rows.d) && wide_access(g_x, rows.d) &&
                         wide_access(weight, rows.d);
  specialize(wide_rows, computed, [&](auto is_wide, auto number) {
    using A = decltype(number);
    launch(
        rms_normalize_backward<decltype(is_wide)::value, A>, blocks_for_rows(rows.count), x, axes_of(rows),
        rows_of(rows, g), rows_of(rows, x), memory(weight), rows_of(rows, rstd), rows_of(rows, g_x), rows.count, rows.d);
    launch(
        sum_weight_gradient<A>, dim3(static_cast<unsigned int>(chunks), blocks_for(rows.d)), x, axes_of(rows),
        rows_of(rows, g), rows_of(rows, x), rows_of(rows, rstd), mutable_data<A>(sums), rows.count, rows.d);
  });
  return {g_x, torch::stable::sum(sums, std::vector<int64_t>{0})};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(millivid, MILLIVID_DEVICE, m) {
  m.impl("rms_norm", TORCH_BOX(&rms_norm));
  m.impl("rms_norm_backward", TORCH_BOX(&rms_norm_backward));
}

}  // namespace millivid
