// Byte string -> id, for vocabularies: flat open addressing over views that the owner keeps alive and in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kette {

class StringIndex {
 public:
  // The last of several equal strings wins. False only if `strings` was made to collide under every seed there is.
  bool build(const std::vector<std::string_view>& strings, const std::vector<int32_t>& ids);
  int32_t find(std::string_view string) const;  // -1 if absent

 private:
  struct Slot {
    std::string_view string;
    int32_t id = -1;
    uint32_t tag = 0;  // other bits of the hash, so that strings are seldom compared in vain
  };
  struct Place {
    size_t slot;
    uint32_t tag;
  };
  bool fill(const std::vector<std::string_view>& strings, const std::vector<int32_t>& ids);
  Place place_of(std::string_view string) const;

  std::vector<Slot> slots_;  // a power of two, at most half full
  uint64_t seed_ = 0;
};

}  // namespace kette
