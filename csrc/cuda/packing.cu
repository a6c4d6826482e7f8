// Packing tokens of several levels into one sequence, and writing them back, on CUDA. What it does: packing.py.
//
// A first kernel checks every index and leaves a verdict in memory; the others do nothing if it found a fault, and the
// verdict is read, and raised, at the end. While a graph is being captured nobody can wait for it: a fault then stops
// the program that replays the graph.

#include <torch/csrc/stable/library.h>

#include "device.cuh"
#include "stores.h"

namespace millivid {
namespace {

constexpr int kMaxLevels = 16;

enum Verdict { kFine = 0, kOutside = 1, kOverlap = 2 };

struct Levels {
  int count;
  Stores::Level at[kMaxLevels];
};

Levels levels_of(const Stores& stores) {
  STD_TORCH_CHECK(stores.levels.size() <= kMaxLevels, "at most ", kMaxLevels, " levels can be packed on CUDA");
  Levels levels{static_cast<int>(stores.levels.size()), {}};
  for (int i = 0; i < levels.count; ++i) levels.at[i] = stores.levels[i];
  return levels;
}

// Index columns of `sets` sequences: one for all videos, or one per video.
struct Columns {
  const int64_t *level, *frame, *row, *column;
  int64_t sets, tokens;

  __device__ int64_t index(int64_t n) const { return sets == 1 ? n - divide(n, tokens) * tokens : n; }

  __device__ const Stores::Level* level_of(const Levels& levels, int64_t i) const {
    const int64_t l = level[i];
    if (l < 0 || l >= levels.count) return nullptr;
    const Stores::Level& at = levels.at[l];
    const bool inside = frame[i] >= 0 && frame[i] < at.size[0] && row[i] >= 0 && row[i] < at.size[1] &&
                        column[i] >= 0 && column[i] < at.size[2];
    return inside ? &at : nullptr;
  }

  // Where token n of the whole batch lies; its level has been checked.
  __device__ char* place(const Levels& levels, int64_t n) const {
    const int64_t i = index(n);
    const Stores::Level& at = levels.at[level[i]];
    return at.first + divide(n, tokens) * at.stride[0] + frame[i] * at.stride[1] + row[i] * at.stride[2] +
           column[i] * at.stride[3];
  }
};

Columns columns_of(const Tensor& level, const Tensor& frame, const Tensor& row, const Tensor& column) {
  return {data<int64_t>(level), data<int64_t>(frame), data<int64_t>(row), data<int64_t>(column), level.size(0),
          level.size(1)};
}

// Which tokens count: all of them, or those that are marked.
struct Marks {
  const bool* marked;
  int64_t sets, tokens;

