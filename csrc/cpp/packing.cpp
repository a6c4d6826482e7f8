// Packing tokens of several levels into one sequence, and writing them back, on the CPU. What it does: packing.py.
//
// Every index is checked before any memory is touched. Tokens that lie side by side in sequence and store, as those of a
// cell do, are copied together.

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "rows.h"
#include "stores.h"

namespace millivid {
namespace {

constexpr int64_t kBytes = 1 << 19;  // to copy that are worth a thread

// Where the tokens of a sequence lie, as runs: tokens that lie side by side in sequence and store. The index columns are
// those of one sequence for all videos, or of one per video; with `marks`, only marked tokens count.
class Places {
 public:
  Places(
      const Stores& stores, const Tensor& level, const Tensor& frame, const Tensor& row, const Tensor& column,
      const Tensor* marks = nullptr)
      : tokens(level.size(1)), stores_(stores) {
    const int64_t sets = level.size(0), mark_sets = marks ? marks->size(0) : 1;
    const bool* marked = marks ? data<bool>(*marks) : nullptr;
    const int64_t *l = data<int64_t>(level), *f = data<int64_t>(frame), *r = data<int64_t>(row),
                  *c = data<int64_t>(column);
    for (int64_t set = 0; set < std::min(stores.batch, std::max(sets, mark_sets)); ++set) {
      const int64_t shift = sets == 1 ? 0 : set * tokens;
      add(l + shift, f + shift, r + shift, c + shift, marked ? marked + (mark_sets == 1 ? 0 : set * tokens) : nullptr);
    }
  }

  // Calls body(n, memory, stride, count) for the runs among tokens [begin, end) of the whole batch: tokens n to n + count
  // begin at `memory`, one after another, their channels `stride` bytes apart.
  template <typename Body>
  void for_each(int64_t begin, int64_t end, const Body& body) const {
    if (begin >= end) return;
    for (int64_t video = begin / tokens; video * tokens < end; ++video) {
      const std::vector<Run>& runs = runs_[runs_.size() == 1 ? 0 : video];
      const int64_t from = std::max<int64_t>(0, begin - video * tokens), to = std::min(tokens, end - video * tokens);
      auto run = std::partition_point(runs.begin(), runs.end(), [&](const Run& r) { return r.token + r.count <= from; });
      for (; run != runs.end() && run->token < to; ++run) {
        const int64_t first = std::max(from, run->token), last = std::min(to, run->token + run->count);
        const Stores::Level& at = stores_.levels[run->level];
        char* memory = at.first + video * at.stride[0] + run->offset + (first - run->token) * stores_.token_bytes();
        body(video * tokens + first, memory, at.stride[4], last - first);
      }
    }
  }

  // Raises where two tokens of a video have one place.
  void check_apart() const {
    const int64_t bytes = stores_.token_bytes();
    for (std::vector<Run> runs : runs_) {
      std::sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) {
        return std::pair(a.level, a.offset) < std::pair(b.level, b.offset);
      });
      for (size_t i = 1; i < runs.size(); ++i) {
        const Run &a = runs[i - 1], &b = runs[i];
        const int64_t reach = stores_.dense ? a.count * bytes : 1;
        STD_TORCH_CHECK(
            a.level != b.level || a.offset + std::max<int64_t>(1, reach) <= b.offset, "two tokens have one place");
      }
    }
  }

  const int64_t tokens;

 private:
  struct Run {
    int64_t token, count, level, offset;  // in bytes, from a video's first token of the level
  };

  static bool below(int64_t value, int64_t limit) {  // and not negative
    return static_cast<uint64_t>(value) < static_cast<uint64_t>(limit);
  }

