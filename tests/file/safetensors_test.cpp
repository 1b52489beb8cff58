// Safetensors files: what a good one says, and every way of being a bad one.
#include "file/safetensors.h"

#include <doctest/doctest.h>

#include <cctype>

#include "support/hf_files.h"

using namespace kette;
using namespace kette::test;

namespace {

Result<Safetensors> read(std::string_view file) {
  const auto source = open_memory(std::as_bytes(std::span(file.data(), file.size())), "dir/test.safetensors");
  return Safetensors::read(*source, kTestDtypes);
}

SafetensorsWriter small() {
  SafetensorsWriter w;
  w.entry(R"("__metadata__":{"format":"pt"})");
  w.tensor("b", "F32", {1, 2}, "12345678").tensor("a", "F16", {3}, "abcdef");
  return w;
}

// Messages are short, printable, and say which file.
void check_refused(std::string_view file, Code code, std::string_view text) {
  const Status status = read(file).status();
  CAPTURE(status.message());
  CHECK(status.code() == code);
  CHECK(status.message().find(text) != std::string::npos);
  CHECK(status.message().starts_with("test.safetensors: "));
  CHECK(status.message().size() <= 300);
  for (const char c : status.message()) CHECK(std::isprint(static_cast<unsigned char>(c)));
}
void check_refused(const SafetensorsWriter& w, Code code, std::string_view text) {
  check_refused(w.finish(), code, text);
}

// One entry of header text, with 8 bytes of data.
void check_entry(std::string_view json, std::string_view text, Code code = Code::kCorrupt) {
  check_refused(SafetensorsWriter().entry(json).data("12345678"), code, text);
}

}  // namespace

TEST_CASE("safetensors: names, dtypes, shapes, places, metadata") {
  const std::string file = small().finish();
  const auto s = read(file);
  REQUIRE_MESSAGE(s.ok(), s.status().message());
  REQUIRE(s->tensors.size() == 2);
  const SafetensorsTensor &b = s->tensors[0], &a = s->tensors[1];
  CHECK(b.name == "b");
  CHECK(b.type == &kTestDtypes[0].type);
  CHECK(b.shape == std::vector<uint64_t>{1, 2});
  CHECK(file.substr(b.offset, b.bytes) == "12345678");
  CHECK(a.type == &kTestDtypes[1].type);
  CHECK(file.substr(a.offset, a.bytes) == "abcdef");
  CHECK(s->metadata.at("format") == "pt");
}

TEST_CASE("safetensors: unusual but valid") {
  // Entries in another order than the data, a scalar, empty tensors, padding, fields of a later version, no metadata.
  SafetensorsWriter w;
  w.entry(R"("z":{"dtype":"F32","shape":[],"data_offsets":[4,8]})");
  w.entry(R"("y":{"shape":[2],"data_offsets":[0,4],"new":{"a":[[1]],"b":{"dtype":1}},"dtype":"F16","x":null})");
  w.entry(
      R"("e":{"dtype":"F32","shape":[0,9],"data_offsets":[4,4]},"f":{"dtype":"F32","shape":[0],"data_offsets":[8,8]})");
  w.entry(R"(  "__metadata__" : null   )").data("12345678");
  const auto s = read(w.finish());
  REQUIRE_MESSAGE(s.ok(), s.status().message());
  CHECK(s->tensors.size() == 4);
  CHECK(read(SafetensorsWriter::with_header("{}   ")).ok());
  // Types that no weight has are known by their size.
  for (const auto& [dtype, bytes] :
       {std::pair{"BOOL", 4}, {"I64", 32}, {"F8_E4M3", 4}, {"BF16", 8}, {"F4", 2}, {"F6_E2M3", 3}}) {
    const auto other =
        read(SafetensorsWriter().tensor("t", dtype, {4}, std::string(static_cast<size_t>(bytes), 'x')).finish());
    REQUIRE_MESSAGE(other.ok(), other.status().message());
    CHECK(other->tensors[0].bytes == static_cast<uint64_t>(bytes));
  }
}

TEST_CASE("safetensors: every truncation and every byte too many") {
  const std::string file = small().finish();
  for (size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    const std::string cut = file.substr(0, size);
    REQUIRE_FALSE(read(cut).ok());
  }
  check_refused(file + "x", Code::kCorrupt, "the tensors have 14 bytes of data, the file has 15");
}

TEST_CASE("safetensors: every flipped bit of the header is refused or harmless") {
  const std::string file = small().finish();
  for (size_t bit = 0; bit < (file.size() - 14) * 8; ++bit) {
    std::string damaged = file;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const auto s = read(damaged);
    if (!s.ok()) {
      REQUIRE(!s.status().message().empty());
      continue;
    }
    for (const SafetensorsTensor& t : s->tensors) REQUIRE(t.offset + t.bytes <= file.size());
  }
}