  __device__ bool operator[](int64_t n) const { return marked == nullptr || marked[sets == 1 ? n - divide(n, tokens) * tokens : n]; }
};

// `taken` has one bit per place of a video and set of columns or marks; null where places may be met twice.
__global__ void check_places(
    const __grid_constant__ Levels levels, Columns columns, Marks marks, int64_t count, unsigned int* taken, int64_t words, int* verdict,
    bool stop) {
  const int64_t n = thread_index();
  if (n >= count) return;
  const int64_t i = columns.index(n);
  const Stores::Level* at = columns.level_of(levels, i);
  int found = at == nullptr ? kOutside : kFine;
  if (at != nullptr && taken != nullptr && marks[n]) {
    int64_t place = (columns.frame[i] * at->size[1] + columns.row[i]) * at->size[2] + columns.column[i];
    for (int64_t l = 0; l < columns.level[i]; ++l)
      place += levels.at[l].size[0] * levels.at[l].size[1] * levels.at[l].size[2];
    const unsigned int bit = 1u << (place % 32);
    if (atomicOr(taken + divide(n, columns.tokens) * words + place / 32, bit) & bit) found = kOverlap;
  }
  if (found == kFine) return;
  *verdict = found;
  if (stop) {
    printf("millivid: token %lld lies outside the stores, or is written where another one is\n", static_cast<long long>(n));
    __trap();
  }
}

// Copies pieces of `size` bytes, `pieces` to a token, into the sequence or out of it.
template <typename Piece>
__global__ void copy_tokens(
    const __grid_constant__ Levels levels, Columns columns, Marks marks, char* sequence, bool into_sequence, int64_t pieces, bool dense,
    int64_t count, const int* verdict) {
  const int64_t p = thread_index(), n = divide(p, pieces), k = p - n * pieces;
  if (n >= count || *verdict != kFine || !marks[n]) return;
  const int64_t stride = dense ? sizeof(Piece) : levels.at[columns.level[columns.index(n)]].stride[4];
  Piece* in_store = reinterpret_cast<Piece*>(columns.place(levels, n) + k * stride);
  Piece* in_sequence = reinterpret_cast<Piece*>(sequence) + p;
  if (into_sequence) {
    *in_sequence = *in_store;
  } else {
    *in_store = *in_sequence;
  }
}

// alpha x + sigma other, where x is not read if alpha is 0; x lies in the stores and the sum goes into the sequence, or
// the other way around.
template <typename A>
__global__ void combine_tokens(
    const __grid_constant__ Levels levels, Columns columns, Marks marks, Memory sequence, bool into_sequence, Memory other, const A* alphas,
    const A* sigmas, int sign, int64_t channels, int64_t count, const int* verdict) {
  const int64_t p = thread_index(), n = divide(p, channels), c = p - n * channels;
  if (n >= count || *verdict != kFine || !marks[n]) return;
  const int64_t stride = levels.at[columns.level[columns.index(n)]].stride[4];
  const Memory store{columns.place(levels, n) + c * stride, sequence.type, sequence.element};
  const A alpha = alphas[n];
  A sum = sign * sigmas[n] * other.load<A>(p);
  if (alpha != 0) sum += alpha * (into_sequence ? store.load<A>(0) : sequence.load<A>(p));
  if (into_sequence) {
    sequence.store<A>(p, sum);
  } else {
    store.store<A>(0, sum);
  }
}

template <typename A>
__global__ void add_tokens(
    const __grid_constant__ Levels levels, Columns columns, Memory g, int64_t channels, int64_t count, const int* verdict) {
  const int64_t p = thread_index(), n = divide(p, channels), c = p - n * channels;
  if (n >= count || *verdict != kFine) return;
  atomicAdd(reinterpret_cast<A*>(columns.place(levels, n)) + c, g.load<A>(p));
}

// Checks on the device, and what it found.
class Check {
 public:
  Check(const Levels& levels, const Columns& columns, const Marks& marks, int64_t batch, bool apart, const Tensor& on)
      : on_(on), verdict_(new_zeros(on, {1}, ScalarType::Int)), capturing_(capturing(on)) {
    int64_t places = 0;
    for (int i = 0; i < levels.count; ++i)
      places += levels.at[i].size[0] * levels.at[i].size[1] * levels.at[i].size[2];
    const int64_t words = apart ? (places + 31) / 32 : 0;
    const int64_t sets = batch == 0 ? 0 : (columns.sets > marks.sets ? columns.sets : marks.sets);
    const Tensor taken = new_zeros(on, {sets * words}, ScalarType::Int);
    const int64_t count = sets * columns.tokens;
    launch(
        check_places, dim3(blocks_for(count)), on, levels, columns, marks, count,
        apart ? static_cast<unsigned int*>(taken.mutable_data_ptr()) : nullptr, words, mutable_data<int>(verdict_),
        capturing_);
  }

  const int* verdict() const { return data<int>(verdict_); }

  void raise() const {
    if (capturing_) return;
    const int found = read(verdict_);
    STD_TORCH_CHECK(found != kOutside, "a token's index lies outside the stores");
    STD_TORCH_CHECK(found != kOverlap, "two tokens would be written to one place");
  }

