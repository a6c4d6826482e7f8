// A diffusion transformer block's adaptive layer norm and gate on the CPU. What they compute: reference.py.
//
// Gradients of tables are summed in an order that does not depend on the number of threads.

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <tuple>

#include "block.h"
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

// The rows of a table (batch, cell, d), counted over the whole batch.
class Table {
 public:
  explicit Table(const Tensor& table)
      : type(table.scalar_type()),
        first_(bytes(table)),
        cells_(table.size(1)),
        batch_stride_(table.stride(0) * table.element_size()),
        cell_stride_(table.stride(1) * table.element_size()) {}

  const char* operator[](int64_t row) const {
    return first_ + row / cells_ * batch_stride_ + row % cells_ * cell_stride_;
  }

  const ScalarType type;

 private:
  const char* first_;
  int64_t cells_, batch_stride_, cell_stride_;
};

// Tokens of d channels, one after another.
class Tokens {
 public:
  explicit Tokens(const Tensor& x)
      : type(x.scalar_type()),
        count(x.size(0) * x.size(1)),
        d(x.size(2)),
        element_(x.element_size()),
        first_(mutable_bytes(x)) {}

  char* operator[](int64_t token) const { return first_ + token * d * element_; }
  char* from_channel(int64_t token, int64_t channel) const { return first_ + (token * d + channel) * element_; }

  const ScalarType type;
  const int64_t count, d;

 private:
  int64_t element_;
  char* first_;
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

// (1) Adaptive layer norm ---------------------------------------------------------------------------------------------

std::tuple<Tensor, Tensor, Tensor> modulated_layer_norm(
    const Tensor& x, const Tensor& shift, const Tensor& scale, const Tensor& row, double eps) {
  check(x, shift, row, "modulated_layer_norm");
  check(x, scale, row, "modulated_layer_norm");
  check_rows(row, scale);
  STD_TORCH_CHECK(shift.size(1) == scale.size(1), "modulated_layer_norm: shift and scale differ in their cells");
  const ScalarType computed = wide(x.scalar_type());
  Tensor out = torch::stable::empty_like(x);
  const Tokens from(x), to(out);
  Tensor mean = new_empty(x, {from.count}, computed), rstd = new_empty(x, {from.count}, computed);
  const Table shifts(shift), scales(scale);
  const int64_t* r = data<int64_t>(row);
  with_wide_type(computed, [&](auto number) {
    using A = decltype(number);
    A *means = mutable_data<A>(mean), *rstds = mutable_data<A>(rstd);
    torch::stable::parallel_for(0, from.count, kTokens, [&](int64_t begin, int64_t end) {
      RowIn<A> x_in(from.type, from.d);
      TableRowIn<A> shift_in(shifts.type, from.d), scale_in(scales.type, from.d);
      RowOut<A> out_row(to.type, to.d);
      for (int64_t n = begin; n < end; ++n) {
        normalize_row<A>(
            x_in(from[n]), shift_in(shifts[r[n]]), scale_in(scales[r[n]]), out_row(to[n]), from.d, static_cast<A>(eps),
            means + n, rstds + n);
        out_row.store(to[n]);
      }
    });
  });
  return {out, mean, rstd};
}

std::tuple<Tensor, Tensor, Tensor> modulated_layer_norm_backward(
    const Tensor& g, const Tensor& x, const Tensor& scale, const Tensor& row, const Tensor& mean, const Tensor& rstd) {
  check(x, scale, row, "modulated_layer_norm_backward");
  check_rows(row, scale);
  check_like(g, x, "modulated_layer_norm_backward");
  const ScalarType computed = wide(x.scalar_type());
  Tensor g_x = torch::stable::empty_like(x);
  const Tokens gs(g), xs(x), to(g_x);
  check_statistics(mean, x, "modulated_layer_norm_backward");
  check_statistics(rstd, x, "modulated_layer_norm_backward");
  Tensor g_shift = new_zeros(x, {scale.size(0), scale.size(1), xs.d}, computed);
  Tensor g_scale = new_zeros(x, {scale.size(0), scale.size(1), xs.d}, computed);
  const Table scales(scale);
  const int64_t* r = data<int64_t>(row);
  with_wide_type(computed, [&](auto number) {
    using A = decltype(number);
    const A *means = data<A>(mean), *rstds = data<A>(rstd);
    torch::stable::parallel_for(0, xs.count, kTokens, [&](int64_t begin, int64_t end) {
      RowIn<A> g_in(gs.type, gs.d), x_in(xs.type, xs.d);
      TableRowIn<A> scale_in(scales.type, xs.d);
      RowOut<A> out_row(to.type, to.d);
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
  return {g_x, g_shift, g_scale};
}

// (2) Gate ------------------------------------------------------------------------------------------------------------

Tensor gated_residual(const Tensor& x, const Tensor& y, const Tensor& gate, const Tensor& row) {
  check(x, gate, row, "gated_residual");
  check_rows(row, gate);
  check_like(y, x, "gated_residual");
  Tensor out = torch::stable::empty_like(x);
  const Tokens xs(x), ys(y), to(out);
  const Table gates(gate);
  const int64_t* r = data<int64_t>(row);
  with_wide_type(xs.type, [&](auto number) {
    using A = decltype(number);
    torch::stable::parallel_for(0, xs.count, kTokens, [&](int64_t begin, int64_t end) {
      RowIn<A> x_in(xs.type, xs.d), y_in(ys.type, xs.d);
      TableRowIn<A> gate_in(gates.type, xs.d);
      RowOut<A> out_row(to.type, xs.d);
      for (int64_t n = begin; n < end; ++n) {
        add_scaled_row<A>(x_in(xs[n]), gate_in(gates[r[n]]), y_in(ys[n]), out_row(to[n]), xs.d);
        out_row.store(to[n]);
      }
    });
  });
  return out;
}

std::tuple<Tensor, Tensor> gated_residual_backward(
    const Tensor& g, const Tensor& y, const Tensor& gate, const Tensor& row) {
  check(g, gate, row, "gated_residual_backward");
  check_rows(row, gate);
  check_like(y, g, "gated_residual_backward");
  Tensor g_y = torch::stable::empty_like(y);
  const Tokens gs(g), ys(y), to(g_y);
  Tensor g_gate = new_zeros(g, {gate.size(0), gate.size(1), gs.d}, wide(gs.type));
  const Table gates(gate);
  const int64_t* r = data<int64_t>(row);
  with_wide_type(gs.type, [&](auto number) {
    using A = decltype(number);
    torch::stable::parallel_for(0, gs.count, kTokens, [&](int64_t begin, int64_t end) {
      RowIn<A> g_in(gs.type, gs.d);
      TableRowIn<A> gate_in(gates.type, gs.d);
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
  return {g_y, g_gate};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(millivid, CPU, m) {
  m.impl("modulated_layer_norm", TORCH_BOX(&modulated_layer_norm));
  m.impl("modulated_layer_norm_backward", TORCH_BOX(&modulated_layer_norm_backward));
  m.impl("gated_residual", TORCH_BOX(&gated_residual));
  m.impl("gated_residual_backward", TORCH_BOX(&gated_residual_backward));
}

}  // namespace millivid
