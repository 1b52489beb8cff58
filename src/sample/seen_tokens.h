// How often each token occurs among the last tokens of a sequence, for the sampling penalties.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>

namespace kette {

// Adding a token and reading the counts cost the same however long the sequence is.
class SeenTokens {
 public:
  // How many tokens to look back; -1: all.
  explicit SeenTokens(int32_t window) : window_(window) {}

  void add(int32_t token) {
    if (window_ == 0) return;
    ++counts_[token];
    if (window_ < 0) return;
    last_.push_back(token);
    if (last_.size() <= static_cast<uint32_t>(window_)) return;
    const auto oldest = counts_.find(last_.front());
    if (--oldest->second == 0) counts_.erase(oldest);
    last_.pop_front();
  }

  // Only tokens that occur.
  const std::unordered_map<int32_t, int32_t>& counts() const { return counts_; }

 private:
  int32_t window_;
  std::unordered_map<int32_t, int32_t> counts_;
  std::deque<int32_t> last_;  // empty where all tokens count
};

}  // namespace kette
