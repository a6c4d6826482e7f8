// The operations as torch calls them, on whatever device: what they ask of their arguments, and what they return.

#include <torch/csrc/stable/library.h>

#include <tuple>

#include "operations.h"

namespace millivid {
namespace {

// (1) Packing ---------------------------------------------------------------------------------------------------------

Stores stores_of(const std::vector<Tensor>& tensors) {
  STD_TORCH_CHECK(!tensors.empty() && tensors.size() <= kMaxLevels, "from 1 to ", kMaxLevels, " stores can be packed");
  const Tensor& like = tensors[0];
  STD_TORCH_CHECK(like.dim() == 5 && is_floating(like), "stores need five axes, and a floating-point type");
  Stores stores{{}, 0, like.size(0), like.size(4), static_cast<int64_t>(like.element_size())};
  for (const Tensor& store : tensors) {
    STD_TORCH_CHECK(
        store.dim() == 5 && store.scalar_type() == like.scalar_type() && store.device() == like.device() &&
            store.size(0) == stores.batch && store.size(4) == stores.channels,
        "stores must be alike, with one batch and one number of channels");
    Stores::Level level{mutable_data<char>(store), {store.size(1), store.size(2), store.size(3)}, {}};
    for (int axis = 0; axis < 5; ++axis) level.stride[axis] = store.stride(axis) * stores.element;
    stores.dense = stores.dense && (stores.channels < 2 || store.stride(4) == 1);
    stores.levels[stores.num_levels++] = level;
  }
  return stores;
}

Columns columns_of(
    const Tensor& level, const Tensor& frame, const Tensor& row, const Tensor& column, const Tensor& store) {
  for (const Tensor* part : {&level, &frame, &row, &column})
    STD_TORCH_CHECK(
        level.dim() == 2 && part->sizes().equals(level.sizes()) && part->device() == store.device() &&
            part->scalar_type() == ScalarType::Long && part->is_contiguous(),
        "index columns must be contiguous int64 of one shape");
  STD_TORCH_CHECK(
      level.size(0) == 1 || level.size(0) == store.size(0), "index columns have another batch than the stores");
  return {data<int64_t>(level), data<int64_t>(frame), data<int64_t>(row), data<int64_t>(column),
          nullptr, level.size(0), level.size(1)};
}

void check_apart(const std::vector<Tensor>& stores) {
  for (size_t a = 0; a < stores.size(); ++a) {
    for (int64_t axis = 0; axis < 5; ++axis)
      STD_TORCH_CHECK(stores[a].stride(axis) != 0 || stores[a].size(axis) < 2, "places of a store share memory");
    for (size_t b = 0; b < a; ++b)
      STD_TORCH_CHECK(
          stores[a].data_ptr() != stores[b].data_ptr() || stores[a].data_ptr() == nullptr, "two stores share memory");
  }
}

Tensor pack_tokens(
    const std::vector<Tensor> stores, const Tensor& level, const Tensor& frame, const Tensor& row,
    const Tensor& column) {
  const Stores places = stores_of(stores);
  const Columns columns = columns_of(level, frame, row, column, stores[0]);
  Tensor out = new_empty(stores[0], {places.batch, columns.tokens, places.channels});
  copy_tokens(places, columns, out, true);
  return out;
}

void unpack_tokens_(
    const std::vector<Tensor> stores, const Tensor& tokens, const Tensor& level, const Tensor& frame, const Tensor& row,
    const Tensor& column, const Tensor& write) {
  const Stores places = stores_of(stores);
  Columns columns = columns_of(level, frame, row, column, stores[0]);
  check_apart(stores);
  STD_TORCH_CHECK(
      write.device() == stores[0].device() && write.scalar_type() == ScalarType::Bool && write.is_contiguous() &&
          write.sizes().equals(level.sizes()),
      "write must be contiguous bool, of the shape of the index columns");
  STD_TORCH_CHECK(
      tokens.device() == stores[0].device() && tokens.scalar_type() == stores[0].scalar_type() &&
          tokens.is_contiguous() && tokens.sizes().equals({places.batch, columns.tokens, places.channels}),
      "tokens must be (batch, token, c), contiguous, of the stores' dtype");
  columns.marked = data<bool>(write);
  copy_tokens(places, columns, tokens, false);
}

// (2) Norms and gate --------------------------------------------------------------------------------------------------

void check_rows(const Tensor& tensor, const Tensor& x) {
  STD_TORCH_CHECK(
      tensor.dim() == 3 && tensor.device() == x.device() && is_floating(tensor) && tensor.size(2) == x.size(2) &&
          (tensor.size(2) < 2 || tensor.stride(2) == 1),
      "tensors must have three axes, the last that of x and dense, in a floating-point type");
}

void check_tokens(const Tensor& x, const Tensor& y) {
  check_rows(x, x);
  check_rows(y, x);
  STD_TORCH_CHECK(y.sizes().equals(x.sizes()), "y or g must have the shape of x");
}

void check_table(const Tensor& table, const Tensor& x, const Tensor& row) {
  check_rows(table, x);
  STD_TORCH_CHECK(table.size(0) == x.size(0), "a table must have the batch of x");
  STD_TORCH_CHECK(
      row.device() == x.device() && row.scalar_type() == ScalarType::Long && row.is_contiguous() &&
          row.sizes().equals({x.size(0) * x.size(1)}),
      "row must be int64, contiguous, one number per token of the batch");
}

Tensor table_gradient(const Tensor& table, const Tensor& x) {
  return new_zeros(x, table.sizes(), wide(x.scalar_type()));
}

Tensor modulated_layer_norm(
    const Tensor& x, const Tensor& shift, const Tensor& scale, const Tensor& row, double eps) {
  check_rows(x, x);
  check_table(shift, x, row);
  check_table(scale, x, row);
  STD_TORCH_CHECK(shift.size(1) == scale.size(1), "shift and scale differ in their cells");
  Tensor out = new_empty(x, x.sizes());
  normalize(x, shift, scale, row, eps, out);
  return out;
}

std::tuple<Tensor, Tensor, Tensor> modulated_layer_norm_backward(
    const Tensor& g, const Tensor& x, const Tensor& scale, const Tensor& row, double eps) {
  check_tokens(x, g);
  check_table(scale, x, row);
  Tensor g_x = new_empty(x, x.sizes()), g_shift = table_gradient(scale, x), g_scale = table_gradient(scale, x);
  normalize_backward(g, x, scale, row, eps, g_x, g_shift, g_scale);
  return {g_x, g_shift, g_scale};
}

Tensor gated_residual(const Tensor& x, const Tensor& y, const Tensor& gate, const Tensor& row) {
  check_tokens(x, y);
  check_table(gate, x, row);
  Tensor out = new_empty(x, x.sizes());
  add_gated(x, y, gate, row, out);
  return out;
}

std::tuple<Tensor, Tensor> gated_residual_backward(
    const Tensor& g, const Tensor& y, const Tensor& gate, const Tensor& row) {
  check_tokens(g, y);
  check_table(gate, g, row);
  Tensor g_y = new_empty(y, y.sizes()), g_gate = table_gradient(gate, g);
  add_gated_backward(g, y, gate, row, g_y, g_gate);
  return {g_y, g_gate};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(millivid, MILLIVID_DEVICE, m) {
  m.impl("pack_tokens", TORCH_BOX(&pack_tokens));
  m.impl("unpack_tokens_", TORCH_BOX(&unpack_tokens_));
  m.impl("modulated_layer_norm", TORCH_BOX(&modulated_layer_norm));
  m.impl("modulated_layer_norm_backward", TORCH_BOX(&modulated_layer_norm_backward));
  m.impl("gated_residual", TORCH_BOX(&gated_residual));
  m.impl("gated_residual_backward", TORCH_BOX(&gated_residual_backward));
}

}  // namespace millivid
