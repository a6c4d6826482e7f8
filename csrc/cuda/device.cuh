// What the kernels share: reading numbers of any type, sums over lanes, launching.
//
// Kernels are compiled per type that they compute in, and take the type of what they read as a value: the branch on it is
// the same for all threads, and memory is what they wait for.

#pragma once

#ifdef MILLIVID_EMULATED  // the tests run the kernels without a GPU
#define MILLIVID_DEVICE CPU
#include "cuda_on_cpu.h"
#else
#define MILLIVID_DEVICE CUDA
#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#endif

#include <cstdio>
#include <type_traits>

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include "dispatch.h"

namespace millivid {

constexpr int kThreads = 128;

template <typename T>
struct alignas(4 * sizeof(T)) Four {
  T at[4];
};

template <typename A, typename T>
__device__ void load_four(const char* from, A* to) {
  const Four<T> four = *reinterpret_cast<const Four<T>*>(from);
#pragma unroll
  for (int i = 0; i < 4; ++i) to[i] = static_cast<A>(four.at[i]);
}

template <typename A, typename T>
__device__ void store_four(char* to, const A* from) {
  Four<T> four;
#pragma unroll
  for (int i = 0; i < 4; ++i) four.at[i] = static_cast<T>(from[i]);
  *reinterpret_cast<Four<T>*>(to) = four;
}

// Numbers in memory, of a type that is known only when the kernel runs.
struct Memory {
  char* first;
  ScalarType type;
  int element;  // bytes

  __device__ Memory operator+(int64_t offset) const { return {first + offset * element, type, element}; }

  template <typename A>
  __device__ A load(int64_t i) const {
    const char* from = first + i * element;
    switch (type) {
      case ScalarType::Double: return static_cast<A>(*reinterpret_cast<const double*>(from));
      case ScalarType::BFloat16: return static_cast<A>(*reinterpret_cast<const torch::headeronly::BFloat16*>(from));
      case ScalarType::Half: return static_cast<A>(*reinterpret_cast<const torch::headeronly::Half*>(from));
      default: return static_cast<A>(*reinterpret_cast<const float*>(from));
    }
  }

  template <typename A>
  __device__ void store(int64_t i, A value) const {
    char* to = first + i * element;
    switch (type) {
      case ScalarType::Double: *reinterpret_cast<double*>(to) = static_cast<double>(value); break;
      case ScalarType::BFloat16:
        *reinterpret_cast<torch::headeronly::BFloat16*>(to) = static_cast<torch::headeronly::BFloat16>(value);
        break;
      case ScalarType::Half:
        *reinterpret_cast<torch::headeronly::Half*>(to) = static_cast<torch::headeronly::Half>(value);
        break;
      default: *reinterpret_cast<float*>(to) = static_cast<float>(value);
    }
  }

  // Numbers i to i + 4 in one transaction; only where `wide_access` holds.
  template <typename A>
  __device__ void load4(int64_t i, A* to) const {
    const char* from = first + i * element;
    switch (type) {
      case ScalarType::Double: load_four<A, double>(from, to); break;
      case ScalarType::BFloat16: load_four<A, torch::headeronly::BFloat16>(from, to); break;
      case ScalarType::Half: load_four<A, torch::headeronly::Half>(from, to); break;
      default: load_four<A, float>(from, to);
    }
  }

