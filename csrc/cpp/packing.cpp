// Packing tokens of several levels into one sequence, and writing them back, on the CPU. What it does: packing.py.
//
// Every index is checked before any memory is touched. Tokens that lie side by side in sequence and store, as those of
// a cell do, are copied together.

#include <algorithm>
#include <cstring>
#include <vector>

#include "operations.h"

namespace millivid {
namespace {

constexpr int64_t kBytes = 1 << 19;  // to copy that are worth a thread

// Tokens of one level that lie side by side in the sequence and in the store.
struct Run {
  int64_t token, count, level, offset;  // in bytes, from a video's first token of the level
};

// The runs of marked tokens of every video, or of one that stands for all. Raises for an index outside the stores.
std::vector<std::vector<Run>> find_runs(const Stores& stores, const Columns& columns) {
  const int64_t bytes = stores.token_bytes();
  std::vector<std::vector<Run>> videos(std::min(stores.batch, columns.sequences));
  for (int64_t video = 0; video < static_cast<int64_t>(videos.size()); ++video) {
    std::vector<Run>& runs = videos[video];
    for (int64_t i = 0; i < columns.tokens; ++i) {
      const int64_t at = video * columns.tokens + i;
      const int64_t l = columns.level[at], f = columns.frame[at], r = columns.row[at], c = columns.column[at];
      STD_TORCH_CHECK(
          l >= 0 && l < stores.num_levels && stores.levels[l].holds(f, r, c), "a token's index lies outside the stores");
      if (columns.marked && !columns.marked[at]) continue;
      const int64_t offset = stores.levels[l].offset(f, r, c);
      if (stores.dense && !runs.empty()) {
        Run& last = runs.back();
        if (l == last.level && i == last.token + last.count && offset == last.offset + last.count * bytes) {
          ++last.count;
          continue;
        }
      }
      runs.push_back({i, 1, l, offset});
    }
  }
  return videos;
}

// Raises where two tokens of a video have one place.
void check_apart(const Stores& stores, std::vector<Run> runs) {
  std::sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) {
    return std::pair(a.level, a.offset) < std::pair(b.level, b.offset);
  });
  for (size_t i = 1; i < runs.size(); ++i) {
    const Run &a = runs[i - 1], &b = runs[i];
    const int64_t size = stores.dense ? std::max<int64_t>(1, a.count * stores.token_bytes()) : 1;
    STD_TORCH_CHECK(a.level != b.level || a.offset + size <= b.offset, "two tokens have one place");
  }
}

}  // namespace

void copy_tokens(const Stores& stores, const Columns& columns, const Tensor& sequence, bool into_sequence) {
  const auto videos = find_runs(stores, columns);
  if (!into_sequence)
    for (const auto& runs : videos) check_apart(stores, runs);
  const int64_t bytes = stores.token_bytes(), video_bytes = std::max<int64_t>(1, columns.tokens * bytes);
  const auto copy = [&](char* in_store, char* in_sequence, int64_t count) {
    into_sequence ? std::memcpy(in_sequence, in_store, count) : std::memcpy(in_store, in_sequence, count);
  };
  char* first = mutable_data<char>(sequence);
  torch::stable::parallel_for(
      0, stores.batch, std::max<int64_t>(1, kBytes / video_bytes), [&](int64_t begin, int64_t end) {
        for (int64_t video = begin; video < end; ++video) {
          for (const Run& run : videos[videos.size() == 1 ? 0 : video]) {
            const Stores::Level& level = stores.levels[run.level];
            char* in_store = level.first + video * level.stride[0] + run.offset;
            char* in_sequence = first + (video * columns.tokens + run.token) * bytes;
            if (stores.dense) {
              copy(in_store, in_sequence, run.count * bytes);
            } else {  // one token, its channels apart
              for (int64_t c = 0; c < stores.channels; ++c)
                copy(in_store + c * level.stride[4], in_sequence + c * stores.element, stores.element);
            }
          }
        }
      });
}

}  // namespace millivid
