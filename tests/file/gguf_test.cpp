// GGUF files as they should be: every metadata type, both versions, alignment, tensors.
#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "support/gguf_writer.h"

using namespace kette;
using namespace kette::test;

namespace {

const std::vector<std::string> kStrings{"", "a", "\xff\xfe", "a", std::string("nul\0inside", 10)};

GgufWriter every_type() {
  GgufWriter w;
  w.set<uint8_t>("u8", 200).set<int8_t>("i8", -100).set<uint16_t>("u16", 60000).set<int16_t>("i16", -30000);
  w.set<uint32_t>("u32", 4'000'000'000u).set<int32_t>("i32", -2'000'000'000).set<uint64_t>("u64", 1ull << 62);
  w.set<int64_t>("i64", INT64_MIN).set<float>("f32", 0.5f).set<double>("f64", 1e300).set<bool>("yes", true);
  w.set<bool>("no", false).set("text", "h\xc3\xa4").set<uint64_t>("huge", UINT64_MAX);
  w.array<uint8_t>("[u8]", {1, 255}).array<int8_t>("[i8]", {-1, 127}).array<uint16_t>("[u16]", {1, 65535});
  w.array<int16_t>("[i16]", {-1, 1}).array<uint32_t>("[u32]", {1, UINT32_MAX}).array<int32_t>("[i32]", {-1, 1});
  w.array<uint64_t>("[u64]", {1, 2}).array<int64_t>("[i64]", {INT64_MIN, 2}).array<float>("[f32]", {1.5f, -2});
  w.array<double>("[f64]", {1e300}).array<bool>("[bool]", {true, false}).array<std::string>("[text]", kStrings);
  w.array<uint64_t>("[huge]", {1, UINT64_MAX}).array<std::string>("[none]", {});
  return w;
}

}  // namespace

