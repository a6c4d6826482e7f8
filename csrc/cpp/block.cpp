// A diffusion transformer block's norms and gate on the CPU. What they compute: reference.py.
//
// Gradients of tables are summed in an order that does not depend on the number of threads.

#include <algorithm>
#include <vector>

#include "operations.h"
#include "rows.h"

namespace millivid {
namespace {

constexpr int64_t kNumbers = 8192;  // that are worth a thread
constexpr int64_t kSlice = 64;      // channels that are summed together

// Calls body(n, inputs, where row n of the output belongs) for all n, which threads share out.
template <typename A, typename Body>
void write_rows(const Tensor& output, const std::vector<Tensor>& inputs, const Body& body) {
  const Rows rows(output);
  const int64_t worth = std::max<int64_t>(1, kNumbers / std::max<int64_t>(1, rows.d));
  torch::stable::parallel_for(0, rows.count, worth, [&](int64_t begin, int64_t end) {
    std::vector<RowsIn<A>> in(inputs.begin(), inputs.end());
    RowsOut<A> out(rows);
    for (int64_t n = begin; n < end; ++n) {
      body(n, in, out[n]);
      out.store(n);
    }
  });
}

// Calls add(n, a's and b's row n, where its sums lie, size) for all n in order, with slices of channels, which threads
// share out. `row` has the number of each token's row of the sums.
template <typename A, typename Add>
void sum_tokens(const Tensor& a, const Tensor& b, const int64_t* row, const Add& add) {
  const int64_t d = a.size(2), tokens = a.size(0) * a.size(1);
  torch::stable::parallel_for(0, (d + kSlice - 1) / kSlice, 1, [&](int64_t first, int64_t last) {
    for (int64_t begin = first * kSlice; begin < std::min(d, last * kSlice); begin += kSlice) {
      const int64_t size = std::min(kSlice, d - begin);
      RowsIn<A> as(a, begin, size), bs(b, begin, size);
      for (int64_t n = 0; n < tokens; ++n) add(n, as[n], bs[n], row[n] * d + begin, size);
    }
  });
}

// The number of each token's row, all of which are in the table.
const int64_t* checked(const Tensor& row, const Tensor& table) {
  const int64_t *r = data<int64_t>(row), tokens = row.size(0), rows = table.size(0) * table.size(1);
  for (int64_t n = 0; n < tokens; ++n) STD_TORCH_CHECK(r[n] >= 0 && r[n] < rows, "a row is not in the tables");
  return r;
}

}  // namespace

// (1) Adaptive layer norm ---------------------------------------------------------------------------------------------

void normalize(
    const Tensor& x, const Tensor& shift, const Tensor& scale, const Tensor& row, double eps, const Tensor& out) {
  const int64_t *r = checked(row, scale), d = x.size(2);
  with_wide_type(x.scalar_type(), [&]<typename A>() {
    write_rows<A>(out, {x, shift, scale}, [&](int64_t n, auto& in, A* to) {
      const A* from = in[0][n];
      normalize_row<A>(from, statistics_of<A>(from, d, static_cast<A>(eps)), in[1][r[n]], in[2][r[n]], to, d);
    });
  });
}

void normalize_backward(
    const Tensor& g, const Tensor& x, const Tensor& scale, const Tensor& row, double eps, const Tensor& g_x,
    const Tensor& g_shift, const Tensor& g_scale) {
  const int64_t *r = checked(row, scale), tokens = row.size(0), d = x.size(2);
  with_wide_type(x.scalar_type(), [&]<typename A>() {
    std::vector<Statistics<A>> of(tokens);
    write_rows<A>(g_x, {g, x, scale}, [&](int64_t n, auto& in, A* to) {
      const A* from = in[1][n];
      of[n] = statistics_of<A>(from, d, static_cast<A>(eps));
      normalize_row_backward<A>(in[0][n], from, of[n], in[2][r[n]], to, d);
    });
    A *shift_sums = mutable_data<A>(g_shift), *scale_sums = mutable_data<A>(g_scale);
    sum_tokens<A>(g, x, r, [&](int64_t n, const A* gs, const A* xs, int64_t at, int64_t size) {
      add_modulation_gradient<A>(gs, xs, of[n], shift_sums + at, scale_sums + at, size);
    });
  });
}

// (2) Gate ------------------------------------------------------------------------------------------------------------

void add_gated(const Tensor& x, const Tensor& y, const Tensor& gate, const Tensor& row, const Tensor& out) {
  const int64_t *r = checked(row, gate), d = x.size(2);
  with_wide_type(x.scalar_type(), [&]<typename A>() {
    write_rows<A>(out, {x, y, gate}, [&](int64_t n, auto& in, A* to) {
      add_product<A>(in[0][n], in[2][r[n]], in[1][n], to, d);
    });
  });
}

void add_gated_backward(
    const Tensor& g, const Tensor& y, const Tensor& gate, const Tensor& row, const Tensor& g_y, const Tensor& g_gate) {
  const int64_t *r = checked(row, gate), d = g.size(2);
  with_wide_type(g.scalar_type(), [&]<typename A>() {
    write_rows<A>(g_y, {g, gate}, [&](int64_t n, auto& in, A* to) { multiply_row<A>(in[0][n], in[1][r[n]], to, d); });
    A* sums = mutable_data<A>(g_gate);
    sum_tokens<A>(g, y, r, [&](int64_t, const A* gs, const A* ys, int64_t at, int64_t size) {
      add_product<A>(sums + at, gs, ys, sums + at, size);
    });
  });
}

}  // namespace millivid
