// What packing asks of its arguments, whatever the device.

#pragma once

#include <optional>
#include <vector>

#include "dispatch.h"

namespace millivid {

// The stores of all levels. Strides are in bytes.
struct Stores {
  struct Level {
    char* first;
    int64_t size[3], stride[5];
  };

  explicit Stores(const std::vector<Tensor>& stores) {
    STD_TORCH_CHECK(!stores.empty(), "no stores");
    dtype = stores[0].scalar_type();
    STD_TORCH_CHECK(is_floating(dtype), "stores must have a floating-point type");
    element = static_cast<int64_t>(stores[0].element_size());
    for (const Tensor& store : stores) {
      STD_TORCH_CHECK(
          store.dim() == 5 && store.scalar_type() == dtype && same_device(store, stores[0]),
          "stores must be alike, with five axes");
      const auto sizes = store.sizes();
      const auto strides = store.strides();
      if (levels.empty()) {
        batch = sizes[0];
        channels = sizes[4];
      }
      STD_TORCH_CHECK(sizes[0] == batch && sizes[4] == channels, "stores must have one batch and one number of channels");
      Level level{static_cast<char*>(store.data_ptr()), {sizes[1], sizes[2], sizes[3]}, {}};
      for (int axis = 0; axis < 5; ++axis) {
        level.stride[axis] = strides[axis] * element;
        spread = spread || (strides[axis] == 0 && sizes[axis] > 1);
      }
      dense = dense && (channels < 2 || strides[4] == 1);
      levels.push_back(level);
    }
  }

  int64_t token_bytes() const { return channels * element; }

  std::vector<Level> levels;
  int64_t batch, channels, element;
  ScalarType dtype;
  bool dense = true;    // channels lie side by side
  bool spread = false;  // some places share memory
};

// Raises unless these are the index columns of one sequence for all videos, or of one per video.
inline void check_columns(
    const Stores& stores, const Tensor& level, const Tensor& frame, const Tensor& row, const Tensor& column,
    const Tensor& on_device) {
  for (const Tensor* part : {&level, &frame, &row, &column})
    STD_TORCH_CHECK(
        part->dim() == 2 && same_device(*part, on_device) && part->scalar_type() == ScalarType::Long &&
            part->is_contiguous() && part->size(0) == level.size(0) && part->size(1) == level.size(1),
        "index columns must be contiguous int64 of one shape");
  STD_TORCH_CHECK(level.size(0) == 1 || level.size(0) == stores.batch, "index columns have another batch than the stores");
}

// Raises unless the tokens can be written back where `write` marks them.
inline void check_written(
    const Stores& stores, const Tensor& tokens, const Tensor& level, const Tensor& write, const Tensor& on_device) {
  STD_TORCH_CHECK(!stores.spread, "places of a store share memory");
  STD_TORCH_CHECK(
      same_device(write, on_device) && write.scalar_type() == ScalarType::Bool && write.is_contiguous() &&
          write.dim() == 2 && write.size(1) == level.size(1) && (write.size(0) == 1 || write.size(0) == stores.batch),
      "write must be contiguous bool, one per token");
  STD_TORCH_CHECK(
      same_device(tokens, on_device) && tokens.is_contiguous() && tokens.scalar_type() == stores.dtype &&
          has_shape(tokens, {stores.batch, level.size(1), stores.channels}),
      "tokens must be (batch, token, c), contiguous, of the stores' dtype");
  for (size_t a = 0; a < stores.levels.size(); ++a)
    for (size_t b = 0; b < a; ++b)
      STD_TORCH_CHECK(
          stores.levels[a].first != stores.levels[b].first || stores.levels[a].first == nullptr,
          "two stores share memory");
}

// Raises unless this is the gradient of packed tokens; returns stores of zeros for it.
inline std::vector<Tensor> zeros_for_gradient(
    const Tensor& g, const Tensor& level, const std::vector<int64_t>& sizes, ScalarType type) {
  STD_TORCH_CHECK(
      g.dim() == 3 && g.is_contiguous() && is_floating(g.scalar_type()) && g.size(1) == level.size(1) &&
          sizes.size() % 3 == 0,
      "g must be (batch, token, c), contiguous, in a floating-point type");
  std::vector<Tensor> stores;
  for (size_t i = 0; i < sizes.size(); i += 3)
    stores.push_back(new_zeros(g, {g.size(0), sizes[i], sizes[i + 1], sizes[i + 2], g.size(2)}, type));
  return stores;
}

// What is added to tokens, and the factors of both.
struct Mix {
  Mix(const std::optional<Tensor>& other, const std::optional<Tensor>& alpha, const std::optional<Tensor>& sigma,
      const Stores& stores, int64_t tokens, const Tensor& on_device)
      : on(other.has_value()) {
    STD_TORCH_CHECK(on == alpha.has_value() && on == sigma.has_value(), "the three of a mix go together");
    if (!on) return;
    STD_TORCH_CHECK(
        same_device(*other, on_device) && other->is_contiguous() && other->scalar_type() == stores.dtype &&
            has_shape(*other, {stores.batch, tokens, stores.channels}),
        "noise or velocity must be (batch, token, c), contiguous, of the stores' dtype");
    for (const Tensor* factor : {&*alpha, &*sigma})
      STD_TORCH_CHECK(
          same_device(*factor, on_device) && factor->is_contiguous() && has_shape(*factor, {stores.batch, tokens}) &&
              factor->scalar_type() == wide(stores.dtype),
          "alpha and sigma must be (batch, token), contiguous, in float32 or float64");
    this->other = bytes(*other);
    this->alpha = alpha->const_data_ptr();
    this->sigma = sigma->const_data_ptr();
  }

  bool on;
  const char* other = nullptr;
  const void *alpha = nullptr, *sigma = nullptr;
};

}  // namespace millivid
