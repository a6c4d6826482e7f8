// The norm of queries and keys on the CPU. What it computes: reference.py.
//
// The gradient of the weight is summed in an order that does not depend on the number of threads.

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "rms_norm.h"
#include "rows.h"

namespace millivid {
namespace {

constexpr int64_t kRows = 128;       // that are worth a thread
constexpr int64_t kRowsPerSum = 64;  // short sums round less

// Calls body(n, where row n lies in each view) for rows [begin, end).
template <size_t N, typename Body>
void for_each_row(
    const Rows& rows, int64_t begin, int64_t end, const std::array<Rows::View, N>& views, const Body& body) {
  const int64_t inner = rows.sizes.empty() ? 1 : rows.sizes.back();
  std::array<char*, N> at;
  for (int64_t n = begin; n < end; ++n) {
    for (size_t v = 0; v < N; ++v) {
      if (n == begin || n % inner == 0) {
        at[v] = views[v].first;
        int64_t rest = n;
        for (size_t i = rows.sizes.size(); i-- > 0; rest /= rows.sizes[i])
          at[v] += rest % rows.sizes[i] * views[v].strides[i];
      } else {
        at[v] += views[v].strides.back();
      }
    }
    body(n, at);
  }
}

std::tuple<Tensor, Tensor> rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  check_rms_norm(x, weight);
  Tensor out = torch::stable::empty_like(x);
  std::vector<int64_t> shape(x.sizes().begin(), x.sizes().end());
  shape.back() = 1;
  Tensor rstd = torch::stable::new_empty(
      x, torch::headeronly::IntHeaderOnlyArrayRef(shape.data(), shape.size()), wide(x.scalar_type()));
  const Rows rows(x);
  const std::array views{rows.view(x), rows.view(out), rows.view(rstd)};
  with_wide_type(x.scalar_type(), [&](auto number) {
    using A = decltype(number);
    torch::stable::parallel_for(0, rows.count, kRows, [&](int64_t begin, int64_t end) {
      RowIn<A> x_in(x.scalar_type(), rows.d), weight_in(weight.scalar_type(), rows.d);
      RowOut<A> out_row(x.scalar_type(), rows.d);
      const A* w = weight_in(bytes(weight));
      for_each_row(rows, begin, end, views, [&](int64_t, const std::array<char*, 3>& at) {
        *reinterpret_cast<A*>(at[2]) = rms_normalize_row<A>(x_in(at[0]), w, out_row(at[1]), rows.d, static_cast<A>(eps));
        out_row.store(at[1]);
      });
    });
  });
  return {out, rstd};
}

std::tuple<Tensor, Tensor> rms_norm_backward(
    const Tensor& g, const Tensor& x, const Tensor& weight, const Tensor& rstd) {
  const ScalarType computed = wide(x.scalar_type());
  check_rms_norm_backward(g, x, weight, rstd);
  const Rows rows(x);
  const int64_t chunks = (rows.count + kRowsPerSum - 1) / kRowsPerSum;
  Tensor g_x = torch::stable::empty_like(x);
  Tensor sums = new_zeros(x, {chunks, rows.d}, computed);
  const std::array views{rows.view(g), rows.view(x), rows.view(rstd), rows.view(g_x)};
  with_wide_type(computed, [&](auto number) {
    using A = decltype(number);
    A* all = mutable_data<A>(sums);
    torch::stable::parallel_for(0, chunks, 1, [&](int64_t first, int64_t last) {
      RowIn<A> g_in(g.scalar_type(), rows.d), x_in(x.scalar_type(), rows.d), weight_in(weight.scalar_type(), rows.d);
      RowOut<A> out_row(x.scalar_type(), rows.d);
      const A* w = weight_in(bytes(weight));
      const int64_t begin = first * kRowsPerSum, end = std::min(last * kRowsPerSum, rows.count);
      for_each_row(rows, begin, end, views, [&](int64_t n, const std::array<char*, 4>& at) {
        rms_normalize_row_backward<A>(
            g_in(at[0]), x_in(at[1]), w, *reinterpret_cast<const A*>(at[2]), out_row(at[3]),
            all + n / kRowsPerSum * rows.d, rows.d);
        out_row.store(at[3]);
      });
    });
  });
  return {g_x, torch::stable::sum(sums, std::vector<int64_t>{0})};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(millivid, CPU, m) {
  m.impl("rms_norm", TORCH_BOX(&rms_norm));
  m.impl("rms_norm_backward", TORCH_BOX(&rms_norm_backward));
}

}  // namespace millivid