  template <typename A>
  __device__ void store4(int64_t i, const A* from) const {
    char* to = first + i * element;
    switch (type) {
      case ScalarType::Double: store_four<A, double>(to, from); break;
      case ScalarType::BFloat16: store_four<A, torch::headeronly::BFloat16>(to, from); break;
      case ScalarType::Half: store_four<A, torch::headeronly::Half>(to, from); break;
      default: store_four<A, float>(to, from);
    }
  }
};

inline Memory memory(const Tensor& tensor) {
  return {mutable_bytes(tensor), tensor.scalar_type(), static_cast<int>(tensor.element_size())};
}

__device__ inline int64_t thread_index() { return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; }

// a / b for numbers that are not negative; in 32 bits, which is several times faster, where they fit.
__device__ inline int64_t divide(int64_t a, int64_t b) {
  return ((a | b) >> 32) == 0 ? static_cast<int64_t>(static_cast<uint32_t>(a) / static_cast<uint32_t>(b)) : a / b;
}

// Whether rows of d numbers of a tensor, of these strides, can be read four at a time.
inline bool wide_access(const Tensor& tensor, int64_t d) {
  bool aligned = d % 4 == 0 && reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % (4 * tensor.element_size()) == 0;
  for (int64_t axis = 0; axis + 1 < tensor.dim(); ++axis) aligned = aligned && tensor.stride(axis) % 4 == 0;
  return aligned;
}

// Calls body(i) to visit numbers [0, d) by a group of lanes: one, or four, from i on.
template <bool kWide, int kLanes, typename Body>
__device__ void by_lanes(int64_t d, int lane, const Body& body) {
  constexpr int kCount = kWide ? 4 : 1;
  for (int64_t i = lane * kCount; i < d; i += kLanes * kCount) body(i);
}

template <bool kWide, typename A>
__device__ void load(const Memory& from, int64_t i, A* to) {
  if (kWide) {
    from.load4<A>(i, to);
  } else {
    to[0] = from.load<A>(i);
  }
}

template <bool kWide, typename A>
__device__ void store(const Memory& to, int64_t i, const A* from) {
  if (kWide) {
    to.store4<A>(i, from);
  } else {
    to.store<A>(i, from[0]);
  }
}

// The sum over a group of lanes that lie side by side in a warp; every lane of the warp must call it.
template <int kLanes, typename A>
__device__ A sum_over_lanes(A value) {
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

#ifndef MILLIVID_EMULATED
#define MILLIVID_CUDA_CHECK(call)                                                                        \
  do {                                                                                                   \
    const cudaError_t error = (call);                                                                    \
    STD_TORCH_CHECK(error == cudaSuccess, "CUDA: ", cudaGetErrorString(error));                           \
  } while (0)

inline cudaStream_t stream_of(const Tensor& tensor) {
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

// Runs blocks of kThreads threads, on the device and stream of a tensor.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, const Tensor& on, Arguments... arguments) {
  if (blocks.x == 0 || blocks.y == 0) return;
  torch::stable::accelerator::DeviceGuard guard(on.get_device_index());
  kernel<<<blocks, kThreads, 0, stream_of(on)>>>(static_cast<Parameters>(arguments)...);
  MILLIVID_CUDA_CHECK(cudaGetLastError());
}

// Whether work on the tensor's stream is being recorded for a graph, when nobody can wait for a result.
inline bool capturing(const Tensor& tensor) {
  torch::stable::accelerator::DeviceGuard guard(tensor.get_device_index());
  cudaStreamCaptureStatus status;
  MILLIVID_CUDA_CHECK(cudaStreamIsCapturing(stream_of(tensor), &status));
  return status != cudaStreamCaptureStatusNone;
}

// A number that kernels left in memory, after waiting for them.
inline int read(const Tensor& number) {
  int value = 0;
  torch::stable::accelerator::DeviceGuard guard(number.get_device_index());
  const cudaStream_t stream = stream_of(number);
  MILLIVID_CUDA_CHECK(cudaMemcpyAsync(&value, number.const_data_ptr(), sizeof(int), cudaMemcpyDeviceToHost, stream));
  MILLIVID_CUDA_CHECK(cudaStreamSynchronize(stream));
  return value;
}
#endif

// Calls body with whether memory can be read four numbers at a time, as a constant, and a number to compute in.
template <typename F>
void specialize(bool wide_access, ScalarType type, const F& body) {
  with_wide_type(type, [&](auto number) {
    wide_access ? body(std::true_type{}, number) : body(std::false_type{}, number);
  });
}

inline unsigned int blocks_for(int64_t threads) { return static_cast<unsigned int>((threads + kThreads - 1) / kThreads); }

}  // namespace millivid
