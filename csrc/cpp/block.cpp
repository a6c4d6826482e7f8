// A diffusion transformer block's norms and gates on the CPU. What they compute: reference.py.
//
// Gradients of tables and weights are summed in an order that does not depend on the number of threads.

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "block.h"
#include "rows.h"

namespace millivid {
namespace {

constexpr int64_t kTokens = 16;      // that are worth a thread
constexpr int64_t kSlice = 64;       // channels of a slice
constexpr int64_t kRows = 128;       // of queries or keys that are worth a thread
constexpr int64_t kRowsPerSum = 64;  // short sums round less

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

// (3) Norm of queries and keys ----------------------------------------------------------------------------------------

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
  m.impl("modulated_layer_norm", TORCH_BOX(&modulated_layer_norm));
  m.impl("modulated_layer_norm_backward", TORCH_BOX(&modulated_layer_norm_backward));
  m.impl("gated_residual", TORCH_BOX(&gated_residual));
  m.impl("gated_residual_backward", TORCH_BOX(&gated_residual_backward));
  m.impl("rms_norm", TORCH_BOX(&rms_norm));
  m.impl("rms_norm_backward", TORCH_BOX(&rms_norm_backward));
}

}  // namespace millivid
