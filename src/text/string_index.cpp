#include "text/string_index.h"

#include <bit>
#include <cstring>

namespace kette {
namespace {

constexpr size_t kMaxProbes = 512;
constexpr uint64_t kSeeds = 8;

}  // namespace

StringIndex::Place StringIndex::place_of(std::string_view string) const {
  uint64_t hash = seed_ ^ (string.size() * 0x9E3779B97F4A7C15u);
  const auto mix = [&](uint64_t word) {
    hash = (hash ^ word) * 0xFF51AFD7ED558CCDu;
    hash ^= hash >> 32;
  };
  size_t at = 0;
  for (; at + 8 <= string.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, string.data() + at, 8);
    mix(word);
  }
  uint64_t tail = 0;
  if (at < string.size()) std::memcpy(&tail, string.data() + at, string.size() - at);
  mix(tail);
  hash *= 0xC4CEB9FE1A85EC53u;
  return {static_cast<size_t>(hash >> 32) & (slots_.size() - 1), static_cast<uint32_t>(hash >> 8)};
}

bool StringIndex::fill(const std::vector<std::string_view>& strings, const std::vector<int32_t>& ids) {
  for (size_t i = 0; i < strings.size(); ++i) {
    auto [at, tag] = place_of(strings[i]);
    size_t probes = 0;
    while (slots_[at].id >= 0 && (slots_[at].tag != tag || slots_[at].string != strings[i])) {
      if (++probes > kMaxProbes) return false;
      at = (at + 1) & (slots_.size() - 1);
    }
    slots_[at] = {strings[i], ids[i], tag};
  }
  return true;
}

bool StringIndex::build(const std::vector<std::string_view>& strings, const std::vector<int32_t>& ids) {
  for (uint64_t attempt = 1; attempt <= kSeeds; ++attempt) {
    seed_ = attempt * 0xD6E8FEB86659FD93u;
    slots_.assign(std::bit_ceil(strings.size() * 2 + 2), Slot{});
    if (fill(strings, ids)) return true;
  }
  slots_.clear();
  return false;
}

int32_t StringIndex::find(std::string_view string) const {
  if (slots_.empty()) return -1;
  auto [at, tag] = place_of(string);
  for (size_t probes = 0; probes <= kMaxProbes && slots_[at].id >= 0; ++probes) {
    if (slots_[at].tag == tag && slots_[at].string == string) return slots_[at].id;
    at = (at + 1) & (slots_.size() - 1);
  }
  return -1;
}

}  // namespace kette
