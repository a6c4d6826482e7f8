// What the norm of queries and keys asks of its arguments, and the order of their rows, whatever the device.

#pragma once

#include <algorithm>
#include <vector>

#include "dispatch.h"

namespace millivid {

// The rows of tensors of one shape, (..., d) with contiguous rows, in the order in which they lie in the first one.
class Rows {
 public:
  explicit Rows(const Tensor& x) : count(1), d(x.size(-1)), axes_(x.dim() - 1) {
    for (int64_t axis = 0; axis < x.dim() - 1; ++axis) axes_[axis] = axis;
    std::stable_sort(axes_.begin(), axes_.end(), [&](int64_t a, int64_t b) { return x.stride(a) > x.stride(b); });
    for (int64_t axis : axes_) {
      sizes.push_back(x.size(axis));
      count *= x.size(axis);
    }
  }

  // A tensor of that shape, but for the last axis.
  struct View {
    char* first;
    std::vector<int64_t> strides;  // in bytes
  };

  View view(const Tensor& tensor) const {
    View view{mutable_bytes(tensor), {}};
    for (int64_t axis : axes_) view.strides.push_back(tensor.stride(axis) * tensor.element_size());
    return view;
  }

  int64_t count, d;

  std::vector<int64_t> sizes;  // but for the last

 private:
  std::vector<int64_t> axes_;
};

inline void check_rms_norm(const Tensor& x, const Tensor& weight) {
  STD_TORCH_CHECK(
      x.dim() >= 1 && (x.size(-1) < 2 || x.stride(-1) == 1) && is_floating(x.scalar_type()),
      "rms_norm: x must be (..., d) with contiguous rows, in a floating-point type");
  for (int64_t axis = 0; axis + 1 < x.dim(); ++axis)
    STD_TORCH_CHECK(x.size(axis) < 2 || x.stride(axis) >= x.size(-1), "rms_norm: rows of x must not overlap");
  STD_TORCH_CHECK(
      weight.dim() == 1 && same_device(weight, x) && weight.size(0) == x.size(-1) && weight.is_contiguous() &&
          is_floating(weight.scalar_type()),
      "rms_norm: weight must be (d), contiguous, in a floating-point type");
}

inline void check_rms_norm_backward(const Tensor& g, const Tensor& x, const Tensor& weight, const Tensor& rstd) {
  check_rms_norm(x, weight);
  check_rms_norm(g, weight);
  STD_TORCH_CHECK(
      g.dim() == x.dim() && rstd.dim() == x.dim() && same_device(g, x) && same_device(rstd, x) &&
          rstd.scalar_type() == wide(x.scalar_type()),
      "rms_norm_backward: g and rstd must be those of the forward pass");
  for (int64_t axis = 0; axis < x.dim(); ++axis)
    STD_TORCH_CHECK(
        g.size(axis) == x.size(axis) && rstd.size(axis) == (axis < x.dim() - 1 ? x.size(axis) : 1),
        "rms_norm_backward: g and rstd must be those of the forward pass");
}

}  // namespace millivid