 private:
  const Tensor& on_;
  Tensor verdict_;
  bool capturing_;
};

struct alignas(16) Bytes16 {
  uint64_t at[2];
};

// The most bytes, up to 16, that everything which is copied is a multiple of.
int64_t piece_size(const Stores& stores, const void* sequence) {
  if (!stores.dense) return stores.element;
  int64_t all = 16 | stores.token_bytes() | static_cast<int64_t>(reinterpret_cast<uintptr_t>(sequence));
  for (const Stores::Level& level : stores.levels) {
    all |= static_cast<int64_t>(reinterpret_cast<uintptr_t>(level.first));
    for (int axis = 0; axis < 4; ++axis) all |= level.stride[axis];
  }
  return all & -all;
}

void copy(
    const Stores& stores, const Levels& levels, const Columns& columns, const Marks& marks, char* sequence,
    bool into_sequence, const Check& check, const Tensor& on) {
  const int64_t size = piece_size(stores, sequence);
  const int64_t pieces = stores.token_bytes() / size, count = stores.batch * columns.tokens;
  if (pieces == 0) return;
  const auto kernel = size == 16  ? copy_tokens<Bytes16>
                      : size == 8 ? copy_tokens<uint64_t>
                      : size == 4 ? copy_tokens<uint32_t>
                                  : copy_tokens<uint16_t>;
  launch(
      kernel, dim3(blocks_for(count * pieces)), on, levels, columns, marks, sequence, into_sequence, pieces,
      stores.dense, count, check.verdict());
}

void combine(
    const Stores& stores, const Levels& levels, const Columns& columns, const Marks& marks, const Tensor& sequence,
    bool into_sequence, const Tensor& other, const Mix& mix, int sign, const Check& check) {
  const int64_t count = stores.batch * columns.tokens;
  if (stores.channels == 0) return;
  with_wide_type(stores.dtype, [&](auto number) {
    using A = decltype(number);
    launch(
        combine_tokens<A>, dim3(blocks_for(count * stores.channels)), sequence, levels, columns, marks, memory(sequence),
        into_sequence, memory(other), static_cast<const A*>(mix.alpha), static_cast<const A*>(mix.sigma), sign,
        stores.channels, count, check.verdict());
  });
}

Tensor pack_tokens(
    const std::vector<Tensor> tensors, const Tensor& level, const Tensor& frame, const Tensor& row, const Tensor& column,
    const std::optional<Tensor> noise, const std::optional<Tensor> alpha, const std::optional<Tensor> sigma) {
  const Stores stores(tensors);
  check_columns(stores, level, frame, row, column, tensors[0]);
  const Mix mix(noise, alpha, sigma, stores, level.size(1), tensors[0]);
  const Levels levels = levels_of(stores);
  const Columns columns = columns_of(level, frame, row, column);
  const Marks all{nullptr, 1, columns.tokens};
  const Check check(levels, columns, all, stores.batch, false, tensors[0]);
  Tensor out = new_empty(tensors[0], {stores.batch, columns.tokens, stores.channels}, stores.dtype);
  if (mix.on) {
    combine(stores, levels, columns, all, out, true, *noise, mix, 1, check);
  } else {
    copy(stores, levels, columns, all, mutable_bytes(out), true, check, tensors[0]);
  }
  check.raise();
  return out;
}

std::vector<Tensor> pack_tokens_backward(
    const Tensor& g, const Tensor& level, const Tensor& frame, const Tensor& row, const Tensor& column,
    const std::vector<int64_t> sizes) {
  std::vector<Tensor> tensors = zeros_for_gradient(g, level, sizes, wide(g.scalar_type()));
  const Stores stores(tensors);
  check_columns(stores, level, frame, row, column, g);
  const Levels levels = levels_of(stores);
  const Columns columns = columns_of(level, frame, row, column);
  const Marks all{nullptr, 1, columns.tokens};
  const Check check(levels, columns, all, stores.batch, false, g);
  const int64_t count = stores.batch * columns.tokens;
  if (stores.channels > 0)
    with_wide_type(stores.dtype, [&](auto number) {
      launch(
          add_tokens<decltype(number)>, dim3(blocks_for(count * stores.channels)), g, levels, columns, memory(g),
          stores.channels, count, check.verdict());
    });
  check.raise();
  for (Tensor& tensor : tensors) tensor = torch::stable::to(tensor, g.scalar_type());
  return tensors;
}

void unpack_tokens_(
    const std::vector<Tensor> tensors, const Tensor& tokens, const Tensor& level, const Tensor& frame, const Tensor& row,
    const Tensor& column, const Tensor& write, const std::optional<Tensor> velocity, const std::optional<Tensor> alpha,
    const std::optional<Tensor> sigma) {
  const Stores stores(tensors);
  check_columns(stores, level, frame, row, column, tensors[0]);
  check_written(stores, tokens, level, write, tensors[0]);
  const Mix mix(velocity, alpha, sigma, stores, level.size(1), tensors[0]);
  const Levels levels = levels_of(stores);
  const Columns columns = columns_of(level, frame, row, column);
  const Marks marks{data<bool>(write), write.size(0), columns.tokens};
  const Check check(levels, columns, marks, stores.batch, true, tensors[0]);
  if (mix.on) {
    combine(stores, levels, columns, marks, tokens, false, *velocity, mix, -1, check);
  } else {
    copy(stores, levels, columns, marks, mutable_bytes(tokens), false, check, tensors[0]);
  }
  check.raise();
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(millivid, MILLIVID_DEVICE, m) {
  m.impl("pack_tokens", TORCH_BOX(&pack_tokens));
  m.impl("pack_tokens_backward", TORCH_BOX(&pack_tokens_backward));
  m.impl("unpack_tokens_", TORCH_BOX(&unpack_tokens_));
}

}  // namespace millivid