  void add(const int64_t* level, const int64_t* frame, const int64_t* row, const int64_t* column, const bool* marked) {
    std::vector<Run>& runs = runs_.emplace_back();
    const int64_t num_levels = static_cast<int64_t>(stores_.levels.size()), bytes = stores_.token_bytes();
    int64_t next = -1;  // where the last run goes on
    for (int64_t i = 0, count; i < tokens; i += count) {
      count = 1;
      STD_TORCH_CHECK(below(level[i], num_levels), "a token's level is not among the stores");
      const Stores::Level& at = stores_.levels[level[i]];
      STD_TORCH_CHECK(
          below(frame[i], at.size[0]) && below(row[i], at.size[1]) && below(column[i], at.size[2]),
          "a token's index lies outside its store");
      if (marked && !marked[i]) continue;
      if (stores_.dense && at.stride[3] == bytes) {  // the rest of a row of the grid
        const int64_t left = std::min(at.size[2] - column[i], tokens - i);
        while (count < left && column[i + count] == column[i] + count && row[i + count] == row[i] &&
               frame[i + count] == frame[i] && level[i + count] == level[i] && (!marked || marked[i + count]))
          ++count;
      }
      const int64_t offset = frame[i] * at.stride[1] + row[i] * at.stride[2] + column[i] * at.stride[3];
      if (stores_.dense && offset == next && level[i] == runs.back().level && i == runs.back().token + runs.back().count) {
        runs.back().count += count;
      } else {
        runs.push_back({i, count, level[i], offset});
      }
      next = offset + count * bytes;
    }
  }

  const Stores& stores_;
  std::vector<std::vector<Run>> runs_;  // of every video, or of all alike
};

// Copies the channels of tokens between a sequence and a store.
void copy_tokens(
    const Stores& stores, char* to, int64_t to_stride, const char* from, int64_t from_stride, int64_t count) {
  if (stores.dense) {
    std::memcpy(to, from, count * stores.token_bytes());
  } else {  // one token
    for (int64_t c = 0; c < stores.channels; ++c) std::memcpy(to + c * to_stride, from + c * from_stride, stores.element);
  }
}

// alpha x + sign sigma other for one token at a time; x is not read where alpha is 0.
template <typename A>
class Combine {
 public:
  Combine(const Stores& stores, const Mix& mix, int sign)
      : mix_(mix),
        sign_(sign),
        element_(stores.element),
        d_(stores.channels),
        gathered_(stores.token_bytes()),
        x_in_(stores.dtype, d_),
        y_in_(stores.dtype, d_),
        row_out_(stores.dtype, d_) {}

  // Strides are in bytes; at most one of x and out has its channels apart.
  void operator()(int64_t n, const char* x, int64_t x_stride, char* out, int64_t out_stride) {
    const A alpha = static_cast<const A*>(mix_.alpha)[n], sigma = sign_ * static_cast<const A*>(mix_.sigma)[n];
    const A* y = y_in_(mix_.other + n * d_ * element_);
    char* to = out_stride == element_ ? out : gathered_.data();
    if (alpha == 0) {
      scale_row<A>(sigma, y, row_out_(to), d_);
    } else {
      if (x_stride != element_) x = spread(x, x_stride, gathered_.data(), element_);
      combine_row<A>(alpha, x_in_(x), sigma, y, row_out_(to), d_);
    }
    row_out_.store(to);
    if (out_stride != element_) spread(to, element_, out, out_stride);
  }

 private:
  const char* spread(const char* from, int64_t from_stride, char* to, int64_t to_stride) const {
    for (int64_t i = 0; i < d_; ++i) std::memcpy(to + i * to_stride, from + i * from_stride, element_);
    return to;
  }

  const Mix& mix_;
  const int sign_;
  const int64_t element_, d_;
  std::vector<char> gathered_;
  RowIn<A> x_in_, y_in_;
  RowOut<A> row_out_;
};

int64_t tokens_per_thread(const Stores& stores) {
  return std::max<int64_t>(1, kBytes / std::max<int64_t>(1, stores.token_bytes()));
}