TEST_CASE("gguf: every metadata type, versions 2 and 3") {
  for (const uint32_t version : {2u, 3u}) {
    GgufWriter w = every_type();
    w.version = version;
    const std::string file = w.finish();
    auto opened = open_gguf(file);
    REQUIRE_MESSAGE(opened.ok(), opened.status().message());
    const Gguf g = std::move(*opened);
    CHECK(g.version() == version);
    CHECK(g.keys().size() == 28);
    CHECK(g.keys().front() == "u8");
    CHECK(g.integer("u8") == 200);
    CHECK(g.integer("i8") == -100);
    CHECK(g.integer("u16") == 60000);
    CHECK(g.integer("i16") == -30000);
    CHECK(g.integer("u32") == 4'000'000'000);
    CHECK(g.integer("i32") == -2'000'000'000);
    CHECK(g.integer("u64") == 1ll << 62);
    CHECK(g.integer("i64") == INT64_MIN);
    CHECK(g.real("f32") == 0.5);
    CHECK(g.real("f64") == 1e300);
    CHECK(g.real("i8") == -100.0);
    CHECK(g.real("huge") == 18446744073709551616.0);
    CHECK(g.boolean("yes") == true);
    CHECK(g.boolean("no") == false);
    CHECK(g.string("text") == "h\xc3\xa4");
    CHECK(g.integers("[u8]") == std::vector<int64_t>{1, 255});
    CHECK(g.integers("[i8]") == std::vector<int64_t>{-1, 127});
    CHECK(g.integers("[u16]") == std::vector<int64_t>{1, 65535});
    CHECK(g.integers("[i16]") == std::vector<int64_t>{-1, 1});
    CHECK(g.integers("[u32]") == std::vector<int64_t>{1, 4294967295});
    CHECK(g.integers("[i32]") == std::vector<int64_t>{-1, 1});
    CHECK(g.integers("[u64]") == std::vector<int64_t>{1, 2});
    CHECK(g.integers("[i64]") == std::vector<int64_t>{INT64_MIN, 2});
    CHECK(g.reals("[f32]") == std::vector<double>{1.5, -2});
    CHECK(g.reals("[f64]") == std::vector<double>{1e300});
    CHECK(g.reals("[i16]") == std::vector<double>{-1, 1});
    CHECK(g.strings("[text]") == std::vector<std::string_view>(kStrings.begin(), kStrings.end()));
    CHECK(g.strings("[none]") == std::vector<std::string_view>{});
  }
}

TEST_CASE("gguf: a value of another kind or size is no value") {
  const std::string file = every_type().finish();
  const Gguf g = std::move(*open_gguf(file));
  CHECK_FALSE(g.integer("absent"));
  CHECK_FALSE(g.has("absent"));
  CHECK(g.has("[bool]"));
  for (const char* key : {"f32", "yes", "text", "[u8]", "huge"}) CHECK_FALSE(g.integer(key));
  for (const char* key : {"yes", "text", "[f32]"}) CHECK_FALSE(g.real(key));
  for (const char* key : {"u8", "text", "[bool]"}) CHECK_FALSE(g.boolean(key));
  for (const char* key : {"u8", "[text]"}) CHECK_FALSE(g.string(key));
  for (const char* key : {"u8", "[f32]", "[bool]", "[text]", "[huge]", "[none]"}) CHECK_FALSE(g.integers(key));
  for (const char* key : {"f32", "[bool]", "[none]"}) CHECK_FALSE(g.reals(key));
  for (const char* key : {"text", "[u8]"}) CHECK_FALSE(g.strings(key));
}

TEST_CASE("gguf: tensors, their shapes and bytes") {
  GgufWriter w;
  w.set("k", "v");
  w.tensor("a", {3, 2}, 0, std::string(24, 'A')).tensor("b", {2, 64}, 2, std::string(72, 'B'));
  w.tensor("c", {2, 1, 3, 5}, 1, std::string(60, 'C'));
  const std::string file = w.finish();
  const auto opened = open_gguf(file);
  REQUIRE_MESSAGE(opened.ok(), opened.status().message());
  const Gguf& g = *opened;
  REQUIRE(g.tensors().size() == 3);
  CHECK(g.find("absent") == nullptr);
  const GgufTensor* b = g.find("b");
  REQUIRE(b != nullptr);
  CHECK(b->shape == std::vector<uint64_t>{2, 64});
  CHECK(b->type->name == "q4_0");
  CHECK(b->bytes == 72);
  CHECK(g.find("c")->shape == std::vector<uint64_t>{2, 1, 3, 5});
  for (const GgufTensor& t : g.tensors()) {
    CHECK(t.offset % 32 == 0);
    std::string data(t.bytes, ' ');
    REQUIRE(g.shard(t.shard).read_at(t.offset, std::as_writable_bytes(std::span(data))).ok());
    CHECK(data == std::string(t.bytes, static_cast<char>(t.name[0] - 'a' + 'A')));
  }
}

TEST_CASE("gguf: alignment") {
  const auto file_of = [](auto alignment, uint64_t used) {
    GgufWriter w;
    w.alignment = used;
    w.set("general.alignment", alignment).tensor("a", {1}, 0, "1234").tensor("b", {1}, 0, "5678");
    return w.finish();
  };
  for (const uint32_t n : {8u, 16u, 64u, 4096u, 1u << 21}) {
    const std::string file = file_of(n, n);
    const auto g = open_gguf(file);
    REQUIRE_MESSAGE(g.ok(), g.status().message());
    CHECK(g->find("b")->offset == g->find("a")->offset + n);
    CHECK(file.substr(g->find("b")->offset, 4) == "5678");
  }
  for (const uint32_t n : {0u, 1u, 4u, 12u, 33u, 1u << 22, UINT32_MAX}) {
    const auto g = open_gguf(file_of(n, 32));
    CHECK(g.status().code() == Code::kCorrupt);
    CHECK(g.status().message().find("general.alignment") != std::string::npos);
  }
  CHECK(open_gguf(file_of("32", 32)).status().code() == Code::kCorrupt);
  CHECK(open_gguf(file_of(32.0f, 32)).status().code() == Code::kCorrupt);
  CHECK(open_gguf(file_of(uint32_t{64}, 32)).status().code() == Code::kCorrupt);  // offsets of 32 in a file of 64
}

TEST_CASE("gguf: a file of metadata alone is a file") {
  const auto g = open_gguf(GgufWriter().set("k", "v").finish());
  REQUIRE(g.ok());
  CHECK(g->tensors().empty());
  CHECK(open_gguf(GgufWriter().finish()).ok());
}

TEST_CASE("gguf: many keys, tokens and tensors take linear time") {
  GgufWriter w;
  GgufLimits limits;
  limits.max_metadata_entries = 200'000;
  const std::string prefix(100, 'x');
  for (int i = 0; i < 200'000; ++i) {
    w.set<uint32_t>(prefix + std::to_string(i), 1);
    w.tensor(prefix + std::to_string(i), {1, 1}, 0, "1234");
  }
  const std::string file = w.finish();
  const auto begin = std::chrono::steady_clock::now();
  const auto g = open_gguf(file, limits);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  REQUIRE_MESSAGE(g.ok(), g.status().message());
  CHECK(g->find(prefix + "199999") != nullptr);
  CHECK(g->integer(prefix + "123456") == 1);
  CHECK(seconds.count() < 10);  // 0.4 s alone on one core; quadratic would be minutes
}
