// Packing tokens of several levels into one sequence, and writing them back, on CUDA. What it does: packing.py.
//
// A first kernel checks every index, and stops the program at a fault, as an index of torch does on CUDA: nobody waits
// for its answer, and nothing is copied after it.

#include "device.cuh"
#include "operations.h"

namespace millivid {
namespace {

// Where token n of the whole batch stands in the columns.
__device__ int64_t index_of(const Columns& columns, int64_t n) {
  return columns.sequences == 1 ? n - divide(n, columns.tokens) * columns.tokens : n;
}

// `taken` has one bit for each of a video's places, for every sequence; it is null where places may be met twice.
__global__ void check_places(
    const __grid_constant__ Stores stores, Columns columns, int64_t count, unsigned int* taken, int64_t num_places) {
  const int64_t n = thread_index();
  if (n >= count) return;
  const int64_t level = columns.level[n], frame = columns.frame[n], row = columns.row[n], column = columns.column[n];
  bool fits = level >= 0 && level < stores.num_levels && stores.levels[level].holds(frame, row, column);
  if (fits && taken != nullptr && columns.marked[n]) {
    const int64_t* size = stores.levels[level].size;
    int64_t place = divide(n, columns.tokens) * num_places + (frame * size[1] + row) * size[2] + column;
    for (int64_t l = 0; l < level; ++l) place += stores.levels[l].num_places();
    const unsigned int bit = 1u << (place % 32);
    fits = (atomicOr(taken + place / 32, bit) & bit) == 0;
  }
  if (fits) return;
  printf("millivid: token %lld is outside the stores, or written where another one is\n", static_cast<long long>(n));
  __trap();
}

template <typename Bits>
__global__ void copy_channels(
    const __grid_constant__ Stores stores, Columns columns, Bits* sequence, bool into_sequence, int64_t count) {
  const int64_t i = thread_index(), n = divide(i, stores.channels), channel = i - n * stores.channels;
  const int64_t at = index_of(columns, n), video = divide(n, columns.tokens);
  if (n >= count || (columns.marked != nullptr && !columns.marked[at])) return;
  const Stores::Level& level = stores.levels[columns.level[at]];
  Bits* in_store = reinterpret_cast<Bits*>(
      level.first + video * level.stride[0] + channel * level.stride[4] +
      level.offset(columns.frame[at], columns.row[at], columns.column[at]));
  if (into_sequence) {
    sequence[i] = *in_store;
  } else {
    *in_store = sequence[i];
  }
}

}  // namespace

void copy_tokens(const Stores& stores, const Columns& columns, const Tensor& sequence, bool into_sequence) {
  int64_t num_places = 0;
  for (int64_t l = 0; l < stores.num_levels; ++l) num_places += stores.levels[l].num_places();
  const int64_t sequences = std::min(stores.batch, columns.sequences);
  const int64_t bits = into_sequence ? 0 : sequences * num_places;
  const Tensor taken = new_zeros(sequence, {(bits + 31) / 32}, ScalarType::Int);
  launch(
      check_places, dim3(blocks_for(sequences * columns.tokens)), sequence, stores, columns, sequences * columns.tokens,
      into_sequence ? nullptr : mutable_data<unsigned int>(taken), num_places);
  const int64_t channels = stores.channels, count = stores.batch * columns.tokens;
  if (channels == 0) return;
  const auto copy = [&](auto bits) {
    using Bits = decltype(bits);
    launch(
        copy_channels<Bits>, dim3(blocks_for(count * channels)), sequence, stores, columns,
        mutable_data<Bits>(sequence), into_sequence, count);
  };
  stores.element == 2 ? copy(uint16_t{}) : stores.element == 4 ? copy(uint32_t{}) : copy(uint64_t{});
}

}  // namespace millivid
