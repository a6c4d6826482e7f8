// What adaptive layer norm and gate ask of their arguments, whatever the device.

#pragma once

#include "dispatch.h"

namespace millivid {

inline void check(const Tensor& x, const Tensor& table, const Tensor& row, const char* what) {
  STD_TORCH_CHECK(
      x.dim() == 3 && x.is_contiguous() && is_floating(x.scalar_type()), what,
      ": x must be (batch, token, d), contiguous, in a floating-point type");
  STD_TORCH_CHECK(
      table.dim() == 3 && same_device(table, x) && table.size(0) == x.size(0) && table.size(2) == x.size(2) &&
          (table.size(2) < 2 || table.stride(2) == 1) && is_floating(table.scalar_type()),
      what, ": a table must be (batch, cell, d) with contiguous rows, and the batch and d of x");
  const int64_t tokens = x.size(0) * x.size(1);
  STD_TORCH_CHECK(
      row.dim() == 1 && same_device(row, x) && row.size(0) == tokens && row.scalar_type() == ScalarType::Long &&
          row.is_contiguous(),
      what, ": row must be int64, contiguous, one number per token of the batch");
}

inline void check_like(const Tensor& y, const Tensor& x, const char* what) {
  STD_TORCH_CHECK(
      y.dim() == 3 && same_device(y, x) && y.is_contiguous() && is_floating(y.scalar_type()) && y.size(0) == x.size(0) &&
          y.size(1) == x.size(1) && y.size(2) == x.size(2),
      what, ": y or g must be contiguous, in a floating-point type, and of the shape of x");
}

inline void check_statistics(const Tensor& part, const Tensor& x, const char* what) {
  STD_TORCH_CHECK(
      same_device(part, x) && part.is_contiguous() && part.numel() == x.size(0) * x.size(1) &&
          part.scalar_type() == wide(x.scalar_type()),
      what, ": mean and rstd must be those of the forward pass");
}

}  // namespace millivid
