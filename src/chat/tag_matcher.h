// Finds tags in a stream of bytes, wherever it is cut, and holds back no more than what may still become one: the
// beginning of a tag, and the newlines before it, which belong to it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kette {

class TagMatcher {
 public:
  static constexpr int kNone = -1;

  TagMatcher() = default;
  // Tags are not empty, begin with no newline, and none is the beginning of another.
  explicit TagMatcher(std::span<const std::string_view> tags) : tags_(tags.begin(), tags.end()) {}

  // The tag that this byte completes, as an index, or kNone. What cannot belong to one is appended to `released`.
  int push(char c, std::string& released) {
    partial_ += c;
    while (!partial_.empty()) {
      for (size_t i = 0; i < tags_.size(); ++i) {
        if (!tags_[i].starts_with(partial_)) continue;
        if (tags_[i].size() > partial_.size()) return kNone;
        partial_.clear();
        return static_cast<int>(i);
      }
      if (partial_.front() == '\n') {
        ++newlines_;
      } else {
        released.append(std::exchange(newlines_, 0), '\n');
        released += partial_.front();
      }
      partial_.erase(0, 1);
    }
    return kNone;
  }

  // All that is held back; after a match: the newlines before the tag. It is held no longer.
  std::string take() {
    std::string held(std::exchange(newlines_, 0), '\n');
    held += std::exchange(partial_, {});
    return held;
  }

 private:
  std::vector<std::string> tags_;
  std::string partial_;
  size_t newlines_ = 0;
};

}  // namespace kette
