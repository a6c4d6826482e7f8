// How the arguments of the operations lie in memory, and what each device has to implement.

#pragma once

#include <vector>

#include "dispatch.h"

namespace millivid {

constexpr int kMaxLevels = 16;

// The stores of all levels. Strides are in bytes.
struct Stores {
  struct Level {
    char* first;
    int64_t size[3], stride[5];

    MILLIVID_ANYWHERE bool holds(int64_t frame, int64_t row, int64_t column) const {
      return frame >= 0 && frame < size[0] && row >= 0 && row < size[1] && column >= 0 && column < size[2];
    }

    MILLIVID_ANYWHERE int64_t offset(int64_t frame, int64_t row, int64_t column) const {  // from a video's first token
      return frame * stride[1] + row * stride[2] + column * stride[3];
    }

    MILLIVID_ANYWHERE int64_t num_places() const { return size[0] * size[1] * size[2]; }
  };

  int64_t token_bytes() const { return channels * element; }

  Level levels[kMaxLevels];
  int64_t num_levels, batch, channels, element;
  bool dense = true;  // channels lie side by side
};

// Index columns, and marks of the tokens that count (null for all), of one sequence for all videos or of one for each.
struct Columns {
  const int64_t *level, *frame, *row, *column;
  const bool* marked;
  int64_t sequences, tokens;
};

// The rows of a tensor (batch, token or cell, d), counted over the whole batch. Each is dense.
struct Rows {
  explicit Rows(const Tensor& tensor)
      : first(mutable_data<char>(tensor)),
        type(tensor.scalar_type()),
        element(static_cast<int>(tensor.element_size())),
        d(tensor.size(2)),
        count(tensor.size(0) * tensor.size(1)),
        stride(tensor.stride(1) * element),
        video_stride(tensor.stride(0) * element),
        per_video(video_stride == tensor.size(1) * stride ? count : tensor.size(1)) {}

  MILLIVID_ANYWHERE char* operator[](int64_t n) const {
    if (n < per_video) return first + n * stride;  // which spares most of them a division
    const int64_t video = divide(n, per_video);
    return first + video * video_stride + (n - video * per_video) * stride;
  }

  char* first;
  ScalarType type;
  int element;
  int64_t d, count, stride, video_stride, per_video;  // strides are in bytes
};

// Of a row.
template <typename A>
struct Statistics {
  A mean, rstd;
};

// Each device implements the following. Arguments are checked, but for the numbers in index columns and rows. Outputs
// come last, and are there to be filled; `g_shift`, `g_scale` and `g_gate` hold zeros.

// Between stores and a sequence (batch, token, c). Out of the sequence, every marked token needs a place of its own.
void copy_tokens(const Stores& stores, const Columns& columns, const Tensor& sequence, bool into_sequence);

void normalize(
    const Tensor& x, const Tensor& shift, const Tensor& scale, const Tensor& row, double eps, const Tensor& out);
void normalize_backward(
    const Tensor& g, const Tensor& x, const Tensor& scale, const Tensor& row, double eps, const Tensor& g_x,
    const Tensor& g_shift, const Tensor& g_scale);

void add_gated(const Tensor& x, const Tensor& y, const Tensor& gate, const Tensor& row, const Tensor& out);
void add_gated_backward(
    const Tensor& g, const Tensor& y, const Tensor& gate, const Tensor& row, const Tensor& g_y, const Tensor& g_gate);

}  // namespace millivid
