// A diffusion transformer block's adaptive layer norm and gate on the CPU. What they compute: reference.py.
//
// Gradients of tables are summed in an order that does not depend on the number of threads.

#include <algorithm>

#include "operations.h"
#include "rows.h"

namespace millivid {
namespace {

constexpr int64_t kTokens = 16;      // that are worth a thread
constexpr int64_t kSlice = 64;       // channels of a slice

void check_rows(const Tensor& row, const Tensor& table) {
  const int64_t rows = table.size(0) * table.size(1);
  const int64_t* r = data<int64_t>(row);
  for (int64_t n = 0; n < row.size(0); ++n) STD_TORCH_CHECK(r[n] >= 0 && r[n] < rows, "a row is not in the tables");
}

// Tokens (batch, token, d), one after another.
struct Tokens {
  explicit Tokens(const Tensor& x)
      : first(mutable_data<char>(x)),
        type(x.scalar_type()),
        count(x.size(0) * x.size(1)),
        d(x.size(2)),
        element(static_cast<int64_t>(x.element_size())) {}

  char* operator[](int64_t token) const { return first + token * d * element; }
  char* from_channel(int64_t token, int64_t channel) const { return first + (token * d + channel) * element; }

  char* first;
  ScalarType type;
  int64_t count, d, element;
};

// Calls add(token, begin, size) for all tokens in order, and slices of channels that threads share out.
template <typename Make>
void sum_by_slice(const Tokens& tokens, const Make& make) {
  const int64_t slices = (tokens.d + kSlice - 1) / kSlice;
  torch::stable::parallel_for(0, slices, 1, [&](int64_t first, int64_t last) {
    for (int64_t slice = first; slice < last; ++slice) {
      const int64_t begin = slice * kSlice, size = std::min(kSlice, tokens.d - begin);
      auto add = make(begin, size);
      for (int64_t n = 0; n < tokens.count; ++n) add(n);
    }
  });
}

}  // namespace

// (1) Adaptive layer norm ---------------------------------------------------------------------------------------------

void normalize(
    const Tensor& x, const Tensor& shift, const Tensor& scale, const Tensor& row, double eps, const Tensor& out,
    const Tensor& mean, const Tensor& rstd) {
  check_rows(row, scale);
  const Tokens xs(x), to(out);
  const Table shifts(shift), scales(scale);
  const int64_t* r = data<int64_t>(row);
  with_wide_type(xs.type, [&](auto number) {
    using A = decltype(number);
    A *means = mutable_data<A>(mean), *rstds = mutable_data<A>(rstd);
    torch::stable::parallel_for(0, xs.count, kTokens, [&](int64_t begin, int64_t end) {
      RowIn<A> x_in(xs.type, xs.d), shift_in(shifts.type, xs.d), scale_in(scales.type, xs.d);
      RowOut<A> out_row(to.type, xs.d);
      for (int64_t n = begin; n < end; ++n) {
        normalize_row<A>(
            x_in(xs[n]), shift_in(shifts[r[n]]), scale_in(scales[r[n]]), out_row(to[n]), xs.d, static_cast<A>(eps),
            means + n, rstds + n);
        out_row.store(to[n]);
      }
    });
  });
}

void normalize_backward(
    const Tensor& g, const Tensor& x, const Tensor& scale, const Tensor& row, const Tensor& mean, const Tensor& rstd,
    const Tensor& g_x, const Tensor& g_shift, const Tensor& g_scale) {
  check_rows(row, scale);
  const Tokens gs(g), xs(x), to(g_x);
  const Table scales(scale);
  const int64_t* r = data<int64_t>(row);
  with_wide_type(xs.type, [&](auto number) {
    using A = decltype(number);
    const A *means = data<A>(mean), *rstds = data<A>(rstd);
    torch::stable::parallel_for(0, xs.count, kTokens, [&](int64_t begin, int64_t end) {
      RowIn<A> g_in(gs.type, xs.d), x_in(xs.type, xs.d), scale_in(scales.type, xs.d);
      RowOut<A> out_row(to.type, xs.d);
      for (int64_t n = begin; n < end; ++n) {
        normalize_row_backward<A>(
            g_in(gs[n]), x_in(xs[n]), scale_in(scales[r[n]]), means[n], rstds[n], out_row(to[n]), xs.d);
        out_row.store(to[n]);
      }
    });
    A *shift_sums = mutable_data<A>(g_shift), *scale_sums = mutable_data<A>(g_scale);
    sum_by_slice(xs, [&](int64_t begin, int64_t size) {
      return [&, begin, size, g_in = RowIn<A>(gs.type, size), x_in = RowIn<A>(xs.type, size)](int64_t n) mutable {
        const int64_t at = r[n] * xs.d + begin;
        add_modulation_gradient<A>(
            g_in(gs.from_channel(n, begin)), x_in(xs.from_channel(n, begin)), means[n], rstds[n], shift_sums + at,
            scale_sums + at, size);
      };
    });
  });
}

// (2) Gate ------------------------------------------------------------------------------------------------------------

void add_gated(const Tensor& x, const Tensor& y, const Tensor& gate, const Tensor& row, const Tensor& out) {
  check_rows(row, gate);
  const Tokens xs(x), ys(y), to(out);
  const Table gates(gate);
  const int64_t* r = data<int64_t>(row);
  with_wide_type(xs.type, [&](auto number) {
    using A = decltype(number);
    torch::stable::parallel_for(0, xs.count, kTokens, [&](int64_t begin, int64_t end) {
      RowIn<A> x_in(xs.type, xs.d), y_in(ys.type, xs.d), gate_in(gates.type, xs.d);
      RowOut<A> out_row(to.type, xs.d);
      for (int64_t n = begin; n < end; ++n) {
        add_scaled_row<A>(x_in(xs[n]), gate_in(gates[r[n]]), y_in(ys[n]), out_row(to[n]), xs.d);
        out_row.store(to[n]);
      }
    });
  });
}

void add_gated_backward(
    const Tensor& g, const Tensor& y, const Tensor& gate, const Tensor& row, const Tensor& g_y, const Tensor& g_gate) {
  check_rows(row, gate);
  const Tokens gs(g), ys(y), to(g_y);
  const Table gates(gate);
  const int64_t* r = data<int64_t>(row);
  with_wide_type(gs.type, [&](auto number) {
    using A = decltype(number);
    torch::stable::parallel_for(0, gs.count, kTokens, [&](int64_t begin, int64_t end) {
      RowIn<A> g_in(gs.type, gs.d), gate_in(gates.type, gs.d);
      RowOut<A> out_row(to.type, gs.d);
      for (int64_t n = begin; n < end; ++n) {
        multiply_row<A>(g_in(gs[n]), gate_in(gates[r[n]]), out_row(to[n]), gs.d);
        out_row.store(to[n]);
      }
    });
    A* sums = mutable_data<A>(g_gate);
    sum_by_slice(gs, [&](int64_t begin, int64_t size) {
      return [&, begin, size, g_in = RowIn<A>(gs.type, size), y_in = RowIn<A>(ys.type, size)](int64_t n) mutable {
        add_product<A>(
            g_in(gs.from_channel(n, begin)), y_in(ys.from_channel(n, begin)), sums + r[n] * gs.d + begin, size);
      };
    });
  });
}

}  // namespace millivid
