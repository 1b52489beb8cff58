// GGUF files as they should not be: each is refused with a message, none reads outside the file.
#include <doctest/doctest.h>

#include <cctype>

#include "support/gguf_writer.h"

using namespace kette;
using namespace kette::test;

namespace {

GgufWriter small() {
  GgufWriter w;
  w.set("general.architecture", "llama").set<uint32_t>("general.alignment", 32).set<bool>("flag", true);
  w.array<std::string>("tokens", {"a", "bc", ""}).array<float>("scores", {1, 2});
  w.tensor("token_embd.weight", {2, 32}, 8, std::string(68, 'x')).tensor("norm", {4}, 0, std::string(16, 'y'));
  return w;
}

// Messages are short, printable, and say which file.
void check_refused(const Status& status, Code code, std::string_view text) {
  CAPTURE(status.message());
  CHECK(status.code() == code);
  CHECK(status.message().find(text) != std::string::npos);
  CHECK(status.message().starts_with("test.gguf: "));
  CHECK(status.message().size() <= 300);
  for (const char c : status.message()) CHECK(std::isprint(static_cast<unsigned char>(c)));
}

void check_refused(const GgufWriter& w, Code code, std::string_view text) {
  check_refused(open_gguf(w.finish()).status(), code, text);
}

// Reads all there is, as a user of the file would: sanitizers see what is outside.
uint64_t touch(const Gguf& g) {
  uint64_t sum = 0;
  for (const auto key : g.keys()) {
    if (const auto strings = g.strings(key))
      for (const auto s : *strings) sum += s.size();
    if (const auto reals = g.reals(key)) sum += reals->size();
    sum += g.string(key).value_or("").size() + static_cast<uint64_t>(g.integer(key).value_or(0));
  }
  for (const GgufTensor& t : g.tensors()) {
    std::vector<std::byte> data(t.bytes);
    REQUIRE(g.shard(t.shard).read_at(t.offset, data).ok());
    REQUIRE(g.find(t.name) == &t);
    sum += static_cast<uint64_t>(data.back());
  }
  return sum;
}

}  // namespace

TEST_CASE("gguf damage: not a GGUF file, or one of another kind") {
  check_refused(open_gguf("").status(), Code::kFormat, "not a GGUF file");
  check_refused(open_gguf("GGU").status(), Code::kFormat, "not a GGUF file");
  check_refused(open_gguf(std::string("\x00\x01\xff\x1b[31m", 8)).status(), Code::kFormat, "\\x00\\x01\\xff\\x1b");
  check_refused(open_gguf("GGUF").status(), Code::kCorrupt, "truncated");
  GgufWriter w;
  for (const uint32_t version : {0u, 1u, 4u}) {
    w.version = version;
    check_refused(w, Code::kUnsupported, "expected 2 or 3");
  }
  w.version = 0x03000000;
  check_refused(w, Code::kUnsupported, "big-endian");
}

TEST_CASE("gguf damage: every truncation") {
  const GgufWriter w = small();
  const std::string file = w.finish();
  REQUIRE(open_gguf(file).ok());
  for (size_t size = 0; size < file.size(); ++size) {
    const std::string cut = file.substr(0, size);  // a copy: reads behind the end are seen by the sanitizer
    const auto g = open_gguf(cut);
    CAPTURE(size);
    REQUIRE_FALSE(g.ok());
    REQUIRE(!g.status().message().empty());
  }
}

TEST_CASE("gguf damage: every flipped bit of the metadata") {
  const GgufWriter w = small();
  const std::string file = w.finish();
  size_t accepted = 0, refused = 0;
  for (size_t bit = 0; bit < w.header_size() * 8; ++bit) {
    std::string flipped = file;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    const auto g = open_gguf(flipped);
    if (g.ok()) touch(*g);
    ++(g.ok() ? accepted : refused);
  }
  CHECK(accepted > 100);  // letters of names, float values
  CHECK(refused > 1000);
}