Tensor pack_tokens(
    const std::vector<Tensor> tensors, const Tensor& level, const Tensor& frame, const Tensor& row, const Tensor& column,
    const std::optional<Tensor> noise, const std::optional<Tensor> alpha, const std::optional<Tensor> sigma) {
  const Stores stores(tensors);
  check_columns(stores, level, frame, row, column, tensors[0]);
  const Places places(stores, level, frame, row, column);
  const Mix mix(noise, alpha, sigma, stores, places.tokens, tensors[0]);
  Tensor out = new_empty(tensors[0], {stores.batch, places.tokens, stores.channels}, stores.dtype);
  char* to = mutable_bytes(out);
  const int64_t bytes = stores.token_bytes();
  torch::stable::parallel_for(
      0, stores.batch * places.tokens, tokens_per_thread(stores), [&](int64_t begin, int64_t end) {
        if (!mix.on) {
          places.for_each(begin, end, [&](int64_t n, char* from, int64_t stride, int64_t count) {
            copy_tokens(stores, to + n * bytes, stores.element, from, stride, count);
          });
          return;
        }
        with_wide_type(stores.dtype, [&](auto number) {
          Combine<decltype(number)> combine(stores, mix, 1);
          places.for_each(begin, end, [&](int64_t n, char* from, int64_t stride, int64_t count) {
            for (int64_t i = 0; i < count; ++i)
              combine(n + i, from + i * bytes, stride, to + (n + i) * bytes, stores.element);
          });
        });
      });
  return out;
}

std::vector<Tensor> pack_tokens_backward(
    const Tensor& g, const Tensor& level, const Tensor& frame, const Tensor& row, const Tensor& column,
    const std::vector<int64_t> sizes) {
  const ScalarType summed = wide(g.scalar_type());
  std::vector<Tensor> tensors = zeros_for_gradient(g, level, sizes, summed);
  const Stores stores(tensors);
  check_columns(stores, level, frame, row, column, g);
  const Places places(stores, level, frame, row, column);
  const int64_t channels = stores.channels, element = g.element_size();
  with_wide_type(summed, [&](auto number) {
    using A = decltype(number);
    torch::stable::parallel_for(0, stores.batch, 1, [&](int64_t first, int64_t last) {  // a video's tokens in order
      RowIn<A> g_in(g.scalar_type(), channels);
      places.for_each(
          first * places.tokens, last * places.tokens, [&](int64_t n, char* memory, int64_t, int64_t count) {
            for (int64_t i = n; i < n + count; ++i, memory += stores.token_bytes()) {
              A* sum = reinterpret_cast<A*>(memory);
              combine_row<A>(1, sum, 1, g_in(bytes(g) + i * channels * element), sum, channels);
            }
          });
    });
  });
  if (g.scalar_type() != summed)
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
  const Places places(stores, level, frame, row, column, &write);
  places.check_apart();
  const char* from = millivid::bytes(tokens);
  const int64_t bytes = stores.token_bytes();
  torch::stable::parallel_for(
      0, stores.batch * places.tokens, tokens_per_thread(stores), [&](int64_t begin, int64_t end) {
        if (!mix.on) {
          places.for_each(begin, end, [&](int64_t n, char* to, int64_t stride, int64_t count) {
            copy_tokens(stores, to, stride, from + n * bytes, stores.element, count);
          });
          return;
        }
        with_wide_type(stores.dtype, [&](auto number) {
          Combine<decltype(number)> combine(stores, mix, -1);
          places.for_each(begin, end, [&](int64_t n, char* to, int64_t stride, int64_t count) {
            for (int64_t i = 0; i < count; ++i)
              combine(n + i, from + (n + i) * bytes, stores.element, to + i * bytes, stride);
          });
        });
      });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(millivid, CPU, m) {
  m.impl("pack_tokens", TORCH_BOX(&pack_tokens));
  m.impl("pack_tokens_backward", TORCH_BOX(&pack_tokens_backward));
  m.impl("unpack_tokens_", TORCH_BOX(&unpack_tokens_));
}

}  // namespace millivid
