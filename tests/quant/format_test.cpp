// Every row of formats.inc against the reference data, its own inverse, and bytes nobody meant.
#include "quant/format.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "base/float_types.h"
#include "support/golden.h"

namespace kette {
namespace {

using std::filesystem::path;

path dequant_folder() {
  for (const path& root : test::golden_roots())
    if (std::filesystem::exists(root / "dequant" / "index.json")) return root / "dequant";
  throw std::runtime_error("no dequant goldens");
}

std::string upper(std::string_view name) {
  std::string out(name);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

std::vector<std::byte> as_bytes(const std::vector<uint8_t>& in) {
  std::vector<std::byte> out(in.size());
  std::memcpy(out.data(), in.data(), in.size());
  return out;
}

std::vector<float> decode(const Format& format, const std::vector<std::byte>& blocks) {
  std::vector<float> out(blocks.size() / format.block_bytes * format.block_size);
  format.decode(blocks.data(), out.data(), out.size());
  return out;
}

std::vector<std::byte> encode(const Format& format, const std::vector<float>& in) {
  std::vector<std::byte> out(format.row_bytes(in.size()));
  format.encode(in.data(), out.data(), in.size());
  return out;
}

std::vector<float> normal_numbers(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(n);
  for (float& x : out) x = normal(random);
  return out;
}

// NaN equals NaN; all else bit for bit, the sign of zero included.
size_t first_difference(const std::vector<float>& a, const std::vector<float>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i]) && !(std::isnan(a[i]) && std::isnan(b[i])))
      return i;
  return a.size();
}

TEST_CASE("decode equals the reference bit for bit") {
  size_t compared = 0;
  for (const Format* format : formats()) {
    const std::string type = upper(format->name);
    if (format->block_size == 1) continue;
    INFO(type);
    const test::Npy blocks = test::load_npy(dequant_folder() / (type + ".blocks.npy"));
    const std::vector<float> expected = test::load_npy(dequant_folder() / (type + ".f32.npy")).floats();
    REQUIRE(blocks.shape.size() == 2);
    REQUIRE(blocks.shape[1] == format->block_bytes);
    const std::vector<float> out = decode(*format, as_bytes(blocks.octets()));
    REQUIRE(out.size() == expected.size());
    CHECK(first_difference(out, expected) == out.size());
    ++compared;
  }
  CHECK(compared == 12);
}

TEST_CASE("decode of every half and bfloat16 equals the scalar conversion") {
  std::vector<std::byte> all(2 * 65536 + 2 * 7);  // not a multiple of the vector loop's run
  for (size_t i = 0; i < all.size() / 2; ++i) {
    const auto h = static_cast<uint16_t>(i);
    std::memcpy(all.data() + 2 * i, &h, 2);
  }
  const std::vector<float> half = decode(*find_format("f16"), all), brain = decode(*find_format("bf16"), all);
  size_t wrong = 0;
  for (size_t i = 0; i < half.size(); ++i) {
    const auto h = static_cast<uint16_t>(i);
    if (std::bit_cast<uint32_t>(half[i]) != std::bit_cast<uint32_t>(f16_to_float(h))) ++wrong;
    if (std::bit_cast<uint32_t>(brain[i]) != std::bit_cast<uint32_t>(bf16_to_float(h))) ++wrong;
  }
  CHECK(wrong == 0);
  CHECK(half[0x3c00] == 1.0f);
  CHECK(half[0x7bff] == 65504.0f);
  CHECK(half[0x8001] == -0x1p-24f);
  CHECK(brain[0x3f80] == 1.0f);
}

