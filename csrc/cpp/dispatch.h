// What the operations ask of tensors before they take a pointer.

#pragma once

#include <algorithm>
#include <initializer_list>
#include <vector>

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

namespace millivid {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline bool same_device(const Tensor& a, const Tensor& b) {
  return a.is_cuda() == b.is_cuda() && a.is_cpu() == b.is_cpu() && a.get_device_index() == b.get_device_index();
}

inline bool is_floating(ScalarType type) {
  return type == ScalarType::Float || type == ScalarType::Double || type == ScalarType::BFloat16 ||
         type == ScalarType::Half;
}

inline bool has_shape(const Tensor& tensor, std::initializer_list<int64_t> shape) {
  const auto sizes = tensor.sizes();
  return std::equal(sizes.begin(), sizes.end(), shape.begin(), shape.end());
}

// What numbers of a type are computed in: float64 for float64, float32 for all others.
inline ScalarType wide(ScalarType type) { return type == ScalarType::Double ? ScalarType::Double : ScalarType::Float; }

// Calls body with a number of the C++ type that `type` is computed in.
template <typename F>
void with_wide_type(ScalarType type, F&& body) {
  type == ScalarType::Double ? body(double{}) : body(float{});
}

inline const char* bytes(const Tensor& tensor) { return static_cast<const char*>(tensor.const_data_ptr()); }
inline char* mutable_bytes(const Tensor& tensor) { return static_cast<char*>(tensor.mutable_data_ptr()); }

template <typename T>
const T* data(const Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}

template <typename T>
T* mutable_data(const Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

inline Tensor new_empty(const Tensor& like, std::initializer_list<int64_t> sizes, ScalarType type) {
  const std::vector<int64_t> shape(sizes);
  return torch::stable::new_empty(like, torch::headeronly::IntHeaderOnlyArrayRef(shape.data(), shape.size()), type);
}

inline Tensor new_zeros(const Tensor& like, std::initializer_list<int64_t> sizes, ScalarType type) {
  Tensor out = new_empty(like, sizes, type);
  torch::stable::zero_(out);
  return out;
}

}  // namespace millivid
