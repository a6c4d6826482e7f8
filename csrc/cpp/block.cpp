// A diffusion transformer block's norms and gate on the CPU. What they compute: reference.py.
//
// Gradients of tables and weights are summed in an order that does not depend on the number of threads.

#include <algorithm>

#include "operations.h"
#include "rows.h"

namespace millivid {
namespace {

constexpr int64_t kNumbers = 8192;  // that are worth a thread
constexpr int64_t kSlice = 64;      // channels that are summed together

// Calls body(begin, end) with rows that threads share out.
template <typename Body>
void share_rows(const Rows& rows, const Body& body) {
  torch::stable::parallel_for(0, rows.count, std::max<int64_t>(1, kNumbers / std::max<int64_t>(1, rows.d)), body);
}

// Calls body(begin, size) with slices of channels that threads share out.
template <typename Body>
void share_channels(int64_t d, const Body& body) {
  torch::stable::parallel_for(0, (d + kSlice - 1) / kSlice, 1, [&](int64_t first, int64_t last) {
    for (int64_t begin = first * kSlice; begin < std::min(d, last * kSlice); begin += kSlice)
      body(begin, std::min(kSlice, d - begin));
  });
}

Rows slice_of(Rows rows, int64_t begin, int64_t size) {
  rows.first += begin * rows.element;
  rows.d = size;
  return rows;
}

// The number of each token's row, all of which are in the table.
const int64_t* checked(const Tensor& row, const Rows& table) {
  const int64_t* r = data<int64_t>(row);
  for (int64_t n = 0; n < row.size(0); ++n)
    STD_TORCH_CHECK(r[n] >= 0 && r[n] < table.count, "a row is not in the tables");
  return r;
}

}  // namespace

// (1) Adaptive layer norm ---------------------------------------------------------------------------------------------

void normalize(
    const Tensor& x, const Tensor& shift, const Tensor& scale, const Tensor& row, double eps, const Tensor& out) {
  const Rows xs(x), shifts(shift), scales(scale), outs(out);
  const int64_t* r = checked(row, scales);
  with_wide_type(xs.type, [&](auto number) {
    using A = decltype(number);
    share_rows(xs, [&](int64_t begin, int64_t end) {
      RowsIn<A> x_in(xs), shift_in(shifts), scale_in(scales);
      RowsOut<A> to(outs);
      for (int64_t n = begin; n < end; ++n) {
        const A* from = x_in[n];
        const auto of = statistics_of<A>(from, xs.d, static_cast<A>(eps));
        normalize_row<A>(from, of, shift_in[r[n]], scale_in[r[n]], to[n], xs.d);
        to.store(n);
      }
    });
  });
}

void normalize_backward(
    const Tensor& g, const Tensor& x, const Tensor& scale, const Tensor& row, double eps, const Tensor& g_x,
    const Tensor& g_shift, const Tensor& g_scale) {
  const Rows gs(g), xs(x), scales(scale), outs(g_x);
  const int64_t* r = checked(row, scales);
  with_wide_type(xs.type, [&](auto number) {
    using A = decltype(number);
    std::vector<Statistics<A>> of(xs.count);
    share_rows(xs, [&](int64_t begin, int64_t end) {
      RowsIn<A> g_in(gs), x_in(xs), scale_in(scales);
      RowsOut<A> to(outs);
      for (int64_t n = begin; n < end; ++n) {
        const A* from = x_in[n];
        of[n] = statistics_of<A>(from, xs.d, static_cast<A>(eps));
        normalize_row_backward<A>(g_in[n], from, of[n], scale_in[r[n]], to[n], xs.d);
        to.store(n);
      }
    });
    A *shift_sums = mutable_data<A>(g_shift), *scale_sums = mutable_data<A>(g_scale);
    share_channels(xs.d, [&](int64_t begin, int64_t size) {
      RowsIn<A> g_in(slice_of(gs, begin, size)), x_in(slice_of(xs, begin, size));
      for (int64_t n = 0; n < xs.count; ++n) {
        const int64_t at = r[n] * xs.d + begin;
        add_modulation_gradient<A>(g_in[n], x_in[n], of[n], shift_sums + at, scale_sums + at, size);
      }
    });
  });
}

// (2) Gate ------------------------------------------------------------------------------------------------------------

void add_gated(const Tensor& x, const Tensor& y, const Tensor& gate, const Tensor& row, const Tensor& out) {
  const Rows xs(x), ys(y), gates(gate), outs(out);
  const int64_t* r = checked(row, gates);
  with_wide_type(xs.type, [&](auto number) {
    using A = decltype(number);
    share_rows(xs, [&](int64_t begin, int64_t end) {
      RowsIn<A> x_in(xs), y_in(ys), gate_in(gates);
      RowsOut<A> to(outs);
      for (int64_t n = begin; n < end; ++n) {
        add_product<A>(x_in[n], gate_in[r[n]], y_in[n], to[n], xs.d);
        to.store(n);
      }
    });
  });
}

void add_gated_backward(
    const Tensor& g, const Tensor& y, const Tensor& gate, const Tensor& row, const Tensor& g_y, const Tensor& g_gate) {
  const Rows gs(g), ys(y), gates(gate), outs(g_y);
  const int64_t* r = checked(row, gates);
  with_wide_type(gs.type, [&](auto number) {
    using A = decltype(number);
    share_rows(gs, [&](int64_t begin, int64_t end) {
      RowsIn<A> g_in(gs), gate_in(gates);
      RowsOut<A> to(outs);
      for (int64_t n = begin; n < end; ++n) {
        multiply_row<A>(g_in[n], gate_in[r[n]], to[n], gs.d);
        to.store(n);
      }
    });
    A* sums = mutable_data<A>(g_gate);
    share_channels(gs.d, [&](int64_t begin, int64_t size) {
      RowsIn<A> g_in(slice_of(gs, begin, size)), y_in(slice_of(ys, begin, size));
      for (int64_t n = 0; n < gs.count; ++n) {
        A* sum = sums + r[n] * gs.d + begin;
        add_product<A>(sum, g_in[n], y_in[n], sum, size);
      }
    });
  });
}

// (3) Norm of queries and keys ----------------------------------------------------------------------------------------

void rms_normalize(const Tensor& x, const Tensor& weight, double eps, const Tensor& out) {
  const Rows xs(x), outs(out), weights(torch::stable::view(weight, {1, 1, x.size(2)}));
  with_wide_type(xs.type, [&](auto number) {
    using A = decltype(number);
    share_rows(xs, [&](int64_t begin, int64_t end) {
      RowsIn<A> x_in(xs), weight_in(weights);
      RowsOut<A> to(outs);
      for (int64_t n = begin; n < end; ++n) {
        const A* from = x_in[n];
        rms_normalize_row<A>(from, rms_rstd<A>(from, xs.d, static_cast<A>(eps)), weight_in[0], to[n], xs.d);
        to.store(n);
      }
    });
  });
}

void rms_normalize_backward(
    const Tensor& g, const Tensor& x, const Tensor& weight, double eps, const Tensor& g_x, const Tensor& sums) {
  const Rows gs(g), xs(x), outs(g_x), weights(torch::stable::view(weight, {1, 1, x.size(2)}));
  with_wide_type(xs.type, [&](auto number) {
    using A = decltype(number);
    torch::stable::parallel_for(0, sums.size(0), 1, [&](int64_t first, int64_t last) {
      RowsIn<A> g_in(gs), x_in(xs), weight_in(weights);
      RowsOut<A> to(outs);
      for (int64_t n = first * kRowsPerSum; n < std::min(last * kRowsPerSum, xs.count); ++n) {
        const A *from = x_in[n], rstd = rms_rstd<A>(from, xs.d, static_cast<A>(eps));
        A* sum = mutable_data<A>(sums) + n / kRowsPerSum * xs.d;
        rms_normalize_row_backward<A>(g_in[n], from, rstd, weight_in[0], to[n], sum, xs.d);
        to.store(n);
      }
    });
  });
}

}  // namespace millivid
