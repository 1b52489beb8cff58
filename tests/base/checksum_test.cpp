// The checksum sees every small change, and does not depend on how the bytes are cut.
#include "base/checksum.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <vector>

using kette::Checksum;
using kette::checksum;

namespace {

std::vector<std::byte> some_bytes(size_t n) {
  std::vector<std::byte> out(n);
  uint32_t state = 7;
  for (std::byte& b : out) b = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
  return out;
}

}  // namespace

TEST_CASE("checksum: the same for any cut") {
  const std::vector<std::byte> data = some_bytes(301);
  const std::span all(data);
  for (size_t first = 0; first <= data.size(); first += 7)
    for (const size_t second : {size_t{0}, size_t{1}, size_t{31}, size_t{32}, size_t{33}, size_t{100}}) {
      const size_t n = std::min(second, data.size() - first);
      Checksum cut;
      cut.bytes(all.first(first));
      cut.bytes(all.subspan(first, n));
      (void)cut.value();  // asking changes nothing
      cut.bytes(all.subspan(first + n));
      CHECK(cut.value() == checksum(all));
    }
}

TEST_CASE("checksum: every flipped bit, every length of zeros and every swap of words gives another") {
  std::vector<std::byte> data = some_bytes(100);
  std::set<uint64_t> seen{checksum(data)};
  for (size_t bit = 0; bit < 8 * data.size(); ++bit) {
    data[bit / 8] ^= std::byte{1} << bit % 8;
    CHECK(seen.insert(checksum(data)).second);
    data[bit / 8] ^= std::byte{1} << bit % 8;
  }
  for (size_t word = 0; word + 1 < data.size() / 8; ++word) {
    std::vector<std::byte> swapped = data;
    std::swap_ranges(swapped.begin() + static_cast<ptrdiff_t>(8 * word),
                     swapped.begin() + static_cast<ptrdiff_t>(8 * word + 8),
                     swapped.begin() + static_cast<ptrdiff_t>(8 * word + 8));
    CHECK(seen.insert(checksum(swapped)).second);
  }
  for (size_t n = 0; n < 100; ++n) CHECK(seen.insert(checksum(std::vector<std::byte>(n))).second);
}
