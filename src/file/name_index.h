// Names -> positions in a list the owner keeps. Sorted rather than hashed: no choice of names makes it slow.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string_view>
#include <vector>

namespace kette {

class NameIndex {
 public:
  // `name_of(i)` for i below count gives the names. The position of one that occurs twice, if there is any.
  template <class NameOf>
  std::optional<uint32_t> build(size_t count, NameOf name_of) {
    order_.resize(count);
    std::iota(order_.begin(), order_.end(), 0u);
    std::sort(order_.begin(), order_.end(), [&](uint32_t a, uint32_t b) { return name_of(a) < name_of(b); });
    const auto same = std::adjacent_find(order_.begin(), order_.end(),
                                         [&](uint32_t a, uint32_t b) { return name_of(a) == name_of(b); });
    if (same == order_.end()) return std::nullopt;
    return *same;
  }

  template <class NameOf>
  std::optional<uint32_t> find(std::string_view name, NameOf name_of) const {
    const auto it = std::lower_bound(order_.begin(), order_.end(), name,
                                     [&](uint32_t i, std::string_view wanted) { return name_of(i) < wanted; });
    if (it == order_.end() || name_of(*it) != name) return std::nullopt;
    return *it;
  }

 private:
  std::vector<uint32_t> order_;
};

}  // namespace kette
