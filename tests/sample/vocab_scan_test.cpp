// The passes over a vocabulary, number by number; and the random numbers against their definition.
#include "sample/vocab_scan.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "sample/random.h"

namespace kette {
namespace {

TEST_CASE("exp_of_negative is within 2 units in the last place") {
  size_t wrong = 0;
  for (uint32_t bits = 0x80000000u; bits <= std::bit_cast<uint32_t>(-87.0f); bits += 101) {
    const float x = std::bit_cast<float>(bits);
    const double expected = std::exp(static_cast<double>(x)), found = static_cast<double>(exp_of_negative(x));
    const double unit = std::ldexp(1.0, std::ilogb(expected) - 23);
    wrong += !(std::fabs(found - expected) <= 2 * unit);
  }
  CHECK(wrong == 0);
  CHECK(exp_of_negative(0.0f) == 1.0f);
  for (const float x : {std::nextafter(-87.0f, -88.0f), -1e30f, -std::numeric_limits<float>::infinity()})
    CHECK(exp_of_negative(x) == 0.0f);
}

TEST_CASE("order keys have the order of the floats, and come back") {
  const float infinity = std::numeric_limits<float>::infinity();
  const float ordered[] = {-std::nanf(""), -infinity, -1e30f, -1.0f,    -1e-40f,      -0.0f,
                           0.0f,           1e-40f,    2.0f,   infinity, std::nanf("")};
  for (size_t i = 0; i + 1 < std::size(ordered); ++i) CHECK(order_key(ordered[i]) < order_key(ordered[i + 1]));
  for (const float f : ordered)
    CHECK(std::bit_cast<uint32_t>(from_order_key(order_key(f))) == std::bit_cast<uint32_t>(f));
}

TEST_CASE("the last block of a vocabulary is filled up with -infinity") {
  const std::vector<float> x(kVocabBlock + 3, -5.0f);
  VocabBlock last;
  CHECK(block_of(x, 0, last) == x.data());
  const float* block = block_of(x, 1, last);
  CHECK(std::count(block, block + kVocabBlock, -5.0f) == 3);
  CHECK(std::count(block, block + kVocabBlock, -std::numeric_limits<float>::infinity()) == kVocabBlock - 3);
  const KeyRange range = key_range(block);
  CHECK(from_order_key(range.least) == -std::numeric_limits<float>::infinity());
  CHECK(from_order_key(range.largest) == -5.0f);
}

TEST_CASE("a block's sum is never below its largest number") {
  VocabBlock x;
  uint32_t state = 1;
  for (int round = 0; round < 1000; ++round) {
    double sum = 0;
    for (float& f : x) sum += static_cast<double>(f = static_cast<float>((state = state * 1664525 + 1013904223) >> 8));
    CHECK(sum_of(x) >= *std::max_element(x.begin(), x.end()));
    CHECK(std::fabs(static_cast<double>(sum_of(x)) - sum) <= 20 * 0x1p-24 * sum);  // 18 additions in a row
  }
}

TEST_CASE("random numbers are xoshiro256++ seeded by SplitMix64") {
  // The first words of SplitMix64 from 0, as its authors publish them.
  std::array<uint64_t, 4> s{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f, 0xf88bb8a8724c81ec};
  Random random(0);
  for (int i = 0; i < 100; ++i) {
    CHECK(random.uniform() == static_cast<double>((std::rotl(s[0] + s[3], 23) + s[0]) >> 11) * 0x1p-53);
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3], s[2] ^= t, s[3] = std::rotl(s[3], 45);
  }
}

}  // namespace
}  // namespace kette
