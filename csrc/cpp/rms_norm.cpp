// The norm of queries and keys on the CPU. What it computes: reference.py.
//
// The gradient of the weight is summed in an order that does not depend on the number of threads.

#include <algorithm>
#include <array>

#include "operations.h"
#include "rows.h"

namespace millivid {
namespace {

constexpr int64_t kRows = 128;  // that are worth a thread

// Calls body(n, where row n lies in each tensor) for rows [begin, end).
template <size_t N, typename Body>
void for_each_row(int64_t begin, int64_t end, const std::array<Rows, N>& tensors, const Body& body) {
  const int last = tensors[0].axes - 1;
  std::array<char*, N> at;
  for (int64_t n = begin; n < end; ++n) {
    const bool next = n > begin && last >= 0 && n % tensors[0].size[last] != 0;  // along the last axis
    for (size_t i = 0; i < N; ++i) at[i] = next ? at[i] + tensors[i].stride[last] : tensors[i][n];
    body(n, at);
  }
}

}  // namespace

void rms_normalize(const Tensor& x, const Tensor& weight, double eps, const Tensor& out, const Tensor& rstd) {
  const std::array rows{Rows(x, x), Rows(out, x), Rows(rstd, x)};
  const ScalarType type = x.scalar_type();
  const int64_t d = x.size(-1);
  with_wide_type(type, [&](auto number) {
    using A = decltype(number);
    torch::stable::parallel_for(0, rstd.numel(), kRows, [&](int64_t begin, int64_t end) {
      RowIn<A> x_in(type, d), weight_in(weight.scalar_type(), d);
      RowOut<A> out_row(type, d);
      const A* w = weight_in(data<char>(weight));
      for_each_row(begin, end, rows, [&](int64_t, const std::array<char*, 3>& at) {
        *reinterpret_cast<A*>(at[2]) = rms_normalize_row<A>(x_in(at[0]), w, out_row(at[1]), d, static_cast<A>(eps));
        out_row.store(at[1]);
      });
    });
  });
}

void rms_normalize_backward(
    const Tensor& g, const Tensor& x, const Tensor& weight, const Tensor& rstd, const Tensor& g_x, const Tensor& sums) {
  const std::array rows{Rows(g, x), Rows(x, x), Rows(rstd, x), Rows(g_x, x)};
  const int64_t d = x.size(-1);
  with_wide_type(x.scalar_type(), [&](auto number) {
    using A = decltype(number);
    A* all = mutable_data<A>(sums);
    torch::stable::parallel_for(0, sums.size(0), 1, [&](int64_t first, int64_t last) {
      RowIn<A> g_in(g.scalar_type(), d), x_in(x.scalar_type(), d), weight_in(weight.scalar_type(), d);
      RowOut<A> out_row(x.scalar_type(), d);
      const A* w = weight_in(data<char>(weight));
      const int64_t begin = first * kRowsPerSum, end = std::min<int64_t>(last * kRowsPerSum, rstd.numel());
      for_each_row(begin, end, rows, [&](int64_t n, const std::array<char*, 4>& at) {
        rms_normalize_row_backward<A>(
            g_in(at[0]), x_in(at[1]), w, *reinterpret_cast<const A*>(at[2]), out_row(at[3]),
            all + n / kRowsPerSum * d, d);
        out_row.store(at[3]);
      });
    });
  });
}

}  // namespace millivid
