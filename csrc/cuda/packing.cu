// Packing tokens of several levels into one sequence, and writing them back, on CUDA. What it does: packing.py.
//
// A first kernel checks every index, and stops the program at a fault, as an index of torch does on CUDA: nobody waits
// for its answer, and nothing is copied after it.

#include "device.cuh"
#include "operations.h"

namespace millivid {
namespace {

constexpr int kMaxLevels = 16;

// A step's tokens and their stores, as a kernel takes them.
struct Places {
  Columns columns;
  int num_levels;
  Stores::Level levels[kMaxLevels];

  // Where token n of the whole batch stands in the columns.
  __device__ int64_t index(int64_t n) const {
    return columns.sequences == 1 ? n - divide(n, columns.tokens) * columns.tokens : n;
  }

  __device__ bool marked(int64_t n) const { return columns.marked == nullptr || columns.marked[index(n)]; }

  __device__ char* place(int64_t n, int64_t channel) const {
    const int64_t i = index(n);
    const Stores::Level& at = levels[columns.level[i]];
    return at.first + divide(n, columns.tokens) * at.stride[0] + channel * at.stride[4] +
           at.offset(columns.frame[i], columns.row[i], columns.column[i]);
  }
};

// `taken` has one bit for each of a video's places, for every sequence; it is null where places may be met twice.
__global__ void check_places(
    const __grid_constant__ Places places, int64_t count, unsigned int* taken, int64_t num_places) {
  const int64_t n = thread_index();
  if (n >= count) return;
  const Columns& columns = places.columns;
  const int64_t level = columns.level[n], frame = columns.frame[n], row = columns.row[n], column = columns.column[n];
  bool fits = level >= 0 && level < places.num_levels && places.levels[level].holds(frame, row, column);
  if (fits && taken != nullptr && columns.marked[n]) {
    const int64_t* size = places.levels[level].size;
    int64_t place = divide(n, columns.tokens) * num_places + (frame * size[1] + row) * size[2] + column;
    for (int64_t l = 0; l < level; ++l) place += places.levels[l].num_places();
    const unsigned int bit = 1u << (place % 32);
    fits = (atomicOr(taken + place / 32, bit) & bit) == 0;
  }
  if (fits) return;
  printf("millivid: token %lld is outside the stores, or written where another one is\n", static_cast<long long>(n));
  __trap();
}

template <typename Bits>
__global__ void copy_channels(
    const __grid_constant__ Places places, Bits* sequence, bool into_sequence, int64_t channels, int64_t count) {
  const int64_t i = thread_index(), n = divide(i, channels);
  if (n >= count || !places.marked(n)) return;
  Bits* in_store = reinterpret_cast<Bits*>(places.place(n, i - n * channels));
  if (into_sequence) {
    sequence[i] = *in_store;
  } else {
    *in_store = sequence[i];
  }
}

}  // namespace

void copy_tokens(const Stores& stores, const Columns& columns, const Tensor& sequence, bool into_sequence) {
  STD_TORCH_CHECK(stores.levels.size() <= kMaxLevels, "at most ", kMaxLevels, " levels can be packed on CUDA");
  Places places{columns, static_cast<int>(stores.levels.size()), {}};
  std::copy(stores.levels.begin(), stores.levels.end(), places.levels);
  int64_t num_places = 0;
  for (const Stores::Level& level : stores.levels) num_places += level.num_places();
  const int64_t sequences = std::min(stores.batch, columns.sequences), bits = into_sequence ? 0 : sequences * num_places;
  const Tensor taken = new_zeros(sequence, {(bits + 31) / 32}, ScalarType::Int);
  launch(
      check_places, dim3(blocks_for(sequences * columns.tokens)), sequence, places, sequences * columns.tokens,
      into_sequence ? nullptr : mutable_data<unsigned int>(taken), num_places);
  const int64_t channels = stores.channels, count = stores.batch * columns.tokens;
  if (channels == 0) return;
  const auto copy = [&](auto bits) {
    using Bits = decltype(bits);
    launch(
        copy_channels<Bits>, dim3(blocks_for(count * channels)), sequence, places, mutable_data<Bits>(sequence),
        into_sequence, channels, count);
  };
  stores.element == 2 ? copy(uint16_t{}) : stores.element == 4 ? copy(uint32_t{}) : copy(uint64_t{});
}

}  // namespace millivid