TEST_CASE("every fp8 byte decodes as the reference table has it, and encodes back") {
  const std::vector<float> table = test::load_npy(dequant_folder() / "fp8_e4m3fn_table.f32.npy").floats();
  std::vector<std::byte> all(256 + 5);  // not a multiple of the vector loop's run
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::byte>(i & 0xff);
  const std::vector<float> out = decode(*find_format("fp8_e4m3"), all);
  REQUIRE(table.size() == 256);
  std::vector<float> expected = table;
  expected.insert(expected.end(), table.begin(), table.begin() + 5);
  CHECK(first_difference(out, expected) == out.size());
  CHECK(std::isnan(out[0x7f]));
  CHECK(std::isnan(out[0xff]));
  CHECK(encode(*find_format("fp8_e4m3"), out) == all);
  // Halfway between two neighbours: the one whose last bit is zero. Beyond the largest, past the middle: the largest.
  const std::vector<float> halves = {1.0625f, 1.1875f, 0x1p-10f, 0x3p-10f, 0x1.fp-7f, 440.0f, 465.0f, 1e30f, -1e30f};
  const std::vector<float> rounded = {1.0f, 1.25f, 0.0f, 0x1p-8f, 0x1p-6f, 448.0f, 448.0f, 448.0f, -448.0f};
  CHECK(decode(*find_format("fp8_e4m3"), encode(*find_format("fp8_e4m3"), halves)) == rounded);
}

TEST_CASE("encode equals the reference quantiser byte for byte") {
  const std::vector<float> input = test::load_npy(dequant_folder() / "quant_input.f32.npy").floats();
  for (const char* name : {"f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0"}) {
    INFO(name);
    const Format* format = find_format(name);
    REQUIRE(format != nullptr);
    REQUIRE((format->encode != nullptr));
    const auto expected = test::load_npy(dequant_folder() / ("quant_" + upper(name) + ".bytes.npy")).octets();
    CHECK(encode(*format, input) == as_bytes(expected));
  }
}

TEST_CASE("ids and sizes equal the reference index") {
  const auto index = nlohmann::json::parse(test::read_file(dequant_folder() / "index.json"), nullptr, false);
  REQUIRE(index.is_object());
  for (const Format* format : formats()) {
    INFO(format->name);
    CHECK(find_format(format->name) == format);
    CHECK(find_format(format->ggml_type) == (format->ggml_type == kNoGgmlFormat ? nullptr : format));
    CHECK(format->row_bytes(size_t{4} * format->block_size) == size_t{4} * format->block_bytes);
    if (format->block_size == 1) continue;
    const auto& entry = index["types"][upper(format->name)];
    CHECK(entry["ggml_type"] == format->ggml_type);
    CHECK(entry["block_elems"] == format->block_size);
    CHECK(entry["block_bytes"] == format->block_bytes);
  }
  CHECK(find_format("f32")->ggml_type == 0);
  CHECK(find_format("f16")->ggml_type == 1);
  CHECK(find_format("bf16")->ggml_type == 30);
  CHECK(find_format("Q4_K") == nullptr);
  CHECK(find_format("") == nullptr);
  CHECK(find_format(uint32_t{4}) == nullptr);
  CHECK(find_format(UINT32_MAX) == nullptr);
}

// A half is off by 2^-11 of itself, or below 2^-14 by at most 2^-25.
double half_error(double x) { return std::max(std::fabs(x) * 0x1p-11, 0x1p-25); }

// The largest error an encoder may make on a block of numbers with the given least and largest value. A level is at most
// half a step away, except past the short end of the signed 4- and 5-bit ranges (7 and 15 where the scale is for 8 and 16),
// where it is a whole step. The error of the stored scale counts once for every level, that of an offset once. The slack
// is for float arithmetic.
double error_bound(std::string_view name, double low, double high) {
  const double peak = std::max(-low, high), range = high - low, slack = 1e-6 * peak;
  if (name == "f32") return 0;
  if (name == "f16") return half_error(peak);
  if (name == "bf16") return 0x1p-8 * peak;
  if (name == "fp8_e4m3") return std::max({0x1p-4 * std::min(peak, 448.0), 0x1p-10, peak - 448});
  if (name == "q4_0") return peak / 8 + 8 * half_error(peak / 8) + slack;
  if (name == "q5_0") return peak / 16 + 16 * half_error(peak / 16) + slack;
  if (name == "q4_1") return range / 30 + 15 * half_error(range / 15) + half_error(low) + slack;
  if (name == "q5_1") return range / 62 + 31 * half_error(range / 31) + half_error(low) + slack;
  if (name == "q8_0") return peak / 254 + 127 * half_error(peak / 127) + slack;
  // The k formats fit each group by least squares, which gives the worst number no simple bound; but it may not be worse
  // than zero would be.
  return peak;
}

