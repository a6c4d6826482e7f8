// Rows of numbers in the type that they are computed in, and the loops over them.

#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "dispatch.h"

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

// bfloat16 is the upper half of a float32, rounded to even.
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

// A row of some type read in type A: the row itself, or a copy in the buffer. Neighbouring tokens often read one row of
// a table, which is converted once; so rows must not change between calls.
template <typename A>
class RowIn {
 public:
  RowIn(ScalarType type, int64_t d) : type_(type), buffer_(type == kTypeOf<A> ? 0 : d), d_(d) {}

  const A* operator()(const void* row) {
    if (type_ == kTypeOf<A>) return static_cast<const A*>(row);
    if (row != last_)
      with_type(type_, [&](auto of) { convert_row(static_cast<const decltype(of)*>(row), buffer_.data(), d_); });
    last_ = row;
    return buffer_.data();
  }

 private:
  ScalarType type_;
  std::vector<A> buffer_;
  int64_t d_;
  const void* last_ = nullptr;
};

// A row of some type that is computed in type A: in place, or in the buffer and then rounded.
template <typename A>
class RowOut {
 public:
  RowOut(ScalarType type, int64_t d) : type_(type), buffer_(type == kTypeOf<A> ? 0 : d), d_(d) {}

  A* operator()(void* row) { return type_ == kTypeOf<A> ? static_cast<A*>(row) : buffer_.data(); }

  void store(void* row) {
    if (type_ == kTypeOf<A>) return;
    with_type(type_, [&](auto of) { convert_row(buffer_.data(), static_cast<decltype(of)*>(row), d_); });
  }

 private:
  ScalarType type_;
  std::vector<A> buffer_;
  int64_t d_;
};

template <typename A>
MILLIVID_CLONES void normalize_row(
    const A* x, const A* shift, const A* scale, A* out, int64_t d, A eps, A* mean, A* rstd) {
  A sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < d; ++i) sum += x[i];
  const A m = sum / d;
  A squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < d; ++i) squares += (x[i] - m) * (x[i] - m);
  const A r = 1 / std::sqrt(squares / d + eps);
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) out[i] = (x[i] - m) * r * (1 + scale[i]) + shift[i];
  *mean = m;
  *rstd = r;
}

template <typename A>
MILLIVID_CLONES void normalize_row_backward(
    const A* g, const A* x, const A* scale, A mean, A rstd, A* g_x, int64_t d) {
  A sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
  for (int64_t i = 0; i < d; ++i) {
    const A h = g[i] * (1 + scale[i]);
    sum += h;
    dot += h * (x[i] - mean);
  }
  const A offset = sum / d, slope = dot * rstd * rstd / d;
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) g_x[i] = rstd * (g[i] * (1 + scale[i]) - offset - (x[i] - mean) * slope);
}

template <typename A>
MILLIVID_CLONES void add_scaled_row(const A* x, const A* gate, const A* y, A* out, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) out[i] = x[i] + gate[i] * y[i];
}

template <typename A>
MILLIVID_CLONES A rms_normalize_row(const A* x, const A* weight, A* out, int64_t d, A eps) {
  A squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < d; ++i) squares += x[i] * x[i];
  const A r = 1 / std::sqrt(squares / d + eps);
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) out[i] = x[i] * r * weight[i];
  return r;
}

template <typename A>
MILLIVID_CLONES void rms_normalize_row_backward(
    const A* g, const A* x, const A* weight, A rstd, A* g_x, A* g_weight, int64_t d) {
  A dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t i = 0; i < d; ++i) dot += g[i] * weight[i] * x[i];
  const A slope = dot * rstd * rstd / d;
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) {
    g_weight[i] += g[i] * x[i] * rstd;
    g_x[i] = rstd * (g[i] * weight[i] - x[i] * slope);
  }
}

template <typename A>
MILLIVID_CLONES void add_modulation_gradient(
    const A* g, const A* x, A mean, A rstd, A* g_shift, A* g_scale, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) {
    g_shift[i] += g[i];
    g_scale[i] += g[i] * (x[i] - mean) * rstd;
  }
}

template <typename A>
MILLIVID_CLONES void add_product(const A* x, const A* y, A* sum, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) sum[i] += x[i] * y[i];
}

template <typename A>
MILLIVID_CLONES void multiply_row(const A* x, const A* y, A* out, int64_t d) {
#pragma omp simd
  for (int64_t i = 0; i < d; ++i) out[i] = x[i] * y[i];
}

}  // namespace millivid