TEST_CASE("gguf damage: counts and lengths larger than the file") {
  GgufWriter w = small();
  w.extra_entries = 1;
  check_refused(w, Code::kBudget, "tensor 0: a name of");  // the first tensor was read as a key
  w.extra_entries = 60'000;
  check_refused(w, Code::kCorrupt, "truncated");
  w.extra_entries = UINT64_MAX - 5;
  check_refused(w, Code::kBudget, "metadata entries");
  w = small();
  w.extra_tensors = 1'000;
  check_refused(w, Code::kCorrupt, "truncated");
  w.extra_tensors = UINT64_MAX - 2;
  check_refused(w, Code::kBudget, "tensors");

  const auto array = [](uint32_t type, uint64_t n) { return bytes_of(type) + bytes_of(n) + std::string(64, '\1'); };
  for (const uint64_t n : {uint64_t{65}, uint64_t{16'000'000}}) {
    for (uint32_t type = 0; type < 13; ++type) {
      if (type != 9) check_refused(GgufWriter().raw("k", 9, array(type, n)), Code::kCorrupt, "k: truncated");
    }
  }
  for (const uint64_t n : {uint64_t{1} << 32, (UINT64_MAX / 8) + 2, UINT64_MAX}) {
    check_refused(GgufWriter().raw("k", 9, array(8, n)), Code::kBudget, "array elements");
    check_refused(GgufWriter().raw("k", 8, bytes_of(n) + "text"), Code::kCorrupt, "k: truncated");
    GgufLimits no_limit;
    no_limit.max_array_elements = no_limit.max_metadata_entries = no_limit.max_tensors = UINT64_MAX;
    no_limit.max_metadata_bytes = UINT64_MAX;
    for (const uint32_t type : {8u, 10u}) {
      const std::string file = GgufWriter().raw("k", 9, array(type, n)).finish();
      check_refused(open_gguf(file, no_limit).status(), Code::kCorrupt, "truncated");
    }
    w = small();
    w.extra_tensors = n - 2;
    check_refused(open_gguf(w.finish(), no_limit).status(), Code::kCorrupt, "truncated");
  }
}

TEST_CASE("gguf damage: limits") {
  GgufLimits limits;
  limits.max_metadata_entries = 4;
  check_refused(open_gguf(small().finish(), limits).status(), Code::kBudget, "5 metadata entries, the limit is 4");
  limits = {};
  limits.max_tensors = 1;
  check_refused(open_gguf(small().finish(), limits).status(), Code::kBudget, "2 tensors, the limit is 1");
  limits = {};
  limits.max_array_elements = 2;
  check_refused(open_gguf(small().finish(), limits).status(), Code::kBudget, "tokens: 3 array elements, the limit");
  limits = {};
  limits.max_name_bytes = 16;
  check_refused(open_gguf(small().finish(), limits).status(), Code::kBudget, "a name of 20 bytes, the limit is 16");
  const size_t metadata = small().header_size();
  limits = {};
  limits.max_metadata_bytes = metadata;
  CHECK(open_gguf(small().finish(), limits).ok());
  for (size_t n = 0; n < metadata; ++n) {
    limits.max_metadata_bytes = n;
    REQUIRE(open_gguf(small().finish(), limits).status().code() == Code::kBudget);
  }
}

TEST_CASE("gguf damage: keys and values") {
  check_refused(GgufWriter().set("", "v"), Code::kCorrupt, "an empty name");
  check_refused(GgufWriter().set(std::string(256, 'k'), "v"), Code::kBudget, "a name of 256 bytes");
  check_refused(GgufWriter().set("k\n\xff", "v"), Code::kCorrupt, "k\\x0a\\xff");
  check_refused(GgufWriter().set("k", "v").set("l", "v").set("k", "w"), Code::kCorrupt, "duplicate key k");
  check_refused(GgufWriter().raw("k", 13, std::string(64, '\0')), Code::kCorrupt, "value type 13");
  check_refused(GgufWriter().raw("k", UINT32_MAX, std::string(64, '\0')), Code::kCorrupt, "value type");
  check_refused(GgufWriter().raw("k", 7, "\2"), Code::kCorrupt, "k: bool 2");
  check_refused(GgufWriter().raw("k", 9, bytes_of(9u) + bytes_of<uint64_t>(1) + std::string(64, '\0')),
                Code::kUnsupported, "k: an array of arrays");
  check_refused(GgufWriter().raw("k", 9, bytes_of(77u) + bytes_of<uint64_t>(0)), Code::kCorrupt, "value type 77");
}

