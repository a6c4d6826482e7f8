// Enough of CUDA to run kernels on the CPU, one thread after another: blocks in a loop, the threads of a block as fibers
// that hand over to each other where they exchange values.

#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <vector>

#include <torch/csrc/stable/tensor.h>

#define __global__
#define __device__
#define __grid_constant__

struct dim3 {
  unsigned int x = 1, y = 1, z = 1;
  dim3(unsigned int x_ = 1, unsigned int y_ = 1, unsigned int z_ = 1) : x(x_), y(y_), z(z_) {}
};

namespace emulated {

constexpr unsigned int kThreads = 128, kWarp = 32;
constexpr size_t kStack = 256 * 1024;

struct Fiber {
  ucontext_t context;
  bool done = false;
  unsigned int exchanges = 0;
};

struct Block {
  std::vector<Fiber> fibers{kThreads};
  std::vector<std::unique_ptr<char[]>> stacks;
  ucontext_t scheduler;
  unsigned int running = 0;
  double shared[kThreads / kWarp][2][kWarp];  // what lanes exchange, in turns
  unsigned int stamps[kThreads / kWarp][2][kWarp];
  void (*body)(void*) = nullptr;
  void* arguments = nullptr;
  bool trapped = false;
};

inline Block block;
inline dim3 block_index, thread_index;

inline void enter() {
  block.body(block.arguments);
  block.fibers[block.running].done = true;
}

inline void run_block() {
  while (block.stacks.size() < kThreads) block.stacks.push_back(std::make_unique<char[]>(kStack));
  for (unsigned int i = 0; i < kThreads; ++i) {
    Fiber& fiber = block.fibers[i];
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = block.stacks[i].get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = &block.scheduler;
    fiber.done = false;
    fiber.exchanges = 0;
    makecontext(&fiber.context, enter, 0);
  }
  for (auto& warp : block.stamps)
    for (auto& turn : warp)
      for (unsigned int& stamp : turn) stamp = 0;
  for (bool left = true; left;) {
    left = false;
    for (unsigned int i = 0; i < kThreads; ++i) {
      if (block.fibers[i].done) continue;
      block.running = i;
      thread_index = dim3(i);
      swapcontext(&block.scheduler, &block.fibers[i].context);
      if (block.trapped) return;
      left = left || !block.fibers[i].done;
    }
  }
}

}  // namespace emulated

#define blockIdx emulated::block_index
#define threadIdx emulated::thread_index

// Values between lanes of a warp, all of which must take part in every exchange.
template <typename T>
T __shfl_xor_sync(unsigned int, T value, int step) {
  using namespace emulated;
  const unsigned int own = block.running, warp = own / kWarp, lane = own % kWarp;
  const unsigned int number = ++block.fibers[own].exchanges, turn = number % 2;
  block.shared[warp][turn][lane] = value;
  block.stamps[warp][turn][lane] = number;
  swapcontext(&block.fibers[own].context, &block.scheduler);
  if (block.stamps[warp][turn][lane ^ step] != number) {
    std::fprintf(stderr, "a lane did not take part in an exchange\n");
    std::abort();
  }
  return static_cast<T>(block.shared[warp][turn][lane ^ step]);
}

template <typename T>
T atomicAdd(T* at, T value) {
  const T before = *at;
  *at += value;
  return before;
}

inline unsigned int atomicOr(unsigned int* at, unsigned int value) {
  const unsigned int before = *at;
  *at |= value;
  return before;
}

inline void __trap() {
  using namespace emulated;
  block.trapped = true;
  swapcontext(&block.fibers[block.running].context, &block.scheduler);
}

namespace millivid {

template <typename... Parameters, typename... Arguments>
void launch(
    void (*kernel)(Parameters...), dim3 blocks, const torch::stable::Tensor&, Arguments... arguments) {
  auto call = [&] { kernel(static_cast<Parameters>(arguments)...); };
  emulated::block.arguments = &call;
  emulated::block.body = [](void* self) { (*static_cast<decltype(call)*>(self))(); };
  for (unsigned int y = 0; y < blocks.y; ++y)
    for (unsigned int x = 0; x < blocks.x; ++x) {
      emulated::block_index = dim3(x, y);
      emulated::run_block();
      if (emulated::block.trapped) {
        emulated::block.trapped = false;
        throw std::runtime_error("a kernel stopped the program");
      }
    }
}

}  // namespace millivid
