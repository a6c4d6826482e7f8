// What the operations ask of tensors before they take a pointer.

#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Exception.h>
#include <torch/headeronly/util/Half.h>

#ifdef __CUDACC__
#define MILLIVID_ANYWHERE __host__ __device__
#else
#define MILLIVID_ANYWHERE
#endif

namespace millivid {

using torch::headeronly::BFloat16;
using torch::headeronly::Half;
using torch::headeronly::ScalarType;
using torch::stable::new_empty;
using torch::stable::new_zeros;
using torch::stable::Tensor;

inline bool is_floating(const Tensor& tensor) {
  const ScalarType type = tensor.scalar_type();
  return type == ScalarType::Float || type == ScalarType::Double || type == ScalarType::BFloat16 ||
         type == ScalarType::Half;
}

// a / b for numbers that are not negative; in 32 bits, which is several times faster, where they fit.
MILLIVID_ANYWHERE inline int64_t divide(int64_t a, int64_t b) {
  return ((a | b) >> 32) == 0 ? static_cast<int64_t>(static_cast<uint32_t>(a) / static_cast<uint32_t>(b)) : a / b;
}

// What numbers of a type are computed in: float64 for float64, float32 for all others.
inline ScalarType wide(ScalarType type) { return type == ScalarType::Double ? ScalarType::Double : ScalarType::Float; }

// Calls body with the C++ type that numbers of a type are computed in.
template <typename F>
void with_wide_type(ScalarType type, const F& body) {
  type == ScalarType::Double ? body.template operator()<double>() : body.template operator()<float>();
}

// Calls body with a number of the C++ type of that name.
template <typename F>
MILLIVID_ANYWHERE void with_type(ScalarType type, const F& body) {
  switch (type) {
    case ScalarType::Double: body(double{}); break;
    case ScalarType::BFloat16: body(BFloat16{}); break;
    case ScalarType::Half: body(Half{}); break;
    default: body(float{});
  }
}

template <typename T>
const T* data(const Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}

template <typename T>
T* mutable_data(const Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

}  // namespace millivid
