// What the kernels share: reading numbers of any type, sums over lanes, launching.
//
// Kernels are compiled per type that they compute in, and take the type of what they read as a value: the branch on it
// is the same for all threads, and memory is what they wait for.

#pragma once

#ifdef MILLIVID_EMULATED  // the tests run the kernels without a GPU
#include "cuda_on_cpu.h"
#else
#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#endif

#include <algorithm>
#include <cstdio>
#include <initializer_list>

#include "operations.h"

namespace millivid {

constexpr int kThreads = 128, kWarp = 32;

// Numbers that a thread reads, computes and writes together: four in one transaction, or one.
template <typename T, int kSize>
struct alignas(kSize * sizeof(T)) Numbers {
  static constexpr int kCount = kSize;
  T at[kSize];

  Numbers() = default;
  __device__ Numbers(T value) {
    for (int k = 0; k < kSize; ++k) at[k] = value;
  }
  __device__ friend Numbers operator+(Numbers x, const Numbers& y) {
    for (int k = 0; k < kSize; ++k) x.at[k] += y.at[k];
    return x;
  }
  __device__ friend Numbers operator-(Numbers x, const Numbers& y) {
    for (int k = 0; k < kSize; ++k) x.at[k] -= y.at[k];
    return x;
  }
  __device__ friend Numbers operator*(Numbers x, const Numbers& y) {
    for (int k = 0; k < kSize; ++k) x.at[k] *= y.at[k];
    return x;
  }
  __device__ T sum() const {
    T total = at[0];
    for (int k = 1; k < kSize; ++k) total += at[k];
    return total;
  }
};

// Numbers in memory, of a type that is known only when the kernel runs.
struct Memory {
  char* first;
  ScalarType type;
  int element;  // bytes

  // The numbers from i on; four only where `wide_access` holds.
  template <typename N>
  __device__ N load(int64_t i) const {
    N out;
    with_type(type, [&](auto number) {
      const auto in = *reinterpret_cast<const Numbers<decltype(number), N::kCount>*>(first + i * element);
      for (int k = 0; k < N::kCount; ++k) out.at[k] = in.at[k];
    });
    return out;
  }

  template <typename N>
  __device__ void store(int64_t i, const N& value) const {
    with_type(type, [&](auto number) {
      Numbers<decltype(number), N::kCount> out;
      for (int k = 0; k < N::kCount; ++k) out.at[k] = static_cast<decltype(number)>(value.at[k]);
      *reinterpret_cast<Numbers<decltype(number), N::kCount>*>(first + i * element) = out;
    });
  }

  template <typename A>
  __device__ A one(int64_t i) const {
    return load<Numbers<A, 1>>(i).at[0];
  }
};

__device__ inline Memory at(const Rows& rows, int64_t n) { return {rows[n], rows.type, rows.element}; }

__device__ inline int64_t thread_index() { return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; }

// Whether a tensor's rows can be read four numbers at a time.
inline bool wide_access(const Tensor& tensor) {
  bool aligned = tensor.size(-1) % 4 == 0 &&
                 reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % (4 * tensor.element_size()) == 0;
  for (int64_t axis = 0; axis + 1 < tensor.dim(); ++axis) aligned = aligned && tensor.stride(axis) % 4 == 0;
  return aligned;
}

__device__ inline int lane_index() { return threadIdx.x % kWarp; }

// Calls body(i) to visit numbers [0, d) by the lanes of a warp, some at once from i on.
template <typename N, typename Body>
__device__ void by_lanes(int64_t d, const Body& body) {
  for (int64_t i = lane_index() * N::kCount; i < d; i += kWarp * N::kCount) body(i);
}

// The sum over a warp, every lane of which must call it.
template <typename A>
__device__ A sum_over_lanes(A value) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

#ifndef MILLIVID_EMULATED
// Runs blocks of kThreads threads, on the device and stream of a tensor.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, const Tensor& on, Arguments... arguments) {
  if (blocks.x == 0 || blocks.y == 0) return;
  torch::stable::accelerator::DeviceGuard guard(on.get_device_index());
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(on.get_device_index(), &stream));
  kernel<<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(static_cast<Parameters>(arguments)...);
  const cudaError_t error = cudaGetLastError();
  STD_TORCH_CHECK(error == cudaSuccess, "CUDA: ", cudaGetErrorString(error));
}
#endif

// Calls body with the types of numbers that those of x are computed in, and of one of these: four at a time where all
// tensors' rows can be read so.
template <typename F>
void specialize(std::initializer_list<Tensor> tensors, const Tensor& x, const F& body) {
  const bool four = std::all_of(tensors.begin(), tensors.end(), wide_access);
  with_wide_type(x.scalar_type(), [&]<typename A>() {
    four ? body.template operator()<Numbers<A, 4>, A>() : body.template operator()<Numbers<A, 1>, A>();
  });
}

// How many blocks hold so many threads, or other things of which so many go into a block.
inline unsigned int blocks_for(int64_t count, int64_t per_block = kThreads) {
  return static_cast<unsigned int>((count + per_block - 1) / per_block);
}

}  // namespace millivid