TEST_CASE("decode of encode is near the input") {
  for (const Format* format : formats()) {
    if (format->encode == nullptr) continue;
    INFO(format->name);
    for (const float scale : {1.0f, 1e-3f, 500.0f}) {
      std::vector<float> in = normal_numbers(16 * 256, 7);
      for (float& x : in) x *= scale;
      for (size_t j = 0; j < 256; ++j) in[256 + j] = 0.25f * scale;               // a constant block,
      for (size_t j = 0; j < 256; ++j) in[512 + j] = -std::fabs(in[512 + j]);     // one below zero,
      for (size_t j = 0; j < 256; ++j) in[768 + j] = j % 32 == 5 ? scale : 0.0f;  // one spike in each group
      const std::vector<float> out = decode(*format, encode(*format, in));
      const size_t block = format->block_size;
      size_t outside = 0;
      for (size_t i = 0; i < in.size(); i += block) {
        const auto [low, high] = std::minmax_element(in.data() + i, in.data() + i + block);
        const double bound = error_bound(format->name, *low, *high);
        for (size_t j = i; j < i + block; ++j)
          if (!(std::fabs(static_cast<double>(in[j]) - out[j]) <= bound)) ++outside;
      }
      CHECK(outside == 0);
    }
  }
}

TEST_CASE("zeros stay zeros") {
  for (const Format* format : formats()) {
    if (format->encode == nullptr) continue;
    INFO(format->name);
    const std::vector<float> out = decode(*format, encode(*format, std::vector<float>(512, 0.0f)));
    CHECK(std::all_of(out.begin(), out.end(), [](float x) { return x == 0.0f; }));
  }
}

double rms_error(std::string_view name, const std::vector<float>& in) {
  const Format& format = *find_format(name);
  const std::vector<float> out = decode(format, encode(format, in));
  double sum = 0;
  for (size_t i = 0; i < in.size(); ++i) sum += (in[i] - out[i]) * (in[i] - out[i]);
  return std::sqrt(sum / static_cast<double>(in.size()));
}

// Normal numbers of deviation 1: 32 of them span about 4.1, and a uniform error over a step of 4.1 / 15 has rms 0.079;
// 16 reach about 2.1 to one side, and a step of 2.1 / 32 has rms 0.019. The fits do a little better.
TEST_CASE("the k encoders beat the plain ones") {
  const std::vector<float> in = normal_numbers(256 * 256, 11);
  const double q4_k = rms_error("q4_k", in), q6_k = rms_error("q6_k", in);
  CHECK(q4_k < 0.079);
  CHECK(q6_k < 0.019);
  CHECK(q4_k < rms_error("q4_0", in));
  CHECK(q4_k < rms_error("q4_1", in));
  CHECK(q6_k < rms_error("q5_1", in) / 2);
}

// Run under the address and undefined-behaviour sanitisers, this also shows that no byte leads outside a block.
TEST_CASE("any bytes decode") {
  std::mt19937 random(3);
  for (const Format* format : formats()) {
    INFO(format->name);
    for (int pattern = 0; pattern < 20; ++pattern) {
      std::vector<std::byte> blocks(format->row_bytes(size_t{256} * 8));
      for (std::byte& b : blocks)
        b = pattern < 18 ? static_cast<std::byte>(random() & 0xff) : std::byte(pattern == 18 ? 0 : 0xff);
      const std::vector<float> once = decode(*format, blocks);
      CHECK(first_difference(once, decode(*format, blocks)) == once.size());
      if (pattern == 18) CHECK(std::all_of(once.begin(), once.end(), [](float x) { return x == 0.0f; }));
    }
    format->decode(nullptr, nullptr, 0);
  }
}

TEST_CASE("any numbers encode") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float odd[] = {0.0f,    -0.0f,     1.0f,       -1e38f,        3e38f,   1e-45f,
                       -1e-40f, kInfinity, -kInfinity, std::nanf(""), 65520.0f};
  std::mt19937 random(5);
  for (const Format* format : formats()) {
    if (format->encode == nullptr) continue;
    INFO(format->name);
    for (int round = 0; round < 50; ++round) {
      std::vector<float> in(512);
      for (float& x : in) x = round < 10 ? odd[static_cast<size_t>(round)] : odd[random() % 11];
      const auto blocks = encode(*format, in);
      CHECK(blocks == encode(*format, in));
      decode(*format, blocks);
    }
  }
}

}  // namespace
}  // namespace kette
