// Rows of numbers in the type that they are computed in, and the loops over them.

#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "operations.h"

// One copy of a loop per instruction set; the dynamic loader picks the best that the processor has.
#if !defined(__x86_64__) || !defined(__GNUC__) || defined(__clang__) || defined(MILLIVID_NO_CLONES)
#define MILLIVID_CLONES
#elif __GNUC__ < 12
#define MILLIVID_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define MILLIVID_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif

namespace millivid {

template <typename A>
constexpr ScalarType kTypeOf = sizeof(A) == sizeof(double) ? ScalarType::Double : ScalarType::Float;

// bfloat16 is the upper half of a float32, rounded to even. Torch's own conversions are not vectorised.
MILLIVID_CLONES inline void convert_row(const BFloat16* from, float* to, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) to[i] = std::bit_cast<float>(static_cast<uint32_t>(from[i].x) << 16);
}

MILLIVID_CLONES inline void convert_row(const float* from, BFloat16* to, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(from[i]), rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    to[i].x = static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded);  // not a number stays that
  }
}

template <typename From, typename To>
MILLIVID_CLONES void convert_row(const From* from, To* to, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) to[i] = static_cast<To>(from[i]);
}

// Rows of any type, read in type A: where they lie, or in a buffer. Neighbouring tokens often read one row of a table,
// which is converted once; so rows must not change meanwhile.
template <typename A>
class RowsIn {
 public:
  explicit RowsIn(const Tensor& tensor) : RowsIn(tensor, 0, tensor.size(2)) {}
  RowsIn(const Tensor& tensor, int64_t begin, int64_t size)  // of a row's channels
      : rows_(tensor), buffer_(rows_.type == kTypeOf<A> ? 0 : size) {
    rows_.first += begin * rows_.element;
    rows_.d = size;
  }

  const A* operator[](int64_t n) {
    const char* row = rows_[n];
    if (rows_.type == kTypeOf<A>) return reinterpret_cast<const A*>(row);
    if (row != last_)
      with_type(rows_.type, [&](auto of) {
        convert_row(reinterpret_cast<const decltype(of)*>(row), buffer_.data(), rows_.d);
      });
    last_ = row;
    return buffer_.data();
  }

 private:
  Rows rows_;
  std::vector<A> buffer_;
  const char* last_ = nullptr;
};

// Rows of any type, computed in type A: where they lie, or in a buffer and then rounded.
template <typename A>
class RowsOut {
 public:
  explicit RowsOut(const Rows& rows) : rows_(rows), buffer_(rows.type == kTypeOf<A> ? 0 : rows.d) {}

  A* operator[](int64_t n) { return buffer_.empty() ? reinterpret_cast<A*>(rows_[n]) : buffer_.data(); }

  void store(int64_t n) {
    if (buffer_.empty()) return;
    with_type(rows_.type, [&](auto of) {
      convert_row(buffer_.data(), reinterpret_cast<decltype(of)*>(rows_[n]), rows_.d);
    });
  }

 private:
  Rows rows_;
  std::vector<A> buffer_;
};

template <typename A>
MILLIVID_CLONES Statistics<A> statistics_of(const A* x, int64_t d, A eps) {
  A sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < d; ++i) sum += x[i];
  const A mean = sum / d;
  A squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < d; ++i) squares += (x[i] - mean) * (x[i] - mean);
  return {mean, 1 / std::sqrt(squares / d + eps)};
}

template <typename A>
MILLIVID_CLONES void normalize_row(
    const A* x, Statistics<A> of, const A* shift, const A* scale, A* out, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) out[i] = (x[i] - of.mean) * of.rstd * (1 + scale[i]) + shift[i];
}

template <typename A>
MILLIVID_CLONES void normalize_row_backward(
    const A* g, const A* x, Statistics<A> of, const A* scale, A* g_x, int64_t d) {
  A sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
  for (int64_t i = 0; i < d; ++i) {
    const A h = g[i] * (1 + scale[i]);
    sum += h;
    dot += h * (x[i] - of.mean);
  }
  const A offset = sum / d, slope = dot * of.rstd * of.rstd / d;
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) g_x[i] = of.rstd * (g[i] * (1 + scale[i]) - offset - (x[i] - of.mean) * slope);
}

template <typename A>
MILLIVID_CLONES void add_modulation_gradient(
    const A* g, const A* x, Statistics<A> of, A* g_shift, A* g_scale, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) {
    g_shift[i] += g[i];
    g_scale[i] += g[i] * (x[i] - of.mean) * of.rstd;
  }
}

// out may be x.
template <typename A>
MILLIVID_CLONES void add_product(const A* x, const A* gate, const A* y, A* out, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) out[i] = x[i] + gate[i] * y[i];
}

template <typename A>
MILLIVID_CLONES void multiply_row(const A* x, const A* y, A* out, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) out[i] = x[i] * y[i];
}

}  // namespace millivid
