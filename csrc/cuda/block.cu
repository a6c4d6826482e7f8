// A diffusion transformer block's norms and gates on CUDA. What they compute: reference.py.
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
constexpr int kLanesPerRow = 16;  // of queries and keys, which are short
constexpr int kRowsPerBlock = kThreads / kLanesPerRow;
constexpr int kRowsPerSum = 64;
constexpr int kMaxAxes = 6;

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

// Calls body with whether memory can be read four numbers at a time, as a constant, and a number to compute in.
template <typename F>
void specialize(bool wide_access, ScalarType type, const F& body) {
  with_wide_type(type, [&](auto number) {
    wide_access ? body(std::true_type{}, number) : body(std::false_type{}, number);
  });
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

// (3) Norm of queries and keys ----------------------------------------------------------------------------------------

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
  m.impl("modulated_layer_norm", TORCH_BOX(&modulated_layer_norm));
  m.impl("modulated_layer_norm_backward", TORCH_BOX(&modulated_layer_norm_backward));
  m.impl("gated_residual", TORCH_BOX(&gated_residual));
  m.impl("gated_residual_backward", TORCH_BOX(&gated_residual_backward));
  m.impl("rms_norm", TORCH_BOX(&rms_norm));
  m.impl("rms_norm_backward", TORCH_BOX(&rms_norm_backward));
}

}  // namespace millivid