TEST_CASE("safetensors: header") {
  check_refused("", Code::kFormat, "not a safetensors file");
  check_refused(bytes_of<uint64_t>(0), Code::kFormat, "not a JSON object");
  check_refused(bytes_of<uint64_t>(100'000'001), Code::kFormat, "expected at most 100000000");
  check_refused(bytes_of<uint64_t>(UINT64_MAX), Code::kFormat, "expected at most");
  check_refused(bytes_of<uint64_t>(3) + "{}", Code::kCorrupt, "truncated");
  check_refused(SafetensorsWriter::with_header(" {}"), Code::kFormat, "not a JSON object");
  check_refused(SafetensorsWriter::with_header("\xef\xbb\xbf{}"), Code::kFormat, "not a JSON object");
  check_refused(SafetensorsWriter::with_header("{}{}"), Code::kFormat, "not valid JSON");
  check_refused(SafetensorsWriter::with_header(std::string_view("{}\0", 3)), Code::kFormat, "not valid JSON");
}

TEST_CASE("safetensors: entries") {
  check_entry(R"("t":1)", "t: expected an object");
  check_entry(R"("t":[])", "t: expected an object");
  check_entry(R"("t":{"shape":[2],"data_offsets":[0,8]})", "tensor t: dtype: missing");
  check_entry(R"("t":{"dtype":"F32","data_offsets":[0,8]})", "shape: missing");
  check_entry(R"("t":{"dtype":"F32","shape":[2]})", "data_offsets: missing");
  check_entry(R"("t":{"dtype":"F33","shape":[2],"data_offsets":[0,8]})", "\"F33\"", Code::kUnsupported);
  check_entry(R"("t":{"dtype":"","shape":[2],"data_offsets":[0,8]})", "dtype: \"\"", Code::kUnsupported);
  check_entry(R"("t":{"dtype":1,"shape":[2],"data_offsets":[0,8]})", "dtype: expected a string");
  check_entry(R"("t":{"dtype":["F32"],"shape":[2],"data_offsets":[0,8]})", "dtype: expected a string");
  check_entry(R"("t":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})", "dtype: there twice");
  check_entry(R"("t":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]})", "shape: there twice");
  check_entry(R"("t":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8]})",
              "data_offsets: there twice");
  for (const char* shape : {"[-2]", "[2.0]", "[\"2\"]", "[[2]]", "[null]", "[18446744073709551616]", "[{}]"})
    check_entry(fmt::format(R"("t":{{"dtype":"F32","shape":{},"data_offsets":[0,8]}})", shape),
                "shape: expected whole numbers");
  check_entry(R"("t":{"dtype":"F32","shape":2,"data_offsets":[0,8]})", "shape: expected a list");
  check_entry(R"("t":{"dtype":"F32","shape":{},"data_offsets":[0,8]})", "shape: expected a list");
  check_entry(R"("t":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]})", "3 numbers, expected 2");
  check_entry(R"("t":{"dtype":"F32","shape":[2],"data_offsets":[8,0]})", "data_offsets: [8, 0]");
  check_entry(R"("t":{"dtype":"F32","shape":[3],"data_offsets":[0,8]})", "8 bytes, its shape and dtype F32 have 12");
  check_entry(R"("t":{"dtype":"F4","shape":[15],"data_offsets":[0,8]})", "expected whole bytes");
  // Products that wrap around to 8 bytes.
  check_entry(R"("t":{"dtype":"F32","shape":[4611686018427387904,4,2],"data_offsets":[0,8]})", "more than");
  check_entry(R"("t":{"dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8]})", "more than");
  check_entry(R"("t":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,8]})",
              "more than");
  std::string deep = R"("t":{"x":)";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  check_entry(deep, "nested deeper", Code::kFormat);
}

TEST_CASE("safetensors: duplicates") {
  check_refused(small().tensor("a", "F16", {1}, "xx"), Code::kCorrupt, "duplicate tensor a");
  check_refused(small().entry(R"("__metadata__":{})"), Code::kCorrupt, "duplicate __metadata__");
  check_entry(R"("__metadata__":{"k":"v","k":"v"})", "duplicate key k");
  check_entry(R"("__metadata__":{"k":1})", "expected strings");
  check_entry(R"("__metadata__":{"k":{}})", "expected strings");
  check_entry(R"("__metadata__":"x")", "expected an object");
}

TEST_CASE("safetensors: the data is covered exactly") {
  const auto entry = [](const char* name, int begin, int end) {
    return fmt::format(R"("{}":{{"dtype":"F16","shape":[{}],"data_offsets":[{},{}]}})", name, (end - begin) / 2, begin,
                       end);
  };
  check_entry(entry("t", 2, 8), "data at 2, expected at 0");                                     // a hole in front
  check_entry(entry("a", 0, 2) + "," + entry("b", 4, 8), "tensor b: data at 4, expected at 2");  // between
  check_entry(entry("a", 0, 6), "have 6 bytes of data, the file has 8");                         // behind
  check_entry(entry("a", 0, 6) + "," + entry("b", 4, 8), "tensor b: data at 4, expected at 6");  // overlap
  check_entry(entry("a", 0, 8) + "," + entry("b", 0, 8), "data at 0, expected at 8");            // one inside the other
  check_entry(entry("a", 0, 10), "the file has 8 bytes of data");                                // beyond the file
  check_entry(R"("a":{"dtype":"F16","shape":[0],"data_offsets":[4,4]})", "data at 4, expected at 0");
  check_refused(SafetensorsWriter().data("x"), Code::kCorrupt, "have 0 bytes of data, the file has 1");
}