TEST_CASE("gguf damage: tensors") {
  const auto one = [](std::vector<uint64_t> shape, uint32_t type, uint64_t offset = 0, size_t data = 64) {
    GgufWriter w;
    w.tensor_at("t", shape, type, offset).tensor("last", {data / 4}, 0, std::string(data, 'x'));
    return w;
  };
  check_refused(one({}, 0), Code::kCorrupt, "tensor t: 0 dimensions");
  check_refused(one({1, 1, 1, 1, 1}, 0), Code::kCorrupt, "tensor t: 5 dimensions");
  check_refused(one({2, 0}, 0), Code::kCorrupt, "dimension 0 is 0");
  check_refused(one({31}, 2), Code::kCorrupt, "innermost dimension 31, expected a multiple of 32 for q4_0");
  check_refused(one({32, 1}, 8), Code::kCorrupt, "innermost dimension 1");
  check_refused(one({1}, 4), Code::kUnsupported, "tensor t: stored as ggml type 4");
  check_refused(one({1}, UINT32_MAX), Code::kUnsupported, "ggml type 4294967295");
  check_refused(one({1}, 0, 4), Code::kCorrupt, "offset 4, expected a multiple of 32");
  check_refused(one({17}, 0), Code::kCorrupt, "tensor t: 68 bytes at");
  check_refused(one({1}, 0, 64), Code::kCorrupt, "tensor t: 4 bytes at");
  for (const uint64_t offset : {UINT64_MAX - 31, UINT64_MAX - 255, uint64_t{1} << 63}) {
    check_refused(one({1}, 0, offset), Code::kCorrupt, "tensor t: 4 bytes at");
  }
  const uint64_t k32 = uint64_t{1} << 32;
  check_refused(one({k32, k32}, 0), Code::kCorrupt, "more than 2^63");  // product wraps to 0
  check_refused(one({k32, k32 + 1, 1, 1}, 0), Code::kCorrupt, "more than 2^63");
  check_refused(one({uint64_t{1} << 62}, 0), Code::kCorrupt, "more than 2^63");  // bytes wrap to 0
  check_refused(one({UINT64_MAX}, 1), Code::kCorrupt, "more than 2^63");
  check_refused(one({k32, k32 / 8}, 0), Code::kCorrupt, "more than 2^63");
  check_refused(one({k32 / 2, k32 / 4}, 0), Code::kCorrupt, "more than 2^63");
}

TEST_CASE("gguf damage: duplicate and overlapping tensors") {
  const std::string data(64, 'x');
  check_refused(GgufWriter().tensor("a", {16}, 0, data).tensor("b", {16}, 0, data).tensor("a", {16}, 0, data),
                Code::kCorrupt, "duplicate tensor a");
  check_refused(GgufWriter().tensor("a", {16}, 0, data).tensor_at("b", {1}, 0, 32), Code::kCorrupt,
                "tensor a: its data overlaps that of tensor b");
  check_refused(GgufWriter().tensor("a", {1}, 0, data).tensor_at("b", {1}, 0, 0), Code::kCorrupt, "overlaps");
  CHECK(open_gguf(GgufWriter().tensor("a", {8}, 0, data).tensor_at("b", {8}, 0, 32).finish()).ok());
  check_refused(GgufWriter().tensor("\x1b[0m", {16}, 0, data), Code::kCorrupt, "name '\\x1b[0m'");
}
